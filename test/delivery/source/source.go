// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package source is a cluster whose telemetry is known in advance: what the n-th
// record of a stream says follows from n alone. So whoever reads a record in the hub's
// history knows which one it is, and which ones are missing.
package source

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Source is one cluster as one agent sees it. The zero value of a field that says
// how often something happens means never.
type Source struct {
	// Name tells the records of two agents apart. It has no dash.
	Name string
	// Base is the time of the first records, on a full hour.
	Base time.Time
	// Nodes send a sample each SampleEvery, of 1 + Values values.
	Nodes       int
	SampleEvery time.Duration
	Values      int
	// Routes send a slice each minute. One in seven is sent again, corrected.
	Routes int
	// EventEvery, AnomalyEvery, ObjectEvery and OutputEvery are the time between two
	// records.
	EventEvery, AnomalyEvery, ObjectEvery, OutputEvery time.Duration
	// Padding is how many bytes of text a record has at most besides what it says.
	Padding int
}

// every is the time between two records of a stream.
func (s *Source) every(stream telemetry.Stream) time.Duration {
	switch stream {
	case telemetry.StreamInventory:
		return s.ObjectEvery
	case telemetry.StreamAnomalies:
		return s.AnomalyEvery
	case telemetry.StreamEvents:
		return s.EventEvery
	case telemetry.StreamNodeMetrics:
		return s.SampleEvery
	case telemetry.StreamSLI:
		return time.Minute
	default:
		return s.OutputEvery
	}
}

// together is how many records of a stream have the same time.
func (s *Source) together(stream telemetry.Stream) uint64 {
	switch stream {
	case telemetry.StreamNodeMetrics:
		return uint64(s.Nodes) //nolint:gosec // a small number
	case telemetry.StreamSLI:
		return uint64(s.Routes) //nolint:gosec // a small number
	default:
		return 1
	}
}

// Time is when the n-th record of a stream happens, from 0.
func (s *Source) Time(stream telemetry.Stream, n uint64) time.Time {
	return s.Base.Add(time.Duration(n/s.together(stream)) * s.every(stream)) //nolint:gosec // a small number
}

// Due is how many records of a stream have happened by a moment.
func (s *Source) Due(stream telemetry.Stream, now time.Time) uint64 {
	if s.every(stream) <= 0 || now.Before(s.Base) || s.together(stream) == 0 {
		return 0
	}
	return (uint64(now.Sub(s.Base)/s.every(stream)) + 1) * s.together(stream) //nolint:gosec // not negative
}

// Record is what the n-th record of a stream says.
func (s *Source) Record(stream telemetry.Stream, n uint64) (time.Time, telemetry.Payload) {
	at := s.Time(stream, n)
	switch stream {
	case telemetry.StreamInventory:
		return at, s.object(n, at)
	case telemetry.StreamAnomalies:
		return at, s.anomaly(n, at)
	case telemetry.StreamEvents:
		return at, s.event(n, at)
	case telemetry.StreamNodeMetrics:
		return at, s.sample(n)
	case telemetry.StreamSLI:
		return at.Add(time.Minute), s.slice(n)
	default:
		return at, s.output(n)
	}
}

// Key says which records of a stream are about the same thing, of which only what
// was said last is kept: an event, a slice. Every other record is a thing of its own.
func (s *Source) Key(stream telemetry.Stream, n uint64) uint64 {
	switch {
	case stream == telemetry.StreamEvents && n%5 == 4:
		return n - 4
	case stream == telemetry.StreamSLI && n%28 == 27 && n >= s.together(stream):
		return n - s.together(stream)
	}
	return n
}

func (s *Source) name(kind string, numbers ...uint64) string {
	var b strings.Builder
	b.WriteString(kind + "-" + s.Name)
	for _, n := range numbers {
		b.WriteString("-" + strconv.FormatUint(n, 10))
	}
	return b.String()
}

// parse reads what name wrote for this source.
func (s *Source) parse(text, kind string, numbers ...*uint64) bool {
	rest, ok := strings.CutPrefix(text, kind+"-"+s.Name+"-")
	parts := strings.Split(rest, "-")
	if !ok || len(parts) != len(numbers) {
		return false
	}
	for i, into := range numbers {
		part := parts[i]
		n, err := strconv.ParseUint(part, 10, 64)
		if err != nil || strconv.FormatUint(n, 10) != part {
			return false
		}
		*into = n
	}
	return true
}

