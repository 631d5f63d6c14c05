// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// anomaliesPerCluster is how many anomalies of a cluster are printed when it is one
// of many.
const anomaliesPerCluster = 5

// RenderAnomalies draws what is broken as text: totals, a table of clusters, and the
// worst anomalies, at most so many of each cluster; 0 for all.
func RenderAnomalies(w io.Writer, fleet FleetAnomalies, now time.Time, layout Layout, lines int) error {
	if layout.Width > 0 {
		layout.Width = max(layout.Width, minWidth)
	}
	var b strings.Builder
	if len(fleet.Clusters) == 0 {
		b.WriteString("The fleet has no clusters. `kubectl atlhyper join NAME --create` adds one.\n")
	} else {
		renderTotals(&b, fleet.Summary, layout)
		b.WriteString("\n")
		renderCounts(&b, fleet.Clusters, now, layout)
		renderWorst(&b, fleet.Clusters, now, layout, lines)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func renderTotals(b *strings.Builder, s AnomalyTotals, layout Layout) {
	parts := []string{
		fmt.Sprintf("%s: %d critical", plural(s.Clusters, "cluster"), s.Critical),
		plural(int(s.Warning), "warning"), fmt.Sprintf("%d info", s.Info),
	}
	if s.Unknown > 0 {
		parts = append(parts, plural(s.Unknown, "cluster")+" unknown")
	}
	writeWrapped(b, parts, layout.Width)
}

func renderCounts(b *strings.Builder, clusters []ClusterAnomalies, now time.Time, layout Layout) {
	rows := make([][]string, 0, 1+len(clusters))
	rows = append(rows, []string{"NAME", "STATE", "CRITICAL", "WARNING", "INFO", "AS-OF"})
	for i := range clusters {
		c := &clusters[i]
		rows = append(rows, []string{c.Name, string(c.State), number(c.Critical), number(c.Warning), number(c.Info), age(c.AsOf, now)})
	}
	writeTable(b, rows, layout, func(row, column int) string {
		c := &clusters[row]
		switch {
		case column == 1 && c.State != KnowledgeCurrent, column == 3 && count(c.Warning) > 0:
			return yellow
		case column == 2 && count(c.Critical) > 0:
			return red
		default:
			return ""
		}
	})
}

func renderWorst(b *strings.Builder, clusters []ClusterAnomalies, now time.Time, layout Layout, lines int) {
	rows := [][]string{{"CLUSTER", "SEVERITY", "STATE", "RULE", "OBJECT", "COUNT", "SINCE", "REASON"}}
	var colors []string
	var more []string
	for i := range clusters {
		c := &clusters[i]
		shown := c.Worst
		if lines > 0 && len(shown) > lines {
			shown = shown[:lines]
		}
		for k := range shown {
			a := &shown[k]
			state, color := "Open", ""
			if c.State == KnowledgeUnknown {
				state = string(KnowledgeUnknown)
			}
			switch a.Severity {
			case "critical":
				color = red
			case "warning":
				color = yellow
			}
			object := a.Name
			if a.Namespace != "" {
				object = a.Namespace + "/" + a.Name
			}
			rows = append(rows, []string{c.Name, a.Severity, state, a.Rule, a.Kind + " " + object, strconv.Itoa(int(a.Count)), age(&a.Since, now), a.Reason})
			colors = append(colors, color)
		}
		if rest := count(c.Critical) + count(c.Warning) + count(c.Info) - int64(len(shown)); rest > 0 {
			more = append(more, fmt.Sprintf("and %d more in %s", rest, c.Name))
		}
	}
	if len(rows) == 1 && len(more) == 0 {
		return
	}
	b.WriteString("\n")
	writeTable(b, rows, layout, func(row, column int) string {
		if column == 1 {
			return colors[row]
		}
		return ""
	})
	for _, line := range more {
		b.WriteString(cut("  "+sanitize(line), layout.Width) + "\n")
	}
}

const (
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	plain  = "\x1b[0m"
)

// writeTable writes rows of cells under the first, which is the header. Color returns
// the escape sequence of a cell, "" for none. What does not fit is cut off the end.
func writeTable(b *strings.Builder, rows [][]string, layout Layout, color func(row, column int) string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i := range row {
			if row[i] = sanitize(row[i]); row[i] == "" {
				row[i] = absent
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	for n, row := range rows {
		var line strings.Builder
		used := 0
		for i, text := range row {
			if i > 0 {
				line.WriteString(columnGap)
				used += len(columnGap)
			}
			room := layout.Width - used
			if layout.Width > 0 && room < 1 {
				break
			}
			text = cut(text, max(room, 0))
			length := utf8.RuneCountInString(text)
			padding := strings.Repeat(" ", max(widths[i]-length, 0))
			used += max(widths[i], length)
			if layout.Color && n > 0 && color(n-1, i) != "" {
				text = color(n-1, i) + text + plain
			}
			line.WriteString(text + padding)
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

func number(n *int64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatInt(*n, 10)
}
