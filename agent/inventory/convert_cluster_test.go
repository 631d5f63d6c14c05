// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

func TestConvertNode(t *testing.T) {
	const info = `
  addresses: [{type: Hostname, address: web}, {type: InternalIP, address: 10.0.0.2}, {type: InternalIP, address: "fd00::2"}]
  nodeInfo: {architecture: arm64, containerRuntimeVersion: "containerd://2.1", kernelVersion: 6.12.1, kubeletVersion: v1.37.2, osImage: Debian 13}
  capacity: {cpu: "4", memory: 8Gi, pods: "110"}
  allocatable: {cpu: 3900m, memory: 7Gi, pods: "110"}
`
	sizes := numbers(8, 4000, 9, 3900, 10, 8<<30, 11, 7<<30, 12, 110, 13, 110)
	attributes := words("architecture", "arm64", "containerRuntime", "containerd://2.1", "internalIP", "10.0.0.2", "kernel", "6.12.1",
		"kubeletVersion", "v1.37.2", "osImage", "Debian 13")
	check1(t, telemetry.KindNode, convertNode, map[string]kase{
		"ready": {"status:" + info + `
  conditions: [{type: MemoryPressure, status: "False", reason: KubeletHasSufficientMemory, message: enough}, {type: Ready, status: "True", reason: KubeletReady, message: posting}]
`, telemetry.ObjectDelta{Phase: "Ready", Ready: telemetry.ReadyTrue, Numbers: sizes, Attributes: attributes}},
		"under pressure": {"status:" + info + `
  conditions: [{type: Ready, status: "True"}, {type: DiskPressure, status: "True", reason: KubeletHasDiskPressure, message: disk is full}]
`, telemetry.ObjectDelta{
			Phase: "Ready", Ready: telemetry.ReadyTrue, Reason: "DiskPressure", Message: "disk is full", Numbers: sizes, Attributes: attributes,
		}},
		"not ready": {
			`status: {conditions: [{type: Ready, status: "False", reason: KubeletNotReady, message: no CNI}]}`,
			telemetry.ObjectDelta{Phase: "NotReady", Ready: telemetry.ReadyFalse, Reason: "KubeletNotReady", Message: "no CNI"},
		},
		"silent": {
			`status: {conditions: [{type: Ready, status: Unknown, reason: NodeStatusUnknown, message: Kubelet stopped posting}]}`,
			telemetry.ObjectDelta{Phase: "Unknown", Reason: "NodeStatusUnknown", Message: "Kubelet stopped posting"},
		},
		"new": {``, telemetry.ObjectDelta{Phase: "Unknown"}},
		"cordoned control plane": {`metadata: {namespace: shop, name: web, uid: 6f1c2d3e-4b5a-4c6d-8e7f-0123456789ab, resourceVersion: "42",
  creationTimestamp: "2026-03-01T12:00:00Z", labels: {node-role.kubernetes.io/etcd: "", node-role.kubernetes.io/control-plane: ""}}
spec: {unschedulable: true, taints: [{key: a, value: b, effect: NoSchedule}, {key: c, effect: NoExecute}]}
`, telemetry.ObjectDelta{
			Phase: "Unknown", Labels: words("node-role.kubernetes.io/control-plane", "", "node-role.kubernetes.io/etcd", ""),
			Attributes: words("roles", "control-plane,etcd", "taints", "a=b:NoSchedule,c:NoExecute", "unschedulable", "true"),
		}},
	})
}

