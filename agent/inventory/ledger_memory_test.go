// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// maxBytesPerToldPod is the target of the design for a pod, all in: its counts,
// its ledger and what its siblings share.
const maxBytesPerToldPod = 1536

// toldPod is a fullPod with all that the hub is told of one.
func toldPod(n int) *corev1.Pod {
	pod := fullPod(n)
	replicaSet, hash := fmt.Sprintf("checkout-service-%d-7d9c6b8f5d", n%300), "7d9c6b8f5d"
	pod.UID = types.UID(fmt.Sprintf("6f1c2d3e-4b5a-4c6d-8e7f-%012x", n))
	pod.ResourceVersion = fmt.Sprint(100_000 + n)
	pod.CreationTimestamp.Time = time.Unix(1_760_000_000+int64(n), 0)
	pod.Labels[labelPodTemplateHash] = hash
	pod.Labels["app.kubernetes.io/name"] = "checkout"
	pod.Labels["app.kubernetes.io/instance"] = fmt.Sprintf("checkout-%d", n%50)
	pod.Labels["app.kubernetes.io/managed-by"] = "Helm"
	pod.OwnerReferences = []metav1.OwnerReference{{
		Kind: "ReplicaSet", Name: replicaSet, UID: types.UID(fmt.Sprintf("0a1c2d3e-4b5a-4c6d-8e7f-%012x", n%300)), Controller: new(true),
	}}
	pod.Spec.Containers[0].Image = fmt.Sprintf("registry.example.com/team/checkout:v1.%d.0", n%300)
	pod.Spec.Containers[1].Image = "registry.example.com/mesh/proxy:v3.2.1"
	for c := range pod.Spec.Containers {
		pod.Spec.Containers[c].Resources.Limits = list("1", "1Gi")
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: pod.Spec.Containers[c].Name, Ready: true, RestartCount: int32(n % 3),
		})
	}
	pod.Status.QOSClass = corev1.PodQOSBurstable
	pod.Status.PodIP = fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255)
	pod.Status.StartTime = &metav1.Time{Time: pod.CreationTimestamp.Add(2 * time.Second)}
	return pod
}

// discard is a Sink that keeps nothing.
type discard struct{ values int }

func (d *discard) Append(_ telemetry.Stream, _ time.Time, values ...telemetry.Payload) error {
	d.values += len(values)
	return nil
}

func newTee() (*tee, *shipper, *discard) {
	counts, _ := newStore(slimPodOf, countPod)
	sink := &discard{}
	s := newShipper(telemetry.StreamInventory, sink, logr.Discard())
	l := newLedger(telemetry.KindPod, convertPod, s.nudge)
	s.sources = []source{l}
	return &tee{counts: counts, ledger: l}, s, sink
}

func TestMemoryPerToldPod(t *testing.T) {
	for _, pods := range []int{1_000, 5_000, 10_000} {
		for how, load := range map[string]func(*tee) error{
			"streamed listing": func(s *tee) error {
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
			"watch events, each pod twice": func(s *tee) error {
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
				if err := load(both); err != nil {
					t.Fatal(err)
				}
				queued := heapInUse() - base
				drain(t, shipper)
				sent := heapInUse() - base
				if sink.values != pods+2 {
					t.Fatalf("%d values sent, want %d and a snapshot's ends", sink.values, pods)
				}
				t.Logf("%.0f bytes per pod, %.0f while all wait to be sent", sent/float64(pods), queued/float64(pods))
				for _, perPod := range []float64{sent / float64(pods), queued / float64(pods)} {
					if perPod > maxBytesPerToldPod || perPod <= 0 {
						t.Errorf("%.0f bytes per pod, want 1 to %d", perPod, maxBytesPerToldPod)
					}
				}
				runtime.KeepAlive(both)
			})
		}
	}
}

func BenchmarkTellChange(b *testing.B) {
	const pods = 10_000
	for name, change := range map[string]func(*corev1.Pod, int){
		"heartbeat": func(p *corev1.Pod, n int) { p.ResourceVersion = fmt.Sprint(200_000 + n) },
		"restart":   func(p *corev1.Pod, n int) { p.Status.ContainerStatuses[0].RestartCount = int32(n & 0xffff) },
	} {
		b.Run(name, func(b *testing.B) {
			both, shipper, _ := newTee()
			if err := both.Replace(nil, "1"); err != nil {
				b.Fatal(err)
			}
			for n := range pods {
				if err := both.Add(toldPod(n)); err != nil {
					b.Fatal(err)
				}
			}
			for more := true; more; {
				more, _ = shipper.round(b.Context(), batchSize)
			}
			pod := toldPod(pods / 2)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n++
				change(pod, n)
				if err := both.Update(pod); err != nil {
					b.Fatal(err)
				}
				if _, err := shipper.round(b.Context(), batchSize); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkFirstSnapshot(b *testing.B) {
	const pods = 10_000
	both, shipper, _ := newTee()
	if err := both.Replace(nil, "1"); err != nil {
		b.Fatal(err)
	}
	for n := range pods {
		if err := both.Add(toldPod(n)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		shipper.resync()
		for more := true; more; {
			more, _ = shipper.round(b.Context(), batchSize)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/pods, "ns/pod")
}
