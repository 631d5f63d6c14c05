// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package wire is the binary form of a telemetry.Batch between agent and hub, and
// of a single record in the agent's spool.
//
// # Envelope
//
// A batch is an envelope of 56 bytes, numbers with the least byte first, and a
// body:
//
//	 0  4  magic "ATLH"
//	 4  1  version of the format, 1
//	 5  1  codec of the body: 0 as it is, 1 one zstd frame
//	 6  1  stream
//	 7  1  0
//	 8  8  epoch
//	16  8  first sequence number
//	24  8  last sequence number
//	32  4  number of records
//	36  4  length of the payload
//	40  4  length of the body
//	44  4  CRC-32C over everything else: bytes 0 to 43, 48 to 55, and the body
//	48  8  XXH64 of the payload
//
// Neither the cluster nor the sender is in it: the hub takes both from the
// credential. The checksums find accidents, in transit and on disk; they do not
// stand against an attacker, whom TLS keeps out.
//
// # Payload
//
// The payload is the protobuf message Payload of wire.proto. Words that repeat
// stand once in a dictionary, and so do label sets, histogram layouts and the
// series of node samples. Times are relative to the batch. Values of a node's
// samples are relative to the first one of the batch. Nothing is relative to the
// record before: a record can be refused without harm to its neighbours.
//
// # Size
//
// Measured by TestBytesPerRecord in batches of 300 records that look like those of
// a real cluster, in bytes per record, with the ratio to gzipped JSON: a pod 59
// (1.7), an event 85 (1.2), an anomaly 77 (1.4), an SLI slice with 12 buckets 40 (1.2),
// a node sample of 149 values 308 (1.7; 2.1 a value), 2 kB of command output 194
// (1.3). What remains is mostly random: UIDs, name suffixes, digits.
// BenchmarkRatio compares the time.
//
// A collector sends one sample at a time, where tables and compression gain
// nothing. There, a list of series is told as families (shape.go: 138 series in
// about 50 bytes and their labels) and values are packed to the bit (packed.go: 1.4
// bytes a value). Such a batch is a third smaller than with tables and zstd, and
// needs no compressor, which is most of the memory that an encoder takes; see
// NewSampleEncoder. In larger batches the values stand in whole bytes, because zstd
// finds more in them.
//
// # Trust
//
// A Decoder takes bytes from anybody. It checks each limit before it spends the
// memory, makes little of a small body (see MaxElements), never panics, and says
// what is wrong: a *LimitError when something is too large, a *VersionError, or an
// error that wraps ErrMalformed or ErrChecksum. When the envelope and the tables are
// sound and a record is not, the record ends in Decoded.Poison with the reason, and
// the others are delivered.
package wire
