// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package invariant says whether the hub's history is what agents under test had to
// say. Read reads it through the ports; Judge compares it with the agents' ledgers and
// knows no database, so that tests can show it histories that lost, doubled or
// reordered something.
//
// # What has to hold
//
//   - Every record that Append took is stored, or a gap in the history covers its
//     number. Of records about the same thing, such as corrected slices, the newest.
//   - No record is stored twice, and none that no agent appended.
//   - Where the history shows numbers, each record has the one that Append returned.
//   - Objects that exist are those of the source, and anomalies that are open are those
//     of the transitions that are stored.
//   - Rollups and sums say what samples and slices say.
//   - The hub accounts for every number that was given out, and set nothing aside.
//
// # What need not
//
// A record is doubtful when its agent was killed before it noted what Append
// returned. It may be stored, once, or not at all.
package invariant
