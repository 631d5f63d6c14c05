// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package ingest is the hub's HTTPS endpoint that takes telemetry from agents. It
// runs on every replica, stores through history's ports, and never evaluates.
//
// # Protocol
//
// POST /v1/streams/{stream}/batches takes one batch of internal/wire with the
// Content-Type wire.ContentType. Each epoch of a stream is a sequence of its own,
// and several may come side by side.
//
// GET /v1/offsets?stream=NAME&epoch=N tells how far an epoch of the caller's cluster
// has come, which is 0 for one that is not known. Without stream and epoch it tells of
// the newest epochs, at most history.MaxEpochs of each stream: one that is missing there
// may be known all the same.
//
// Both paths may be prefixed with /v1/clusters/{cluster}, which is checked and
// decides nothing.
//
// Answers are JSON, see Reply; every one but Stored, Duplicate and Offsets has a
// Reason to act upon:
//
//	200  Stored, Duplicate   {"acked":n} or {"acked":n,"quarantined":k}
//	400  Malformed, Checksum, TrailingBytes, StreamMismatch, InvalidBatch, InvalidQuery
//	401  Unauthenticated     get a new token
//	403  ClusterUnknown, NotAccepted, IdentityConflict, Contradiction
//	408  SlowBody
//	409  Gap {"expected":n}, Mismatch
//	413  BodyTooLarge, BatchTooLarge: send it in two halves
//	415  UnsupportedMediaType, UnsupportedVersion
//	429  RateLimited, ClusterBusy, with Retry-After in seconds
//	503  HubBusy, StoreUnavailable, AuthUnavailable, IdentityPending, ShuttingDown,
//	     with Retry-After in seconds
//
// A header "Atlhyper-Lane: replay" says that a batch is old on purpose and tells
// nothing about the cluster's clock.
//
// # Identity
//
// The cluster is the one whose namespace the token's ServiceAccount lives in, as
// the API server says. Whatever else in a request names a cluster must name the
// same one, or the request is refused and counted.
//
// # What it costs
//
// Nothing of a request's body is read before its sender is known and has a place.
// Memory is bounded by Limits.MemoryBytes, counted in what batches declare to be
// when decompressed, and connections by Limits.Connections. When more than half of
// the memory is taken, no cluster gets more than its fair share of it.
package ingest
