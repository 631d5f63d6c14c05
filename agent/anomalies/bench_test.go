// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomalies

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

// running starts an Anomalies that knows of pods that are well.
func running(b *testing.B, pods int) (*Anomalies, *recorder) {
	b.Helper()
	sink := &recorder{}
	a, err := New(Options{Sink: sink, File: b.TempDir() + "/anomalies.json"})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	for n := range pods {
		a.Observe(owned(n, ""))
	}
	a.Synced(nil)
	for range a.Changed() {
		break
	}
	return a, sink
}

// owned is a pod of one of 100 Deployments.
func owned(n int, status string) *facts.Pod {
	p := pod(fmt.Sprintf("web-%d", n), status)
	p.Owner.Name, p.TemplateHash = fmt.Sprintf("web%d-5d4f", n%100), "5d4f"
	return p
}

// How long a watch is held up by one change of a storm of 10,000, and how long it
// takes until everything is told.
func BenchmarkStormOfTenThousandChanges(b *testing.B) {
	const pods, watches = 10_000, 8
	a, sink := running(b, pods)
	var held, drained []time.Duration
	for b.Loop() {
		status := "InvalidImageName"
		if len(drained)%2 == 1 {
			status = ""
		}
		changes := make([]*facts.Pod, pods)
		for n := range changes {
			changes[n] = owned(n, status)
		}
		var mu sync.Mutex
		var group sync.WaitGroup
		begun := time.Now()
		for watch := range watches {
			group.Go(func() {
				var mine []time.Duration
				for n := watch; n < pods; n += watches {
					before := time.Now()
					a.Observe(changes[n])
					mine = append(mine, time.Since(before))
				}
				mu.Lock()
				held = append(held, mine...)
				mu.Unlock()
			})
		}
		group.Wait()
		a.inbox.mu.Lock()
		waiting := len(a.inbox.order)
		a.inbox.mu.Unlock()
		if waiting > pods {
			b.Fatalf("%d changes of %d pods wait", waiting, pods)
		}
		for {
			a.inbox.mu.Lock()
			waiting = len(a.inbox.order)
			a.inbox.mu.Unlock()
			if waiting == 0 {
				break
			}
		}
		drained = append(drained, time.Since(begun))
	}
	slices.Sort(held)
	slices.Sort(drained)
	b.ReportMetric(float64(percentile(held, 50).Nanoseconds())/1e3, "held-p50-µs")
	b.ReportMetric(float64(percentile(held, 99).Nanoseconds())/1e3, "held-p99-µs")
	b.ReportMetric(float64(percentile(drained, 50).Microseconds())/1e3, "judged-ms")
	if len(sink.all()) == 0 {
		b.Error("nothing was told")
	}
}
