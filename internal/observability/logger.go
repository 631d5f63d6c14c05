// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package observability is what every AtlHyper program says about itself: its
// log and its version.
package observability

import (
	"flag"
	"fmt"

	"github.com/go-logr/logr"
	"github.com/go-logr/zapr"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// LogOptions choose the form and the detail of a program's log.
type LogOptions struct {
	// Format is "json" or "console".
	Format string
	// Verbosity is the highest V level that is written: 0 is what a human acts
	// on, 1 the outcome of each step, 2 its inputs.
	Verbosity int
}

// BindFlags adds --log-format and --log-verbosity to a flag set.
func (o *LogOptions) BindFlags(fs *flag.FlagSet) {
	fs.StringVar(&o.Format, "log-format", "json", "Form of the log: json or console.")
	fs.IntVar(&o.Verbosity, "log-verbosity", 0, "Detail of the log: 0 what a human acts on, 1 outcomes, 2 inputs.")
}

// Logger returns a logger that writes to standard error.
func (o *LogOptions) Logger() (logr.Logger, error) {
	config := zap.NewProductionConfig()
	config.Sampling = nil
	config.EncoderConfig.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	config.EncoderConfig.TimeKey = "time"
	config.DisableStacktrace = true
	switch o.Format {
	case "json", "":
	case "console":
		config.Encoding = "console"
		config.EncoderConfig.EncodeLevel = zapcore.CapitalLevelEncoder
	default:
		return logr.Logger{}, fmt.Errorf("--log-format is %q; it can be json or console", o.Format)
	}
	if o.Verbosity < 0 || o.Verbosity > 10 {
		return logr.Logger{}, fmt.Errorf("--log-verbosity is %d; it can be from 0 to 10", o.Verbosity)
	}
	// zapr writes V(n) at zap's level -n.
	config.Level = zap.NewAtomicLevelAt(zapcore.Level(-o.Verbosity))
	logger, err := config.Build()
	if err != nil {
		return logr.Logger{}, fmt.Errorf("building the logger: %w", err)
	}
	return zapr.NewLogger(logger), nil
}
