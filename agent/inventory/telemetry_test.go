// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

var _ = Describe("Telemetry", func() {
	It("tells of what is made, changed and deleted, of every kind", SpecTimeout(specTimeout), func(ctx SpecContext) {
		ns := newNamespace(ctx)
		options, h := tell(telemetry.KindConfigMap, telemetry.KindSecret)
		asked := &askedFor{accepts: map[string]bool{}}
		cfg := rest.CopyConfig(cluster.Config())
		cfg.Wrap(asked.wrap)
		i := run(ctx, cfg, options)
		Eventually(synced(i)).Should(BeTrue())
		Expect(stale(i)()).To(BeEmpty())
		Eventually(func(g Gomega) {
			for _, kind := range telemetry.Kinds() {
				g.Expect(h.listed(kind)).To(BeTrue(), "%s", kind)
			}
		}).Should(Succeed())

		for _, life := range lives {
			By(string(life.kind))
			namespace := ns
			if life.clusterScoped {
				namespace = ""
			}
			all := objectsOf(cluster.Config(), life.kind, life.group, life.version, life.resource, namespace)
			name := "a-" + strings.ToLower(string(life.kind))
			object := map[string]any{}
			Expect(yaml.Unmarshal([]byte(life.manifest), &object)).To(Succeed())
			object["apiVersion"] = schema.GroupVersion{Group: life.group, Version: life.version}.String()
			object["kind"] = string(life.kind)
			object["metadata"] = map[string]any{"name": name}
			manifest, err := yaml.Marshal(object)
			Expect(err).NotTo(HaveOccurred())
			made := all.create(ctx, string(manifest))
			told := func() *telemetry.ObjectDelta { return h.get(life.kind, namespace, name) }
			Eventually(told).Should(HaveValue(And(
				HaveField("UID", string(made.GetUID())),
				HaveField("Created", BeTemporally("==", made.GetCreationTimestamp().Time)),
				life.made,
			)))
			if life.status {
				all.patch(ctx, name, life.patch, "status")
			} else {
				all.patch(ctx, name, life.patch)
			}
			Eventually(told).Should(HaveValue(life.changed))
			all.delete(ctx, name)
			Eventually(told).Should(BeNil())
			Expect(h.count(telemetry.OpSnapshotBegin, life.kind)).To(Equal(1), "deltas only")
		}

		By("asking for no data of Secrets and ConfigMaps")
		accepts := asked.all()
		Expect(accepts).NotTo(BeEmpty())
		for _, accept := range accepts {
			for media := range strings.SplitSeq(accept, ",") {
				Expect(media).To(ContainSubstring(";as=PartialObjectMetadata"))
			}
		}

		By("Namespace")
		namespaces := objectsOf(cluster.Config(), telemetry.KindNamespace, "", "v1", "namespaces", "")
		namespaces.create(ctx, "{apiVersion: v1, kind: Namespace, metadata: {name: a-namespace}}")
		told := func() *telemetry.ObjectDelta { return h.get(telemetry.KindNamespace, "", "a-namespace") }
		Eventually(told).Should(HaveValue(phase("Active")))
		Expect(namespaces.resource.Delete(ctx, "a-namespace", metav1.DeleteOptions{})).To(Succeed())
		// Nothing finalizes namespaces here.
		Eventually(told).Should(HaveValue(And(phase("Terminating"), HaveField("Deleted.IsZero()", BeFalse()))))

		By("not sending what nobody shows")
		before := len(h.entries())
		Expect(client.CoreV1().ConfigMaps(ns).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "quiet"}},
			metav1.CreateOptions{})).NotTo(BeNil())
		Eventually(h.entries).Should(HaveLen(before + 1))
		for n := range 5 {
			objectsOf(cluster.Config(), telemetry.KindConfigMap, "", "v1", "configmaps", ns).
				patch(ctx, "quiet", "data: {n: '"+string(rune('0'+n))+"'}")
		}
		Consistently(h.entries, "1s").Should(HaveLen(before + 1))
	})

	It("sends a snapshot when the sink asks for one", SpecTimeout(specTimeout), func(ctx SpecContext) {
		ns := newNamespace(ctx)
		createPod(ctx, ns, "a", func(*corev1.Pod) {})
		options, h := tell()
		i := run(ctx, cluster.Config(), options)
		Eventually(func() *telemetry.ObjectDelta { return h.get(telemetry.KindPod, ns, "a") }).ShouldNot(BeNil())
		Eventually(func() int { return h.count(telemetry.OpSnapshotEnd, telemetry.KindPod) }).Should(Equal(1))
		i.Resync(telemetry.StreamInventory)
		Eventually(func() int { return h.count(telemetry.OpSnapshotEnd, telemetry.KindPod) }).Should(Equal(2))
		i.Resync(telemetry.StreamSLI)
		Consistently(func() int { return h.count(telemetry.OpSnapshotEnd, telemetry.KindPod) }, "500ms").Should(Equal(2))
	})

	It("finds kinds of routes that come later, and forgets them when they go", SpecTimeout(specTimeout), func(ctx SpecContext) {
		cfg := startCluster(ctx).Config()
		options, h := tell()
		i := run(ctx, cfg, options)
		Eventually(synced(i)).Should(BeTrue())
		Expect(stale(i)()).To(BeEmpty())
		Eventually(func() bool { return h.listed(telemetry.KindHTTPRoute) && h.listed(telemetry.KindIngressRoute) }).Should(BeTrue())

		By("installing them")
		crds, err := envtest.InstallCRDs(cfg, envtest.CRDInstallOptions{Paths: []string{filepath.Join("testdata", "crds")}, ErrorIfPathMissing: true})
		Expect(err).NotTo(HaveOccurred())
		https := objectsOf(cfg, telemetry.KindHTTPRoute, gatewayGroup, "v1", "httproutes", "default")
		traefik := objectsOf(cfg, telemetry.KindIngressRoute, traefikGroup, "v1alpha1", "ingressroutes", "default")
		https.create(ctx, `{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: a},
			spec: {parentRefs: [{name: public, namespace: gateways}], hostnames: [a.example.com, b.example.com]}}`)
		traefik.create(ctx, `{apiVersion: traefik.io/v1alpha1, kind: IngressRoute, metadata: {name: a},
			spec: {routes: [{kind: Rule, match: "Host(`+"`a.example.com`"+`) && PathPrefix(`+"`/x`"+`)", services: [{name: a, port: http}]}]}}`)
		route := func() *telemetry.ObjectDelta { return h.get(telemetry.KindHTTPRoute, "default", "a") }
		Eventually(route).Should(HaveValue(And(
			attribute(telemetry.AttributeHosts, "a.example.com,b.example.com"),
			attribute(telemetry.AttributeParents, "gateways/public"),
			HaveField("Ready", telemetry.ReadyUnknown),
		)))
		Eventually(func() *telemetry.ObjectDelta { return h.get(telemetry.KindIngressRoute, "default", "a") }).
			Should(HaveValue(attribute(telemetry.AttributeHosts, "a.example.com")))
		https.patch(ctx, "a", `status: {parents: [{conditions: [{type: Accepted, status: 'False', reason: NoMatchingParent, message: none}]}]}`, "status")
		Eventually(route).Should(HaveValue(And(HaveField("Ready", telemetry.ReadyFalse), HaveField("Reason", "NoMatchingParent"))))
		https.delete(ctx, "a")
		Eventually(route).Should(BeNil())
		Expect(stale(i)()).To(BeEmpty())

		By("serving another version only")
		https.create(ctx, `{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: b}, spec: {hostnames: [b.example.com]}}`)
		Eventually(func() *telemetry.ObjectDelta { return h.get(telemetry.KindHTTPRoute, "default", "b") }).ShouldNot(BeNil())
		definitions := objectsOf(cfg, "", "apiextensions.k8s.io", "v1", "customresourcedefinitions", "")
		definition, err := definitions.resource.Get(ctx, "httproutes.gateway.networking.k8s.io", metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		versions, _, err := unstructured.NestedSlice(definition.Object, "spec", "versions")
		Expect(err).NotTo(HaveOccurred())
		versions[0].(map[string]any)["served"], versions[0].(map[string]any)["storage"] = false, false
		versions[1].(map[string]any)["storage"] = true
		Expect(unstructured.SetNestedSlice(definition.Object, versions, "spec", "versions")).To(Succeed())
		_, err = definitions.resource.Update(ctx, definition, metav1.UpdateOptions{})
		Expect(err).NotTo(HaveOccurred())
		beta := objectsOf(cfg, telemetry.KindHTTPRoute, gatewayGroup, "v1beta1", "httproutes", "default")
		Eventually(func(g Gomega) {
			_, err := beta.resource.Create(ctx, &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "HTTPRoute", "metadata": map[string]any{"name": "c"},
			}}, metav1.CreateOptions{})
			g.Expect(err).NotTo(HaveOccurred())
		}).Should(Succeed())
		Eventually(func() *telemetry.ObjectDelta { return h.get(telemetry.KindHTTPRoute, "default", "c") }).ShouldNot(BeNil())
		Eventually(stale(i)).Should(BeEmpty())

		By("removing them")
		Expect(envtest.UninstallCRDs(cfg, envtest.CRDInstallOptions{CRDs: crds})).To(Succeed())
		Eventually(func() bool {
			return h.get(telemetry.KindIngressRoute, "default", "a") == nil && h.get(telemetry.KindHTTPRoute, "default", "b") == nil &&
				h.get(telemetry.KindHTTPRoute, "default", "c") == nil
		}).Should(BeTrue())
		Eventually(stale(i)).Should(BeEmpty())
		Consistently(stale(i), "6s").Should(BeEmpty())
		Expect(h.count(telemetry.OpSnapshotBegin, telemetry.KindHTTPRoute)).To(Equal(1), "deltas only")
	})

	It("needs no more rights than the manifests give, and goes on without the names of Secrets", SpecTimeout(specTimeout), func(ctx SpecContext) {
		ns := newNamespace(ctx)
		_, err := envtest.InstallCRDs(cluster.Config(), envtest.CRDInstallOptions{Paths: []string{filepath.Join("testdata", "crds")}})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() {
			var crds []*apiextensionsv1.CustomResourceDefinition
			for _, name := range []string{"httproutes.gateway.networking.k8s.io", "ingressroutes.traefik.io"} {
				crds = append(crds, &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: name}})
			}
			Expect(envtest.UninstallCRDs(cluster.Config(), envtest.CRDInstallOptions{CRDs: crds})).To(Succeed())
		})
		cfg := agentUser(ctx, ns)
		createPod(ctx, ns, "a", func(*corev1.Pod) {})

		By("as it is by default")
		options, h := tell()
		i := run(ctx, cfg, options)
		Eventually(func(g Gomega) {
			for _, kind := range telemetry.Kinds() {
				names := kind == telemetry.KindConfigMap || kind == telemetry.KindSecret
				g.Expect(h.listed(kind)).To(Equal(!names), "%s", kind)
			}
		}).Should(Succeed())
		Expect(synced(i)()).To(BeTrue())
		Consistently(stale(i), "3s").Should(BeEmpty())

		By("asked for names")
		options, h = tell(telemetry.KindConfigMap, telemetry.KindSecret)
		i = run(ctx, cfg, options)
		Eventually(stale(i)).Should(Equal([]string{"configmaps", "secrets"}))
		Eventually(synced(i)).Should(BeTrue())
		Eventually(func() *telemetry.ObjectDelta { return h.get(telemetry.KindPod, ns, "a") }).ShouldNot(BeNil())
		deletePod(ctx, ns, "a")
		Eventually(func() *telemetry.ObjectDelta { return h.get(telemetry.KindPod, ns, "a") }).Should(BeNil())
		Expect(h.listed(telemetry.KindSecret)).To(BeFalse())
		Expect(healthy(i)()).To(HaveValue(BeTrue()))
	})

	It("sends no deletes of a kind that it may not read any more", SpecTimeout(specTimeout), func(ctx SpecContext) {
		ns := newNamespace(ctx)
		createPod(ctx, ns, "a", func(*corev1.Pod) {})
		cfg, allow := limitedUser(ctx, ns)
		allow(ctx, "pods")
		options, h := tell()
		i := run(ctx, cfg, options)
		pod := func() *telemetry.ObjectDelta { return h.get(telemetry.KindPod, ns, "a") }
		Eventually(pod).ShouldNot(BeNil())
		allow(ctx)
		Eventually(stale(i)).Should(ContainElement("pods"))
		deletePod(ctx, ns, "a")
		i.Resync(telemetry.StreamInventory)
		Eventually(func() int { return h.count(telemetry.OpSnapshotEnd, telemetry.KindPod) }).Should(Equal(2))
		Consistently(pod, "2s").ShouldNot(BeNil(), "nobody knows that it is gone")
		allow(ctx, "pods")
		Eventually(pod).Should(BeNil())
	})

	It("tells what was deleted and made again while it could not watch", SpecTimeout(specTimeout), func(ctx SpecContext) {
		ns := newNamespace(ctx)
		for _, name := range []string{"stays", "goes", "again"} {
			createPod(ctx, ns, name, func(*corev1.Pod) {})
		}
		g, cfg := newGate(ctx, cluster.Config())
		options, h := tell()
		i := run(ctx, cfg, options)
		pod := func(name string) func() *telemetry.ObjectDelta {
			return func() *telemetry.ObjectDelta { return h.get(telemetry.KindPod, ns, name) }
		}
		for _, name := range []string{"stays", "goes", "again"} {
			Eventually(pod(name)).ShouldNot(BeNil())
		}

		g.close()
		deletePod(ctx, ns, "goes")
		deletePod(ctx, ns, "again")
		again := createPod(ctx, ns, "again", func(*corev1.Pod) {})
		late := createPod(ctx, ns, "late", func(*corev1.Pod) {})
		crashAPIServer()
		Expect(cluster.StartAPIServer(ctx)).To(Succeed())
		Expect(pod("goes")()).NotTo(BeNil())
		g.open()
		Eventually(pod("goes")).Should(BeNil())
		Eventually(pod("again")).Should(HaveValue(HaveField("UID", string(again.UID))))
		Eventually(pod("late")).Should(HaveValue(HaveField("UID", string(late.UID))))
		Expect(pod("stays")()).NotTo(BeNil())
		Expect(h.count(telemetry.OpSnapshotBegin, telemetry.KindPod)).To(Equal(1), "deltas only")
		Expect(h.count(telemetry.OpDelete, telemetry.KindPod)).To(Equal(2))
		Eventually(stale(i)).Should(BeEmpty())
	})
})

// askedFor notes what is asked for of Secrets and ConfigMaps.
type askedFor struct {
	mu      sync.Mutex
	accepts map[string]bool
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (a *askedFor) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		if strings.HasSuffix(r.URL.Path, "/secrets") || strings.HasSuffix(r.URL.Path, "/configmaps") {
			a.mu.Lock()
			a.accepts[r.Header.Get("Accept")] = true
			a.mu.Unlock()
		}
		return next.RoundTrip(r)
	})
}

func (a *askedFor) all() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Keys(a.accepts))
}
