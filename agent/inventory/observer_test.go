// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// sight is an object that only an Observer gets to see.
type sight struct {
	kind, group, version, resource string
	// namespace is where it is made; "" for none, "*" for that of the spec.
	namespace, name, manifest string
}

const hook = "webhooks: [{name: a.example.com, failurePolicy: Ignore, sideEffects: None, admissionReviewVersions: [v1], clientConfig: {url: 'https://127.0.0.1:1'}}]"

var sights = []sight{
	{facts.KindQuota, "", "v1", "resourcequotas", "*", "a", "spec: {hard: {pods: 1}}"},
	{facts.KindLease, "coordination.k8s.io", "v1", "leases", corev1.NamespaceNodeLease, "a", "spec: {holderIdentity: a}"},
	{facts.KindDisruptionBudget, "policy", "v1", "poddisruptionbudgets", "*", "a", "spec: {minAvailable: 1, selector: {matchLabels: {a: b}}}"},
	{facts.KindIngressClass, "networking.k8s.io", "v1", "ingressclasses", "", "a", "spec: {controller: example.com/a}"},
	{facts.KindStorageClass, "storage.k8s.io", "v1", "storageclasses", "", "a", "{provisioner: example.com/a, volumeBindingMode: WaitForFirstConsumer}"},
	{facts.KindVolumeAttachment, "storage.k8s.io", "v1", "volumeattachments", "", "a", "spec: {attacher: a, nodeName: node-1, source: {persistentVolumeName: v}}"},
	{facts.KindValidating, "admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", "", "a", hook},
	{facts.KindMutating, "admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations", "", "a", hook},
	{
		facts.KindAPIService, "apiregistration.k8s.io", "v1", "apiservices", "", "v1.none.example.com",
		"spec: {group: none.example.com, version: v1, groupPriorityMinimum: 100, versionPriority: 10, insecureSkipTLSVerify: true, service: {namespace: default, name: none}}",
	},
	{facts.KindGateway, gatewayGroup, "v1", "gateways", "*", "a", "spec: {}"},
	{facts.KindHTTPRoute, gatewayGroup, "v1", "httproutes", "*", "a", "spec: {}"},
	{facts.KindCertificate, certManagerGroup, "v1", "certificates", "*", "a", "spec: {}"},
}

// signingRequest is a sight of its own, because it holds a key.
func signingRequest() sight {
	GinkgoHelper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "a"}}, key)
	Expect(err).NotTo(HaveOccurred())
	request := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	return sight{
		facts.KindSigningRequest, "certificates.k8s.io", "v1", "certificatesigningrequests", "", "a",
		"spec: {signerName: example.com/a, usages: [client auth], request: " + request + "}",
	}
}

// watchOver are quick options with an Observer and a model of the hub.
func watchOver() (Options, *watcher) {
	options, _ := tell()
	w := newWatcher()
	options.Observer = w
	return options, w
}

// agentLeases lets a user of agentUser read what the agent's Role lets it read.
func agentLeases(ctx context.Context, namespace string) {
	GinkgoHelper()
	manifest, err := os.ReadFile(filepath.Join("..", "..", "config", "agent", "rbac.yaml"))
	Expect(err).NotTo(HaveOccurred())
	for document := range strings.SplitSeq(string(manifest), "\n---\n") {
		role := &rbacv1.Role{}
		Expect(yaml.Unmarshal([]byte(document), role)).To(Succeed())
		if role.Kind != "Role" || role.Namespace != corev1.NamespaceNodeLease {
			continue
		}
		role.Name = namespace
		_, err = client.RbacV1().Roles(role.Namespace).Create(ctx, role, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		_, err = client.RbacV1().RoleBindings(role.Namespace).Create(ctx, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: namespace},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: "agent"}},
		}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		return
	}
	Fail("the manifests give no right to read the Leases of nodes")
}

