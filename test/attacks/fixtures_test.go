// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package attacks

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// applyFixtures creates something of every kind that is worth attacking, in the
// victim's namespace, in default and at cluster scope.
func applyFixtures(ctx context.Context) {
	GinkgoHelper()
	dir := GinkgoT().TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		Expect(os.WriteFile(path, []byte(text), 0o600)).To(Succeed())
		return path
	}
	kubectl(ctx, "apply", "--server-side", "-f", write("cluster.yaml", clusterFixtures))
	for _, namespace := range []string{home(victim), home(attacker), "default"} {
		account := "/api/v1/namespaces/" + namespace + "/serviceaccounts/default"
		Eventually(func() answer { return admin.get(ctx, account) }).WithTimeout(waitTimeout).Should(beGranted())
		kubectl(ctx, "apply", "--server-side", "-n", namespace, "-f",
			write(namespace+".yaml", strings.ReplaceAll(namespacedFixtures, "NAMESPACE", namespace)))
	}
}

const clusterFixtures = `
{apiVersion: v1, kind: Node, metadata: {name: node-1}}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: volume-1}
spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], hostPath: {path: /tmp}}
---
{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: class-1}, provisioner: example.com/none}
---
{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: class-1}, spec: {controller: example.com/none}}
---
{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: class-1}, value: 1}
---
{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: class-1}, handler: none}
---
{apiVersion: storage.k8s.io/v1, kind: CSIDriver, metadata: {name: driver-1}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: webhook-1}
webhooks:
  - name: none.example.com
    sideEffects: None
    admissionReviewVersions: [v1]
    clientConfig: {url: "https://127.0.0.1:1/"}
    rules: [{apiGroups: [example.com], apiVersions: [v1], operations: [CREATE], resources: [nothings]}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: webhook-1}
webhooks:
  - name: none.example.com
    sideEffects: None
    admissionReviewVersions: [v1]
    clientConfig: {url: "https://127.0.0.1:1/"}
    rules: [{apiGroups: [example.com], apiVersions: [v1], operations: [CREATE], resources: [nothings]}]
---
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: PriorityLevelConfiguration
metadata: {name: level-1}
spec: {type: Limited, limited: {nominalConcurrencyShares: 1, limitResponse: {type: Reject}}}
`

const namespacedFixtures = `
apiVersion: v1
kind: Pod
metadata: {name: pod-1}
spec: {automountServiceAccountToken: false, containers: [{name: c, image: none}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: deployment-1}
spec:
  replicas: 0
  selector: {matchLabels: {app: one}}
  template: {metadata: {labels: {app: one}}, spec: {containers: [{name: c, image: none}]}}
---
{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: set-1}, spec: {replicas: 0, selector: {matchLabels: {app: two}}, template: {metadata: {labels: {app: two}}, spec: {containers: [{name: c, image: none}]}}}}
---
{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: set-1}, spec: {replicas: 0, serviceName: none, selector: {matchLabels: {app: three}}, template: {metadata: {labels: {app: three}}, spec: {containers: [{name: c, image: none}]}}}}
---
{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: set-1}, spec: {selector: {matchLabels: {app: four}}, template: {metadata: {labels: {app: four}}, spec: {containers: [{name: c, image: none}]}}}}
---
{apiVersion: v1, kind: ReplicationController, metadata: {name: set-1}, spec: {replicas: 0, selector: {app: five}, template: {metadata: {labels: {app: five}}, spec: {containers: [{name: c, image: none}]}}}}
---
{apiVersion: batch/v1, kind: Job, metadata: {name: job-1}, spec: {suspend: true, template: {spec: {restartPolicy: Never, containers: [{name: c, image: none}]}}}}
---
{apiVersion: batch/v1, kind: CronJob, metadata: {name: job-1}, spec: {suspend: true, schedule: "0 0 1 1 *", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: none}]}}}}}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: map-1}, data: {a: b}}
---
{apiVersion: v1, kind: Secret, metadata: {name: secret-1}, stringData: {password: swordfish}}
---
{apiVersion: v1, kind: Service, metadata: {name: service-1}, spec: {ports: [{port: 80}]}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: account-1}}
---
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: claim-1}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}
---
{apiVersion: v1, kind: ResourceQuota, metadata: {name: quota-1}, spec: {hard: {services.loadbalancers: "5"}}}
---
{apiVersion: v1, kind: LimitRange, metadata: {name: range-1}, spec: {limits: [{type: PersistentVolumeClaim, max: {storage: 9Gi}}]}}
---
{apiVersion: v1, kind: PodTemplate, metadata: {name: template-1}, template: {spec: {containers: [{name: c, image: none}]}}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: policy-1}, spec: {podSelector: {}}}
---
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: ingress-1}, spec: {defaultBackend: {service: {name: service-1, port: {number: 80}}}}}
---
{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: budget-1}, spec: {minAvailable: 1, selector: {matchLabels: {app: six}}}}
---
{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: scaler-1}, spec: {maxReplicas: 1, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: deployment-1}}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: role-1}, rules: []}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: role-1}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: role-1}, subjects: []}
---
{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: lease-1}, spec: {}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: slice-1}, addressType: IPv4, endpoints: []}
---
{apiVersion: v1, kind: Event, metadata: {name: event-1}, involvedObject: {kind: Pod, name: pod-1, namespace: NAMESPACE}, reason: None, message: none, type: Normal}
`
