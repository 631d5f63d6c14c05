// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package agent

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/resource"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/atlhyper/atlhyper/agent/anomalies"
	"github.com/atlhyper/atlhyper/agent/hubconn"
	"github.com/atlhyper/atlhyper/agent/nodes"
	"github.com/atlhyper/atlhyper/agent/report"
	"github.com/atlhyper/atlhyper/agent/spool"
	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/observability"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

const (
	// DefaultJoinDir is where the agent's Deployment mounts the join Secret.
	DefaultJoinDir = "/var/run/atlhyper/join"

	// DefaultSpoolDir is where the agent's Deployment mounts the spool's volume.
	DefaultSpoolDir = "/var/lib/atlhyper/spool"

	defaultProbeAddress   = ":8081"
	defaultNodesAddress   = ":8444"
	defaultSpoolMaxBytes  = "256Mi"
	defaultSpoolMaxAge    = 24 * time.Hour
	defaultStatusInterval = 10 * time.Second

	minSpoolBytes = 8 << 20

	memberQPS   = 20
	memberBurst = 40
)

// Config is everything that can be set from outside. BindFlags documents each
// field and sets its default.
type Config struct {
	// Kubeconfig is the file that leads to the member cluster; "" means the
	// ServiceAccount of the pod this runs in.
	Kubeconfig string
	// Namespace is where the session Secret is. Defaults to
	// v1alpha1.MemberNamespace.
	Namespace string
	// JoinDir is the folder of the join token. Defaults to DefaultJoinDir.
	JoinDir string
	// HealthProbeBindAddress is where /healthz and /readyz are served; "0" means
	// nowhere. Defaults to ":8081".
	HealthProbeBindAddress string
	// MetricsBindAddress is where /metrics is served, over plain HTTP; "0" means
	// nowhere. Defaults to "0".
	MetricsBindAddress string
	// NodesBindAddress is where node collectors deliver, over TLS; "0" means
	// nowhere. Defaults to ":8444".
	NodesBindAddress string
	// NodesHosts are names and addresses, separated by commas, by which collectors
	// may call the agent besides those of its Service.
	NodesHosts string
	// NamesOf lists, separated by commas, which of ConfigMap and Secret are told to
	// the hub, with names and labels alone. Empty for none.
	NamesOf string
	// KubeletInterval is the time between two readings of each node's kubelet, from 15 s
	// to 2 min; 0 for none, the default.
	KubeletInterval time.Duration
	// KubeletAccess is "proxy", the default, to have the API server ask kubelets, or
	// "direct" to ask them from here.
	KubeletAccess string
	// KubeletCAFile has the authorities, in PEM, whose certificates kubelets that are
	// asked directly have to show. Empty for the one of the API server.
	KubeletCAFile string
	// EvidenceLogLines is how many of the last lines of a container's log are attached
	// to an anomaly about its end, from 0, the default, to 100.
	EvidenceLogLines int
	// StatusMinInterval is the least time between two reports of an ordinary
	// change. At least 1 s; defaults to 10 s.
	StatusMinInterval time.Duration
	// SpoolDir is the folder where telemetry waits for the hub. What has to outlive
	// a restart besides is in its folder state. Defaults to DefaultSpoolDir.
	SpoolDir string
	// SpoolMaxBytes is what may wait there, as a Kubernetes quantity such as
	// "256Mi". Defaults to 256Mi.
	SpoolMaxBytes string
	// SpoolMaxAge is how old what waits may grow. Defaults to 24 h.
	SpoolMaxAge time.Duration
	// Timing are the times of the connection to the hub. It has no flags.
	Timing hubconn.Timing
	// Logger receives the log. Defaults to nowhere.
	Logger logr.Logger
}

