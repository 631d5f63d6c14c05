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

// The evidence names the field that holds the value it shows.
func TestEvidenceNamesTheField(t *testing.T) {
	end := func(reason string, code int32) *facts.Termination {
		return &facts.Termination{Reason: reason, ExitCode: code, Finished: now.Add(-time.Minute)}
	}
	cases := map[string]struct {
		container facts.Container
		want      [3]string
	}{
		"now": {
			facts.Container{Name: "web", Ended: end("OOMKilled", 137)},
			[3]string{"PodOOMKilled", "status.containerStatuses[name=web].state.terminated.reason", "OOMKilled"},
		},
		"before": {
			facts.Container{Name: "web", Last: end("OOMKilled", 137)},
			[3]string{"PodOOMKilled", "status.containerStatuses[name=web].lastState.terminated.reason", "OOMKilled"},
		},
		"an init container before": {
			facts.Container{Name: "setup", Role: facts.RoleInit, Last: end("OOMKilled", 137)},
			[3]string{"PodOOMKilled", "status.initContainerStatuses[name=setup].lastState.terminated.reason", "OOMKilled"},
		},
		"an ephemeral container": {
			facts.Container{Name: "debug", Role: facts.RoleEphemeral, Ended: end("Error", 137)},
			[3]string{"PodSigkillSuspectedOOM", "status.ephemeralContainerStatuses[name=debug].state.terminated.exitCode", "137"},
		},
		"a sidecar that does not start": {
			facts.Container{Name: "proxy", Role: facts.RoleSidecar, Ended: end("StartError", 128)},
			[3]string{"PodRunContainerError", "status.initContainerStatuses[name=proxy].state.terminated.reason", "StartError"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := rules.NewWorld(rules.Options{})
			p := &facts.Pod{Meta: meta(facts.KindPod, "default", "web"), Phase: facts.PhaseRunning, Containers: []facts.Container{tc.container}}
			w.Put(p, now)
			found := w.Findings(p.Ref, now)
			if len(found) != 1 {
				t.Fatalf("%d findings, want one", len(found))
			}
			got := [3]string{string(found[0].Rule)}
			for _, l := range found[0].Explain().Evidence {
				switch l.Key {
				case "field":
					got[1] = l.Value
				case "value":
					got[2] = l.Value
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("evidence (-want +got):\n%s", diff)
			}
		})
	}
}
