// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package hubconn

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	atlhyperac "github.com/atlhyper/atlhyper/api/v1alpha1/applyconfiguration/api/v1alpha1"
)

const (
	clientQPS   = 20
	clientBurst = 40

	protobuf = "application/vnd.kubernetes.protobuf"
)

// Options say who connects and with what.
type Options struct {
	// ClusterID returns the UID of the member's kube-system namespace. It may
	// wait for the member's API server. Required.
	ClusterID func(context.Context) (string, error)
	// JoinDir is the folder of the join token. Required.
	JoinDir string
	// Store keeps the session over restarts. Required.
	Store SessionStore
	// Thresholds is handed the document under v1alpha1.BundleThresholds when the
	// hub's bundle is first seen and whenever it changes; it is empty when the bundle
	// has none. While the bundle cannot be read, or is not there, nothing is known
	// and nothing is handed over. It returns at once. Nil for nobody.
	Thresholds func(document string)
	// Version is the agent's version, for the User-Agent.
	Version string
	// Instance tells this process from others of the same cluster. Defaults to
	// the host's name and a random suffix.
	Instance string
	// Logger receives state changes. Defaults to nowhere.
	Logger logr.Logger
	// Timing are the times to work with.
	Timing Timing
}

// Connection is the agent's connection to its hub.
type Connection struct {
	options   Options
	log       logr.Logger
	timing    Timing
	transport *switchTransport
	dial      func(Endpoint) (transport, error)
	config    *rest.Config
	core      *corev1client.CoreV1Client
	leases    *coordinationv1client.CoordinationV1Client
	atlhyper  *rest.RESTClient
	audiences audienceTokens
	changed   chan struct{}

	// serial counts the sessions; only Run touches it.
	serial int64

	mu        sync.Mutex
	clusterID string
	status    Status
	view      *v1alpha1.ManagedCluster
	ingest    []Endpoint
	// bundled is true once a bundle was seen.
	bundled bool
	// rerouted is closed when ingest or bundled changes.
	rerouted chan struct{}
	// thresholds is the document that was handed on last; nil for none.
	thresholds *string
}

// New returns a Connection that does nothing before Run.
func New(options Options) (*Connection, error) {
	if options.ClusterID == nil || options.Store == nil || options.JoinDir == "" {
		return nil, errors.New("making the connection to the hub: ClusterID, Store and JoinDir are required")
	}
	if options.Instance == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("finding the name of this host: %w", err)
		}
		options.Instance = host + "-" + strings.ToLower(rand.Text()[:6])
	}
	c := &Connection{
		options:   options,
		log:       loggerOrDiscard(options.Logger),
		timing:    options.Timing.withDefaults(),
		transport: newSwitchTransport(),
		dial:      newTransport,
		audiences: audienceTokens{tokens: map[string]audienceToken{}},
		changed:   make(chan struct{}, 1),
		rerouted:  make(chan struct{}),
		status:    Status{State: Joining, Reason: "the agent is starting", Since: time.Now()},
	}
	c.config = clientConfig(options.Version, c.transport)
	var err error
	if c.core, c.leases, err = builtinClients(c.config); err != nil {
		return nil, err
	}
	c.atlhyper, err = atlhyperClient(c.config)
	return c, err
}

// RESTConfig returns a configuration for clients of the hub's API server. It
// holds neither address nor token: requests go to where the hub is and carry the
// token of the moment, and fail with ErrNoCredentials while there is none.
func (c *Connection) RESTConfig() *rest.Config { return rest.CopyConfig(c.config) }

// Changed receives after Status or Cluster changed. It has capacity 1 and is
// meant for one receiver.
func (c *Connection) Changed() <-chan struct{} { return c.changed }

