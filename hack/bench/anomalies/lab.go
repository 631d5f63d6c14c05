// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/history/store"
	"github.com/atlhyper/atlhyper/internal/testing/controlplane"
	"github.com/atlhyper/atlhyper/internal/testing/database"
	"github.com/atlhyper/atlhyper/internal/testing/fleet"
	"github.com/atlhyper/atlhyper/internal/testing/process"
)

const (
	memberName = "member"
	// grace is how long a program gets to stop by itself.
	grace = 20 * time.Second
	// patience is how long a row may take before the run fails.
	patience = 60 * time.Second
)

// lab is everything that runs.
type lab struct {
	dir string
	// writers is how many requests to the API server are under way at a time.
	writers int
	hub     fleet.Hub
	member  fleet.Member
	kube    kubernetes.Interface
	watch   *watcher
	// marker is a pod that is always broken: what an agent tells of it says that the
	// agent has seen everything.
	marker string

	joinFolder string
	metrics    string
	replica    *process.Process
	agent      *process.Process
	postgres   *database.Server
	past       *past
}

func newLab(ctx context.Context, dir string, writers int) (_ *lab, err error) {
	l := &lab{dir: dir, writers: writers}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	programs, err := fleet.Build(ctx, bin)
	if err != nil {
		return nil, err
	}
	if err := l.startControlPlanes(ctx, programs); err != nil {
		return nil, err
	}
	config := l.member.Config()
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeProtobuf, runtime.ContentTypeProtobuf // as cheap as it can be
	if l.kube, err = kubernetes.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	if l.watch, err = startWatcher(ctx, l.kube); err != nil {
		return nil, err
	}
	if err := l.hub.Install(ctx); err != nil {
		return nil, err
	}
	if l.hub.IngestAddress, err = fleet.FreeAddress(ctx); err != nil {
		return nil, err
	}
	l.metrics, err = fleet.FreeAddress(ctx)
	return l, err
}

func (l *lab) startControlPlanes(ctx context.Context, programs fleet.Programs) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		l.hub.Cluster, err = fleet.StartCluster(ctx, programs, "hub", l.dir, controlplane.Options{ControllerManager: true})
		return err
	})
	group.Go(func() (err error) {
		l.member.Cluster, err = fleet.StartCluster(ctx, programs, memberName, l.dir, controlplane.Options{})
		return err
	})
	return group.Wait()
}

// use has the hub keep its history in an empty database of a kind.
func (l *lab) use(ctx context.Context, kind string) (err error) {
	if err := l.stopPrograms(); err != nil {
		return err
	}
	if kind == "sqlite" {
		l.hub.DSN = "sqlite://" + filepath.Join(l.dir, "history.db")
	} else {
		if l.postgres, err = database.PostgresIn(ctx, ""); err != nil {
			return err
		}
		if l.hub.DSN, err = l.postgres.NewDatabase(ctx); err != nil {
			return err
		}
	}
	if l.replica, err = l.hub.StartReplica(ctx, "hub-"+kind); err != nil {
		return err
	}
	if err := l.join(ctx); err != nil {
		return err
	}
	return l.openPast(ctx)
}

// join makes the member a managed cluster, once.
func (l *lab) join(ctx context.Context) (err error) {
	if l.joinFolder != "" {
		return nil
	}
	if err := l.hub.Apply(ctx, "gitops", "apiVersion: atlhyper.io/v1alpha1\nkind: ManagedCluster\nmetadata: {name: "+memberName+"}\n"); err != nil {
		return err
	}
	if _, err := l.hub.Kubectl(ctx, "wait", "--for=condition=Ready", "managedcluster/"+memberName, "--timeout=60s"); err != nil {
		return err
	}
	l.joinFolder, err = l.member.Join(ctx, l.hub)
	return err
}

// openPast opens the history as soon as the hub has made it.
func (l *lab) openPast(ctx context.Context) error {
	ns, err := l.kube.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("reading the member's identity: %w", err)
	}
	l.past = &past{cluster: history.ClusterUID(ns.UID)}
	return until(ctx, 50*time.Millisecond, func() (bool, error) {
		s, err := store.Open(ctx, l.hub.DSN, store.Options{ReadOnly: true, Connections: 2})
		if err != nil {
			return false, nil //nolint:nilerr // not yet
		}
		l.past.store = s
		if _, err := l.past.news(ctx); err == nil {
			return true, nil
		}
		return false, s.Close()
	})
}

func (l *lab) stopPrograms() error {
	errs := []error{l.stopAgent()}
	if l.past != nil && l.past.store != nil {
		errs = append(errs, l.past.store.Close())
		l.past = nil
	}
	if l.replica != nil {
		errs = append(errs, l.replica.Stop(grace))
		l.replica = nil
	}
	if l.postgres != nil {
		errs = append(errs, l.postgres.Close())
		l.postgres = nil
	}
	return errors.Join(errs...)
}

func (l *lab) close() error {
	errs := []error{l.stopPrograms()}
	if l.watch != nil {
		l.watch.close()
	}
	for _, c := range []fleet.Cluster{l.member.Cluster, l.hub.Cluster} {
		if c.ControlPlane != nil {
			errs = append(errs, c.Stop())
		}
	}
	return errors.Join(errs...)
}

// until asks again and again until the answer is yes or an error.
func until(ctx context.Context, every time.Duration, ask func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("it did not happen within %s", patience))
	defer cancel()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if done, err := ask(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
