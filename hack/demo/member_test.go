// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"io"
	"testing"
	"time"
)

// The demo's promise is that its members show real troubles: KWOK has to bring
// every pod into the state that its label asks for.
func TestMembersShowTheirTroubles(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	d, err := newDemo(io.Discard, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.close(); err != nil {
			t.Error(err)
		}
	})
	const reason = "jsonpath={.status.containerStatuses[0].state.waiting.reason}="
	for member, waits := range map[*member][][]string{
		d.members[0]: {
			{"--for=condition=Ready", "nodes", "--all"},
			{"--for=condition=Available", "deployment", "--namespace=shop", "--all"},
			{"--for=condition=Complete", "job/migrate-orders", "--namespace=shop"},
			{"--for=" + reason + "CrashLoopBackOff", "pods", "--namespace=payments-core", "--selector=app=checkout"},
			{"--for=jsonpath={.status.containerStatuses[0].lastState.terminated.reason}=OOMKilled", "pods", "--namespace=payments-core", "--selector=app=ledger"},
		},
		d.members[1]: {
			{"--for=condition=Ready", "node/tokyo-1"},
			{"--for=condition=Ready=false", "node/tokyo-3"},
			{"--for=" + reason + "ImagePullBackOff", "pods", "--namespace=shop", "--selector=app=search"},
			{"--for=condition=PodScheduled=false", "pods", "--namespace=shop", "--selector=app=recommender"},
		},
	} {
		t.Run(member.name, func(t *testing.T) {
			if err := member.start(ctx); err != nil {
				t.Fatal(err)
			}
			if err := member.fill(ctx); err != nil {
				t.Fatal(err)
			}
			// kubectl wait refuses a selector that matches nothing yet.
			if _, err := member.Kubectl(ctx, "wait", "--for=create", "pods", "--namespace=shop", "--selector=app=web", "--timeout=2m"); err != nil {
				t.Fatal(err)
			}
			for _, wait := range waits {
				if _, err := member.Kubectl(ctx, append([]string{"wait", "--timeout=2m"}, wait...)...); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
