// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package history is what the hub remembers: ports to store telemetry and to read
// it back. It knows values and no database; package store implements the ports
// for Postgres, SQLite and MySQL, and package historytest is the contract that
// every implementation keeps.
//
// # Nothing lost, nothing doubled
//
// Append stores the records of a batch and the new offset of its stream in one
// transaction. Whatever happens around it (a crash, a batch sent twice, batches
// that overlap) each sequence number of an epoch has an effect exactly once. An
// answer other than an Ack changed nothing.
//
// Epochs of one stream come side by side and in any order. The history takes all of
// them; the present (objects, open anomalies, corrected slices) is what the highest
// epoch and number said, whenever it arrived.
//
// # Time
//
// All times are in UTC and to the millisecond. Ranges include their beginning and
// exclude their end. What happened is filed under the agent's time, within
// Retention and MaxAhead of the hub's clock; everything else is quarantined.
//
// # Reading
//
// Every query is bounded: by a cluster, by a range of at most MaxRange, by a page
// of at most MaxLimit, or by the points that are drawn. A zero time means
// unknown; a point that is missing means that there is no data.
package history
