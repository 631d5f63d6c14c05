// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package telemetry_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// spoil has, for each rule, a change of a valid payload that breaks it.
var spoil = map[string]func(map[telemetry.Stream]telemetry.Payload){
	"object: op":         func(p map[telemetry.Stream]telemetry.Payload) { object(p).Op = 5 },
	"object: kind":       func(p map[telemetry.Stream]telemetry.Payload) { object(p).Kind = "" },
	"object: name":       func(p map[telemetry.Stream]telemetry.Payload) { object(p).Name = "" },
	"object: long name":  func(p map[telemetry.Stream]telemetry.Payload) { object(p).Name = strings.Repeat("n", 254) },
	"object: uid":        func(p map[telemetry.Stream]telemetry.Payload) { object(p).UID = "" },
	"object: UTF-8":      func(p map[telemetry.Stream]telemetry.Payload) { object(p).Owner.Name = "\xc0" },
	"object: NUL":        func(p map[telemetry.Stream]telemetry.Payload) { object(p).Message = "\x00" },
	"object: restarts":   func(p map[telemetry.Stream]telemetry.Payload) { object(p).Restarts = -1 },
	"object: replicas":   func(p map[telemetry.Stream]telemetry.Payload) { object(p).Replicas.Failed = -1 },
	"object: generation": func(p map[telemetry.Stream]telemetry.Payload) { object(p).Generation = -1 },
	"object: created":    func(p map[telemetry.Stream]telemetry.Payload) { object(p).Created = time.Unix(-1, 0) },
	"object: unsorted labels": func(p map[telemetry.Stream]telemetry.Payload) {
		object(p).Labels = []telemetry.Label{{Key: "b"}, {Key: "a"}}
	},
	"object: repeated label": func(p map[telemetry.Stream]telemetry.Payload) {
		object(p).Labels = []telemetry.Label{{Key: "a"}, {Key: "a"}}
	},
	"object: empty key":       func(p map[telemetry.Stream]telemetry.Payload) { object(p).Attributes = []telemetry.Label{{Value: "a"}} },
	"object: too many labels": func(p map[telemetry.Stream]telemetry.Payload) { object(p).Labels = make([]telemetry.Label, 65) },
	"object: repeated number": func(p map[telemetry.Stream]telemetry.Payload) {
		object(p).Numbers = []telemetry.Number{{ID: 1}, {ID: 1}}
	},
	"object: number 0":     func(p map[telemetry.Stream]telemetry.Payload) { object(p).Numbers = []telemetry.Number{{}} },
	"anomaly: rule":        func(p map[telemetry.Stream]telemetry.Payload) { anomaly(p).Rule = "" },
	"anomaly: fingerprint": func(p map[telemetry.Stream]telemetry.Payload) { anomaly(p).Fingerprint = "" },
	"anomaly: state":       func(p map[telemetry.Stream]telemetry.Payload) { anomaly(p).State = 0 },
	"anomaly: severity":    func(p map[telemetry.Stream]telemetry.Payload) { anomaly(p).Severity = 0 },
	"anomaly: since":       func(p map[telemetry.Stream]telemetry.Payload) { anomaly(p).Since = time.Time{} },
	"anomaly: long evidence": func(p map[telemetry.Stream]telemetry.Payload) {
		anomaly(p).Evidence = []telemetry.Label{{Key: "k", Value: strings.Repeat("e", 8193)}}
	},
	"event: uid":               func(p map[telemetry.Stream]telemetry.Payload) { event(p).UID = "" },
	"event: type":              func(p map[telemetry.Stream]telemetry.Payload) { event(p).Type = 0 },
	"event: count":             func(p map[telemetry.Stream]telemetry.Payload) { event(p).Count = 0 },
	"event: last seen":         func(p map[telemetry.Stream]telemetry.Payload) { event(p).LastSeen = time.Time{} },
	"event: message":           func(p map[telemetry.Stream]telemetry.Payload) { event(p).Message = strings.Repeat("m", 4097) },
	"sample: node":             func(p map[telemetry.Stream]telemetry.Payload) { sample(p).Node = "" },
	"sample: boot":             func(p map[telemetry.Stream]telemetry.Payload) { sample(p).BootID = "" },
	"sample: seq":              func(p map[telemetry.Stream]telemetry.Payload) { sample(p).CollectorSeq = 0 },
	"sample: interval":         func(p map[telemetry.Stream]telemetry.Payload) { sample(p).Interval = -1 },
	"sample: values":           func(p map[telemetry.Stream]telemetry.Payload) { sample(p).Values = nil },
	"sample: NaN":              func(p map[telemetry.Stream]telemetry.Payload) { sample(p).Values[0] = math.NaN() },
	"sample: infinite":         func(p map[telemetry.Stream]telemetry.Payload) { sample(p).Values[0] = math.Inf(1) },
	"sample: metric 0":         func(p map[telemetry.Stream]telemetry.Payload) { sample(p).Series[0].Metric = 0 },
	"slice: controller":        func(p map[telemetry.Stream]telemetry.Payload) { slice(p).Route.Controller = "" },
	"slice: start":             func(p map[telemetry.Stream]telemetry.Payload) { slice(p).Start = now.Add(time.Second) },
	"slice: more bad than all": func(p map[telemetry.Stream]telemetry.Payload) { slice(p).Bad = 1 },
	"slice: negative":          func(p map[telemetry.Stream]telemetry.Payload) { slice(p).Total = -1 },
	"slice: class":             func(p map[telemetry.Stream]telemetry.Payload) { slice(p).Classes[0] = math.NaN() },
	"slice: bounds":            func(p map[telemetry.Stream]telemetry.Payload) { slice(p).Latency = histogram([]float64{1, 1}, 3) },
	"slice: infinite bound": func(p map[telemetry.Stream]telemetry.Payload) {
		slice(p).Latency = histogram([]float64{1, math.Inf(1)}, 3)
	},
	"slice: counts":             func(p map[telemetry.Stream]telemetry.Payload) { slice(p).Latency = histogram([]float64{1, 2}, 2) },
	"slice: counts of nothing":  func(p map[telemetry.Stream]telemetry.Payload) { slice(p).Latency = histogram(nil, 1) },
	"output: command":           func(p map[telemetry.Stream]telemetry.Payload) { output(p).CommandUID = "" },
	"output: execution":         func(p map[telemetry.Stream]telemetry.Payload) { output(p).ExecutionID = "" },
	"output: data":              func(p map[telemetry.Stream]telemetry.Payload) { output(p).Data = make([]byte, telemetry.MaxChunk+1) },
	"output: truncated, midway": func(p map[telemetry.Stream]telemetry.Payload) { output(p).Truncated = true },
}

