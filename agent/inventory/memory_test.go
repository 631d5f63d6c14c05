// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// maxBytesPerPod is the target of the whole agent; the store alone must leave
// most of it to others.
const maxBytesPerPod = 1536 / 4

// fullPod is a pod as fat as they are in practice, fresh from the wire: no two
// share a string.
func fullPod(n int) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: fmt.Sprintf("team-%d-production", n%50),
			Name:      fmt.Sprintf("checkout-service-%d-7d9c6b8f5d-%05d", n%300, n),
			Labels:    map[string]string{"app": fmt.Sprintf("checkout-service-%d", n%300)},
			ManagedFields: []metav1.ManagedFieldsEntry{{
				Manager: "kubelet", FieldsV1: metav1.NewFieldsV1(strings.Repeat("f", 2000)),
			}},
		},
		Spec: corev1.PodSpec{
			NodeName:   fmt.Sprintf("ip-10-0-%d-%d.eu-central-1.compute.internal", n%4, n%100),
			Containers: []corev1.Container{container("app", "250m", "512Mi"), container("proxy", "100m", "128Mi")},
		},
		Status: corev1.PodStatus{
			Phase:      corev1.PodRunning,
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		},
	}
	for v := range 20 {
		pod.Spec.Containers[0].Env = append(pod.Spec.Containers[0].Env,
			corev1.EnvVar{Name: fmt.Sprintf("SETTING_%d", v), Value: fmt.Sprintf("value-%d-%d", v, n)})
	}
	return pod
}

// heapInUse is what is live once nothing of earlier tests is left to collect:
// connections that they closed go when their goroutines have noticed.
func heapInUse() float64 {
	var stats runtime.MemStats
	last := uint64(math.MaxUint64)
	for range 20 {
		runtime.GC()
		runtime.ReadMemStats(&stats)
		if stats.HeapAlloc > last || last-stats.HeapAlloc < 4<<10 {
			break
		}
		last = stats.HeapAlloc
	}
	return float64(stats.HeapAlloc)
}

func TestMemoryPerPod(t *testing.T) {
	for _, pods := range []int{1_000, 5_000, 10_000} {
		for how, load := range map[string]func(*store[slimPod, podTally]) error{
			"streamed listing": func(s *store[slimPod, podTally]) error {
				var listing []any
				for n := range pods {
					slim, err := s.Transformer()(fullPod(n))
					if err != nil {
						return err
					}
					listing = append(listing, slim)
				}
				return s.Replace(listing, "1")
			},
			"watch events, each pod twice": func(s *store[slimPod, podTally]) error {
				for n := range 2 * pods {
					if err := s.Add(fullPod(n % pods)); err != nil {
						return err
					}
				}
				return nil
			},
		} {
			t.Run(fmt.Sprintf("%d pods, %s", pods, how), func(t *testing.T) {
				s, _ := newStore(slimPodOf, countPod)
				if err := load(s); err != nil {
					t.Fatal(err)
				}
				full := heapInUse()
				if got := int(s.tally.counts.Total); got != pods {
					t.Fatalf("%d pods in the store, want %d", got, pods)
				}
				// From here on the store is garbage: what it frees is what it held.
				perPod := (full - heapInUse()) / float64(pods)
				t.Logf("%.0f bytes per pod", perPod)
				if perPod > maxBytesPerPod || perPod <= 0 {
					t.Errorf("%.0f bytes per pod, want 1 to %d", perPod, maxBytesPerPod)
				}
			})
		}
	}
}

func BenchmarkApplyChange(b *testing.B) {
	const pods = 10_000
	for name, change := range map[string]func(*corev1.Pod, int){
		"nothing that counts": func(*corev1.Pod, int) {},
		"readiness": func(p *corev1.Pod, n int) {
			p.Status.Conditions[0].Status = []corev1.ConditionStatus{corev1.ConditionTrue, corev1.ConditionFalse}[n%2]
		},
		"end": func(p *corev1.Pod, n int) {
			p.Status.Phase = []corev1.PodPhase{corev1.PodSucceeded, corev1.PodRunning}[n%2]
		},
	} {
		b.Run(name, func(b *testing.B) {
			s, _ := newStore(slimPodOf, countPod)
			for n := range pods {
				if err := s.Add(fullPod(n)); err != nil {
					b.Fatal(err)
				}
			}
			pod := fullPod(pods / 2)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n++
				change(pod, n)
				if err := s.Update(pod); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSnapshot(b *testing.B) {
	i := newTestInventory(b, "http://127.0.0.1:1", Options{})
	b.ReportAllocs()
	for b.Loop() {
		if i.Snapshot().Synced {
			b.Fatal("synced without a server")
		}
	}
}