// padding is text of a length that follows from n and does not compress to nothing.
func (s *Source) padding(n uint64) string {
	if s.Padding == 0 {
		return ""
	}
	random := rand.New(rand.NewPCG(n, uint64(s.Padding))) //nolint:gosec // text, not a secret
	const letters = "abcdefghijklmnopqrstuvwxyz"
	b := make([]byte, random.IntN(s.Padding))
	for i := range b {
		b[i] = letters[random.IntN(len(letters))]
	}
	return string(b)
}

func (s *Source) event(n uint64, at time.Time) *telemetry.Event {
	key := s.Key(telemetry.StreamEvents, n)
	return &telemetry.Event{
		UID: s.name("event", key), ResourceVersion: n + 1, Namespace: "shop", Name: s.name("web", key), Type: telemetry.EventWarning,
		Reason: "BackOff", Message: s.padding(n), Regarding: telemetry.ObjectRef{Kind: "Pod", Namespace: "shop", Name: "web", UID: "web"},
		Controller: "kubelet", Count: uint32(n-key) + 1, FirstSeen: s.Time(telemetry.StreamEvents, key), LastSeen: at, //nolint:gosec // at most 5
	}
}

// EventOf returns which record an event in the history is.
func (s *Source) EventOf(e *telemetry.Event) (n uint64, ok bool) {
	var key uint64
	n = e.ResourceVersion - 1
	return n, s.parse(e.UID, "event", &key) && e.ResourceVersion > 0 && s.Key(telemetry.StreamEvents, n) == key
}

func (s *Source) output(n uint64) *telemetry.CommandOutput {
	return &telemetry.CommandOutput{
		CommandUID: s.name("command", n/Chunks), ExecutionID: "1", Index: uint32(n % Chunks), Source: telemetry.OutputStdout,
		Last: n%Chunks == Chunks-1, Data: fmt.Appendf(nil, "%d\n%s", n, s.padding(n)),
	}
}

// Chunks is how many chunks of output a command has.
const Chunks = 50

// CommandOf is the UID of the command with a number, whose first chunk is record
// Chunks times that number, and its execution.
func (s *Source) CommandOf(number uint64) (uid, execution string) {
	return s.name("command", number), "1"
}

// OutputOf returns which record a chunk of output in the history is.
func (s *Source) OutputOf(o *telemetry.CommandOutput) (n uint64, ok bool) {
	var command uint64
	text, _, _ := strings.Cut(string(o.Data), "\n")
	n, err := strconv.ParseUint(text, 10, 64)
	return n, err == nil && s.parse(o.CommandUID, "command", &command) && n == command*Chunks+uint64(o.Index)
}

// Anomalies come in rounds of 24 records: eight are raised, escalate, and then half
// of them are cleared; the others stay open.
const (
	anomalyRound = 24
	anomalyCount = 8
)

func (s *Source) anomaly(n uint64, at time.Time) *telemetry.AnomalyTransition {
	f := n % anomalyCount
	t := &telemetry.AnomalyTransition{
		Rule: "PodCrashLoopBackOff", Fingerprint: s.name("anomaly", n/anomalyRound, f), State: telemetry.AnomalyRaised,
		Severity: telemetry.SeverityWarning, Object: telemetry.ObjectRef{Kind: "Pod", Namespace: "shop", Name: "web"},
		Reason: "CrashLoopBackOff", Message: strconv.FormatUint(n, 10) + " " + s.padding(n), Count: 1, Since: at,
	}
	switch step := n % anomalyRound / anomalyCount; {
	case step == 1, step == 2 && f%2 == 0:
		t.State, t.Severity = telemetry.AnomalyEscalated, telemetry.SeverityCritical
	case step == 2:
		t.State, t.Count = telemetry.AnomalyCleared, 0
	}
	return t
}

// AnomalyOf returns which record a transition in the history is.
func (s *Source) AnomalyOf(t *telemetry.AnomalyTransition) (n uint64, ok bool) {
	text, _, _ := strings.Cut(t.Message, " ")
	n, err := strconv.ParseUint(text, 10, 64)
	return n, err == nil && t.Fingerprint == s.name("anomaly", n/anomalyRound, n%anomalyCount)
}
