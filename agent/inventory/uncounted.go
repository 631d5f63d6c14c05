// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// addLedgers makes the shippers, and the ledgers of the kinds that are counted
// too, for addKinds to fill.
func (i *Inventory) addLedgers() {
	i.shippers = map[telemetry.Stream]*shipper{}
	for _, stream := range []telemetry.Stream{telemetry.StreamInventory, telemetry.StreamEvents} {
		i.shippers[stream] = newShipper(stream, i.options.Sink, i.options.Logger)
	}
	i.ledgers = map[string]*ledger{}
	addLedger(i, "nodes", "", telemetry.KindNode, convertNode)
	addLedger(i, "pods", "", telemetry.KindPod, convertPod)
	addLedger(i, "deployments", appsv1.GroupName, telemetry.KindDeployment, convertDeployment)
	addLedger(i, "statefulsets", appsv1.GroupName, telemetry.KindStatefulSet, convertStatefulSet)
	addLedger(i, "daemonsets", appsv1.GroupName, telemetry.KindDaemonSet, convertDaemonSet)
	addLedger(i, "jobs", batchv1.GroupName, telemetry.KindJob, convertJob)
	addLedger(i, "cronjobs", batchv1.GroupName, telemetry.KindCronJob, convertCronJob)
}

// addLedger makes the ledger of a kind. It returns the resource as in "jobs.batch".
func addLedger[O any](i *Inventory, resource, group string, kind telemetry.Kind, convert func(*O, *builder) bool) (string, *ledger) {
	name := schema.GroupResource{Group: group, Resource: resource}.String()
	shipper := i.shippers[telemetry.StreamInventory]
	l := newLedger(kind, convert, shipper.nudge)
	i.ledgers[name] = l
	shipper.sources = append(shipper.sources, l)
	return name, l
}

// addUncounted adds the kinds that are watched for the Sink alone.
func (i *Inventory) addUncounted() error {
	networking, err := i.clients.connect(networkingv1.SchemeGroupVersion)
	if err != nil {
		return err
	}
	discovery, err := i.clients.connect(discoveryv1.SchemeGroupVersion)
	if err != nil {
		return err
	}
	autoscaling, err := i.clients.connect(autoscalingv2.SchemeGroupVersion)
	if err != nil {
		return err
	}
	core := i.clients.core
	addUncounted(i, &listWatch{client: core, resource: "namespaces"}, "", telemetry.KindNamespace, convertNamespace)
	addUncounted(i, &listWatch{client: i.clients.apps, resource: "replicasets"}, appsv1.GroupName, telemetry.KindReplicaSet, convertReplicaSet)
	addUncounted(i, &listWatch{client: core, resource: "services"}, "", telemetry.KindService, convertService)
	addUncounted(i, &listWatch{client: discovery, resource: "endpointslices"}, discoveryv1.GroupName, telemetry.KindEndpointSlice, convertEndpointSlice)
	addUncounted(i, &listWatch{client: networking, resource: "ingresses"}, networkingv1.GroupName, telemetry.KindIngress, convertIngress)
	addUncounted(i, &listWatch{client: core, resource: "persistentvolumeclaims"}, "", telemetry.KindPersistentVolumeClaim, convertClaim)
	addUncounted(i, &listWatch{client: core, resource: "persistentvolumes"}, "", telemetry.KindPersistentVolume, convertVolume)
	addUncounted(i, &listWatch{client: autoscaling, resource: "horizontalpodautoscalers"}, autoscalingv2.GroupName,
		telemetry.KindHorizontalPodAutoscaler, convertAutoscaler)
	for _, kind := range i.options.NamesOf {
		var resource string
		switch kind {
		case telemetry.KindConfigMap:
			resource = "configmaps"
		case telemetry.KindSecret:
			resource = "secrets"
		default:
			return fmt.Errorf("choosing kinds to send the names of: %s is neither %s nor %s", kind, telemetry.KindConfigMap, telemetry.KindSecret)
		}
		requests := &listWatch{client: i.clients.metadata, resource: resource, metadataOnly: true}
		addUncounted(i, requests, "", kind, nameOnly)
	}
	i.addEvents()
	addRoute[httpRoute](i, "httproutes", gatewayGroup, httpRouteVersions, telemetry.KindHTTPRoute, convertHTTPRoute)
	addRoute[ingressRoute](i, "ingressroutes", traefikGroup, ingressRouteVersions, telemetry.KindIngressRoute, convertIngressRoute)
	return i.addWatched()
}

// addUncounted makes the ledger of a kind and the reflector that fills it.
func addUncounted[O any](i *Inventory, requests *listWatch, group string, kind telemetry.Kind, convert func(*O, *builder) bool) {
	name, l := addLedger(i, requests.resource, group, kind, convert)
	l.listed = i.listedUncounted(name)
	i.addReflector(requests, name, new(O), l, &l.synced)
}

func (i *Inventory) addEvents() {
	shipper := i.shippers[telemetry.StreamEvents]
	log := newEventLog(maxEvents, shipper.nudge)
	log.listed = i.listedUncounted("events")
	shipper.sources = append(shipper.sources, log)
	requests := &listWatch{
		client: i.clients.core, resource: "events",
		fieldSelector: fields.OneTermEqualSelector("type", corev1.EventTypeWarning).String(),
	}
	i.addReflector(requests, "events", &corev1.Event{}, log, &log.synced)
}

func (i *Inventory) addReflector(requests *listWatch, name string, example any, target cache.ReflectorStore, synced *atomic.Bool) {
	target = i.observed(name, target)
	i.kinds = append(i.kinds, kind{
		resource: name,
		synced:   synced.Load,
		run:      func(ctx context.Context) { i.reflect(ctx, requests, name, example, target) },
	})
}

// listedUncounted notes that a kind was listed.
func (i *Inventory) listedUncounted(name string) func() {
	return func() { i.note(func(time.Time) bool { i.staleness.succeeded(name); return false }) }
}

// routeKind is a kind that the cluster may or may not have.
type routeKind struct {
	name, resource, group string
	// versions are those that are understood, the best first.
	versions []string
	example  any
	target   cache.ReflectorStore
	// synced says whether the kind was listed.
	synced func() bool
	// served is set while the cluster has the kind, looked once that is known.
	served, looked atomic.Bool
}

func addRoute[O any](i *Inventory, resource, group string, versions []string, kind telemetry.Kind, convert func(*O, *builder) bool) {
	name, l := addLedger(i, resource, group, kind, convert)
	r := &routeKind{
		name: name, resource: resource, group: group, versions: versions, example: new(O), target: i.observed(name, l), synced: l.synced.Load,
	}
	l.listed = i.listedUncounted(name)
	i.routes = append(i.routes, r)
	i.addServed(r)
}

func (i *Inventory) addServed(r *routeKind) {
	i.kinds = append(i.kinds, kind{
		resource: r.name,
		synced:   r.synced,
		served:   r.served.Load,
		looked:   r.looked.Load,
		run:      func(context.Context) {},
	})
}