func TestConvertStorageAndNamespace(t *testing.T) {
	check1(t, telemetry.KindNamespace, convertNamespace, map[string]kase{
		"active": {"status: {phase: Active}", telemetry.ObjectDelta{Phase: "Active"}},
		"stuck": {
			`status: {phase: Terminating, conditions: [{type: NamespaceDeletionDiscoveryFailure, status: "False", reason: ResourcesDiscovered},
  {type: NamespaceFinalizersRemaining, status: "True", reason: SomeFinalizersRemain, message: example.com/x in 1 resource instances}]}`,
			telemetry.ObjectDelta{Phase: "Terminating", Reason: "SomeFinalizersRemain", Message: "example.com/x in 1 resource instances"},
		},
	})
	check1(t, telemetry.KindPersistentVolumeClaim, convertClaim, map[string]kase{
		"bound": {`
spec: {accessModes: [ReadWriteOnce, ReadOnlyMany], storageClassName: fast, volumeName: pv-1, resources: {requests: {storage: 10Gi}}}
status: {phase: Bound, capacity: {storage: 12Gi}}
`, telemetry.ObjectDelta{
			Phase: "Bound", Numbers: numbers(16, 10<<30, 17, 12<<30),
			Attributes: words("accessModes", "ReadWriteOnce,ReadOnlyMany", "storageClass", "fast", "volume", "pv-1"),
		}},
		"cannot grow": {`
spec: {resources: {requests: {storage: 10Gi}}}
status: {phase: Bound, conditions: [{type: ControllerResizeError, status: "True", message: quota}]}
`, telemetry.ObjectDelta{Phase: "Bound", Reason: "ControllerResizeError", Message: "quota", Numbers: numbers(16, 10<<30)}},
	})
	check1(t, telemetry.KindPersistentVolume, convertVolume, map[string]kase{
		"failed": {`
spec: {capacity: {storage: 10Gi}, accessModes: [ReadWriteOnce], storageClassName: fast, claimRef: {namespace: shop, name: data}}
status: {phase: Failed, reason: RecycleFailed, message: refused}
`, telemetry.ObjectDelta{
			Phase: "Failed", Reason: "RecycleFailed", Message: "refused", Numbers: numbers(17, 10<<30),
			Attributes: words("accessModes", "ReadWriteOnce", "storageClass", "fast", "target", "shop/data"),
		}},
	})
	check1(t, telemetry.KindSecret, nameOnly, map[string]kase{"a name": {"", telemetry.ObjectDelta{}}})
}

func TestConvertNetwork(t *testing.T) {
	check1(t, telemetry.KindService, convertService, map[string]kase{
		"a load balancer": {`
spec: {type: LoadBalancer, clusterIP: 10.96.0.9, externalIPs: [198.51.100.1], selector: {tier: front, app: web},
  ports: [{name: http, port: 80, protocol: TCP}, {port: 53, protocol: UDP}]}
status: {loadBalancer: {ingress: [{ip: 192.0.2.1}, {hostname: lb.example.com}]}}
`, telemetry.ObjectDelta{Attributes: words("addresses", "198.51.100.1,192.0.2.1,lb.example.com", "clusterIP", "10.96.0.9",
			"ports", "http:80/TCP,53/UDP", "selector", "app=web,tier=front", "type", "LoadBalancer")}},
		"a name elsewhere": {
			`spec: {type: ExternalName, externalName: db.example.com}`,
			telemetry.ObjectDelta{Attributes: words("addresses", "db.example.com", "type", "ExternalName")},
		},
	})
	check1(t, telemetry.KindEndpointSlice, convertEndpointSlice, map[string]kase{
		"two of three ready": {`metadata: {namespace: shop, name: web, uid: 6f1c2d3e-4b5a-4c6d-8e7f-0123456789ab, resourceVersion: "42", generation: 9,
  creationTimestamp: "2026-03-01T12:00:00Z", labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}, {}]
endpoints: [{addresses: [10.0.0.1], conditions: {ready: true}}, {addresses: [10.0.0.2], conditions: {ready: false}}, {addresses: [10.0.0.3]}]
`, telemetry.ObjectDelta{
			Labels: words("kubernetes.io/service-name", "web"), Owner: telemetry.ObjectRef{Kind: "Service", Name: "web"},
			Numbers: numbers(20, 3, 21, 2), Attributes: words("ports", "http:8080/TCP,TCP", "type", "IPv4"),
		}},
	})
	check1(t, telemetry.KindIngress, convertIngress, map[string]kase{
		"with an address": {`
spec: {ingressClassName: nginx, rules: [{host: a.example.com}, {host: b.example.com}, {}]}
status: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}}
`, telemetry.ObjectDelta{
			Generation: 3, Ready: telemetry.ReadyTrue, Attributes: words("addresses", "192.0.2.1", "class", "nginx", "hosts", "a.example.com,b.example.com"),
		}},
		"without": {"spec: {}", telemetry.ObjectDelta{Generation: 3, Ready: telemetry.ReadyFalse}},
	})
}

