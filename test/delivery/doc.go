// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package delivery has the tests that kill, stop, starve and damage what telemetry
// passes on its way, with real processes and databases, and then count what is in the
// history.
//
// Each test has agents and hubs (package actor) with a network between them that
// misbehaves (package network). Agents write down what their spool took (package
// ledger), and everything they say is known in advance (package source). In the end, and
// in between, package invariant compares the history with that.
//
// What a test does follows from its seed, which it prints:
//
//	go test ./test/delivery -v -run TestWalk/sqlite -seed=7 -duration=10m -artifacts
//
// repeats a walk as far as processes can be repeated, for longer, and keeps its files.
// `make soak DURATION=1h` walks for as long as one likes.
//
// # What is where
//
//   - TestWalk: kill -9 of agents and hubs at every named site of package crash and at
//     any time, processes that stand still, orderly ends, and everything that a network
//     does, for Postgres with two hubs and for SQLite.
//   - TestMigrationIsKilled: the sites that only a new database passes.
//   - TestHubAwayForAnHour: how fast a backlog is delivered, and that what is new does
//     not wait for it.
//   - TestPostgresFaults: stopped, crashed, frozen, read-only, out of connections, slow,
//     cut off. TestPostgresDiskFull. TestConnectionBreaksAnywhere: at any byte, also of
//     a commit.
//   - TestSQLiteDiskFull, TestSQLiteReadOnly.
//   - TestDamagedSpool, TestSpoolDiskFull.
//   - TestTwoAgentsWithOneIdentity, TestCopiedSpool.
//
// What takes no second process is tested beside the code: decompression bombs and
// 10,000 idle connections in internal/ingest (TestAttackBombs,
// TestTenThousandIdleConnections), every single bit of a spool in agent/spool
// (TestBitFlips), hours of bad network in fake time in agent/uplink.
package delivery
