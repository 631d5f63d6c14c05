// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package v1alpha1_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// mergePatch sends a JSON merge patch for the object.
func mergePatch(ctx context.Context, object *unstructured.Unstructured, patch string) error {
	return kube.Patch(ctx, object.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(patch)))
}

func expectPatchRejected(ctx context.Context, object *unstructured.Unstructured, patch, message string) {
	GinkgoHelper()
	err := mergePatch(ctx, object, patch)
	Expect(err).To(HaveOccurred(), "the API server accepted %s", patch)
	Expect(apierrors.IsInvalid(err)).To(BeTrue(), "it was refused, but not as invalid: %v", err)
	Expect(err.Error()).To(ContainSubstring(message), patch)
}

var _ = Describe("RemoteCommand", func() {
	It("has its defaults", func(ctx SpecContext) {
		object := sample("RemoteCommand", "scale-cart")
		Expect(kube.Create(ctx, object)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { Expect(kube.Delete(ctx, object)).To(Succeed()) })
		command := &v1alpha1.RemoteCommand{}
		Expect(kube.Get(ctx, client.ObjectKeyFromObject(object), command)).To(Succeed())
		Expect(command.Spec.DryRun).To(HaveValue(BeFalse()))
		Expect(command.Spec.Cancel).To(HaveValue(BeFalse()))
		Expect(command.Spec.StartDeadlineSeconds).To(Equal(int32(300)))
		Expect(command.Spec.TimeoutSeconds).To(Equal(int32(60)))
		Expect(command.Spec.TTLSecondsAfterFinished).To(Equal(int32(604800)))
		Expect(command.Spec.Approval).To(BeNil())
	})

	DescribeTable("accepts", func(ctx SpecContext, name, patch string) {
		expectAccepted(ctx, "RemoteCommand", name, patch)
	},
		Entry("no replicas", "scale-cart", `{spec: {scale: {replicas: 0, currentReplicas: 0}}}`),
		Entry("an image by digest", "image-cart", `{spec: {setImage: {images: [{container: cart, image: "registry.example.com:5000/shop/cart@sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"}]}}}`),
		Entry("several resources", "get-pods", `{spec: {kubectl: {args: ["pods,services,deployments.apps"]}}}`),
		Entry("a resource and a name", "get-pods", `{spec: {kubectl: {verb: RolloutStatus, output: null, args: [deploy/cart]}}}`),
		Entry("all namespaces", "get-pods", `{spec: {kubectl: {namespace: null, allNamespaces: true}}}`),
		Entry("resources without arguments", "get-pods", `{spec: {kubectl: {verb: APIResources, args: null}}}`),
		Entry("the documentation of Secrets", "get-pods", `{spec: {kubectl: {verb: Explain, args: [secrets.data], output: null}}}`),
		Entry("an object whose name resembles Secrets", "get-pods", `{spec: {kubectl: {args: [pod, secretsmanager-0]}}}`),
		Entry("a command that is cancelled at once", "get-pods", `{spec: {cancel: true}}`),
	)

	DescribeTable("refuses", func(ctx SpecContext, name, patch, message string) {
		expectRejected(ctx, "RemoteCommand", name, patch, message)
	},
		Entry("no spec", "restart-cart", `{spec: null}`, "spec: Required value"),
		Entry("no action", "restart-cart", `{spec: {action: null}}`, "spec.action: Required value"),
		Entry("an action that does not exist", "restart-cart", `{spec: {action: DeleteNamespace}}`, `Unsupported value: "DeleteNamespace"`),
		Entry("RolloutRestart without its details", "restart-cart", `{spec: {rolloutRestart: null}}`, "rolloutRestart is required when action is RolloutRestart"),
		Entry("Scale without its details", "scale-cart", `{spec: {scale: null}}`, "scale is required when action is Scale"),
		Entry("SetImage without its details", "image-cart", `{spec: {setImage: null}}`, "setImage is required when action is SetImage"),
		Entry("RolloutUndo without its details", "undo-cart", `{spec: {rolloutUndo: null}}`, "rolloutUndo is required when action is RolloutUndo"),
		Entry("RestartPod without its details", "restart-pod-db-0", `{spec: {restartPod: null}}`, "restartPod is required when action is RestartPod"),
		Entry("Cordon without its details", "cordon-worker-3", `{spec: {cordon: null}}`, "cordon is required when action is Cordon"),
		Entry("Uncordon without its details", "uncordon-worker-3", `{spec: {uncordon: null}}`, "uncordon is required when action is Uncordon"),
		Entry("Drain without its details", "drain-worker-3", `{spec: {drain: null}}`, "drain is required when action is Drain"),
		Entry("Taint without its details", "taint-worker-4", `{spec: {taint: null}}`, "taint is required when action is Taint"),
		Entry("GetLogs without its details", "logs-cart", `{spec: {getLogs: null}}`, "getLogs is required when action is GetLogs"),
		Entry("Kubectl without its details", "get-pods", `{spec: {kubectl: null}}`, "kubectl is required when action is Kubectl"),
		Entry("Exec without its details", "exec-cart", `{spec: {exec: null}}`, "exec is required when action is Exec"),
		Entry("details of another action", "restart-cart", `{spec: {cordon: {node: {name: worker-3}}}}`, "cordon is required when action is Cordon, and allowed only then"),

		Entry("no reason", "restart-cart", `{spec: {reason: null}}`, "spec.reason: Required value"),
		Entry("a reason that says nothing", "restart-cart", `{spec: {reason: because}}`, "spec.reason: Invalid value"),
		Entry("no requester", "restart-cart", `{spec: {requestedBy: null}}`, "spec.requestedBy: Required value"),
		Entry("a requester without a name", "restart-cart", `{spec: {requestedBy: {username: null}}}`, "spec.requestedBy.username: Required value"),
		Entry("approval at creation", "drain-worker-3", `{spec: {approval: {decision: Approved, by: bob}}}`, "approval cannot be given when the command is created"),
		Entry("a start deadline of days", "restart-cart", `{spec: {startDeadlineSeconds: 86401}}`, "should be less than or equal to 86400"),
		Entry("no time to run", "restart-cart", `{spec: {timeoutSeconds: 0}}`, "spec.timeoutSeconds in body should be greater than or equal to 1"),
		Entry("a command that vanishes at once", "restart-cart", `{spec: {ttlSecondsAfterFinished: 0}}`, "should be greater than or equal to 60"),
		Entry("a dry run of a program", "exec-cart", `{spec: {dryRun: true}}`, "dryRun is not possible for GetLogs, Kubectl and Exec"),

		Entry("a workload that does not roll out", "restart-cart", `{spec: {rolloutRestart: {workload: {kind: Job}}}}`, `Unsupported value: "Job"`),
		Entry("a workload without a namespace", "restart-cart", `{spec: {rolloutRestart: {workload: {namespace: null}}}}`, "workload.namespace: Required value"),
		Entry("a name that is an option", "restart-cart", `{spec: {rolloutRestart: {workload: {name: "--server=https://attacker.example"}}}}`, "workload.name"),
		Entry("replicas of a DaemonSet", "scale-cart", `{spec: {scale: {workload: {kind: DaemonSet}}}}`, `Unsupported value: "DaemonSet"`),
		Entry("no number of replicas", "scale-cart", `{spec: {scale: {replicas: null}}}`, "spec.scale.replicas: Required value"),
		Entry("too many replicas", "scale-cart", `{spec: {scale: {replicas: 10001}}}`, "should be less than or equal to 10000"),
		Entry("no images", "image-cart", `{spec: {setImage: {images: []}}}`, "should have at least 1 items"),
		Entry("two images for one container", "image-cart", `{spec: {setImage: {images: [{container: a, image: b}, {container: a, image: c}]}}}`, "Duplicate value"),
		Entry("an image with a space", "image-cart", `{spec: {setImage: {images: [{container: a, image: "b c"}]}}}`, "images[0].image"),
		Entry("revision 0", "undo-cart", `{spec: {rolloutUndo: {toRevision: 0}}}`, "should be greater than or equal to 1"),
		Entry("a pod without a UID", "restart-pod-db-0", `{spec: {restartPod: {uid: null}}}`, "spec.restartPod.uid: Required value"),
		Entry("a pod removed by force", "restart-pod-db-0", `{spec: {restartPod: {gracePeriodSeconds: 0}}}`, "should be greater than or equal to 1"),
		Entry("a node without a name", "drain-worker-3", `{spec: {drain: {node: {name: null}}}}`, "spec.drain.node.name: Required value"),
		Entry("taints that change nothing", "taint-worker-4", `{spec: {taint: {set: null, remove: null}}}`, "at least one of set and remove is required"),
		Entry("a taint set and removed", "taint-worker-4", `{spec: {taint: {remove: [{key: example.com/reserved}]}}}`, "the same taint cannot be both set and removed"),
		Entry("a taint of Kubernetes", "taint-worker-4", `{spec: {taint: {set: [{key: node.kubernetes.io/unreachable, effect: NoExecute}]}}}`, "taints of kubernetes.io belong to Kubernetes"),
		Entry("an unknown effect", "taint-worker-4", `{spec: {taint: {set: [{key: a, effect: Never}]}}}`, `Unsupported value: "Never"`),
		Entry("too many lines", "logs-cart", `{spec: {getLogs: {tailLines: 10001}}}`, "should be less than or equal to 10000"),
		Entry("too many bytes", "logs-cart", `{spec: {getLogs: {limitBytes: 1048577}}}`, "should be less than or equal to 1048576"),

		Entry("a verb that writes", "get-pods", `{spec: {kubectl: {verb: Delete}}}`, `Unsupported value: "Delete"`),
		Entry("an option", "get-pods", `{spec: {kubectl: {args: [pods, "--all"]}}}`, "spec.kubectl.args[1]"),
		Entry("a short option", "get-pods", `{spec: {kubectl: {args: ["-A"]}}}`, "spec.kubectl.args[0]"),
		Entry("an argument for a shell", "get-pods", `{spec: {kubectl: {args: ["pods;reboot"]}}}`, "spec.kubectl.args[0]"),
		Entry("a selector that is an option", "get-pods", `{spec: {kubectl: {labelSelector: "--raw=/"}}}`, "spec.kubectl.labelSelector"),
		Entry("Secrets", "get-pods", `{spec: {kubectl: {args: [secrets]}}}`, "Secrets cannot be read"),
		Entry("Secrets in capitals, in a list", "get-pods", `{spec: {kubectl: {args: ["pods,SECRET/db"]}}}`, "Secrets cannot be read"),
		Entry("Secrets with a version", "get-pods", `{spec: {kubectl: {args: ["secrets.v1."]}}}`, "Secrets cannot be read"),
		Entry("Get of nothing", "get-pods", `{spec: {kubectl: {args: null}}}`, "args is required, except with the verbs APIResources and Events"),
		Entry("arguments of APIResources", "get-pods", `{spec: {kubectl: {verb: APIResources}}}`, "args is required, except with the verbs APIResources and Events, where it is not allowed"),
		Entry("a namespace and all of them", "get-pods", `{spec: {kubectl: {allNamespaces: true}}}`, "namespace and allNamespaces exclude each other"),
		Entry("an output of Describe", "get-pods", `{spec: {kubectl: {verb: Describe}}}`, "output is allowed only with the verbs Get, Events and APIResources"),
		Entry("lines of Get", "get-pods", `{spec: {kubectl: {tailLines: 5}}}`, "container and tailLines are allowed only with the verb Logs"),
		Entry("no program", "exec-cart", `{spec: {exec: {command: []}}}`, "should have at least 1 items"),
		Entry("an empty program", "exec-cart", `{spec: {exec: {command: ["", a]}}}`, "command must begin with a program"),
		Entry("a program in no container", "exec-cart", `{spec: {exec: {container: null}}}`, "spec.exec.container: Required value"),
	)

	Describe("once created", func() {
		const unchangeable = "a command cannot be changed: create a new one"

		create := func(ctx SpecContext, name string) *unstructured.Unstructured {
			object := sample("RemoteCommand", name)
			Expect(kube.Create(ctx, object)).To(Succeed())
			DeferCleanup(func(ctx SpecContext) { Expect(kube.Delete(ctx, object)).To(Succeed()) })
			return object
		}

		DescribeTable("cannot be changed:", func(ctx SpecContext, name, patch, message string) {
			expectPatchRejected(ctx, create(ctx, name), patch, message)
		},
			Entry("its action", "cordon-worker-3", `{"spec":{"action":"Uncordon","cordon":null,"uncordon":{"node":{"name":"worker-3"}}}}`, unchangeable),
			Entry("its target", "cordon-worker-3", `{"spec":{"cordon":{"node":{"name":"worker-4"}}}}`, unchangeable),
			Entry("an optional part of its target", "cordon-worker-3", `{"spec":{"cordon":{"node":{"uid":"abc"}}}}`, unchangeable),
			Entry("a number of its details", "scale-cart", `{"spec":{"scale":{"replicas":50}}}`, unchangeable),
			Entry("a precondition that goes away", "scale-cart", `{"spec":{"scale":{"currentReplicas":null}}}`, unchangeable),
			Entry("its program", "exec-cart", `{"spec":{"exec":{"command":["sh"]}}}`, unchangeable),
			Entry("its arguments", "get-pods", `{"spec":{"kubectl":{"args":["nodes"]}}}`, unchangeable),
			Entry("its requester", "restart-cart", `{"spec":{"requestedBy":{"username":"bob"}}}`, unchangeable),
			Entry("the requester's groups", "restart-cart", `{"spec":{"requestedBy":{"groups":["system:masters"]}}}`, unchangeable),
			Entry("its reason", "restart-cart", `{"spec":{"reason":"something else entirely"}}`, unchangeable),
			Entry("its dry run", "image-cart", `{"spec":{"dryRun":false}}`, unchangeable),
			Entry("its dry run, removed", "image-cart", `{"spec":{"dryRun":null}}`, unchangeable),
			Entry("its start deadline", "restart-cart", `{"spec":{"startDeadlineSeconds":86400}}`, unchangeable),
			Entry("its start deadline, removed", "restart-cart", `{"spec":{"startDeadlineSeconds":null}}`, unchangeable),
			Entry("its timeout", "restart-cart", `{"spec":{"timeoutSeconds":3600}}`, unchangeable),
			Entry("its time to live", "restart-cart", `{"spec":{"ttlSecondsAfterFinished":60}}`, unchangeable),
		)

		It("can be approved once", func(ctx SpecContext) {
			object := create(ctx, "drain-worker-3")
			Expect(mergePatch(ctx, object, `{"spec":{"approval":{"decision":"Approved","by":"bob"}}}`)).To(Succeed())
			const message = "approval is given once and cannot be changed or taken back"
			expectPatchRejected(ctx, object, `{"spec":{"approval":{"decision":"Denied"}}}`, message)
			expectPatchRejected(ctx, object, `{"spec":{"approval":{"by":"carol"}}}`, message)
			expectPatchRejected(ctx, object, `{"spec":{"approval":{"comment":"on second thoughts"}}}`, message)
			expectPatchRejected(ctx, object, `{"spec":{"approval":null}}`, message)
			expectPatchRejected(ctx, object, `{"spec":{"drain":{"force":true}}}`, unchangeable)
		})

		It("can be denied, by somebody with a name", func(ctx SpecContext) {
			object := create(ctx, "drain-worker-3")
			expectPatchRejected(ctx, object, `{"spec":{"approval":{"decision":"Denied"}}}`, "spec.approval.by: Required value")
			expectPatchRejected(ctx, object, `{"spec":{"approval":{"decision":"Perhaps","by":"bob"}}}`, `Unsupported value: "Perhaps"`)
			Expect(mergePatch(ctx, object, `{"spec":{"approval":{"decision":"Denied","by":"bob","comment":"not tonight"}}}`)).To(Succeed())
		})

		It("can be cancelled, and stays so", func(ctx SpecContext) {
			object := create(ctx, "restart-cart")
			Expect(mergePatch(ctx, object, `{"spec":{"cancel":false}}`)).To(Succeed())
			Expect(mergePatch(ctx, object, `{"spec":{"cancel":true}}`)).To(Succeed())
			expectPatchRejected(ctx, object, `{"spec":{"cancel":false}}`, "cancel cannot be taken back")
			expectPatchRejected(ctx, object, `{"spec":{"cancel":null}}`, "cancel cannot be taken back")
		})

		It("keeps labels and annotations open to change", func(ctx SpecContext) {
			Expect(mergePatch(ctx, create(ctx, "restart-cart"), `{"metadata":{"labels":{"ticket":"INC-1234"}}}`)).To(Succeed())
		})
	})
})
