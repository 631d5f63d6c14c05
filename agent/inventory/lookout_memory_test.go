// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/atlhyper/atlhyper/internal/anomaly"
	"github.com/atlhyper/atlhyper/internal/anomaly/catalogue"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

// judging is an Observer that judges on the spot, so that nothing waits.
type judging struct {
	engine       *anomaly.Engine
	told, handed int
}

func newJudging() *judging {
	j := &judging{engine: anomaly.New(anomaly.Options{Now: time.Now()})}
	j.engine.Synced(time.Now())
	return j
}

func (j *judging) Observe(o facts.Object) { j.handed++; j.told += len(j.engine.Observe(o, time.Now())) }
func (j *judging) Forget(ref facts.Ref)   { j.told += len(j.engine.Forget(ref, time.Now())) }
func (*judging) Synced([]string)          {}
func (*judging) Readable(string, bool)    {}
func (*judging) Answering(bool)           {}

// What a pod costs in all: its counts, what the hub was told of it, its name for
// the Observer, and what the anomaly rules keep.
func TestMemoryPerJudgedPod(t *testing.T) {
	catalogue.Rules() // loaded once, however many pods there are
	for _, pods := range []int{1_000, 5_000, 10_000} {
		for how, load := range map[string]func(cache.TransformingStore) error{
			"streamed listing": func(s cache.TransformingStore) error {
				var listing []any
				for n := range pods {
					slim, err := s.Transformer()(toldPod(n))
					if err != nil {
						return err
					}
					listing = append(listing, slim)
				}
				return s.Replace(listing, "1")
			},
			"watch events, each pod twice": func(s cache.TransformingStore) error {
				if err := s.Replace(nil, "1"); err != nil {
					return err
				}
				for n := range 2 * pods {
					if err := s.Add(toldPod(n % pods)); err != nil {
						return err
					}
				}
				return nil
			},
		} {
			t.Run(fmt.Sprintf("%d pods, %s", pods, how), func(t *testing.T) {
				base := heapInUse()
				both, shipper, sink := newTee()
				observer := newJudging()
				l := newLookout(facts.KindPod, observer, both)
				if err := load(l); err != nil {
					t.Fatal(err)
				}
				drain(t, shipper)
				perPod := (heapInUse() - base) / float64(pods)
				if sink.values != pods+2 || observer.handed < pods || observer.told != 0 {
					t.Fatalf("%d values sent, %d pods seen, %d transitions of pods that are well", sink.values, observer.handed, observer.told)
				}
				t.Logf("%.0f bytes per pod", perPod)
				if perPod > maxBytesPerToldPod || perPod <= 0 {
					t.Errorf("%.0f bytes per pod, want 1 to %d", perPod, maxBytesPerToldPod)
				}
				runtime.KeepAlive(l)
			})
		}
	}
}

func BenchmarkJudgeChange(b *testing.B) {
	const pods = 10_000
	both, shipper, _ := newTee()
	l := newLookout(facts.KindPod, newJudging(), both)
	for n := range pods {
		if err := l.Add(toldPod(n)); err != nil {
			b.Fatal(err)
		}
	}
	for more := true; more; {
		more, _ = shipper.round(b.Context(), batchSize)
	}
	pod := toldPod(pods / 2)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		pod.Status.Conditions[0].Status = []corev1.ConditionStatus{corev1.ConditionTrue, corev1.ConditionFalse}[n%2]
		if err := l.Update(pod); err != nil {
			b.Fatal(err)
		}
	}
}
