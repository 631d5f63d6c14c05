// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/agent/hubconn"
	"github.com/atlhyper/atlhyper/agent/inventory"
	"github.com/atlhyper/atlhyper/agent/report"
	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/observability"
	"github.com/atlhyper/atlhyper/internal/testing/fleet"
)

// joinersAtOnce bounds how many clusters join at the same time, as a person who
// rolls out a fleet would.
const joinersAtOnce = 16

// agents are simulated agents: the agent's own connection and reporter, over an
// inventory that stands still.
type agents struct {
	running sync.WaitGroup
	mu      sync.Mutex
	err     error
}

func (a *agents) wait() error {
	a.running.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// startAgents commits n clusters, each with a request for a join Secret, and
// joins an agent to each of them.
func startAgents(ctx context.Context, hub fleet.Hub, n int, dir string) (*agents, error) {
	c, err := hubClient(hub)
	if err != nil {
		return nil, err
	}
	a := &agents{}
	group, joinCtx := errgroup.WithContext(ctx)
	group.SetLimit(joinersAtOnce)
	for i := range n {
		name := fmt.Sprintf("cluster-%04d", i)
		group.Go(func() error {
			folder, err := requestJoin(joinCtx, c, name, dir)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return a.start(ctx, folder)
		})
	}
	return a, group.Wait()
}

// requestJoin commits a ManagedCluster and writes the join Secret that the hub
// answers with into a folder.
func requestJoin(ctx context.Context, c client.Client, name, dir string) (string, error) {
	nonce := string(uuid.NewUUID())
	mc := &v1alpha1.ManagedCluster{ObjectMeta: metav1.ObjectMeta{
		Name: name, Annotations: map[string]string{v1alpha1.AnnotationJoinRequest: nonce},
	}}
	if err := c.Create(ctx, mc); err != nil {
		return "", err
	}
	secret := &corev1.Secret{}
	key := client.ObjectKey{Namespace: v1alpha1.ClusterNamespacePrefix + name, Name: v1alpha1.AgentJoinSecret}
	err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, 2*time.Minute, true, func(ctx context.Context) (bool, error) {
		err := c.Get(ctx, key, secret)
		return err == nil && len(secret.Data[v1alpha1.CredentialToken]) > 0, client.IgnoreNotFound(err)
	})
	if err != nil {
		return "", fmt.Errorf("waiting for the join Secret: %w", err)
	}
	folder := filepath.Join(dir, "join", name)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	for file, value := range secret.Data {
		if err := os.WriteFile(filepath.Join(folder, file), value, 0o600); err != nil {
			return "", err
		}
	}
	return folder, nil
}

func (a *agents) start(ctx context.Context, folder string) error {
	id := string(uuid.NewUUID())
	connection, err := hubconn.New(hubconn.Options{
		ClusterID: func(context.Context) (string, error) { return id, nil },
		JoinDir:   folder,
		Store:     &memoryStore{},
		Version:   observability.Version(),
	})
	if err != nil {
		return err
	}
	reporter, err := report.New(report.Options{
		Inventory: still{id: id}, Hub: connection,
		Agent: report.Agent{Version: observability.Version(), StartedAt: time.Now()},
	})
	if err != nil {
		return err
	}
	for _, run := range []func(context.Context) error{connection.Run, reporter.Run} {
		a.running.Go(func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				a.mu.Lock()
				defer a.mu.Unlock()
				a.err = err
			}
		})
	}
	return nil
}

// still is the inventory of a cluster of 10 nodes and 300 pods in which nothing happens.
type still struct{ id string }

func (still) Changed() <-chan struct{} { return nil }

func (s still) Snapshot() inventory.Snapshot {
	return inventory.Snapshot{
		ClusterID:  s.id,
		Kubernetes: inventory.KubernetesInfo{Version: "v1.37.2", Platform: "Simulated"},
		Nodes:      &inventory.NodeCounts{Ready: 10, Total: 10},
		Pods:       &inventory.PodCounts{Total: 300, Running: 300},
		Workloads:  inventory.WorkloadCounts{Deployments: new(int32(40)), DaemonSets: new(int32(4))},
		Capacity:   &inventory.Resources{CPUMillis: 160_000, MemoryBytes: 640 << 30, Pods: 1100},
		Allocatable: &inventory.Resources{
			CPUMillis: 158_000, MemoryBytes: 620 << 30, Pods: 1100,
		},
		Requested: &inventory.Resources{CPUMillis: 90_000, MemoryBytes: 300 << 30, Pods: 300},
		Synced:    true,
		APIServer: inventory.APIServerHealth{Healthy: new(true), Since: time.Unix(1_700_000_000, 0), Message: "ok"},
	}
}

// memoryStore keeps a session for as long as the benchmark runs.
type memoryStore struct {
	mu      sync.Mutex
	session *hubconn.Credentials
}

// Load implements hubconn.SessionStore.
func (s *memoryStore) Load(context.Context) (hubconn.Credentials, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session == nil {
		return hubconn.Credentials{}, hubconn.ErrNoSession
	}
	return *s.session, nil
}

// Save implements hubconn.SessionStore.
func (s *memoryStore) Save(_ context.Context, session hubconn.Credentials) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.session = &session
	return nil
}

// Clear implements hubconn.SessionStore.
func (s *memoryStore) Clear(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.session = nil
	return nil
}
