// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inspect

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strings"
	"unicode/utf8"
)

// Forms of output.
const (
	formatTable = "table"
	formatJSON  = "json"
	formatLines = "jsonl"
)

var formats = []string{formatTable, formatJSON, formatLines}

const (
	columnGap = "  "
	absent    = "-"
	// maxProse is how many runes of prose a table shows; JSON shows all.
	maxProse = 160
)

// column is one column of a table of V.
type column[V any] struct {
	header string
	cell   func(V) string
	// optional columns are left out when no row has anything in them.
	optional bool
	// right aligns numbers.
	right bool
	// prose is cut when it is long; names never are, because people copy them.
	prose bool
}

// answer is what a subcommand prints.
type answer[V any] struct {
	// what the rows are, in the plural.
	what    string
	columns []column[V]
	rows    iter.Seq2[V, error]
	// diagnose says why there are no rows when that is a mistake in the flags.
	diagnose func(context.Context) error
}

// write prints the answer in the form that was asked for.
func (a answer[V]) write(ctx context.Context, s *session) error {
	out := bufio.NewWriter(s.streams.Out)
	var p printer[V]
	switch s.format {
	case formatJSON:
		p = &arrayPrinter[V]{w: out}
	case formatLines:
		p = linePrinter[V]{w: out}
	default:
		p = &tablePrinter[V]{w: out, columns: a.columns}
	}
	n := 0
	for row, err := range a.rows {
		if err != nil {
			return fmt.Errorf("reading %s: %w", a.what, err)
		}
		if n == s.limit {
			s.notes = append(s.notes, fmt.Sprintf("There are more %s than the first %d: raise --limit (at most %d), or narrow the search.", a.what, n, MaxRows))
			break
		}
		n++
		if err := p.row(row); err != nil {
			return fmt.Errorf("writing %s: %w", a.what, err)
		}
	}
	if n == 0 {
		if a.diagnose != nil && len(s.clusters) > 0 {
			if err := a.diagnose(ctx); err != nil {
				return err
			}
		}
		s.notes = append([]string{s.nothing(a.what)}, s.notes...)
	}
	if err := p.end(); err != nil {
		return fmt.Errorf("writing %s: %w", a.what, err)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing %s: %w", a.what, err)
	}
	for _, note := range s.notes {
		fmt.Fprintln(s.streams.ErrOut, note)
	}
	return nil
}

func (s *session) nothing(what string) string {
	if len(s.clusters) == 0 {
		return "The store holds no clusters yet."
	}
	return "No " + what + " found."
}

// printer writes rows in one form.
type printer[V any] interface {
	row(V) error
	end() error
}

// tablePrinter holds the rows until the widths are known.
type tablePrinter[V any] struct {
	w       io.Writer
	columns []column[V]
	cells   [][]string
}

func (p *tablePrinter[V]) row(v V) error {
	line := make([]string, len(p.columns))
	for i, c := range p.columns {
		line[i] = sanitize(c.cell(v))
		if c.prose {
			line[i] = cut(line[i], maxProse)
		}
	}
	p.cells = append(p.cells, line)
	return nil
}

func (p *tablePrinter[V]) end() error {
	if len(p.cells) == 0 {
		return nil
	}
	widths, shown := p.layout()
	header := make([]string, len(p.columns))
	for i, c := range p.columns {
		header[i] = c.header
	}
	for _, line := range append([][]string{header}, p.cells...) {
		var b strings.Builder
		for n, i := range shown {
			text := line[i]
			if text == "" {
				text = absent
			}
			padding := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text))
			if n > 0 {
				b.WriteString(columnGap)
			}
			switch {
			case p.columns[i].right:
				b.WriteString(padding + text)
			case n == len(shown)-1:
				b.WriteString(text)
			default:
				b.WriteString(text + padding)
			}
		}
		b.WriteString("\n")
		if _, err := io.WriteString(p.w, b.String()); err != nil {
			return err
		}
	}
	return nil
}

// layout returns the width of each column and which columns are shown.
func (p *tablePrinter[V]) layout() (widths, shown []int) {
	widths = make([]int, len(p.columns))
	for i, c := range p.columns {
		filled := false
		for _, line := range p.cells {
			filled = filled || line[i] != ""
			widths[i] = max(widths[i], utf8.RuneCountInString(line[i]))
		}
		widths[i] = max(widths[i], len(c.header), len(absent))
		if filled || !c.optional {
			shown = append(shown, i)
		}
	}
	return widths, shown
}

// arrayPrinter writes one JSON array.
type arrayPrinter[V any] struct {
	w     io.Writer
	begun bool
}

func (p *arrayPrinter[V]) row(v V) error {
	data, err := encode(v)
	if err != nil {
		return err
	}
	var indented bytes.Buffer
	indented.WriteString("  ")
	if err := json.Indent(&indented, data, "  ", "  "); err != nil {
		return err
	}
	start := "[\n"
	if p.begun {
		start = ",\n"
	}
	p.begun = true
	_, err = io.WriteString(p.w, start+indented.String())
	return err
}

func (p *arrayPrinter[V]) end() error {
	text := "[]\n"
	if p.begun {
		text = "\n]\n"
	}
	_, err := io.WriteString(p.w, text)
	return err
}

// linePrinter writes one JSON object per line, as they come.
type linePrinter[V any] struct{ w io.Writer }

func (p linePrinter[V]) row(v V) error {
	data, err := encode(v)
	if err == nil {
		_, err = p.w.Write(append(data, '\n'))
	}
	return err
}

func (linePrinter[V]) end() error { return nil }

// encode returns one line of JSON that is safe to show on a terminal.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encoding a row: %w", err)
	}
	return escape(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}
