// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	gomegatypes "github.com/onsi/gomega/types"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// tell are quick options with a model of the hub behind them.
func tell(names ...telemetry.Kind) (Options, *hub) {
	h := newHub()
	options := quick()
	options.Sink, options.NamesOf, options.discoveryInterval = h, names, 200*time.Millisecond
	DeferCleanup(func() { Expect(h.complaints()).To(BeEmpty()) })
	return options, h
}

// objects are the API server's objects of one kind.
type objects struct {
	kind     telemetry.Kind
	resource dynamic.ResourceInterface
}

func objectsOf(cfg *rest.Config, kind telemetry.Kind, group, version, resource, namespace string) objects {
	gvr := schema.GroupVersionResource{Group: group, Version: version, Resource: resource}
	all := dynamic.NewForConfigOrDie(cfg).Resource(gvr)
	if namespace == "" {
		return objects{kind, all}
	}
	return objects{kind, all.Namespace(namespace)}
}

func (o objects) create(ctx context.Context, manifest string) *unstructured.Unstructured {
	GinkgoHelper()
	object := &unstructured.Unstructured{}
	Expect(yaml.Unmarshal([]byte(manifest), &object.Object)).To(Succeed())
	object, err := o.resource.Create(ctx, object, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	return object
}

func (o objects) patch(ctx context.Context, name, patch string, subresources ...string) {
	GinkgoHelper()
	json, err := yaml.YAMLToJSON([]byte(patch))
	Expect(err).NotTo(HaveOccurred())
	_, err = o.resource.Patch(ctx, name, types.MergePatchType, json, metav1.PatchOptions{}, subresources...)
	Expect(err).NotTo(HaveOccurred())
}

func (o objects) delete(ctx context.Context, name string) {
	GinkgoHelper()
	o.patch(ctx, name, "metadata: {finalizers: null}")
	Expect(o.resource.Delete(ctx, name, metav1.DeleteOptions{
		GracePeriodSeconds: new(int64(0)), PropagationPolicy: new(metav1.DeletePropagationBackground),
	})).To(Succeed())
}

const podTemplate = `{metadata: {labels: {app: a}}, spec: {restartPolicy: %, containers: [{name: a, image: "a:1"}]}}`

func templateWith(restart string) string { return strings.Replace(podTemplate, "%", restart, 1) }

// lifeOf is an object's life: it is made, changed and deleted.
type lifeOf struct {
	kind                     telemetry.Kind
	group, version, resource string
	clusterScoped            bool
	// manifest lacks the name and nothing else.
	manifest string
	patch    string
	// status is set when the patch is for the status.
	status bool
	// made and changed say what the hub must know then.
	made, changed gomegatypes.GomegaMatcher
}

func phase(p string) gomegatypes.GomegaMatcher { return HaveField("Phase", p) }

func attribute(key, value string) gomegatypes.GomegaMatcher {
	return HaveField("Attributes", ContainElement(telemetry.Label{Key: key, Value: value}))
}

func number(id telemetry.NumberID, value int64) gomegatypes.GomegaMatcher {
	return HaveField("Numbers", ContainElement(telemetry.Number{ID: id, Value: value}))
}

func desired(n int32) gomegatypes.GomegaMatcher { return HaveField("Replicas.Desired", n) }

func labelled() gomegatypes.GomegaMatcher {
	return HaveField("Labels", ContainElement(telemetry.Label{Key: "changed", Value: "yes"}))
}

const relabel = "metadata: {labels: {changed: 'yes'}}"

var lives = []lifeOf{
	{
		kind: telemetry.KindPod, version: "v1", resource: "pods", manifest: "spec: {containers: [{name: a, image: 'a:1'}]}",
		patch: "status: {phase: Running, podIP: 10.0.0.7, podIPs: [{ip: 10.0.0.7}]}", status: true,
		made: phase("Pending"), changed: attribute(telemetry.AttributePodIP, "10.0.0.7"),
	},
	{
		kind: telemetry.KindNode, version: "v1", resource: "nodes", clusterScoped: true, manifest: "spec: {}",
		patch:  "status: {conditions: [{type: Ready, status: 'True', reason: KubeletReady}], allocatable: {cpu: '4'}}",
		status: true, made: phase("Unknown"), changed: And(phase("Ready"), number(telemetry.NumberCPUAllocatableMillis, 4000)),
	},
	{
		kind: telemetry.KindDeployment, group: "apps", version: "v1", resource: "deployments",
		manifest: "spec: {replicas: 2, selector: {matchLabels: {app: a}}, template: " + templateWith("Always") + "}",
		patch:    "spec: {replicas: 3}", made: And(desired(2), attribute(telemetry.AttributeImage, "a:1")), changed: desired(3),
	},
	{
		kind: telemetry.KindStatefulSet, group: "apps", version: "v1", resource: "statefulsets",
		manifest: "spec: {replicas: 2, serviceName: a, selector: {matchLabels: {app: a}}, template: " + templateWith("Always") + "}",
		patch:    "spec: {replicas: 3}", made: desired(2), changed: desired(3),
	},
	{
		kind: telemetry.KindDaemonSet, group: "apps", version: "v1", resource: "daemonsets",
		manifest: "spec: {selector: {matchLabels: {app: a}}, template: " + templateWith("Always") + "}",
		patch:    "status: {desiredNumberScheduled: 4, currentNumberScheduled: 4, numberMisscheduled: 0, numberReady: 3, observedGeneration: 1}",
		status:   true, made: phase("Progressing"), changed: And(desired(4), HaveField("Ready", telemetry.ReadyFalse)),
	},
	{
		kind: telemetry.KindReplicaSet, group: "apps", version: "v1", resource: "replicasets",
		manifest: "spec: {replicas: 2, selector: {matchLabels: {app: a}}, template: " + templateWith("Always") + "}",
		patch:    "spec: {replicas: 3}", made: desired(2), changed: desired(3),
	},
	{
		kind: telemetry.KindJob, group: "batch", version: "v1", resource: "jobs", manifest: "spec: {template: " + templateWith("Never") + "}",
		patch: "spec: {suspend: true}", made: phase("Running"), changed: phase("Suspended"),
	},
	{
		kind: telemetry.KindCronJob, group: "batch", version: "v1", resource: "cronjobs",
		manifest: "spec: {schedule: '0 * * * *', jobTemplate: {spec: {template: " + templateWith("Never") + "}}}",
		patch:    "spec: {suspend: true}", made: attribute(telemetry.AttributeSchedule, "0 * * * *"), changed: phase("Suspended"),
	},
	{
		kind: telemetry.KindService, version: "v1", resource: "services",
		manifest: "spec: {selector: {app: a}, ports: [{port: 80}]}", patch: "spec: {ports: [{port: 81}]}",
		made: attribute(telemetry.AttributePorts, "80/TCP"), changed: attribute(telemetry.AttributePorts, "81/TCP"),
	},
	{
		kind: telemetry.KindEndpointSlice, group: "discovery.k8s.io", version: "v1", resource: "endpointslices",
		manifest: "{addressType: IPv4, endpoints: [{addresses: [10.0.0.1], conditions: {ready: true}}], ports: []}",
		patch:    "endpoints: [{addresses: [10.0.0.1], conditions: {ready: false}}]",
		made:     number(telemetry.NumberReadyEndpoints, 1), changed: number(telemetry.NumberReadyEndpoints, 0),
	},
	{
		kind: telemetry.KindIngress, group: "networking.k8s.io", version: "v1", resource: "ingresses",
		manifest: "spec: {ingressClassName: nginx, defaultBackend: {service: {name: a, port: {number: 80}}}}",
		patch:    "status: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}}", status: true,
		made: HaveField("Ready", telemetry.ReadyFalse), changed: HaveField("Ready", telemetry.ReadyTrue),
	},
	{
		kind: telemetry.KindPersistentVolumeClaim, version: "v1", resource: "persistentvolumeclaims",
		manifest: "spec: {accessModes: [ReadWriteOnce], storageClassName: fast, resources: {requests: {storage: 1Gi}}}",
		patch:    relabel, made: And(phase("Pending"), number(telemetry.NumberStorageRequestBytes, 1<<30)), changed: labelled(),
	},
	{
		kind: telemetry.KindPersistentVolume, version: "v1", resource: "persistentvolumes", clusterScoped: true,
		manifest: "spec: {capacity: {storage: 2Gi}, accessModes: [ReadWriteOnce], hostPath: {path: /x}}",
		patch:    relabel, made: number(telemetry.NumberStorageCapacityBytes, 2<<30), changed: labelled(),
	},
	{
		kind: telemetry.KindHorizontalPodAutoscaler, group: "autoscaling", version: "v2", resource: "horizontalpodautoscalers",
		manifest: "spec: {minReplicas: 2, maxReplicas: 5, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: a}}",
		patch:    "spec: {maxReplicas: 6}", made: number(telemetry.NumberMaxReplicas, 5), changed: number(telemetry.NumberMaxReplicas, 6),
	},
	{
		kind: telemetry.KindConfigMap, version: "v1", resource: "configmaps", manifest: "data: {a: b}", patch: relabel,
		made: Not(labelled()), changed: labelled(),
	},
	{
		kind: telemetry.KindSecret, version: "v1", resource: "secrets", manifest: "stringData: {password: hunter2}", patch: relabel,
		made: Not(labelled()), changed: labelled(),
	},
}

// agentUser makes a ServiceAccount with the rights that the agent's manifest gives.
func agentUser(ctx context.Context, namespace string) *rest.Config {
	GinkgoHelper()
	manifest, err := os.ReadFile(filepath.Join("..", "..", "config", "agent", "rbac.yaml"))
	Expect(err).NotTo(HaveOccurred())
	var role *rbacv1.ClusterRole
	for document := range strings.SplitSeq(string(manifest), "\n---\n") {
		candidate := &rbacv1.ClusterRole{}
		Expect(yaml.Unmarshal([]byte(document), candidate)).To(Succeed())
		if candidate.Kind == "ClusterRole" {
			role = &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: namespace}, Rules: candidate.Rules}
		}
	}
	Expect(role).NotTo(BeNil())
	_, err = client.RbacV1().ClusterRoles().Create(ctx, role, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	account, err := client.CoreV1().ServiceAccounts(namespace).Create(ctx,
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "agent"}}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	_, err = client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: account.Name}},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func(ctx SpecContext) { //nolint:contextcheck // a cleanup has a context of its own
		Expect(client.RbacV1().ClusterRoleBindings().Delete(ctx, namespace, metav1.DeleteOptions{})).To(Succeed())
		Expect(client.RbacV1().ClusterRoles().Delete(ctx, namespace, metav1.DeleteOptions{})).To(Succeed())
	})
	token, err := client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account.Name,
		&authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	cfg := rest.AnonymousClientConfig(cluster.Config())
	cfg.BearerToken = token.Status.Token
	return cfg
}