func histogram(bounds []float64, counts int) telemetry.Histogram {
	return telemetry.Histogram{Bounds: bounds, Counts: make([]float64, counts)}
}

func object(p map[telemetry.Stream]telemetry.Payload) *telemetry.ObjectDelta {
	return p[telemetry.StreamInventory].(*telemetry.ObjectDelta)
}

func anomaly(p map[telemetry.Stream]telemetry.Payload) *telemetry.AnomalyTransition {
	return p[telemetry.StreamAnomalies].(*telemetry.AnomalyTransition)
}

func event(p map[telemetry.Stream]telemetry.Payload) *telemetry.Event {
	return p[telemetry.StreamEvents].(*telemetry.Event)
}

func sample(p map[telemetry.Stream]telemetry.Payload) *telemetry.NodeSample {
	return p[telemetry.StreamNodeMetrics].(*telemetry.NodeSample)
}

func slice(p map[telemetry.Stream]telemetry.Payload) *telemetry.SLISlice {
	return p[telemetry.StreamSLI].(*telemetry.SLISlice)
}

func output(p map[telemetry.Stream]telemetry.Payload) *telemetry.CommandOutput {
	return p[telemetry.StreamCommandOutput].(*telemetry.CommandOutput)
}

func TestPayloadsKeepTheirBounds(t *testing.T) {
	for name, change := range spoil {
		payloads := samplePayloads()
		change(payloads)
		broken := 0
		for _, p := range payloads {
			err := p.Validate()
			if err == nil {
				continue
			}
			broken++
			if _, ok := errors.AsType[*telemetry.FieldError](err); !ok || !errors.Is(err, telemetry.ErrInvalid) {
				t.Errorf("%s: %v is no field error", name, err)
			}
		}
		if broken != 1 {
			t.Errorf("%s: %d payloads are invalid, want 1", name, broken)
		}
	}
}
