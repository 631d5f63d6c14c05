// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package store keeps history in Postgres, SQLite or MySQL, by one address:
//
//	postgres://user:password@host:5432/database?sslmode=require
//	sqlite:///var/lib/atlhyper/history.db
//	mysql://user:password@host:3306/database?tls=true
//
// # How writes stay exact
//
// The row of a stream in ingest_streams is locked first and moved last, in the
// transaction that writes the rows. So the writers of one stream come one after
// the other, whichever replica they are in and whatever their epochs are, and may
// look before they write: what is new is copied in, what exists is compared.
// Epochs arrive in any order, so what shows the present (inventory, open
// anomalies, slices) knows the epoch and number it was last told by, and what is
// older goes into the history only. Dictionaries (clusters, nodes,
// lists of series, routes) are filled before that, in statements of their own, for
// they are true whether the batch is stored or not.
//
// # How time is kept short
//
// Postgres has partitions of a day, or of thirty days where little is written.
// They are made ahead by the maintenance and on demand by late data, and dropped
// when they have expired. SQLite and MySQL delete by time instead, a bounded
// number of rows per statement: SQLite has no partitions and reuses the space, and
// MySQL's would bar the unique keys that make writes exact.
//
// Samples arrive as a row each. Once their hour is closed they are put into
// blocks, see package chunk, and taken from the rows in the same transaction;
// rows of an hour that has blocks already are merged into them. Both rollups are
// computed from the samples of the hour in that transaction.
package store
