// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// absentLooks is how many looks in a row must not find a kind before it is gone:
// what an API server serves of custom resources can be late after its start.
const absentLooks = 2

// presence follows which version of a kind is served, from look to look.
type presence struct {
	// version is the one to watch, "" for none.
	version string
	// known is set once it is sure whether the kind is served.
	known  bool
	absent int
}

// observe takes what one more look found, "" for nothing, and says whether what
// is known changed.
func (p *presence) observe(version string) bool {
	if version != "" {
		p.absent = 0
		changed := !p.known || p.version != version
		p.version, p.known = version, true
		return changed
	}
	p.absent++
	if p.absent < absentLooks || p.known && p.version == "" {
		return false
	}
	p.version, p.known = "", true
	return true
}

// superviseRoutes watches a kind of route while the cluster has it, until ctx
// ends. It looks for the kind every discoveryInterval, at the price of one small
// request that lists nothing.
func (i *Inventory) superviseRoutes(ctx context.Context, r *routeKind) {
	var state presence
	var running sync.WaitGroup
	stop := func() {}
	defer func() { stop(); running.Wait() }()
	for {
		version, err := i.servedVersion(ctx, r)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			// What is served is unknown; health checks tell of an API server that is away.
			i.options.Logger.V(1).Info("Could not look for a kind of route", "resource", r.name, "reason", err.Error())
		case state.observe(version):
			stop()
			running.Wait()
			stop = i.follow(ctx, r, state.version, &running)
		}
		if (err == nil || isRefusal(err)) && !r.looked.Swap(true) {
			i.note(func(time.Time) bool { return false })
		}
		if !pause(ctx, i.options.discoveryInterval) {
			return
		}
	}
}

// follow starts to watch a version of a kind of route, or notes that there is none.
func (i *Inventory) follow(ctx context.Context, r *routeKind, version string, running *sync.WaitGroup) (stop func()) {
	if version == "" {
		r.served.Store(false)
		i.note(func(time.Time) bool { i.staleness.succeeded(r.name); return false })
		// Objects cannot outlive their kind. It cannot fail: the list is empty.
		_ = r.target.Replace(nil, "")
		return func() {}
	}
	client, err := i.clients.connect(schema.GroupVersion{Group: r.group, Version: version})
	if err != nil {
		i.options.Logger.Error(err, "Cannot watch a kind of route", "resource", r.name)
		return func() {}
	}
	i.options.Logger.Info("Watching a kind of route", "resource", r.name, "version", version)
	r.served.Store(true)
	i.note(func(time.Time) bool { return false })
	ctx, cancel := context.WithCancel(ctx)
	running.Go(func() {
		i.reflect(ctx, &listWatch{client: client, resource: r.resource}, r.name, r.example, r.target)
	})
	return cancel
}

// servedVersion returns the best version of a kind that the API server serves,
// "" when it serves none.
func (i *Inventory) servedVersion(ctx context.Context, r *routeKind) (string, error) {
	for _, version := range r.versions {
		resources, err := i.servedResources(ctx, "/apis/"+r.group+"/"+version)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return "", err
		}
		if slices.ContainsFunc(resources, func(s metav1.APIResource) bool { return s.Name == r.resource }) {
			return version, nil
		}
	}
	return "", nil
}

func (i *Inventory) servedResources(ctx context.Context, path string) ([]metav1.APIResource, error) {
	ctx, cancel := context.WithTimeout(ctx, i.options.HealthTimeout)
	defer cancel()
	body, err := i.clients.core.Get().AbsPath(path).MaxRetries(0).
		SetHeader("Accept", runtime.ContentTypeJSON).DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	var list metav1.APIResourceList
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("reading the answer of %s: %w", path, err)
	}
	return list.APIResources, nil
}
