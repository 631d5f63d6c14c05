// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

func TestLedgerTellsForeignChanges(t *testing.T) {
	role, lease := objectRef{"Role", "agent"}, objectRef{kindLease, "agent"}
	gone := objectRef{"ClusterRole", "atlhyper:cluster:x"}
	for name, c := range map[string]struct {
		ref  objectRef
		seen change
		want bool
	}{
		"what was written":           {role, change{version: "10"}, false},
		"something older":            {role, change{version: "9"}, false},
		"something newer":            {role, change{version: "11"}, true},
		"longer numbers are newer":   {role, change{version: "100"}, true},
		"deleted":                    {role, change{"12", true}, true},
		"deleted, as last known":     {role, change{"10", true}, true},
		"deleted before it was made": {role, change{"8", true}, false},
		"a renewal":                  {lease, change{version: "50"}, false},
		"a deleted Lease":            {lease, change{"50", true}, true},
		"removed on purpose":         {gone, change{"50", true}, false},
		"made again after that":      {gone, change{version: "51"}, true},
		"never written":              {objectRef{"Role", "other"}, change{version: "1"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			fresh := func() *record {
				return &record{owner: "u", versions: map[objectRef]string{role: "10", lease: "10", gone: removed}}
			}
			l := newLedger()
			l.begin("x")
			l.finish("x", fresh())
			if got := l.changed("x", c.ref, c.seen); got != c.want {
				t.Errorf("afterwards: got %v, want %v", got, c.want)
			}
			if _, drifted := l.lookup("x", "u"); drifted != c.want {
				t.Errorf("drifted: got %v, want %v", drifted, c.want)
			}
			l.begin("x")
			if l.changed("x", c.ref, c.seen) {
				t.Error("decided while writing")
			}
			if got := l.finish("x", fresh()); got != c.want {
				t.Errorf("while writing: got %v, want %v", got, c.want)
			}
		})
	}
}

func TestLedgerForgetsAfterAFailure(t *testing.T) {
	l := newLedger()
	if l.changed("x", objectRef{"Role", "agent"}, change{version: "1"}) {
		t.Error("a cluster that was never written has drifted")
	}
	l.begin("x")
	if !l.finish("x", nil) {
		t.Error("a failure is not looked at again")
	}
	if r, drifted := l.lookup("x", "u"); r != nil || !drifted {
		t.Error("a failure left a record")
	}
	l.begin("x")
	l.finish("x", &record{owner: "u"})
	if r, _ := l.lookup("x", "other"); r != nil {
		t.Error("the record of another object of the same name")
	}
}

func TestLedgerKnowsStaleReads(t *testing.T) {
	l := newLedger()
	mc := &v1alpha1.ManagedCluster{ObjectMeta: metav1.ObjectMeta{Name: "x", UID: "u", ResourceVersion: "9"}}
	if l.stale(mc) {
		t.Error("nothing was written yet")
	}
	l.wrote("x", "u", "10")
	for version, want := range map[string]bool{"9": true, "10": false, "11": false, "100": false} {
		mc.ResourceVersion = version
		if got := l.stale(mc); got != want {
			t.Errorf("%s: got %v, want %v", version, got, want)
		}
	}
	mc.UID, mc.ResourceVersion = "another", "1"
	if l.stale(mc) {
		t.Error("another object of the same name")
	}
}

func TestVerificationTimes(t *testing.T) {
	for range 1000 {
		if d := nextVerification(noon).Sub(noon); d < 54*time.Minute || d > 66*time.Minute {
			t.Fatalf("verified after %s", d)
		}
		if d := firstVerification(noon).Sub(noon); d < 0 || d > time.Hour {
			t.Fatalf("verified first after %s", d)
		}
	}
}

func TestRelevantChange(t *testing.T) {
	condition := func(kind string, status metav1.ConditionStatus) func(*v1alpha1.ManagedCluster) {
		return func(mc *v1alpha1.ManagedCluster) {
			mc.Status.Conditions = []metav1.Condition{{Type: kind, Status: status}}
		}
	}
	for name, c := range map[string]struct {
		change func(*v1alpha1.ManagedCluster)
		want   bool
	}{
		"nothing": {func(*v1alpha1.ManagedCluster) {}, false},
		"spec":    {func(mc *v1alpha1.ManagedCluster) { mc.Generation++ }, true},
		"deleted": {func(mc *v1alpha1.ManagedCluster) { mc.DeletionTimestamp = new(metav1.NewTime(noon)) }, true},
		"asked to join": {func(mc *v1alpha1.ManagedCluster) {
			mc.Annotations = map[string]string{v1alpha1.AnnotationJoinRequest: "n"}
		}, true},
		"forced": {func(mc *v1alpha1.ManagedCluster) {
			mc.Annotations = map[string]string{v1alpha1.AnnotationForceDelete: "true"}
		}, true},
		"other annotation":     {func(mc *v1alpha1.ManagedCluster) { mc.Annotations = map[string]string{"x": "y"} }, false},
		"label":                {func(mc *v1alpha1.ManagedCluster) { mc.Labels = map[string]string{"env": "prod"} }, false},
		"API server":           {condition(v1alpha1.ClusterConditionAPIServerHealthy, "False"), true},
		"nodes":                {condition(v1alpha1.ClusterConditionNodesHealthy, "False"), false},
		"the hub's own":        {condition(v1alpha1.ConditionReady, "True"), false},
		"version of the agent": {func(mc *v1alpha1.ManagedCluster) { mc.Status.Agent = &v1alpha1.AgentInfo{Version: "v1.0.0"} }, true},
		"counts":               {func(mc *v1alpha1.ManagedCluster) { mc.Status.Nodes = &v1alpha1.NodeCounts{Summary: "1/1"} }, false},
	} {
		before := &v1alpha1.ManagedCluster{ObjectMeta: metav1.ObjectMeta{Name: "x", Generation: 1}}
		after := before.DeepCopy()
		c.change(after)
		if got := relevantChange(before, after); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}
