// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package telemetry holds the values that travel from an agent to the hub and
// that the hub keeps: object deltas, events, node samples, SLI slices, anomaly
// transitions, command output, and the gaps where something was lost.
//
// The package is pure: it knows values and their bounds, no clock, no network, no
// Kubernetes and no storage. Package wire gives the values a binary form, the
// agent's spool keeps them on disk, and the history store keeps them for good.
//
// # Identity and order
//
// A Key names one sequence of records: the cluster, the stream, and the epoch.
// Within a key every record has exactly one sequence number; the first is 1, and
// the next record's number is one higher. A record whose Payload is a *Gap is the
// exception that keeps the rule: it stands for every number from Gap.From up to
// its own, so that what had to be dropped leaves a mark and no hole.
//
// The cluster is never part of a Batch. The hub takes it from the credential that
// the batch came with, so that an agent can speak for its own cluster only.
//
// # Absence
//
// A zero time.Time means unknown. A metric that a node does not have is missing
// from its sample; no value here is ever NaN or infinite. Zero is a value.
//
// # Text
//
// Every string is valid UTF-8 without NUL bytes and within the bound that its
// field names, in bytes. Clip makes any text so. Times are kept to the
// millisecond, in UTC.
package telemetry
