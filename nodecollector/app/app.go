// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package app is the node collector as a program: it measures the node it runs on
// and delivers what it measures to the agent of its cluster.
package app

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/atlhyper/atlhyper/internal/observability"
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/nodecollector"
	"github.com/atlhyper/atlhyper/nodecollector/exposition"
	"github.com/atlhyper/atlhyper/nodecollector/push"
)

const (
	// DefaultAgentURL is where the manifests put the agent.
	DefaultAgentURL = "https://atlhyper-agent.atlhyper-system.svc:8444"

	defaultFolder = "/var/run/atlhyper/agent/"
)

// Config is everything that can be set from outside. BindFlags documents each
// field and sets its default.
type Config struct {
	// NodeName is the name of the node. Required.
	NodeName string
	// AgentURL is the https URL of the agent. Defaults to DefaultAgentURL.
	AgentURL string
	// AgentCAFile has the certificates that the agent is verified with. Defaults to
	// where the manifests mount them.
	AgentCAFile string
	// TokenFile has the token for the agent. Defaults to where the manifests mount it.
	TokenFile string
	// Root, ProcPath and SysPath are where the machine's root, /proc and /sys are.
	// They default to / and what is below it.
	Root, ProcPath, SysPath string
	// NetworkScope is host when the collector runs with hostNetwork, pod when it sees
	// its pod's network alone, and auto for finding out, which says pod when it is not
	// certain. Defaults to auto.
	NetworkScope string
	// Exclude says what is left out. Defaults to what BindFlags documents.
	Exclude Patterns
	// Interval is the time between two samples. At least 1 s; defaults to 15 s.
	Interval time.Duration
	// Keep is for how long samples are kept while the agent is away. Defaults to 1 h.
	Keep time.Duration
	// MetricsBindAddress is where /metrics serves the same values under node_exporter's
	// names, and what became of the samples, in the clear; "0" means nowhere. Defaults
	// to "0".
	MetricsBindAddress string
	// Logger receives the log. Defaults to nowhere.
	Logger *slog.Logger
}

// BindFlags adds the collector's flags to a flag set.
func (c *Config) BindFlags(fs *flag.FlagSet) {
	fs.StringVar(&c.NodeName, "node-name", "", "Name of the node that this runs on. Required.")
	fs.StringVar(&c.AgentURL, "agent-url", DefaultAgentURL, "https URL of the agent.")
	fs.StringVar(&c.AgentCAFile, "agent-ca-file", defaultFolder+"ca.crt",
		"File with the PEM certificates that the agent is verified with. It may appear and change at any time.")
	fs.StringVar(&c.TokenFile, "token-file", defaultFolder+"token", "File with the token for the agent. It may change at any time.")
	fs.StringVar(&c.Root, "root", "/", "Where the machine's root is mounted.")
	fs.StringVar(&c.ProcPath, "proc", "", "Where the machine's /proc is mounted. Empty for proc below --root.")
	fs.StringVar(&c.SysPath, "sys", "", "Where the machine's /sys is mounted. Empty for sys below --root.")
	fs.StringVar(&c.NetworkScope, "network-scope", "auto",
		"Whose network interfaces there are to see: host when this runs with hostNetwork, pod, or auto to find out. What is seen of a pod is never shown as the node's.")
	c.Exclude.bindFlags(fs)
	fs.StringVar(&c.MetricsBindAddress, "metrics-bind-address", "0",
		"Address of /metrics, in the clear: the same values under node_exporter's names, and what became of the samples, for a Prometheus in the cluster. 0 to serve none.")
	fs.DurationVar(&c.Interval, "interval", push.DefaultInterval, "Time between two samples.")
	fs.DurationVar(&c.Keep, "keep", push.DefaultKeep, "How long samples are kept in memory while the agent is away. Older ones are dropped and counted.")
}

// Run measures and delivers until ctx ends, and then delivers what is left, for at
// most 5 s. It fails only for a wrong setting.
func Run(ctx context.Context, c Config) error {
	c.Interval = cmp.Or(c.Interval, push.DefaultInterval)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.NodeName == "" {
		return errors.New("--node-name is required")
	}
	scope, err := scopeNamed(cmp.Or(c.NetworkScope, "auto"))
	if err != nil {
		return err
	}
	pusher, err := push.New(push.Options{
		URL: cmp.Or(c.AgentURL, DefaultAgentURL), CAFile: cmp.Or(c.AgentCAFile, defaultFolder+"ca.crt"), TokenFile: cmp.Or(c.TokenFile, defaultFolder+"token"),
		Interval: c.Interval, Keep: c.Keep, UserAgent: "atlhyper-nodecollector/" + observability.Version(), Logger: c.Logger,
	})
	if err != nil {
		return err
	}
	collector, err := nodecollector.New(nodecollector.Options{
		Node: c.NodeName, Root: c.Root, ProcPath: c.ProcPath, SysPath: c.SysPath, NetworkScope: scope, Logger: c.Logger,
		ExcludeInterfaces: c.Exclude.Interfaces, VirtualInterfaces: c.Exclude.VirtualInterfaces, ExcludeDisks: c.Exclude.Disks,
		ExcludeFilesystems: c.Exclude.Filesystems, ExcludeMounts: c.Exclude.Mounts,
	})
	if err != nil {
		return err
	}
	defer collector.Close()
	c.Logger.Info("Starting the node collector", "version", observability.Version(), "node", c.NodeName, "interval", c.Interval.String())

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return pusher.Run(ctx) })
	group.Go(func() error {
		return serveMetrics(ctx, cmp.Or(c.MetricsBindAddress, "0"), exposition.HandlerWith(collector, pusher))
	})
	group.Go(func() error {
		// Nodes that start together do not measure, and send, in step.
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(untilFirst(time.Now(), c.NodeName, c.Interval, rand.Float64())): //nolint:gosec // spreads load, guards nothing
		}
		memory := thrift{giveBack: debug.FreeOSMemory}
		return collector.Run(ctx, c.Interval, func(s telemetry.NodeSample) {
			pusher.Add(time.Now(), s)
			memory.sampled()
		})
	})
	if err := group.Wait(); err != nil {
		return fmt.Errorf("running the node collector: %w", err)
	}
	return nil
}
