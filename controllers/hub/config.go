// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package hub

import (
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/observability"
)

// Config is the configuration of a hub. DefaultConfig returns one to start from.
type Config struct {
	// RESTConfig says how to reach the hub's API server. When nil, Kubeconfig does.
	RESTConfig *rest.Config
	// Kubeconfig is the path of a kubeconfig file. When empty, the pod's own
	// ServiceAccount is used, or outside a pod what kubectl would use.
	Kubeconfig string

	// AdvertiseURL is the URL at which agents reach the hub's API server. When
	// empty, join Secrets carry no address and the command line fills it in.
	AdvertiseURL string
	// AdvertiseCAFile is a file with the PEM certificates for AdvertiseURL. When
	// empty, agents verify it with the certificates of their system.
	AdvertiseCAFile string

	// MetricsBindAddress is where metrics are served over TLS to callers that the
	// API server knows and allows to. "0" turns it off.
	MetricsBindAddress string
	// HealthProbeBindAddress is where /healthz and /readyz are served. "0" turns
	// it off.
	HealthProbeBindAddress string

	// LeaderElect makes replicas agree on one that acts. Without it there may be
	// one replica only.
	LeaderElect bool
	// LeaderElectionNamespace is the namespace of the Lease they agree with.
	LeaderElectionNamespace string

	// KubeAPIQPS and KubeAPIBurst limit the requests to the API server, per second
	// and at once.
	KubeAPIQPS   float64
	KubeAPIBurst int
	// ConcurrentReconciles is how many clusters are reconciled at once.
	ConcurrentReconciles int

	// MassOutageFraction is the fraction of the clusters, 0 to 1, that may fall
	// silent at once before the hub suspects itself. 1 turns the guard off.
	MassOutageFraction float64
	// MassOutageHold is for how long it then withholds its verdict at most.
	MassOutageHold time.Duration

	// Telemetry says where history is kept and how agents reach the hub with it.
	Telemetry TelemetryConfig
	// Registerer takes the metrics of history and ingest. Defaults to that of
	// controller-runtime, which the metrics endpoint serves.
	Registerer prometheus.Registerer

	// Log chooses the form and the detail of the log.
	Log observability.LogOptions
	// Version is the version of this hub. Defaults to the version of the build.
	Version string
}

// DefaultConfig returns the configuration that the flags default to.
func DefaultConfig() Config {
	return Config{
		MetricsBindAddress:      ":8443",
		HealthProbeBindAddress:  ":8081",
		LeaderElect:             true,
		LeaderElectionNamespace: v1alpha1.MemberNamespace,
		KubeAPIQPS:              100,
		KubeAPIBurst:            200,
		ConcurrentReconciles:    8,
		MassOutageFraction:      0.55,
		MassOutageHold:          10 * time.Minute,
		Telemetry:               defaultTelemetry(),
	}
}

