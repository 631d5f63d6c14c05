// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package push delivers the samples of one node to the agent of its cluster.
//
// # What is kept
//
// Samples wait in memory, an hour of them. When there is no more room the oldest
// is given up: a gap takes its place and is delivered like a sample, and the metric
// collector_dropped of every later sample says how many there were. A sample that the
// agent refuses for good becomes a gap too. So every sequence number reaches the
// agent, as a sample or as part of a gap.
//
// # What is sent
//
// POST /v1/streams/node-metrics/batches with a batch of internal/wire, over HTTPS
// with a connection that is kept. The certificates that the agent is verified with
// and the token are files, read at each connection and each request: the kubelet
// changes them.
//
// The epoch of a batch is the life of this process: the milliseconds since 1970 at
// which it started, and 22 random bits. Sequence numbers count from the tenths of
// seconds since 1970 at which it started, so that a collector that is restarted
// does not use a number of the same boot again. They are those of the records and the
// CollectorSeq of the samples. Epoch and sequence number tell the agent what it has
// already, in whatever order it comes. The node is not taken from what is sent: the
// agent knows it from the token.
//
// The header Atlhyper-Sent has the time of sending in milliseconds since 1970, from
// which the agent learns how wrong this node's clock is.
//
// # When
//
// A sample is sent at once. After a failure the next attempt waits for a random
// part of a time that doubles from 1 s to 30 s, or for as long as the agent asked.
// The newest sample goes first and alone; when it is through, what waited follows
// from the newest to the oldest, in batches that grow to 20, about one a second.
package push