// installObserved installs the kinds that only some clusters have.
func installObserved(ctx context.Context) (remove func()) {
	GinkgoHelper()
	crds, err := envtest.InstallCRDs(cluster.Config(), envtest.CRDInstallOptions{
		Paths: []string{filepath.Join("testdata", "observed")}, ErrorIfPathMissing: true,
	})
	Expect(err).NotTo(HaveOccurred())
	return func() {
		Expect(envtest.UninstallCRDs(cluster.Config(), envtest.CRDInstallOptions{CRDs: crds})).To(Succeed())
		all := objectsOf(cluster.Config(), "", crdGroup, "v1", "customresourcedefinitions", "")
		for _, crd := range crds {
			Eventually(func() bool {
				_, err := all.resource.Get(context.WithoutCancel(ctx), crd.Name, metav1.GetOptions{})
				return apierrors.IsNotFound(err)
			}).Should(BeTrue())
		}
	}
}

var _ = Describe("Observer", func() {
	It("is handed every kind that rules look at, with the rights the agent has", SpecTimeout(specTimeout), func(ctx SpecContext) {
		ns := newNamespace(ctx)
		remove := installObserved(ctx)
		DeferCleanup(func() {
			remove()
		})
		cfg := agentUser(ctx, ns)
		agentLeases(ctx, ns)
		options, w := watchOver()
		i := run(ctx, cfg, options)
		Eventually(w.partial).Should(Equal([]string{facts.KindSecret}))
		Expect(stale(i)()).To(BeEmpty())
		Eventually(func() facts.Object { return w.get(facts.KindCluster, "", facts.ClusterName) }).Should(HaveField("Version", HavePrefix("v1.")))
		Expect(w.get(facts.KindDefinition, "", "gateways."+gatewayGroup)).To(HaveField("Conditions", ContainElement(And(
			HaveField("Type", "Established"), HaveField("Status", "True")))))

		follow := func(s sight) {
			By(s.kind)
			namespace := strings.ReplaceAll(s.namespace, "*", ns)
			all := objectsOf(cluster.Config(), telemetry.Kind(s.kind), s.group, s.version, s.resource, namespace)
			object := map[string]any{}
			Expect(yaml.Unmarshal([]byte(s.manifest), &object)).To(Succeed())
			object["apiVersion"], object["kind"] = schema.GroupVersion{Group: s.group, Version: s.version}.String(), s.kind
			object["metadata"] = map[string]any{"name": s.name}
			manifest, err := yaml.Marshal(object)
			Expect(err).NotTo(HaveOccurred())
			made := all.create(ctx, string(manifest))
			seen := func() facts.Object { return w.get(s.kind, namespace, s.name) }
			Eventually(seen).Should(HaveField("UID", string(made.GetUID())))
			all.delete(ctx, s.name)
			Eventually(seen).Should(BeNil())
		}
		for _, s := range append(sights, signingRequest()) {
			follow(s)
		}
		for _, life := range lives {
			kind, wanted := observedKinds[schema.GroupResource{Group: life.group, Resource: life.resource}.String()]
			if !wanted {
				continue
			}
			namespace := "*"
			if life.clusterScoped {
				namespace = ""
			}
			follow(sight{kind, life.group, life.version, life.resource, namespace, "seen-" + strings.ToLower(kind), life.manifest})
		}
	})

	It("is handed conditions, and events as far as rules ask for them", SpecTimeout(specTimeout), func(ctx SpecContext) {
		ns := newNamespace(ctx)
		remove := installObserved(ctx)
		options, w := watchOver()
		run(ctx, cluster.Config(), options)
		Eventually(w.partial).ShouldNot(BeNil())

		failing := HaveField("Conditions", ContainElement(And(HaveField("Status", "False"), HaveField("Reason", "Broken"))))
		conditions := "[{type: Ready, status: 'False', reason: Broken, message: m, lastTransitionTime: '2026-11-23T12:00:00Z'}]"
		for kind, status := range map[string]string{
			"Gateway": "conditions: " + conditions, "HTTPRoute": "parents: [{conditions: " + conditions + "}]", "Certificate": "conditions: " + conditions,
		} {
			group := gatewayGroup
			if kind == facts.KindCertificate {
				group = certManagerGroup
			}
			all := objectsOf(cluster.Config(), "", group, "v1", strings.ToLower(kind)+"s", ns)
			all.create(ctx, "{apiVersion: "+group+"/v1, kind: "+kind+", metadata: {name: b}}")
			all.patch(ctx, "b", "status: {"+status+"}", "status")
			Eventually(func() facts.Object { return w.get(kind, ns, "b") }).Should(And(Not(BeNil()), failing), kind)
		}

		for _, e := range []struct{ name, kind, reason string }{
			{"common", corev1.EventTypeNormal, "Scheduled"},
			{"other", corev1.EventTypeNormal, "Sneezing"},
			{"warning", corev1.EventTypeWarning, "BackOff"},
			{"wanted", corev1.EventTypeNormal, "Killing"},
		} {
			_, err := client.CoreV1().Events(ns).Create(ctx, &corev1.Event{
				ObjectMeta: metav1.ObjectMeta{Name: e.name}, Type: e.kind, Reason: e.reason,
				InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: ns, Name: "a"},
			}, metav1.CreateOptions{})
			Expect(err).NotTo(HaveOccurred())
		}
		Eventually(func() facts.Object { return w.get(facts.KindEvent, ns, "warning") }).ShouldNot(BeNil())
		Eventually(func() facts.Object { return w.get(facts.KindEvent, ns, "wanted") }).Should(HaveField("Regarding.Name", "a"))
		Expect(w.get(facts.KindEvent, ns, "common")).To(BeNil())
		Expect(w.get(facts.KindEvent, ns, "other")).To(BeNil())

		By("removing the kinds")
		remove()
		for _, kind := range []string{facts.KindGateway, facts.KindHTTPRoute, facts.KindCertificate} {
			Eventually(func() facts.Object { return w.get(kind, ns, "b") }).Should(BeNil(), kind)
		}
	})

	It("is told what went while nobody watched, and when the API server is silent", SpecTimeout(specTimeout), func(ctx SpecContext) {
		ns := newNamespace(ctx)
		quota := objectsOf(cluster.Config(), "", "", "v1", "resourcequotas", ns)
		for _, name := range []string{"goes", "stays"} {
			createPod(ctx, ns, name, func(*corev1.Pod) {})
			quota.create(ctx, "{apiVersion: v1, kind: ResourceQuota, metadata: {name: "+name+"}, spec: {hard: {services: 5}}}")
		}
		g, cfg := newGate(ctx, cluster.Config())
		g.close()
		options, w := watchOver()
		run(ctx, cfg, options)
		Eventually(w.isSilent).Should(BeTrue())
		Consistently(w.partial, "3s").Should(BeNil(), "an API server that is away is waited for")
		g.open()
		Eventually(w.partial).Should(Equal([]string{facts.KindSecret}))
		Eventually(w.isSilent).Should(BeFalse())
		Expect(w.get(facts.KindPod, ns, "goes")).NotTo(BeNil())

		g.close()
		deletePod(ctx, ns, "goes")
		quota.delete(ctx, "goes")
		By("restarting the API server, which forgets the history that a watch could resume from")
		crashAPIServer()
		Expect(cluster.StartAPIServer(ctx)).To(Succeed())
		Eventually(w.isSilent).Should(BeTrue())
		Expect(w.get(facts.KindPod, ns, "goes")).NotTo(BeNil())
		g.open()
		for _, kind := range []string{facts.KindPod, facts.KindQuota} {
			Eventually(func() facts.Object { return w.get(kind, ns, "goes") }).Should(BeNil(), kind)
			Expect(w.get(kind, ns, "stays")).NotTo(BeNil())
		}
		Expect(w.blind()).To(BeEmpty(), "an API server that is away refuses nothing")
	})

	It("is told what may not be read, and when it may", SpecTimeout(specTimeout), func(ctx SpecContext) {
		ns := newNamespace(ctx)
		createPod(ctx, ns, "a", func(*corev1.Pod) {})
		cfg, allow := limitedUser(ctx, ns)
		allow(ctx, "pods")
		options, w := watchOver()
		run(ctx, cfg, options)
		Eventually(w.partial).Should(And(ContainElements(facts.KindSecret, facts.KindEndpointSlice, facts.KindLease), Not(ContainElement(facts.KindPod))))
		Expect(w.get(facts.KindPod, ns, "a")).NotTo(BeNil())
		allow(ctx)
		Eventually(w.blind).Should(ContainElement(facts.KindPod))
		deletePod(ctx, ns, "a")
		allow(ctx, "pods", "services")
		Eventually(w.blind).ShouldNot(ContainElement(facts.KindPod))
		Expect(w.get(facts.KindPod, ns, "a")).To(BeNil())
	})
})
