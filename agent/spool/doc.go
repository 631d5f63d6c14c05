// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package spool is the agent's queue on disk: what the agent sees is numbered and
// written before it is sent, and kept until the hub has it.
//
// # Numbers
//
// The hub knows a record by stream, epoch and sequence number, and takes each epoch's
// numbers in order and without a hole. A number that was sent must never be given to
// another record, and a disk can forget: what was not synced, a torn write, a
// folder restored from a snapshot. So no epoch is ever continued by another process:
// every Open numbers new records in new epochs, from 1, and earlier epochs are
// only delivered. Within one process the numbers are in memory and cannot be
// forgotten. This is why records may be sent before they are synced.
//
// An epoch's number is the Unix time in milliseconds, and at least one more than the
// stream's epoch before. The folder of a stream's newest epoch stays when everything
// of it is delivered, so that a clock that goes back does not lead to an old number.
//
// # What can be lost
//
// What Append returned for outlives the end of the process, kill -9 included, as it
// was written to the file. What Sync returned for, or what is older than
// SyncInterval, outlives the loss of power. Nothing is lost in silence: a
// telemetry.Gap stands in the place of what is missing.
//
//   - The spool is full or records are too old: whole segments go, the oldest of the
//     least valuable stream first. GapSpoolFull, with exact numbers.
//   - A record fails its checksum, or its file is gone: GapSpoolCorrupt in its place,
//     with exact numbers, and the epoch goes on behind it.
//   - The end of an epoch is not readable or shorter than it was: how much it held is
//     not known. The stream's next epoch begins with GapSpoolCorrupt.
//   - The process did not Close, or the folder was empty: the next epoch of each
//     stream begins with GapEpochLost. A kill loses nothing that Append returned for,
//     but that cannot be told from a loss of power afterwards. A hub that never knew
//     the stream need not show such a gap.
//   - The disk takes nothing: records stay in memory, up to MemoryBytes, and are
//     delivered from there. Beyond that Append returns a *FullError, and a
//     GapSourceOverflow tells how many when there is room again.
//   - The hub wants numbers again that it had confirmed, as it was restored from a
//     backup: they are delivered again while they are held, and are a GapRefused after.
//
// Where the source can tell again what was lost, as the inventory can, Options.Lost
// asks it to.
//
// # Lanes
//
// Live data must not wait behind a backlog, and the numbers of an epoch leave no
// way around it. So the backlog becomes an epoch of its own: when the hub
// acknowledges something and more than SplitBytes of the open epoch remain, that
// epoch is closed and delivered on the replay lane, and the next record is number 1
// of a new epoch on the live lane. While the hub is away nothing is split, so an
// outage makes one more epoch and not many. Everything that an earlier process left
// is on the replay lane. An epoch is not split between the beginning and the end of a
// snapshot of the inventory, of which the hub makes something in one epoch only.
//
// The hub therefore gets several epochs of one stream side by side, the newest ahead
// of older ones. Each is a sequence of its own; a lower epoch than the newest is no
// error, and a new epoch alone is no loss.
//
// A batch that was sent and not acknowledged may come again cut in another way, or
// with records replaced by a gap because they were dropped meanwhile. A hub that
// stored them has them: what it knows it skips, also within a gap.
//
// # On disk
//
//	LOCK                                  held while a process has the spool
//	FORMAT                                the version of all this
//	CLEAN                                 there when the spool was closed: last number of each epoch
//	<stream>/<epoch>/<number>.seg         records from that number on
//	<stream>/<epoch>/<number>.gap         what stands for a segment that was dropped
//	<stream>/<epoch>/acked                what the hub confirmed
//
// A segment ends where the next file begins, so a file that vanished leaves a hole
// that is found at the next start. A gap is written under another name first, takes
// its name at once, and only then the segment is removed: whatever moment a crash
// takes, one of the two is there.
package spool
