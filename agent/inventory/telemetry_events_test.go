// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

var _ = Describe("Events", func() {
	It("are told in both shapes with their counts, Warnings only", SpecTimeout(specTimeout), func(ctx SpecContext) {
		ns := newNamespace(ctx)
		options, h := tell()
		i := run(ctx, cluster.Config(), options)
		Eventually(synced(i)).Should(BeTrue())
		count := func(name string) func() []uint32 {
			return func() []uint32 {
				var counts []uint32
				for _, e := range h.eventsAbout(name) {
					counts = append(counts, e.Count)
				}
				return counts
			}
		}

		By("the core shape")
		core := warning(1, 3)
		core.ObjectMeta = metav1.ObjectMeta{Name: "core", Namespace: ns}
		core.InvolvedObject.Namespace, core.InvolvedObject.Name = ns, "old"
		core, err := client.CoreV1().Events(ns).Create(ctx, core, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		Eventually(count("old")).Should(Equal([]uint32{3}))
		Expect(h.eventsAbout("old")[0]).To(And(HaveField("UID", string(core.UID)), HaveField("Reason", "BackOff"), HaveField("Controller", "kubelet")))
		for n := range int32(3) {
			core.Count = 4 + n
			core.LastTimestamp.Time = core.LastTimestamp.Add(time.Minute)
			core, err = client.CoreV1().Events(ns).Update(ctx, core, metav1.UpdateOptions{})
			Expect(err).NotTo(HaveOccurred())
		}
		Eventually(count("old")).Should(Equal([]uint32{6}))

		By("the new shape")
		modern, err := client.EventsV1().Events(ns).Create(ctx, &eventsv1.Event{
			ObjectMeta: metav1.ObjectMeta{Name: "modern", Namespace: ns}, Type: corev1.EventTypeWarning,
			EventTime: metav1.MicroTime{Time: noon}, ReportingController: "example.com/operator", ReportingInstance: "operator-0",
			Action: "Sync", Reason: "SyncFailed", Note: "cannot sync", Regarding: corev1.ObjectReference{Kind: "Pod", Namespace: ns, Name: "new"},
		}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		Eventually(count("new")).Should(Equal([]uint32{1}))
		modern.Series = &eventsv1.EventSeries{Count: 9, LastObservedTime: metav1.MicroTime{Time: noon.Add(time.Minute)}}
		_, err = client.EventsV1().Events(ns).Update(ctx, modern, metav1.UpdateOptions{})
		Expect(err).NotTo(HaveOccurred())
		Eventually(count("new")).Should(Equal([]uint32{9}))
		Expect(h.eventsAbout("new")[0]).To(And(HaveField("Message", "cannot sync"), HaveField("Controller", "example.com/operator"),
			HaveField("LastSeen", BeTemporally("==", noon.Add(time.Minute)))))

		By("no Normal event, no delete, and all again on request")
		normal := warning(2, 1)
		normal.ObjectMeta, normal.Type = metav1.ObjectMeta{Name: "normal", Namespace: ns}, corev1.EventTypeNormal
		normal.InvolvedObject.Namespace, normal.InvolvedObject.Name = ns, "fine"
		_, err = client.CoreV1().Events(ns).Create(ctx, normal, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(client.CoreV1().Events(ns).Delete(ctx, "core", metav1.DeleteOptions{})).To(Succeed())
		Consistently(count("fine"), "1s").Should(BeEmpty())
		sent := func() (n int) {
			for _, entry := range h.entries() {
				if entry == "event modern x9" {
					n++
				}
			}
			return n
		}
		Expect(sent()).To(Equal(1))
		i.Resync(telemetry.StreamEvents)
		Eventually(sent).Should(Equal(2))
		Expect(h.gaps).To(BeEmpty())
	})
})
