// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package rules_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/anomaly/rules"
)

func service() *facts.Service {
	return &facts.Service{Meta: meta(facts.KindService, "default", "web"), Selector: map[string]string{"app": "web"}}
}

func slice(name string, ready int, changed time.Time) *facts.EndpointSlice {
	return &facts.EndpointSlice{Meta: meta(facts.KindEndpointSlice, "default", name), Service: "web", Ready: ready, Changed: changed}
}

// In a snapshot a Service has had no endpoints since its slices tell, whichever
// comes first and however often.
func TestServicesFollowTheirSlices(t *testing.T) {
	young := now.Add(-time.Minute)
	for name, objects := range map[string][]facts.Object{
		"the Service first":    {service(), slice("a", 0, young)},
		"the slice first":      {slice("a", 0, young), service()},
		"twice":                {service(), slice("a", 0, young), service(), slice("a", 0, young)},
		"another slice before": {service(), slice("b", 0, now.Add(-time.Hour)), slice("a", 0, young)},
		"another slice after":  {service(), slice("a", 0, young), slice("b", 0, now.Add(-time.Hour))},
	} {
		w := rules.NewWorld(rules.Options{Snapshot: true})
		var since time.Time
		for _, o := range objects {
			for _, ref := range append([]facts.Ref(nil), w.Put(o, now)...) {
				for _, f := range w.Findings(ref, now) {
					since = f.Since
				}
			}
		}
		if !since.Equal(young) {
			t.Errorf("%s: since %s, want %s", name, since, young)
		}
	}
}

// What does not change how many are ready has no Service judged that has some.
func TestServicesWithEndpointsAreLeftAlone(t *testing.T) {
	w := rules.NewWorld(rules.Options{})
	found(w, w.Put(service(), now))
	found(w, w.Put(slice("a", 2, now), now))
	if touched := w.Put(slice("a", 3, now.Add(time.Second)), now); len(touched) != 1 {
		t.Errorf("one endpoint more has %v judged", touched)
	}
	if got := found(w, w.Put(slice("a", 0, now), now)); len(got) != 1 {
		t.Errorf("without endpoints: %v", got)
	}
}

func TestServicesOfWorkloadsWithoutReplicas(t *testing.T) {
	workload := func(kind, name string, desired int32) *facts.Workload {
		return &facts.Workload{Meta: meta(kind, "default", name), Desired: desired, Labels: map[string]string{"app": "web", "name": name}}
	}
	broken := []string{"ServiceNoEndpoints of Service web"}
	w := rules.NewWorld(rules.Options{})
	put := func(what string, want []string, o facts.Object) {
		t.Helper()
		var got []string
		for _, line := range found(w, w.Put(o, now)) {
			if line == broken[0] {
				got = append(got, line)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	put("without endpoints", broken, service())
	put("a DaemonSet without nodes", broken, workload(facts.KindDaemonSet, "ds", 0))
	put("scaled to zero", nil, workload(facts.KindReplicaSet, "rs", 0))
	put("with one that should run", broken, workload(facts.KindDeployment, "web", 1))
	put("both scaled to zero", nil, workload(facts.KindDeployment, "web", 0))
	other := workload(facts.KindDeployment, "web", 1)
	other.Labels = map[string]string{"app": "other"}
	put("one of another app", nil, other)
	put("which becomes one of this", broken, workload(facts.KindDeployment, "web", 1))
	if got := found(w, w.Delete(other.Ref)); len(got) != 0 {
		t.Errorf("after it is gone: %v", got)
	}
	if got := found(w, w.Delete(facts.Ref{Kind: facts.KindReplicaSet, Namespace: "default", Name: "rs"})); len(got) != 1 {
		t.Errorf("after the one without replicas is gone: %v", got)
	}
}

// A Secret follows the Certificate that names it, whichever comes first.
func TestSecretsFollowTheirCertificates(t *testing.T) {
	secret := &facts.Secret{Meta: meta(facts.KindSecret, "default", "tls"), TLS: true, NotAfter: now.Add(24 * time.Hour)}
	certificate := func(secret string, renewal time.Duration) *facts.Certificate {
		return &facts.Certificate{Meta: meta(facts.KindCertificate, "default", "web"), Secret: secret, Renewal: now.Add(renewal)}
	}
	w := rules.NewWorld(rules.Options{})
	expiring := func(what string, want bool, touched []facts.Ref) {
		t.Helper()
		judged := 0
		for _, ref := range append([]facts.Ref(nil), touched...) {
			for _, f := range w.Findings(ref, now) {
				judged++
				if f.Since.After(now) == want {
					t.Errorf("%s: since %s", what, f.Since)
				}
			}
		}
		if judged == 0 {
			t.Errorf("%s: the Secret is not judged", what)
		}
	}
	expiring("nobody keeps it", true, w.Put(secret, now))
	expiring("somebody does", false, w.Put(certificate("tls", time.Hour), now))
	expiring("the renewal is over", true, w.Put(certificate("tls", -time.Hour), now))
	expiring("it is not", false, w.Put(certificate("tls", time.Hour), now))
	expiring("they keep another", true, w.Put(certificate("other", time.Hour), now))
	expiring("this again", false, w.Put(certificate("tls", time.Hour), now))
	expiring("they are gone", true, w.Delete(facts.Ref{Kind: facts.KindCertificate, Namespace: "default", Name: "web"}))
}