// BindFlags adds a flag for every field but RESTConfig, Registerer and Version to a flag set,
// with what c holds as defaults.
func (c *Config) BindFlags(fs *flag.FlagSet) {
	fs.StringVar(&c.Kubeconfig, "kubeconfig", c.Kubeconfig,
		"Path of a kubeconfig file. Defaults to the pod's ServiceAccount, or outside a pod to what kubectl would use.")
	fs.StringVar(&c.AdvertiseURL, "advertise-url", c.AdvertiseURL,
		"URL at which agents reach the hub's API server. When empty, the command line that asks for a join token fills it in.")
	fs.StringVar(&c.AdvertiseCAFile, "advertise-ca-file", c.AdvertiseCAFile,
		"File with the PEM certificates for --advertise-url. Defaults to the certificates of the agents' systems.")
	fs.StringVar(&c.MetricsBindAddress, "metrics-bind-address", c.MetricsBindAddress,
		"Where metrics are served, over TLS and to authorized callers. 0 turns it off.")
	fs.StringVar(&c.HealthProbeBindAddress, "health-probe-bind-address", c.HealthProbeBindAddress,
		"Where /healthz and /readyz are served. 0 turns it off.")
	fs.BoolVar(&c.LeaderElect, "leader-elect", c.LeaderElect,
		"Make replicas agree on one that acts. Turn it off only where there is one replica.")
	fs.StringVar(&c.LeaderElectionNamespace, "leader-election-namespace", c.LeaderElectionNamespace,
		"Namespace of the Lease for leader election.")
	fs.Float64Var(&c.KubeAPIQPS, "kube-api-qps", c.KubeAPIQPS, "Most requests per second to the API server.")
	fs.IntVar(&c.KubeAPIBurst, "kube-api-burst", c.KubeAPIBurst, "Most requests at once to the API server.")
	fs.IntVar(&c.ConcurrentReconciles, "concurrent-reconciles", c.ConcurrentReconciles, "How many clusters are reconciled at once.")
	fs.Float64Var(&c.MassOutageFraction, "mass-outage-fraction", c.MassOutageFraction,
		"Fraction of the clusters, 0 to 1, that may fall silent at once before the hub suspects itself. 1 turns the guard off.")
	fs.DurationVar(&c.MassOutageHold, "mass-outage-hold", c.MassOutageHold,
		"For how long the hub then withholds its verdict at most.")
	c.Telemetry.BindFlags(fs)
	c.Log.BindFlags(fs)
}

// validate returns everything that is wrong with the configuration.
func (c *Config) validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.AdvertiseURL != "" {
		if u, err := url.Parse(c.AdvertiseURL); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
			wrong("--advertise-url is %q; it has to be an https URL without credentials", c.AdvertiseURL)
		}
	} else if c.AdvertiseCAFile != "" {
		wrong("--advertise-ca-file needs --advertise-url")
	}
	if c.MassOutageFraction <= 0 || c.MassOutageFraction > 1 {
		wrong("--mass-outage-fraction is %v; it has to be above 0 and at most 1", c.MassOutageFraction)
	}
	if c.MassOutageHold < 0 {
		wrong("--mass-outage-hold is %s; it cannot be negative", c.MassOutageHold)
	}
	if c.KubeAPIQPS <= 0 || c.KubeAPIBurst <= 0 {
		wrong("--kube-api-qps is %v and --kube-api-burst %d; both have to be positive", c.KubeAPIQPS, c.KubeAPIBurst)
	}
	if c.ConcurrentReconciles <= 0 {
		wrong("--concurrent-reconciles is %d; it has to be positive", c.ConcurrentReconciles)
	}
	if c.LeaderElect && c.LeaderElectionNamespace == "" {
		wrong("--leader-elect needs --leader-election-namespace")
	}
	return errors.Join(append(errs, c.Telemetry.validate())...)
}

// restConfig says how to reach the API server, with the limits of c.
func (c *Config) restConfig(version string) (*rest.Config, error) {
	config := c.RESTConfig
	if config == nil {
		rules := clientcmd.NewDefaultClientConfigLoadingRules()
		rules.ExplicitPath = c.Kubeconfig
		var err error
		// This falls back to the pod's ServiceAccount.
		config, err = clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
		if err != nil {
			return nil, fmt.Errorf("reading the kubeconfig: %w", err)
		}
	}
	config = rest.CopyConfig(config)
	config.QPS, config.Burst = float32(c.KubeAPIQPS), c.KubeAPIBurst
	config.UserAgent = "atlhyper-hub/" + version
	return config, nil
}

func (c *Config) advertiseCA() ([]byte, error) {
	if c.AdvertiseCAFile == "" {
		return nil, nil
	}
	ca, err := os.ReadFile(c.AdvertiseCAFile)
	if err != nil {
		return nil, fmt.Errorf("reading --advertise-ca-file: %w", err)
	}
	if len(parsePEM(ca)) == 0 {
		return nil, fmt.Errorf("--advertise-ca-file %s holds no PEM certificate", c.AdvertiseCAFile)
	}
	return ca, nil
}