func TestConvertRoutes(t *testing.T) {
	check1(t, telemetry.KindHTTPRoute, convertHTTPRoute, map[string]kase{
		"accepted by both": {`
spec: {parentRefs: [{name: inner}, {namespace: gateways, name: outer, sectionName: https}], hostnames: [a.example.com], rules: [{}]}
status: {parents: [
  {controllerName: x, parentRef: {name: inner}, conditions: [{type: Accepted, status: "True", observedGeneration: 3}, {type: ResolvedRefs, status: "True"}]},
  {controllerName: x, parentRef: {name: outer}, conditions: [{type: Accepted, status: "True", observedGeneration: 2}]}]}
`, telemetry.ObjectDelta{
			Generation: 3, ObservedGeneration: 3, Ready: telemetry.ReadyTrue, Attributes: words("hosts", "a.example.com", "parents", "shop/inner,gateways/outer"),
		}},
		"refused by one": {`
status: {parents: [{conditions: [{type: Accepted, status: "False", reason: NotAllowedByListeners, message: refused}]}, {conditions: [{type: Accepted, status: "True"}]}]}
`, telemetry.ObjectDelta{Generation: 3, Ready: telemetry.ReadyFalse, Reason: "NotAllowedByListeners", Message: "refused"}},
		"accepted, without a backend": {`
status: {parents: [{conditions: [{type: Accepted, status: "True"}, {type: ResolvedRefs, status: "False", reason: BackendNotFound, message: web}]}]}
`, telemetry.ObjectDelta{Generation: 3, Ready: telemetry.ReadyTrue, Reason: "BackendNotFound", Message: "web"}},
	})
	check1(t, telemetry.KindIngressRoute, convertIngressRoute, map[string]kase{
		"hosts of its rules": {
			"spec: {routes: [{match: 'Host(`a.example.com`, `b.example.com`) && PathPrefix(`/x`)'}, " +
				"{match: 'Host(`a.example.com`) || HostRegexp(`.+`)'}]}",
			telemetry.ObjectDelta{Generation: 3, Attributes: words("hosts", "a.example.com,b.example.com")},
		},
	})
}

func TestCopiesOfRoutesShareNothing(t *testing.T) {
	route := &httpRoute{}
	route.Labels = map[string]string{"a": "b"}
	route.Spec.Hostnames = []string{"a"}
	list := &httpRouteList{Items: []httpRoute{*route}}
	c, _ := list.DeepCopyObject().(*httpRouteList)
	if diff := cmp.Diff(list, c); diff != "" {
		t.Error(diff)
	}
	c.Items[0].Labels["a"], c.Items[0].Spec.Hostnames[0] = "c", "c"
	if route.Labels["a"] != "b" || route.Spec.Hostnames[0] != "a" {
		t.Error("a copy shares memory")
	}
	traefik := &ingressRouteList{Items: []ingressRoute{{}}}
	if diff := cmp.Diff(traefik, traefik.DeepCopyObject()); diff != "" {
		t.Error(diff)
	}
}

func TestPresence(t *testing.T) {
	type look struct {
		version string
		changed bool
		known   string
	}
	for name, looks := range map[string][]look{
		"there from the start": {{"v1", true, "v1"}, {"v1", false, "v1"}},
		"never there":          {{"", false, ""}, {"", true, ""}, {"", false, ""}},
		"comes later":          {{"", false, ""}, {"", true, ""}, {"v1", true, "v1"}},
		"a late start":         {{"", false, ""}, {"v1", true, "v1"}},
		"one look misses it":   {{"v1", true, "v1"}, {"", false, "v1"}, {"v1", false, "v1"}, {"", false, "v1"}},
		"goes":                 {{"v1", true, "v1"}, {"", false, "v1"}, {"", true, ""}, {"", false, ""}},
		"another version":      {{"v1beta1", true, "v1beta1"}, {"v1", true, "v1"}},
	} {
		t.Run(name, func(t *testing.T) {
			var p presence
			for n, l := range looks {
				if changed := p.observe(l.version); changed != l.changed || p.version != l.known {
					t.Errorf("look %d: changed %t to %q, want %t and %q", n, changed, p.version, l.changed, l.known)
				}
			}
		})
	}
}
