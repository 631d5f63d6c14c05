// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodes

import (
	"cmp"
	"errors"
	"net"
	"slices"
	"time"

	"github.com/go-logr/logr"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/bucket"
	"github.com/atlhyper/atlhyper/internal/connections"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// DefaultInterval is the time between two samples that a node's first sample is
// taken to have.
const DefaultInterval = 15 * time.Second

// ErrUnwanted is what a Sink's error wraps when nobody wants node samples, now or
// later: collectors forget them, and only the latest of each node is known here.
var ErrUnwanted = errors.New("node samples are not wanted")

// Sink takes what is to reach the hub.
type Sink interface {
	// Append takes values of telemetry.StreamNodeMetrics: a *telemetry.NodeSample that
	// was taken at a time, or a *telemetry.Gap whose From and To the sink sets. One call
	// is under way at any time. After an error, other than ErrUnwanted, the collector sends the same again.
	// Values are not changed afterwards.
	Append(stream telemetry.Stream, at time.Time, values ...telemetry.Payload) error
}

// Options say where to take samples and what to do with them.
type Options struct {
	// Address is where to listen, such as ":8444". Listener takes precedence.
	Address string
	// Listener is listened on, and closed, by Run.
	Listener net.Listener
	// Sink takes what arrives. Required.
	Sink Sink
	// Observe, when set, is called with each sample that is the latest of its node,
	// with locks held: it returns at once and does not call the Receiver.
	Observe func(Latest)
	// Namespace is where the Secret v1alpha1.MemberNodesSecret is. Defaults to
	// v1alpha1.MemberNamespace.
	Namespace string
	// Hosts are names and IP addresses that collectors may call the agent by, besides
	// those of the Service v1alpha1.MemberAgent.
	Hosts []string
	// Logger receives what a human may act on, never a token. Defaults to nowhere.
	Logger logr.Logger

	// limits replace the default ones in tests.
	limits *limits
}

func (o *Options) complete() error {
	o.Namespace = cmp.Or(o.Namespace, v1alpha1.MemberNamespace)
	if o.Logger.GetSink() == nil {
		o.Logger = logr.Discard()
	}
	if o.limits == nil {
		o.limits = defaultLimits()
	}
	switch {
	case o.Sink == nil:
		return errors.New("checking the settings for node collectors: a sink is required")
	case o.Address == "" && o.Listener == nil:
		return errors.New("checking the settings for node collectors: an address is required")
	}
	return nil
}

// hosts are what the certificate is for.
func (o *Options) hosts() []string {
	service := v1alpha1.MemberAgent
	names := []string{
		service, service + "." + o.Namespace, service + "." + o.Namespace + ".svc", service + "." + o.Namespace + ".svc.cluster.local",
	}
	return slices.Concat(names, o.Hosts)
}

// limits bound what collectors can cost the agent.
type limits struct {
	// connections, and nodeConnections of one node.
	connections, nodeConnections int
	// inFlight requests, and nodeInFlight of one node.
	inFlight, nodeInFlight int
	// working is how many batches are decoded and handed on at once.
	working int
	// body and payload are the size of the largest batch, compressed and not.
	body, payload int
	// records is how many records a batch may have.
	records int
	// nodes is how many nodes are remembered.
	nodes int
	// What a node may send: requests, records and bytes of payload.
	nodeRequests, nodeRecords, nodeBytes bucket.Rate
	// header, reading, writing, idle are for the parts of a request; stranger is how
	// long a connection may be without one that is authenticated; shutdown is for what
	// is in flight at the end.
	header, reading, writing, idle, stranger, shutdown time.Duration
}

// listen bounds the connections that a listener accepts. Each belongs to one node.
func (l *limits) listen(inner net.Listener) net.Listener {
	return connections.Listen(inner, connections.Limits{Total: l.connections, PerOwner: l.nodeConnections, Patience: l.stranger}, nil)
}

// defaultLimits fit a cluster of 5,000 nodes.
func defaultLimits() *limits {
	return &limits{
		connections: 12_000, nodeConnections: 4, inFlight: 128, nodeInFlight: 2, working: 4,
		body: 256 << 10, payload: 1 << 20, records: 64, nodes: 10_000,
		nodeRequests: bucket.Rate{PerSecond: 2, Burst: 60}, nodeRecords: bucket.Rate{PerSecond: 2, Burst: 4500},
		nodeBytes: bucket.Rate{PerSecond: 128 << 10, Burst: 8 << 20},
		header:    5 * time.Second, reading: 10 * time.Second, writing: 10 * time.Second, idle: 15 * time.Minute,
		stranger: 15 * time.Second, shutdown: 10 * time.Second,
	}
}
