// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/testing/controlplane"
	"github.com/atlhyper/atlhyper/internal/testing/fleet"
	"github.com/atlhyper/atlhyper/internal/testing/process"
)

const (
	stopTimeout = 30 * time.Second
	joinTimeout = 15 * time.Minute
	// settle lets the work of joining end before the idle fleet is measured.
	settle = 45 * time.Second
)

// result is what one size of fleet costs.
type result struct {
	clusters int
	joined   time.Duration
	empty    usage // the hub without a cluster
	before   usage
	after    usage
	window   time.Duration
}

// benchFleet joins simulated clusters to one hub and measures what they cost
// while nothing happens in them.
func benchFleet(ctx context.Context, out io.Writer, sizes []int, window time.Duration) error {
	var results []result
	for _, n := range sizes {
		r, err := measureFleet(ctx, n, window)
		if err != nil {
			return fmt.Errorf("%d clusters: %w", n, err)
		}
		results = append(results, r)
		fmt.Fprintf(os.Stderr, "%d clusters: done\n", n)
	}
	return printFleet(out, results)
}

func measureFleet(ctx context.Context, n int, window time.Duration) (r result, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dir, err := os.MkdirTemp("", "atlhyper-bench-")
	if err != nil {
		return r, fmt.Errorf("making a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		return r, fmt.Errorf("making a folder: %w", err)
	}
	programs, err := fleet.Build(ctx, bin)
	if err != nil {
		return r, err
	}
	var hub fleet.Hub
	hub.Cluster, err = fleet.StartCluster(ctx, programs, "hub", dir, controlplane.Options{ControllerManager: true})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, hub.Stop()) }()
	if err := hub.Install(ctx); err != nil {
		return r, err
	}
	replica, err := hub.StartReplica(ctx, "hub-0")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, replica.Stop(stopTimeout)) }()

	m := meter{hub: replica, apiServer: hub.APIServer(), config: hub.Config()}
	if err := pause(ctx, 10*time.Second, replica); err != nil {
		return r, err
	}
	if r.empty, err = m.read(ctx); err != nil {
		return r, err
	}

	started := time.Now()
	agents, err := startAgents(ctx, hub, n, dir)
	if err != nil {
		return r, err
	}
	defer func() { cancel(); err = errors.Join(err, agents.wait()) }()
	if err := waitAvailable(ctx, hub, n); err != nil {
		return r, err
	}
	r.clusters, r.joined, r.window = n, time.Since(started), window

	if err := pause(ctx, settle, replica); err != nil {
		return r, err
	}
	if r.before, err = m.read(ctx); err != nil {
		return r, err
	}
	if err := pause(ctx, window, replica); err != nil {
		return r, err
	}
	r.after, err = m.read(ctx)
	return r, err
}

// pause waits, unless the hub ends before.
func pause(ctx context.Context, d time.Duration, hub *process.Process) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-hub.Done():
		return hub.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func hubClient(hub fleet.Hub) (client.Client, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	return client.New(hub.Config(), client.Options{Scheme: scheme})
}

func waitAvailable(ctx context.Context, hub fleet.Hub, n int) error {
	c, err := hubClient(hub)
	if err != nil {
		return err
	}
	available := 0
	err = wait.PollUntilContextTimeout(ctx, time.Second, joinTimeout, true, func(ctx context.Context) (bool, error) {
		list := &v1alpha1.ManagedClusterList{}
		if err := c.List(ctx, list); err != nil {
			return false, err
		}
		available = 0
		for i := range list.Items {
			if meta.IsStatusConditionTrue(list.Items[i].Status.Conditions, v1alpha1.ClusterConditionAvailable) {
				available++
			}
		}
		return available == n, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for %d clusters, %d are available: %w", n, available, err)
	}
	return nil
}

func printFleet(out io.Writer, results []result) error {
	fmt.Fprintln(out, "| clusters | all joined and available after | hub CPU | per cluster | hub memory (RSS) | per cluster | hub traffic per cluster | API server writes | of them Leases | status writes | API server CPU |")
	fmt.Fprintln(out, "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
	for _, r := range results {
		seconds := r.window.Seconds()
		millicores := 1000 * (r.after.hubCPU - r.before.hubCPU).Seconds() / seconds
		server := 1000 * (r.after.apiServerCPU - r.before.apiServerCPU).Seconds() / seconds
		bits := 8 * float64(r.after.hubBytes-r.before.hubBytes) / seconds
		per := func(total float64) float64 { return total / float64(r.clusters) }
		if _, err := fmt.Fprintf(out, "| %d | %.0f s | %.2f mcore | %.4f mcore | %.1f MiB | %.1f KiB | %.3f kbit/s | %.2f/s | %.2f/s | %.3f/s | %.0f mcore |\n",
			r.clusters, r.joined.Seconds(), millicores, per(millicores),
			mebibytes(r.after.hubMemory), per(1024*(mebibytes(r.after.hubMemory)-mebibytes(r.empty.hubMemory))),
			per(bits)/1000,
			(r.after.writes-r.before.writes)/seconds, (r.after.leaseWrites-r.before.leaseWrites)/seconds,
			(r.after.statusWrites-r.before.statusWrites)/seconds, server); err != nil {
			return err
		}
	}
	return nil
}

func mebibytes(bytes uint64) float64 { return float64(bytes) / (1 << 20) }
