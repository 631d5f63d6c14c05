// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"errors"
	"slices"
	"time"

	"k8s.io/client-go/tools/cache"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/observe"
)

// Observer is handed what anomaly rules look at, object by object, as the API
// server tells it. Its methods are called from many goroutines, those about one
// object one after the other, and with locks of the Inventory held: they return at
// once and never call the Inventory.
type Observer interface {
	// Observe takes an object as it is now. When a kind is listed again, it gets
	// objects that it knows already.
	Observe(facts.Object)
	// Forget takes an object that is gone, also when it went while nobody watched.
	// An event that the API server has dropped is not forgotten: it did happen.
	Forget(facts.Ref)
	// Synced is called once: every object that there was has been observed. Of the
	// kinds in partial, some or all are missing, because the API server does not
	// let the agent read them or the agent never asks for them. While the API
	// server is away it is waited for.
	Synced(partial []string)
	// Readable says, after Synced, that a kind cannot be read from now on, or can be
	// again and has been observed. What was observed in between may be old.
	Readable(kind string, yes bool)
	// Answering says whether the API server answers. It is called when that changes;
	// until then it does.
	Answering(bool)
}

var errObserverWithoutSink = errors.New("making the inventory: an Observer needs a Sink, without which too little is watched")

// unobserved are kinds that rules look at and the agent never asks for: whoever may
// list Secrets may read what is in them.
var unobserved = []string{facts.KindSecret}

// observedKinds are the kinds of what an Observer is handed, by resource.
var observedKinds = map[string]string{
	"pods":                                 facts.KindPod,
	"nodes":                                facts.KindNode,
	"namespaces":                           facts.KindNamespace,
	"services":                             facts.KindService,
	"persistentvolumeclaims":               facts.KindClaim,
	"persistentvolumes":                    facts.KindVolume,
	"resourcequotas":                       facts.KindQuota,
	"events":                               facts.KindEvent,
	"deployments.apps":                     facts.KindDeployment,
	"statefulsets.apps":                    facts.KindStatefulSet,
	"daemonsets.apps":                      facts.KindDaemonSet,
	"replicasets.apps":                     facts.KindReplicaSet,
	"jobs.batch":                           facts.KindJob,
	"cronjobs.batch":                       facts.KindCronJob,
	"horizontalpodautoscalers.autoscaling": facts.KindAutoscaler,
	"poddisruptionbudgets.policy":          facts.KindDisruptionBudget,
	"leases.coordination.k8s.io":           facts.KindLease,
	"endpointslices.discovery.k8s.io":      facts.KindEndpointSlice,
	"ingresses.networking.k8s.io":          facts.KindIngress,
	"ingressclasses.networking.k8s.io":     facts.KindIngressClass,
	"storageclasses.storage.k8s.io":        facts.KindStorageClass,
	"volumeattachments.storage.k8s.io":     facts.KindVolumeAttachment,
	"certificatesigningrequests.certificates.k8s.io":               facts.KindSigningRequest,
	"validatingwebhookconfigurations.admissionregistration.k8s.io": facts.KindValidating,
	"mutatingwebhookconfigurations.admissionregistration.k8s.io":   facts.KindMutating,
	"apiservices." + aggregationGroup:                              facts.KindAPIService,
	"customresourcedefinitions." + crdGroup:                        facts.KindDefinition,
	"gateways." + gatewayGroup:                                     facts.KindGateway,
	"httproutes." + gatewayGroup:                                   facts.KindHTTPRoute,
	"certificates." + certManagerGroup:                             facts.KindCertificate,
}

// observed makes a store that hands what is stored in target to the Observer, if
// there is one and it wants the resource.
func (i *Inventory) observed(resource string, target cache.ReflectorStore) cache.ReflectorStore {
	kind, wanted := observedKinds[resource]
	inner, transforms := target.(cache.TransformingStore)
	if i.options.Observer == nil || !wanted || !transforms {
		return target
	}
	return newLookout(kind, i.options.Observer, inner)
}

// tellObserver tells the Observer what it has to know of kinds, with mu held. The
// resources are those that the cluster has, and those of them that are stale.
func (i *Inventory) tellObserver(all, stale []string, now time.Time) {
	switch {
	case i.options.Observer == nil:
	case !i.observing:
		partial, done := i.partialKinds(all, stale, now)
		if !done {
			return
		}
		i.observing = true
		for _, kind := range partial {
			i.unreadable[kind] = true
		}
		i.options.Observer.Synced(slices.Concat(unobserved, partial))
	case i.staleness.unreachableSince.IsZero():
		for resource, kind := range observedKinds {
			if unreadable := i.unreadableNow(resource, stale, now); unreadable != i.unreadable[kind] {
				i.unreadable[kind] = unreadable
				i.options.Observer.Readable(kind, !unreadable)
			}
		}
	}
}

// partialKinds returns the kinds that cannot be read, and whether all others have
// been listed.
func (i *Inventory) partialKinds(all, stale []string, now time.Time) (partial []string, done bool) {
	for _, k := range i.kinds {
		kind, wanted := observedKinds[k.resource]
		switch {
		case !wanted, slices.Contains(all, k.resource) && k.synced():
		case k.served != nil && k.looked != nil && !k.served() && k.looked():
		case i.unreadableNow(k.resource, stale, now):
			if !slices.Contains(partial, kind) {
				partial = append(partial, kind)
			}
		default:
			return nil, false
		}
	}
	return partial, true
}

// unreadableNow says whether it is the resource that cannot be read and not the API
// server that is away, or was a moment ago: then each reflector takes its time to
// try again.
func (i *Inventory) unreadableNow(resource string, stale []string, now time.Time) bool {
	if !slices.Contains(stale, resource) || i.answeringSince.IsZero() || i.silent {
		return false
	}
	if f, failing := i.staleness.failures[resource]; failing && f.refusedSince.After(i.answeringSince) {
		return true
	}
	return now.Sub(i.answeringSince) >= i.options.StaleAfter+2*i.options.retryMax
}

// answering tells the Observer when the API server stops to answer, and when it
// does again, with mu held.
func (i *Inventory) answering(outcome checkOutcome, now time.Time) {
	silent := !outcome.answered || outcome.verdict != nil && !*outcome.verdict
	if !silent && (i.silent || i.answeringSince.IsZero()) {
		i.answeringSince = now
	}
	if i.options.Observer == nil || i.silent == silent {
		return
	}
	i.silent = silent
	i.options.Observer.Answering(!silent)
}

// observeVersion hands the version of the API server to the Observer.
func (i *Inventory) observeVersion(version string) {
	if i.options.Observer != nil {
		i.options.Observer.Observe(observe.Cluster(version))
	}
}
