// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package hubconn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// maxEndpoints bounds what is taken from a bundle.
const maxEndpoints = 8

// parseBundle reads the endpoints under a key of a bundle, best first. An entry
// that is no endpoint spoils them: a half-read list could lead away from the hub.
func parseBundle(key, document string) ([]Endpoint, error) {
	if document == "" {
		return nil, nil
	}
	var bundle struct {
		Endpoints []struct {
			URL string `json:"url"`
			CA  string `json:"ca"`
		} `json:"endpoints"`
	}
	if err := json.Unmarshal([]byte(document), &bundle); err != nil {
		return nil, fmt.Errorf("reading %s of ConfigMap %s: %w", key, v1alpha1.AgentBundle, err)
	}
	if len(bundle.Endpoints) > maxEndpoints {
		return nil, fmt.Errorf("reading %s of ConfigMap %s: %d endpoints are more than %d",
			key, v1alpha1.AgentBundle, len(bundle.Endpoints), maxEndpoints)
	}
	endpoints := make([]Endpoint, 0, len(bundle.Endpoints))
	for i, e := range bundle.Endpoints {
		endpoint, err := parseEndpoint(e.URL, e.CA)
		if err != nil {
			return nil, fmt.Errorf("reading %s of ConfigMap %s: endpoint %d: %w", key, v1alpha1.AgentBundle, i, err)
		}
		endpoints = append(endpoints, endpoint)
	}
	return endpoints, nil
}

// worthTrying returns the endpoints to try instead of the present one, best
// first: the better ones while the present one works, all others while it does not.
func worthTrying(candidates []Endpoint, present Endpoint, works bool) []Endpoint {
	if i := slices.Index(candidates, present); works && i >= 0 {
		return candidates[:i]
	}
	return slices.DeleteFunc(slices.Clone(candidates), func(e Endpoint) bool { return e == present })
}

// watchCluster follows the own ManagedCluster. The selector is what makes the
// watch permitted: the agent's role names this one object.
func (s *session) watchCluster(ctx context.Context) error {
	lw := cache.NewListWatchFromClient(s.atlhyper, "managedclusters", "", fields.OneTermEqualSelector("metadata.name", s.cluster))
	return s.watch(ctx, lw, &v1alpha1.ManagedCluster{}, func(obj any) {
		cluster, _ := obj.(*v1alpha1.ManagedCluster)
		s.setView(cluster)
		s.state.Lock()
		s.sawCluster = true
		s.state.Unlock()
		signal(s.seen)
	})
}

// watchBundle follows the ConfigMap with which the hub says where it is, where it
// takes telemetry, and what to compare metrics with.
func (s *session) watchBundle(ctx context.Context) error {
	lw := cache.NewListWatchFromClient(s.core.RESTClient(), "configmaps", s.namespace, fields.OneTermEqualSelector("metadata.name", v1alpha1.AgentBundle))
	return s.watch(ctx, lw, &corev1.ConfigMap{}, func(obj any) {
		var data map[string]string
		if bundle, _ := obj.(*corev1.ConfigMap); bundle != nil {
			data = bundle.Data
			s.setThresholds(data[v1alpha1.BundleThresholds])
		}
		if ingest, err := parseBundle(v1alpha1.BundleIngest, data[v1alpha1.BundleIngest]); err != nil {
			s.log.Error(err, "Delivering telemetry to where it was delivered before")
		} else {
			s.setIngest(ingest)
		}
		endpoints, err := parseBundle(v1alpha1.BundleEndpoints, data[v1alpha1.BundleEndpoints])
		if err != nil {
			s.log.Error(err, "Staying with the endpoints known before")
			return
		}
		s.state.Lock()
		s.candidates = endpoints
		s.state.Unlock()
		signal(s.bundled)
	})
}

// watch calls seen with each version of the one object that lw selects, and with
// nil when it is deleted, until ctx ends.
func (s *session) watch(ctx context.Context, lw *cache.ListWatch, kind runtime.Object, seen func(obj any)) error {
	informer := cache.NewSharedIndexInformerWithOptions(lw, kind, cache.SharedIndexInformerOptions{})
	if err := errors.Join(
		informer.SetTransform(func(obj any) (any, error) {
			if accessor, err := meta.Accessor(obj); err == nil {
				accessor.SetManagedFields(nil)
			}
			return obj, nil
		}),
		// The heartbeat says that the hub is away; the watch need not say it too.
		informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
			s.log.V(1).Info("Watch of the hub was interrupted", "kind", fmt.Sprintf("%T", kind), "reason", cause(err).Error())
		}),
	); err != nil {
		return fmt.Errorf("preparing a watch: %w", err)
	}
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    seen,
		UpdateFunc: func(_, obj any) { seen(obj) },
		DeleteFunc: func(any) { seen(nil) },
	}); err != nil {
		return fmt.Errorf("preparing a watch: %w", err)
	}
	// Nor need the library say it in words of its own.
	informer.RunWithContext(klog.NewContext(ctx, s.log.V(1)))
	return nil
}

// followEndpoints moves to the best endpoint of the bundle that works: when the
// bundle changes, when the present one fails, and now and then while a better
// one does not work.
func (s *session) followEndpoints(ctx context.Context) error {
	for {
		pause := jitter(s.timing.EndpointRetry, random())
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-s.bundled:
		case <-s.trouble:
		case <-timer.C:
		}
		timer.Stop()
		s.follow(ctx)
	}
}

func (s *session) follow(ctx context.Context) {
	works := s.Status().State != HubUnreachable
	s.state.Lock()
	candidates, present, lease := s.candidates, s.current, s.heldLease
	s.state.Unlock()
	if lease == "" {
		// Without the Lease's UID no endpoint can show that it is the same hub.
		return
	}
	for _, endpoint := range worthTrying(candidates, present.Endpoint, works) {
		next := present
		next.Endpoint = endpoint
		l, err := s.newLink(next, s.transport.current().session)
		if err == nil {
			err = s.checkLink(ctx, l, lease)
		}
		if err != nil {
			s.log.V(1).Info("Endpoint of the hub does not work", "hub", endpoint.URL, "reason", err.Error())
			continue
		}
		s.moveTo(l)
		return
	}
}

// checkLink says why a link does not lead to the hub that holds our Lease.
func (s *session) checkLink(ctx context.Context, l *link, lease types.UID) error {
	uid, err := s.leaseUID(ctx, l)
	if err == nil && uid != lease {
		err = errors.New("it is another hub: its Lease has another UID")
	}
	if err != nil {
		l.rt.CloseIdleConnections()
	}
	return err
}

func (s *session) moveTo(l *link) {
	s.state.Lock()
	before := s.current.Endpoint
	s.current.Endpoint = l.endpoint
	// The token may have been renewed while the endpoint was tried.
	s.transport.use(l.withToken(s.current.Token))
	s.state.Unlock()
	s.stored.Store(false)
	signal(s.dirty)
	signal(s.moved)
	s.log.Info("Following the hub to another endpoint", "from", before.URL, "to", l.endpoint.URL, "newCA", before.CA != l.endpoint.CA)
}