// Cluster returns the name of the own ManagedCluster and the latest version of
// it that was seen, nil when none was. It is true when the agent may report: when
// it is Connected and the cluster neither a clone nor being deleted. The object
// must not be modified.
func (c *Connection) Cluster() (string, *v1alpha1.ManagedCluster, bool) {
	name := ""
	if l := c.transport.current(); l != nil {
		name = l.cluster
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := rhythmOf(c.view, c.clusterID)
	return name, c.view, name != "" && c.status.State == Connected && now.conflict == "" && !now.deleting
}

// Ingest returns where the hub takes telemetry, best first, as it said last, and
// whether it said anything since this process started. A hub that keeps no
// history has none. Changed is closed when the answer changes.
func (c *Connection) Ingest() (endpoints []Endpoint, known bool, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ingest, c.bundled, c.rerouted
}

// setIngest takes over a list that is not changed afterwards.
func (c *Connection) setIngest(endpoints []Endpoint) {
	c.mu.Lock()
	same := c.bundled && slices.Equal(c.ingest, endpoints)
	if !same {
		c.ingest, c.bundled = endpoints, true
		close(c.rerouted)
		c.rerouted = make(chan struct{})
	}
	c.mu.Unlock()
	switch {
	case same:
	case len(endpoints) == 0:
		c.log.Info("The hub takes no telemetry")
	default:
		c.log.Info("The hub takes telemetry", "url", endpoints[0].URL)
	}
}

// setThresholds hands a document on, unless that was done already.
func (c *Connection) setThresholds(document string) {
	if c.options.Thresholds == nil {
		return
	}
	c.mu.Lock()
	same := c.thresholds != nil && *c.thresholds == document
	c.thresholds = &document
	c.mu.Unlock()
	if !same {
		c.options.Thresholds(document)
	}
}

// ApplyStatus applies to the status of the ManagedCluster that configuration
// names, as the field owner v1alpha1.FieldOwnerAgent.
func (c *Connection) ApplyStatus(ctx context.Context, configuration *atlhyperac.ManagedClusterApplyConfiguration) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if configuration.GetName() == nil {
		return errors.New("applying a status: the configuration has no name")
	}
	body, err := json.Marshal(configuration)
	if err != nil {
		return fmt.Errorf("encoding the status of ManagedCluster %s: %w", *configuration.GetName(), err)
	}
	err = c.atlhyper.Patch(types.ApplyYAMLPatchType).
		Resource("managedclusters").Name(*configuration.GetName()).SubResource("status").
		Param("fieldManager", v1alpha1.FieldOwnerAgent).Param("force", "true").
		Body(body).Do(ctx).Error()
	if err != nil {
		return fmt.Errorf("applying the status of ManagedCluster %s: %w", *configuration.GetName(), cause(err))
	}
	return nil
}

func clientConfig(version string, rt http.RoundTripper) *rest.Config {
	return &rest.Config{
		Host:      "https://" + placeholderHost,
		Transport: rt,
		UserAgent: "atlhyper-agent/" + version,
		QPS:       clientQPS,
		Burst:     clientBurst,
	}
}

func builtinClients(config *rest.Config) (*corev1client.CoreV1Client, *coordinationv1client.CoordinationV1Client, error) {
	config = rest.CopyConfig(config)
	config.ContentType = protobuf
	config.AcceptContentTypes = protobuf + ",application/json"
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, nil, fmt.Errorf("making an HTTP client for the hub: %w", err)
	}
	core, err := corev1client.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, nil, fmt.Errorf("making a client for the hub: %w", err)
	}
	leases, err := coordinationv1client.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, nil, fmt.Errorf("making a client for the hub's Leases: %w", err)
	}
	return core, leases, nil
}

func atlhyperClient(config *rest.Config) (*rest.RESTClient, error) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("registering the kinds of %s: %w", v1alpha1.GroupName, err)
	}
	config = rest.CopyConfig(config)
	config.APIPath = "/apis"
	config.GroupVersion = &v1alpha1.GroupVersion
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("making a client for %s: %w", v1alpha1.GroupVersion, err)
	}
	return client, nil
}
