// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package cli

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// reports makes a cluster tell of anomalies.
func reports(critical, warning, info int32, worst ...v1alpha1.AnomalyReference) clusterOption {
	return func(c *v1alpha1.ManagedCluster) {
		c.Status.Anomalies = &v1alpha1.AnomalySummary{Critical: &critical, Warning: &warning, Info: &info, Worst: worst}
	}
}

func anomalyOf(rule string, severity v1alpha1.Severity, kind, namespace, name string, since time.Duration) v1alpha1.AnomalyReference {
	return v1alpha1.AnomalyReference{Rule: rule, Severity: severity, Kind: kind, Namespace: namespace, Name: name, Reason: "Reason", Count: 1, Since: ago(since)}
}

func blind(c *v1alpha1.ManagedCluster) {
	c.Status.StaleResources = []string{"jobs.batch"}
}

func brokenFleet() []v1alpha1.ManagedCluster {
	web := anomalyOf("DeploymentUnavailable", "critical", "Deployment", "shop", "web", 4*time.Minute)
	loop := anomalyOf("PodCrashLoopBackOff", "warning", "Deployment", "shop", "web", 5*time.Minute)
	loop.Count, loop.Reason = 12, "CrashLoopBackOff"
	node := anomalyOf("NodeNotReady", "critical", "Node", "", "node-7", 26*time.Hour)
	var many []v1alpha1.AnomalyReference
	for n := range 20 {
		many = append(many, anomalyOf("PVReleased", "info", "PersistentVolume", "", fmt.Sprintf("pvc-%02d", n), 48*time.Hour))
	}
	return []v1alpha1.ManagedCluster{
		member("quiet", reports(0, 0, 0)),
		member("tokyo", reports(1, 1, 0, web, loop)),
		member("edge-0042", disconnected, reports(1, 0, 0, node)),
		member("untidy", blind, reports(0, 0, 31, many...)),
		member("no-api-server", unavailable, reports(0, 1, 0, loop)),
		member("old-agent"),
		member("fresh", unobserved),
	}
}

func TestRenderAnomalies(t *testing.T) {
	hostile := anomalyOf("R\x1b[2J", "warning", "Pod\nNode", "a\r", "b\u202e", time.Hour)
	tests := map[string]struct {
		clusters []v1alpha1.ManagedCluster
		layout   Layout
		lines    int
	}{
		"120":     {brokenFleet(), Layout{Width: 120}, anomaliesPerCluster},
		"80":      {brokenFleet(), Layout{Width: 80}, anomaliesPerCluster},
		"wide":    {brokenFleet(), Layout{}, 0},
		"color":   {brokenFleet()[1:3], Layout{Width: 120, Color: true}, anomaliesPerCluster},
		"hostile": {[]v1alpha1.ManagedCluster{member("h", reports(0, 1, 0, hostile))}, Layout{Width: 120}, anomaliesPerCluster},
		"quiet":   {brokenFleet()[:1], Layout{Width: 80}, anomaliesPerCluster},
		"empty":   {nil, Layout{Width: 80}, anomaliesPerCluster},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := RenderAnomalies(&b, Anomalies(test.clusters, testNow), testNow, test.layout, test.lines); err != nil {
				t.Fatal(err)
			}
			golden(t, "anomalies-"+name+".txt", b.Bytes())
			if test.layout.Color {
				return
			}
			for line := range bytes.Lines(b.Bytes()) {
				if width := len([]rune(string(line))) - 1; test.layout.Width > 0 && width > test.layout.Width {
					t.Errorf("a line has %d columns instead of at most %d: %s", width, test.layout.Width, line)
				}
				if bytes.ContainsAny(line[:len(line)-1], "\x1b\r\x07\n") {
					t.Errorf("a line has control characters: %q", line)
				}
			}
		})
	}
}

func TestAnomaliesAsData(t *testing.T) {
	var b bytes.Buffer
	if err := writeValue(&b, Anomalies(brokenFleet(), testNow), formatJSON); err != nil {
		t.Fatal(err)
	}
	golden(t, "anomalies.json", b.Bytes())
}

// Nothing is ever shown as well because nobody looks.
func TestKnowledge(t *testing.T) {
	open := reports(1, 2, 3)
	for name, test := range map[string]struct {
		cluster v1alpha1.ManagedCluster
		want    Knowledge
		asOf    time.Duration
	}{
		"an agent that reports":                   {member("x", open), KnowledgeCurrent, 0},
		"an agent that cannot read everything":    {member("x", open, blind), KnowledgePartial, 0},
		"an agent that is silent":                 {member("x", open, disconnected), KnowledgeUnknown, 3 * time.Hour},
		"an API server that does not answer":      {member("x", open, unavailable), KnowledgeUnknown, 8 * time.Minute},
		"a hub that stopped":                      {member("x", open, lastSeen(12*time.Minute)), KnowledgeUnknown, 12 * time.Minute},
		"an agent that knows of no anomalies":     {member("x"), KnowledgeUnknown, 0},
		"a cluster that nobody has seen":          {member("x", unobserved), KnowledgeUnknown, 0},
		"a cluster that was never connected":      {member("x", neverReported, disconnected), KnowledgeUnknown, 0},
		"one that the hub has said nothing about": {member("x", open, func(c *v1alpha1.ManagedCluster) { c.Status.Conditions = nil }), KnowledgeUnknown, 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			got := anomaliesOf(&test.cluster, testNow)
			var asOf *metav1.Time
			if test.asOf > 0 {
				asOf = new(ago(test.asOf))
			}
			if got.State != test.want || (got.AsOf == nil) != (asOf == nil) || asOf != nil && !got.AsOf.Equal(asOf) {
				t.Errorf("%s as of %v, want %s as of %v", got.State, got.AsOf, test.want, asOf)
			}
			if known := test.cluster.Status.Anomalies != nil; known != (got.Critical != nil) {
				t.Errorf("%v critical", got.Critical)
			}
		})
	}
}
