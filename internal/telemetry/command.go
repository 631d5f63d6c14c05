// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package telemetry

// OutputSource says where bytes of command output come from. The numbers are
// part of the wire format.
type OutputSource uint8

// The sources of command output.
const (
	// OutputStdout is the standard output, or the log that was asked for.
	OutputStdout OutputSource = 1
	// OutputStderr is the standard error.
	OutputStderr OutputSource = 2
)

var outputSources = names{OutputStdout: "stdout", OutputStderr: "stderr"}

// String returns "stdout" or "stderr", or the number when unknown.
func (s OutputSource) String() string { return outputSources.name(uint8(s)) }

// MarshalText returns the source's name.
func (s OutputSource) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *OutputSource) UnmarshalText(text []byte) error {
	value, err := outputSources.parse(string(text))
	*s = OutputSource(value)
	return err
}

// CommandOutput is one chunk of the output of one execution of a RemoteCommand,
// redacted by the agent.
type CommandOutput struct {
	// CommandUID is the UID of the RemoteCommand.
	CommandUID string
	// ExecutionID is the execution that the agent claimed.
	ExecutionID string
	// Index is the place of the chunk in the output, from 0, without holes.
	Index uint32
	// Source says where the bytes come from.
	Source OutputSource
	// Last is true for the chunk that ends the output, which may be empty.
	Last bool
	// Truncated is true on the last chunk when the output was longer than what
	// was kept.
	Truncated bool
	// Data is at most MaxChunk bytes and need not be text.
	Data []byte
}

func (*CommandOutput) payload() {}

// Validate implements Payload.
func (o *CommandOutput) Validate() error {
	var c checker
	c.required("commandUID", o.CommandUID, MaxUID)
	c.required("executionID", o.ExecutionID, MaxUID)
	if len(o.Data) > MaxChunk {
		c.fail("data", "%d bytes, at most %d are allowed", len(o.Data), MaxChunk)
	}
	if o.Truncated && !o.Last {
		c.fail("truncated", "only the last chunk can say so")
	}
	return c.err
}
