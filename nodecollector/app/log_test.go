// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package app

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/observability"
)

func TestLogLooksLikeThatOfTheOtherPrograms(t *testing.T) {
	var out bytes.Buffer
	log, err := NewLogger(&out, observability.LogOptions{Verbosity: 1})
	if err != nil {
		t.Fatal(err)
	}
	log.Log(t.Context(), slog.Level(-2), "Not shown")
	log.Log(t.Context(), slog.Level(-1), "Shown in detail")
	log.Warn("Shown", "node", "a", "level", "mine")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], `"level":"debug"`) {
		t.Fatalf("got %q, want two lines, and debug first", lines)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(strings.Replace(lines[1], `,"level":"mine"`, "", 1)), &got); err != nil {
		t.Fatal(err)
	}
	if _, err := time.Parse(time.RFC3339Nano, got["time"].(string)); err != nil {
		t.Error(err)
	}
	caller, _, _ := strings.Cut(got["caller"].(string), ":")
	delete(got, "time")
	got["caller"] = caller
	if diff := cmp.Diff(map[string]any{"level": "warn", "msg": "Shown", "node": "a", "caller": "app/log_test.go"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestLogOptions(t *testing.T) {
	for says, o := range map[string]observability.LogOptions{
		"":                           {Format: "console"},
		`--log-format is "xml"`:      {Format: "xml"},
		"--log-verbosity is -1":      {Verbosity: -1},
		"--log-verbosity is 11; it ": {Verbosity: 11},
	} {
		_, err := NewLogger(t.Output(), o)
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, want %q", o, err, says)
		}
	}
}
