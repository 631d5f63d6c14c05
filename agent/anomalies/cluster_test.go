// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomalies

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var _ = Describe("Anomalies", func() {
	It("tells within a second of what a kubelet says, and when it is over", SpecTimeout(4*time.Minute), func(ctx SpecContext) {
		inTime(ctx, func(ns string) (slowest time.Duration) {
			pod, other := makePod(ctx, ns, "web", ""), makePod(ctx, ns, "fine", "")
			w := watch(ctx, shipped, remember())
			defer w.stop()
			soon := func(name string, told ...string) {
				GinkgoHelper()
				answered := time.Now()
				Eventually(w.about(name)).Should(Equal(told))
				slowest = max(slowest, w.last(name).Sub(answered))
			}
			Consistently(w.about("web"), "200ms").Should(BeEmpty())

			pod = wait(ctx, pod, "CrashLoopBackOff")
			soon("web", "pending PodCrashLoopBackOff")
			Expect(recovered(ctx, pod)).NotTo(BeNil())

			bad := wait(ctx, makePod(ctx, ns, "image", ""), "InvalidImageName")
			soon("image", "raised PodInvalidImageName")
			Eventually(func() int { s, _ := w.Summary(); return s.Warning }).Should(Equal(1))
			recovered(ctx, bad)
			soon("image", "raised PodInvalidImageName", "cleared PodInvalidImageName")
			Expect(w.about(other.Name)()).To(BeEmpty())

			By("deleting what is broken")
			gone := wait(ctx, makePod(ctx, ns, "gone", ""), "InvalidImageName")
			Eventually(w.about("gone")).Should(Equal([]string{"raised PodInvalidImageName"}))
			remove(ctx, gone)
			soon("gone", "raised PodInvalidImageName", "cleared PodInvalidImageName")
			return slowest
		})
	})

	It("does not replay after a restart what happened before it", SpecTimeout(3*time.Minute), func(ctx SpecContext) {
		ns := newNamespace(ctx)
		file := remember()
		killed := makePod(ctx, ns, "killed", "")
		w := watch(ctx, shipped, file)
		s := &killed.Status.ContainerStatuses[0]
		s.RestartCount = 1
		s.LastTerminationState = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "OOMKilled", ExitCode: 137, FinishedAt: metav1.Now()}}
		update(ctx, killed)
		stuck := wait(ctx, makePod(ctx, ns, "stuck", ""), "InvalidImageName")
		Eventually(w.about("killed")).Should(Equal([]string{"raised PodOOMKilled"}))
		Eventually(w.about("stuck")).Should(Equal([]string{"raised PodInvalidImageName"}))
		w.stop()

		w = watch(ctx, shipped, file)
		late := wait(ctx, makePod(ctx, ns, "late", ""), "InvalidImageName")
		Eventually(w.about(late.Name)).Should(Equal([]string{"raised PodInvalidImageName"}))
		Expect(w.about("killed")()).To(BeEmpty())
		Expect(w.about("stuck")()).To(BeEmpty())
		Eventually(func() int { s, _ := w.Summary(); return s.Warning }).Should(Equal(3))
		w.stop()

		By("clearing what is over when it comes back")
		recovered(ctx, stuck)
		w = watch(ctx, shipped, file)
		Eventually(w.about("stuck")).Should(Equal([]string{"cleared PodInvalidImageName"}))
		Expect(w.about("killed")()).To(BeEmpty())
	})

	It("clears what was deleted while it could not watch", SpecTimeout(5*time.Minute), func(ctx SpecContext) {
		ns := newNamespace(ctx)
		connection, cfg := wire()
		w := watch(ctx, cfg, remember())
		goes, stays := makePod(ctx, ns, "goes", ""), makePod(ctx, ns, "stays", "")
		wait(ctx, goes, "InvalidImageName")
		wait(ctx, stays, "InvalidImageName")
		for _, name := range []string{"goes", "stays"} {
			Eventually(w.about(name)).Should(Equal([]string{"raised PodInvalidImageName"}))
		}
		connection.Stop()
		remove(ctx, goes)
		By("restarting the API server, which forgets the history that a watch could resume from")
		cluster.CrashAPIServer()
		Expect(cluster.StartAPIServer(ctx)).To(Succeed())
		Expect(w.about("goes")()).To(HaveLen(1))
		Expect(connection.Start()).To(Succeed())
		Eventually(w.about("goes")).WithTimeout(time.Minute).Should(Equal([]string{"raised PodInvalidImageName", "cleared PodInvalidImageName"}))
		Expect(w.about("stays")()).To(HaveLen(1))
	})

	It("is fast", SpecTimeout(5*time.Minute), func(ctx SpecContext) {
		inTime(ctx, func(ns string) time.Duration {
			w := watch(ctx, shipped, remember())
			defer w.stop()
			var written, observed []time.Duration
			for n := range 100 {
				name := fmt.Sprintf("one-%03d", n)
				pod := makePod(ctx, ns, name, "")
				wait(ctx, pod, "InvalidImageName")
				done := time.Now()
				Eventually(w.about(name)).WithPolling(time.Millisecond).Should(HaveLen(1))
				at := w.arrived(name)
				written, observed = append(written, at.Sub(done)), append(observed, at.Sub(w.sawPod(name)))
			}
			report("100 pods, one after the other, from the API server's answer to the sink", written)
			report("100 pods, one after the other, from the watch event to the sink", observed)
			return percentile(written, 99)
		})
	})

	// So many pods at once are one anomaly per owner, and the storm guard stays out of
	// it.
	It("is fast in a storm of 1,000 pods", SpecTimeout(5*time.Minute), func(ctx SpecContext) {
		const pods, owners, workers = 1000, 150, 16
		inTime(ctx, func(ns string) time.Duration {
			all := make([]*corev1.Pod, pods)
			each := func(do func(n int)) {
				var group sync.WaitGroup
				for worker := range workers {
					group.Go(func() {
						defer GinkgoRecover()
						for n := worker; n < pods; n += workers {
							do(n)
						}
					})
				}
				group.Wait()
			}
			each(func(n int) {
				all[n] = makePod(ctx, ns, fmt.Sprintf("pod-%04d", n), fmt.Sprintf("owner-%03d", n%owners))
			})
			w := watch(ctx, shipped, remember())
			defer w.stop()
			begun := time.Now()
			each(func(n int) { wait(ctx, all[n], "InvalidImageName") })
			wrote := time.Since(begun)
			raised := func() (names []string) {
				for _, l := range w.sink.all() {
					if strings.HasPrefix(l.text, "raised PodInvalidImageName") && l.t.Count == 1 {
						names = append(names, l.t.Object.Name)
					}
				}
				return names
			}
			Eventually(func() int { return len(raised()) }).WithPolling(100 * time.Millisecond).Should(Equal(owners))
			latencies := []time.Duration{}
			for _, name := range raised() {
				latencies = append(latencies, w.arrived(name).Sub(w.sawPod(name)))
			}
			report(fmt.Sprintf("1,000 pods of 150 owners, written within %s, from the watch event to the sink", wrote.Round(time.Millisecond)), latencies)
			Eventually(func() int { s, _ := w.Summary(); return s.Warning }).Should(Equal(owners))
			return percentile(latencies, 99)
		})
	})
})

// arrived is when the sink got the first transition about an object.
func (w *watched) arrived(name string) time.Time {
	for _, l := range w.sink.all() {
		if strings.HasSuffix(l.text, " "+name) {
			return l.came
		}
	}
	return time.Time{}
}

// last is when the sink got the last transition about an object.
func (w *watched) last(name string) (at time.Time) {
	for _, l := range w.sink.all() {
		if strings.HasSuffix(l.text, " "+name) {
			at = l.came
		}
	}
	return at
}

// sawPod is when the latest state of a pod came in.
func (w *watched) sawPod(name string) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[name]
}

func percentile(durations []time.Duration, p int) time.Duration {
	sorted := slices.Sorted(slices.Values(durations))
	return sorted[min(len(sorted)*p/100, len(sorted)-1)]
}

func report(what string, durations []time.Duration) {
	AddReportEntry(what, ReportEntryVisibilityAlways,
		fmt.Sprintf("p50 %s, p99 %s, max %s", percentile(durations, 50).Round(time.Microsecond), percentile(durations, 99).Round(time.Microsecond), slices.Max(durations).Round(time.Microsecond)))
}