// BindFlags adds the agent's flags to a flag set.
func (c *Config) BindFlags(fs *flag.FlagSet) {
	fs.StringVar(&c.Kubeconfig, "kubeconfig", "",
		"File that leads to the cluster to watch. Empty for the ServiceAccount of the pod.")
	fs.StringVar(&c.Namespace, "namespace", v1alpha1.MemberNamespace,
		"Namespace of the Secret "+v1alpha1.MemberSessionSecret+".")
	fs.StringVar(&c.JoinDir, "join-dir", DefaultJoinDir,
		"Folder with the join token: the files cluster, hub-url, hub-ca.crt, token and join-id.")
	fs.StringVar(&c.HealthProbeBindAddress, "health-probe-bind-address", defaultProbeAddress,
		"Address of /healthz and /readyz. 0 to serve neither.")
	fs.StringVar(&c.MetricsBindAddress, "metrics-bind-address", "0",
		"Address of /metrics, in the clear: it says how much is delivered and what was lost, and names nothing of the cluster. 0 to serve none.")
	fs.StringVar(&c.NodesBindAddress, "nodes-bind-address", defaultNodesAddress,
		"Address where node collectors deliver, over TLS. 0 to take nothing from them.")
	fs.StringVar(&c.NodesHosts, "nodes-hosts", "",
		"Names and addresses, separated by commas, by which node collectors may call this agent besides those of its Service.")
	fs.StringVar(&c.NamesOf, "names-of", "",
		"Which of ConfigMap and Secret, separated by commas, to tell the hub of, with names and labels alone. The agent's ClusterRole has to allow listing them, and whoever may list Secrets may read them.")
	fs.DurationVar(&c.KubeletInterval, "kubelet-interval", 0,
		"Time between two readings of each node's kubelet, from 15s to 2m, for how full claims are and for what containers use. 0 to read none. "+
			"It takes the rights in config/agent/kubelet or config/agent/kubelet-direct.")
	fs.StringVar(&c.KubeletAccess, "kubelet-access", kubeletProxy,
		"How to read kubelets: proxy has the API server ask them, which takes a right that reaches further than reading; "+
			"direct asks them from here, which takes certificates that the cluster's authority signed.")
	fs.StringVar(&c.KubeletCAFile, "kubelet-ca-file", "",
		"File with the authorities of kubelets for --kubelet-access=direct. Empty for the one of the API server.")
	fs.IntVar(&c.EvidenceLogLines, "evidence-log-lines", 0,
		"How many of the last lines of a container's log to attach to an anomaly about its end, from 0 to 100, without what looks like a credential. It takes the right in config/agent/logs.")
	fs.DurationVar(&c.StatusMinInterval, "status-min-interval", defaultStatusInterval,
		"Least time between two reports to the hub. A change of health is reported at once.")
	fs.StringVar(&c.SpoolDir, "spool-dir", DefaultSpoolDir, "Folder where telemetry waits while the hub is away, and where is remembered which anomalies are open.")
	fs.StringVar(&c.SpoolMaxBytes, "spool-max-bytes", defaultSpoolMaxBytes,
		"How much may wait in --spool-dir, such as 256Mi. What is beyond is dropped, the least valuable first, and told to the hub as a gap.")
	fs.DurationVar(&c.SpoolMaxAge, "spool-max-age", defaultSpoolMaxAge, "How old what waits in --spool-dir may grow before it is dropped.")
}

func (c *Config) complete() error {
	if c.Namespace == "" {
		c.Namespace = v1alpha1.MemberNamespace
	}
	if c.JoinDir == "" {
		c.JoinDir = DefaultJoinDir
	}
	if c.HealthProbeBindAddress == "" {
		c.HealthProbeBindAddress = defaultProbeAddress
	}
	if c.MetricsBindAddress == "" {
		c.MetricsBindAddress = "0"
	}
	if c.NodesBindAddress == "" {
		c.NodesBindAddress = defaultNodesAddress
	}
	if c.StatusMinInterval == 0 {
		c.StatusMinInterval = defaultStatusInterval
	}
	if c.StatusMinInterval < time.Second {
		return fmt.Errorf("--status-min-interval is %s; it must be at least 1s", c.StatusMinInterval)
	}
	if c.SpoolDir == "" {
		c.SpoolDir = DefaultSpoolDir
	}
	if c.SpoolMaxBytes == "" {
		c.SpoolMaxBytes = defaultSpoolMaxBytes
	}
	if _, err := c.spoolBytes(); err != nil {
		return err
	}
	if _, err := c.namesOf(); err != nil {
		return err
	}
	if c.SpoolMaxAge == 0 {
		c.SpoolMaxAge = defaultSpoolMaxAge
	}
	if c.SpoolMaxAge < time.Minute {
		return fmt.Errorf("--spool-max-age is %s; it must be at least 1m", c.SpoolMaxAge)
	}
	if c.Logger.GetSink() == nil {
		c.Logger = logr.Discard()
	}
	return checkLogLines(c.EvidenceLogLines)
}

func (c *Config) namesOf() ([]telemetry.Kind, error) {
	kinds := map[string]telemetry.Kind{"ConfigMap": telemetry.KindConfigMap, "Secret": telemetry.KindSecret}
	var out []telemetry.Kind
	for _, name := range strings.FieldsFunc(c.NamesOf, func(r rune) bool { return r == ',' || r == ' ' }) {
		kind, ok := kinds[name]
		if !ok {
			return nil, fmt.Errorf("--names-of has %q; it may have ConfigMap and Secret", name)
		}
		out = append(out, kind)
	}
	return out, nil
}

func (c *Config) spoolBytes() (int64, error) {
	quantity, err := resource.ParseQuantity(c.SpoolMaxBytes)
	if err != nil || quantity.Value() < minSpoolBytes {
		return 0, fmt.Errorf("--spool-max-bytes is %q; it must be a quantity of at least %dMi, such as 256Mi", c.SpoolMaxBytes, minSpoolBytes>>20)
	}
	return quantity.Value(), nil
}

