// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package nodes takes the samples of the cluster's node collectors, hands them to
// the agent's spool, and knows the latest of each node.
//
// # Protocol
//
// POST /v1/streams/node-metrics/batches takes one batch of internal/wire over TLS
// 1.3 with the Content-Type wire.ContentType. Its epoch is the life of a collector's
// process; package nodecollector/push says what the numbers are. A batch may be
// older or newer than the one before, and may come twice.
//
// Answers are JSON, see Reply:
//
//	200  {"accepted":n,"duplicates":n,"refused":n}: the collector may forget all of it
//	400  Malformed, Checksum
//	401  Unauthenticated
//	403  NoNode, Contradiction
//	404  NotFound
//	405  MethodNotAllowed
//	408  SlowBody
//	413  TooLarge: send it in two halves
//	415  UnsupportedMediaType
//	429  RateLimited, NodeBusy, with Retry-After in seconds
//	503  Busy, AuthUnavailable, SinkUnavailable, ShuttingDown, with Retry-After
//
// # Identity
//
// A collector presents the token of its ServiceAccount for the audience
// v1alpha1.NodesAudience. The API server says, in a TokenReview, whose it is and on
// which node the pod it is bound to runs; API servers from version 1.30 do. So a
// collector speaks for its own node only: a sample that names another node is
// refused. What the API server said counts for at most 60 s.
//
// # Exactly once
//
// A sequence number of an epoch reaches the sink once, as a sample or as part of a
// telemetry.Gap, as long as this process lives: a bounded window of the numbers seen
// is kept per node. A number is remembered after the sink took it. When the process
// is killed in between, or before its answer arrives, the sample comes again with
// the same node, boot, number and time; the history keeps one sample per node and moment.
//
// # Time
//
// A sample has the time of its node's clock. The collector sends along what its
// clock says, so that the age of a sample is known exactly; staleness is judged by
// that and by the agent's clock. The time that is handed on is corrected only when
// the node's clock is wrong by more than two minutes.
//
// # Certificates
//
// The agent is its own authority: its key is in the Secret v1alpha1.MemberNodesSecret,
// its certificate in the ConfigMap v1alpha1.MemberNodesCA, which collectors mount. The
// certificate that is shown lives in memory alone. Before an authority expires the
// next one is published for a day before it signs anything.
//
// # Cost
//
// Nothing of a body is read before its sender is known. Requests, records and bytes
// of a node have rates; connections, bodies and everything that is remembered have
// bounds.
package nodes
