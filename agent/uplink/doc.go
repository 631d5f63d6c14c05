// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package uplink delivers what the agent's spool holds to the hub's ingest
// endpoint.
//
// # Lanes
//
// The live lane has one sender for each stream, which sends what is new as soon
// as the stream's Linger is over or enough has come together. The replay lane has
// one sender for all backlog, the most valuable stream first, and keeps to a rate of
// its own. Both share one HTTP/2 connection. A request of the replay lane never
// stands before one of the live lane; at most it shares the line with it.
//
// After a pause the first live batch of each stream is small: its confirmation is what
// moves everything else that waits to the replay lane.
//
// # Order
//
// Of each (stream, epoch) at most one batch is under way. The next one is read
// from the spool only after the answer, so that numbers arrive in order, and what
// failed is read again: the spool is the only memory there is, and a batch that
// waited comes back with what has joined it since.
//
// # Answers
//
// Only 200 moves the spool's offset. A gap rewinds to what the hub expects. A batch
// that is too large, or that the hub cannot read, is halved; a single record that
// stays refused is discarded, which leaves a gap. Content that contradicts what the hub
// has costs the numbers that the hub has of the epoch, and is said loudly once.
//
// Everything else is a matter of waiting. A hold on the live lane holds the
// replay lane too, but not the other way round: a slow replay is no reason to be
// silent. After a failure one request at a time finds out whether the hub is back.
//
//	network, 408, 5xx   full jitter, up to 1 s, doubling up to 60 s
//	429, 503            Retry-After, from 1 s to 10 min, and up to a tenth more
//	401                 one new token at once, then like 403
//	403, 404, 405, 415  1 min, doubling up to 10 min
//
// Where the hub is, which certificates it has and which token to use is asked
// before each request.
package uplink