// Run runs the agent until ctx ends. It outlives its own API server and the hub
// being away, and fails only for what no waiting can cure: a wrong setting, or an
// address it cannot serve its probes at.
func Run(ctx context.Context, config Config) error {
	if err := config.complete(); err != nil {
		return err
	}
	member, err := memberConfig(config.Kubeconfig)
	if err != nil {
		return err
	}
	ship, err := config.delivery()
	if err != nil {
		return err
	}
	core, err := corev1client.NewForConfig(member)
	if err != nil {
		return fmt.Errorf("making a client for this cluster: %w", err)
	}
	judged, err := anomalies.New(anomalies.Options{
		Sink: ship, File: filepath.Join(config.SpoolDir, "state", "anomalies.json"), Lines: lastLines(core, config.EvidenceLogLines),
		Logger: config.Logger.WithName("anomalies"),
	})
	if err != nil {
		return err
	}
	inv, readKubelets, err := config.watching(member, ship, judged)
	if err != nil {
		return err
	}
	if err := ship.registry.Register(anomalies.NewCollector(judged.Stats)); err != nil {
		return fmt.Errorf("registering the metrics about anomalies: %w", err)
	}
	ship.options.Lost = func(stream telemetry.Stream) { inv.Resync(stream); judged.Resync(stream) }
	hub, err := hubconn.New(hubconn.Options{
		ClusterID:  inv.ClusterID,
		JoinDir:    config.JoinDir,
		Store:      hubconn.NewSecretStore(core, config.Namespace),
		Thresholds: judged.Thresholds,
		Version:    observability.Version(),
		Logger:     config.Logger.WithName("hub"),
		Timing:     config.Timing,
	})
	if err != nil {
		return err
	}
	ship.hub = hub
	receiver, err := config.receiver(member, ship, judged)
	if err != nil {
		return err
	}
	reporter, err := report.New(report.Options{
		Inventory:   inv,
		Nodes:       reported(receiver),
		Anomalies:   judged,
		Hub:         hub,
		Agent:       report.Agent{Version: observability.Version(), StartedAt: time.Now()},
		Delivery:    ship.state,
		MinInterval: config.StatusMinInterval,
		Logger:      config.Logger.WithName("report"),
	})
	if err != nil {
		return err
	}
	config.Logger.Info("Starting the agent", "version", observability.Version(), "joinDir", config.JoinDir)

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return inv.Run(ctx) })
	group.Go(func() error { return readKubelets(ctx) })
	group.Go(func() error { return judged.Run(ctx) })
	group.Go(func() error { return hub.Run(ctx) })
	group.Go(func() error { return reporter.Run(ctx) })
	group.Go(func() error { return ship.run(ctx) })
	if receiver != nil {
		group.Go(func() error { return receiver.Run(ctx) })
	}
	group.Go(func() error {
		return serve(ctx, "health-probe-bind-address", config.HealthProbeBindAddress, probes(hub.Status))
	})
	group.Go(func() error { return serve(ctx, "metrics-bind-address", config.MetricsBindAddress, ship.metrics()) })
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func (c *Config) delivery() (*delivery, error) {
	bytes, err := c.spoolBytes()
	if err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	if err := errors.Join(
		registry.Register(collectors.NewGoCollector()), registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
	); err != nil {
		return nil, fmt.Errorf("registering the metrics of the process: %w", err)
	}
	return &delivery{
		registry: registry,
		dir:      c.SpoolDir, options: spool.Options{MaxBytes: bytes, MaxAge: c.SpoolMaxAge},
		version: observability.Version(), log: c.Logger.WithName("telemetry"),
	}, nil
}

// receiver returns what takes the node collectors' samples, nil for nothing.
func (c *Config) receiver(member *rest.Config, ship *delivery, judged *anomalies.Anomalies) (*nodes.Receiver, error) {
	if c.NodesBindAddress == "0" {
		return nil, nil //nolint:nilnil // documented
	}
	receiver, err := nodes.New(member, nodes.Options{
		Address: c.NodesBindAddress, Sink: nodeSink{ship}, Namespace: c.Namespace,
		Observe: func(l nodes.Latest) { judged.ObserveSample(l.Sample, l.Moment.Add(-l.Behind), l.Moment) },
		Hosts:   strings.FieldsFunc(c.NodesHosts, func(r rune) bool { return r == ',' || r == ' ' }),
		Logger:  c.Logger.WithName("nodes"),
	})
	if err != nil {
		return nil, fmt.Errorf("preparing to take samples of nodes: %w", err)
	}
	if err := ship.registry.Register(nodes.NewCollector(receiver.Stats)); err != nil {
		return nil, fmt.Errorf("registering the metrics about nodes: %w", err)
	}
	return receiver, nil
}

// reported keeps a nil Receiver from being an interface that is not nil.
func reported(receiver *nodes.Receiver) report.Nodes {
	if receiver == nil {
		return nil
	}
	return receiver
}

func memberConfig(kubeconfig string) (*rest.Config, error) {
	var config *rest.Config
	var err error
	if kubeconfig == "" {
		if config, err = rest.InClusterConfig(); err != nil {
			return nil, fmt.Errorf("reading the pod's ServiceAccount (outside a cluster, pass --kubeconfig): %w", err)
		}
	} else if config, err = clientcmd.BuildConfigFromFlags("", kubeconfig); err != nil {
		return nil, fmt.Errorf("reading --kubeconfig: %w", err)
	}
	config.UserAgent = "atlhyper-agent/" + observability.Version()
	config.QPS, config.Burst = memberQPS, memberBurst
	return config, nil
}
