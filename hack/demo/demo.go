// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/atlhyper/atlhyper/internal/testing/controlplane"
	"github.com/atlhyper/atlhyper/internal/testing/fleet"
	"github.com/atlhyper/atlhyper/internal/testing/process"
)

//go:embed data/*.yaml
var data embed.FS

// grace is how long a program gets to stop by itself.
const grace = 20 * time.Second

// A demo is everything that runs. Its folder holds data, keys, logs and
// kubeconfigs and goes away with it.
type demo struct {
	out      io.Writer
	programs fleet.Programs
	dir      string

	hub     *hub
	members []*member
}

// step is one thing the demo does. Later parts of AtlHyper add theirs to steps.
type step struct {
	name string
	do   func(context.Context) error
}

func (d *demo) steps() []step {
	return []step{
		{"Starting three control planes (hub, frankfurt, tokyo)", d.startControlPlanes},
		{"Installing AtlHyper's API, roles and admission policies in the hub cluster", d.hub.install},
		{"Starting the hub", d.hub.start},
		{"Filling the members with nodes and workloads", d.eachMember((*member).fill)},
		{"Committing the fleet, as a GitOps tool would", d.hub.commitFleet},
		{"Joining the members", d.eachMember((*member).join)},
		{"Starting the agents", d.eachMember((*member).startAgent)},
		{"Starting a node collector for each node", d.eachMember((*member).startCollectors)},
		{"Waiting until both clusters are available", d.hub.waitAvailable},
		{"Waiting until the agents have counted everything", d.eachMember((*member).waitCounted)},
		{"Waiting until the agents know what their nodes use", d.eachMember((*member).waitMeasured)},
		{"Waiting until the agents have judged what they see", d.eachMember((*member).waitJudged)},
		{"Waiting until the history has records of both clusters", d.hub.waitRecorded},
	}
}

// newDemo prepares a demo whose history is where the DSN says, or for an empty one
// in a file of the demo's folder.
func newDemo(out io.Writer, dsn string) (*demo, error) {
	programs, err := fleet.Locate()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "atlhyper-demo-")
	if err != nil {
		return nil, fmt.Errorf("making the demo's folder: %w", err)
	}
	d := &demo{out: out, programs: programs, dir: dir}
	d.hub = &hub{demo: d}
	if d.hub.DSN = dsn; dsn == "" {
		d.hub.DSN = "sqlite://" + filepath.Join(dir, "history.db")
	}
	// Whoever wants to look around reads it from here: it may hold a password.
	if err := os.WriteFile(d.dsnFile(), []byte(d.hub.DSN), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("writing where the history is: %w", err), os.RemoveAll(dir))
	}
	d.members = []*member{
		{demo: d, name: "frankfurt", nodes: 6, running: 38, succeeded: 2},
		{demo: d, name: "tokyo", nodes: 3, brokenNodes: 1, running: 7, pending: 3},
	}
	return d, nil
}

func (d *demo) dsnFile() string { return filepath.Join(d.dir, "history.dsn") }

// play runs all steps and shows the result.
func (d *demo) play(ctx context.Context) error {
	for _, s := range d.steps() {
		started := time.Now()
		fmt.Fprintf(d.out, "==> %s", s.name)
		if err := s.do(ctx); err != nil {
			fmt.Fprintln(d.out)
			return fmt.Errorf("%s: %w", strings.ToLower(s.name[:1])+s.name[1:], errors.Join(err, d.logs()))
		}
		fmt.Fprintf(d.out, " (%.1f s)\n", time.Since(started).Seconds())
	}
	return d.show(ctx)
}

// show prints what a user would look at first, and how to go on.
func (d *demo) show(ctx context.Context) error {
	for _, command := range [][]string{
		{"get", "managedclusters", "-o", "wide"},
		{"atlhyper", "status"},
		{"atlhyper", "anomalies"},
	} {
		text, err := d.hub.Kubectl(ctx, command...)
		if err != nil {
			return err
		}
		fmt.Fprintf(d.out, "\n$ kubectl %s\n%s", strings.Join(command, " "), text)
	}
	for _, command := range [][]string{
		{"events", "--since=1h", "--limit=5"},
		{"anomalies", "--limit=10"},
		{"inventory", "--cluster=tokyo", "--kind=Pod", "--namespace=shop", "--limit=5"},
		{"metrics", "--cluster=frankfurt", "--node=frankfurt-1", "--metric=cpu_*,load*", "--limit=6"},
	} {
		text, err := d.hub.history(ctx, command...)
		if err != nil {
			return err
		}
		fmt.Fprintf(d.out, "\n$ hub history %s\n%s", strings.Join(command, " "), text)
	}
	fmt.Fprintf(d.out, `
To look around, in another terminal:

  export KUBECONFIG=%s PATH=%s:%s:$PATH
  kubectl get mc -w
  kubectl describe mc tokyo
  kubectl explain mc.spec.heartbeat
  ATLHYPER_DSN=$(cat %s) hub history anomalies --transitions

Kill tokyo's agent (kill %d) and see it turn Unknown after 15 s.
The members' kubeconfigs: %s
`, d.hub.Kubeconfig(), d.programs.AtlHyper, d.programs.Kubernetes, d.dsnFile(), d.members[1].agent.PID(), d.memberKubeconfigs())
	return nil
}

// stay waits for Ctrl-C and complains when something ends before that.
func (d *demo) stay(ctx context.Context) error {
	fmt.Fprintln(d.out, "\nStop everything with Ctrl-C.")
	select {
	case <-ctx.Done():
		fmt.Fprintln(d.out, "\nStopping.")
		return nil
	case <-d.hub.process.Done():
		return d.hub.process.Err()
	}
}

// logs returns the end of every program's log, to go with an error.
func (d *demo) logs() error {
	var errs []error
	for _, p := range d.running() {
		errs = append(errs, fmt.Errorf("the log of process %d ends with:\n%s", p.PID(), p.Tail()))
	}
	return errors.Join(errs...)
}

func (d *demo) running() []*process.Process {
	var programs []*process.Process
	for _, m := range d.members {
		programs = append(programs, m.processes()...)
	}
	if d.hub.process != nil {
		programs = append(programs, d.hub.process)
	}
	return programs
}

// close stops the programs before the control planes they talk to.
func (d *demo) close() error {
	var errs []error
	for _, p := range d.running() {
		errs = append(errs, p.Stop(grace))
	}
	for _, m := range d.members {
		if m.ControlPlane != nil {
			errs = append(errs, m.Stop())
		}
	}
	if d.hub.ControlPlane != nil {
		errs = append(errs, d.hub.Stop())
	}
	return errors.Join(append(errs, os.RemoveAll(d.dir))...)
}

func (d *demo) startControlPlanes(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		d.hub.Cluster, err = fleet.StartCluster(ctx, d.programs, "hub", d.dir, controlplane.Options{ControllerManager: true})
		return err
	})
	for _, m := range d.members {
		group.Go(func() error { return m.start(ctx) })
	}
	return group.Wait()
}

func (d *demo) eachMember(do func(*member, context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		for _, m := range d.members {
			group.Go(func() error {
				if err := do(m, ctx); err != nil {
					return fmt.Errorf("%s: %w", m.name, err)
				}
				return nil
			})
		}
		return group.Wait()
	}
}

func (d *demo) memberKubeconfigs() string {
	var paths []string
	for _, m := range d.members {
		paths = append(paths, m.Kubeconfig())
	}
	return strings.Join(paths, " ")
}
