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
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/atlhyper/atlhyper/internal/testing/controlplane"
	"github.com/atlhyper/atlhyper/internal/testing/process"
)

//go:embed data/*.yaml
var data embed.FS

// grace is how long a program gets to stop by itself.
const grace = 20 * time.Second

// A demo is everything that runs. Its folder holds data, keys, logs and
// kubeconfigs and goes away with it.
type demo struct {
	out  io.Writer
	root string // the checkout
	k8s  string // its Kubernetes binaries
	dir  string

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
		{"Waiting until both clusters are available", d.hub.waitAvailable},
		{"Waiting until the agents have counted everything", d.eachMember((*member).waitCounted)},
	}
}

func newDemo(out io.Writer) (*demo, error) {
	k8s, err := controlplane.Binaries()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "atlhyper-demo-")
	if err != nil {
		return nil, fmt.Errorf("making the demo's folder: %w", err)
	}
	d := &demo{out: out, root: filepath.Dir(filepath.Dir(k8s)), k8s: k8s, dir: dir}
	d.hub = &hub{demo: d}
	d.members = []*member{
		{demo: d, name: "frankfurt", nodes: 6, pods: 34},
		{demo: d, name: "tokyo", nodes: 3, brokenNodes: 1, pods: 7},
	}
	return d, nil
}

// play runs all steps and shows the result.
func (d *demo) play(ctx context.Context) error {
	for _, s := range d.steps() {
		started := time.Now()
		fmt.Fprintf(d.out, "==> %s", s.name)
		if err := s.do(ctx); err != nil {
			fmt.Fprintln(d.out)
			return fmt.Errorf("%s: %w", strings.ToLower(s.name[:1])+s.name[1:], errors.Join(err, d.ended()))
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
	} {
		text, err := d.hub.kubectl(ctx, command...)
		if err != nil {
			return err
		}
		fmt.Fprintf(d.out, "\n$ kubectl %s\n%s", strings.Join(command, " "), text)
	}
	fmt.Fprintf(d.out, `
To look around, in another terminal:

  export KUBECONFIG=%s PATH=%s:%s:$PATH
  kubectl get mc -w
  kubectl describe mc tokyo
  kubectl explain mc.spec.heartbeat

Kill tokyo's agent (kill %d) and see it turn Unknown after 15 s.
The members' kubeconfigs: %s
`, d.hub.cp.Kubeconfig(), filepath.Join(d.root, "bin"), d.k8s, d.members[1].agent.PID(), d.memberKubeconfigs())
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

// ended says which program has ended although it should run.
func (d *demo) ended() error {
	var errs []error
	for _, p := range d.programs() {
		select {
		case <-p.Done():
			errs = append(errs, p.Err())
		default:
		}
	}
	return errors.Join(errs...)
}

func (d *demo) programs() []*process.Process {
	var programs []*process.Process
	for _, m := range d.members {
		if m.agent != nil {
			programs = append(programs, m.agent)
		}
	}
	if d.hub.process != nil {
		programs = append(programs, d.hub.process)
	}
	return programs
}

// close stops the programs before the control planes they talk to.
func (d *demo) close() error {
	var errs []error
	for _, p := range d.programs() {
		errs = append(errs, p.Stop(grace))
	}
	for _, m := range d.members {
		if m.cp != nil {
			errs = append(errs, m.cp.Stop())
		}
	}
	if d.hub.cp != nil {
		errs = append(errs, d.hub.cp.Stop())
	}
	return errors.Join(append(errs, os.RemoveAll(d.dir))...)
}

func (d *demo) startControlPlanes(ctx context.Context) error {
	stages, err := d.writeData("stages.yaml")
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		d.hub.cp, err = d.startControlPlane(ctx, controlplane.Options{Name: "hub", ControllerManager: true})
		return err
	})
	for _, m := range d.members {
		group.Go(func() (err error) {
			m.cp, err = d.startControlPlane(ctx, controlplane.Options{
				Name: m.name, ControllerManager: true, Scheduler: true, KWOKConfig: stages,
			})
			return err
		})
	}
	return group.Wait()
}

func (d *demo) startControlPlane(ctx context.Context, options controlplane.Options) (*controlplane.ControlPlane, error) {
	dir, err := d.folder(options.Name)
	if err != nil {
		return nil, err
	}
	options.Dir, options.Binaries = dir, d.k8s
	return controlplane.Start(ctx, options)
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
		paths = append(paths, m.cp.Kubeconfig())
	}
	return strings.Join(paths, " ")
}

// folder makes a folder of the demo's.
func (d *demo) folder(elements ...string) (string, error) {
	dir := filepath.Join(append([]string{d.dir}, elements...)...)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("making a folder: %w", err)
	}
	return dir, nil
}

// writeData writes an embedded file into the demo's folder, for programs that read files.
func (d *demo) writeData(name string) (string, error) {
	text, err := data.ReadFile("data/" + name)
	if err != nil {
		return "", fmt.Errorf("reading embedded data: %w", err)
	}
	path := filepath.Join(d.dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return "", fmt.Errorf("writing %s: %w", name, err)
	}
	return path, nil
}

// kubectl runs the kubectl that was built with the control plane, and with it
// AtlHyper's plugin, and returns what it prints.
func (d *demo) kubectl(ctx context.Context, kubeconfig string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(d.k8s, "kubectl"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig,
		"PATH="+filepath.Join(d.root, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}
