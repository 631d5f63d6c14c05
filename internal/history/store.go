// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package history

// TelemetryReader reads what agents sent.
type TelemetryReader interface {
	InventoryReader
	EventReader
	MetricsReader
	AnomalyReader
	SLIReader
}

// RecordReader reads what the hub notes about streams, commands and people.
type RecordReader interface {
	OffsetReader
	FreshnessReader
	LedgerReader
	CommandReader
	AuditReader
}

// Reader reads everything that is stored.
type Reader interface {
	TelemetryReader
	RecordReader
}

// Store is everything together: what an implementation provides and the hub opens.
// Consumers ask for the smallest port that serves them.
type Store interface {
	Reader
	Writer
	Maintainer
	ChangeNotifier
	HealthChecker
}
