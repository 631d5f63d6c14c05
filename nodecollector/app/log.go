// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package app

import (
	"fmt"
	"io"
	"log/slog"
	"path"
	"strconv"
	"strings"

	"github.com/atlhyper/atlhyper/internal/observability"
)

// NewLogger returns a logger that writes to w what the other programs' loggers
// write. It is of the standard library's making: the logger of the others would be
// 400 KiB of this program, in memory on every node.
func NewLogger(w io.Writer, o observability.LogOptions) (*slog.Logger, error) {
	if o.Verbosity < 0 || o.Verbosity > 10 {
		return nil, fmt.Errorf("--log-verbosity is %d; it can be from 0 to 10", o.Verbosity)
	}
	options := &slog.HandlerOptions{AddSource: true, Level: slog.Level(-o.Verbosity), ReplaceAttr: asOthersDo}
	switch o.Format {
	case "json", "":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	case "console":
		return slog.New(slog.NewTextHandler(w, options)), nil
	default:
		return nil, fmt.Errorf("--log-format is %q; it can be json or console", o.Format)
	}
}

// asOthersDo gives what stands in every line the other programs' form.
func asOthersDo(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return a
	}
	switch v := a.Value.Any().(type) {
	case slog.Level:
		if a.Key == slog.LevelKey && v < slog.LevelInfo {
			v = slog.LevelDebug // at any verbosity
		}
		if a.Key == slog.LevelKey {
			return slog.String("level", strings.ToLower(v.String()))
		}
	case *slog.Source:
		if a.Key == slog.SourceKey {
			return slog.String("caller", path.Join(path.Base(path.Dir(v.File)), path.Base(v.File))+":"+strconv.Itoa(v.Line))
		}
	}
	return a
}
