// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package anomalies judges the cluster as it changes. It is handed what the
// inventory sees, lets internal/anomaly make anomalies of it, and hands what is
// raised, escalated and cleared to the agent's spool.
//
// One goroutine owns the engine. Objects come in through an inbox that keeps the
// latest state of each and so is never larger than the cluster; what is to be told
// goes out through an outbox, so that neither a slow disk nor the hub's absence
// keeps the engine waiting. Nothing runs on a schedule: the engine says when it has
// to be asked again.
//
// What has to outlive a restart is in a file: the open anomalies, so that none is
// told twice or forgotten, what happened once, so that it is not replayed, and what
// was not handed on yet. It is at most about a second old, so that a killed agent may
// tell the transitions of its last second again; an agent that stops in order does
// not. Without the file, of what happened before the start only the last ten
// minutes are told.
//
// Where somebody wants them, the last lines of a container's log follow what is raised
// about its end, as evidence, once they have been read.
//
// The hub's metric thresholds are compared here too. They are remembered with the
// rest, so that an agent that starts while the hub is away goes on with those it
// knows.
//
// While the API server does not answer, nothing is concluded from silence: the
// heartbeats of nodes do not run out, and what was raised stays.
package anomalies
