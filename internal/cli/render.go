// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package cli

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
)

const (
	// attentionLines is how many things that need attention are printed.
	attentionLines = 10
	// defaultWidth is the width of output that goes to no terminal.
	defaultWidth = 120
	// minWidth is the narrowest width that lines are cut to.
	minWidth = 80

	columnGap = "  "
	absent    = "-"
)

// Layout says how the fleet is drawn.
type Layout struct {
	// Width is the number of columns. Less than 80 counts as 80; 0 is unlimited.
	Width int
	// Color marks bad states with ANSI colours.
	Color bool
}

// column is one column of the table. When the table is too wide, columns go
// whose drop is not 0, the smallest first.
type column struct {
	header string
	drop   int
	cell   func(c *ClusterStatus, now time.Time) string
}

var columns = []column{
	{header: "NAME", cell: func(c *ClusterStatus, _ time.Time) string { return c.Name }},
	{header: "AVAILABLE", cell: func(c *ClusterStatus, _ time.Time) string { return string(c.Available) }},
	{header: "REASON", cell: func(c *ClusterStatus, _ time.Time) string { return c.Reason }},
	{header: "SINCE", drop: 6, cell: func(c *ClusterStatus, now time.Time) string { return age(c.Since, now) }},
	{header: "VERSION", drop: 4, cell: func(c *ClusterStatus, _ time.Time) string { return c.Version }},
	{header: "NODES", drop: 7, cell: func(c *ClusterStatus, _ time.Time) string {
		if c.Nodes == nil {
			return ""
		}
		return fmt.Sprintf("%d/%d", c.Nodes.Ready, c.Nodes.Total)
	}},
	{header: "PODS", drop: 5, cell: func(c *ClusterStatus, _ time.Time) string {
		if c.Pods == nil {
			return ""
		}
		return fmt.Sprintf("%d/%d", c.Pods.Running, c.Pods.Total)
	}},
	{header: "CPU", drop: 2, cell: func(c *ClusterStatus, _ time.Time) string { return percentCell(c.CPURequestedPercent) }},
	{header: "MEM", drop: 3, cell: func(c *ClusterStatus, _ time.Time) string { return percentCell(c.MemoryRequestedPercent) }},
	{header: "AGENT", drop: 1, cell: func(c *ClusterStatus, _ time.Time) string { return c.AgentVersion }},
	{header: "LAST-SEEN", drop: 8, cell: func(c *ClusterStatus, now time.Time) string { return age(c.LastSeen, now) }},
}

// Render draws the fleet as text: totals, a table, and what needs attention.
func Render(w io.Writer, fleet FleetStatus, now time.Time, layout Layout) error {
	if layout.Width > 0 {
		layout.Width = max(layout.Width, minWidth)
	}
	var b strings.Builder
	if len(fleet.Clusters) == 0 {
		b.WriteString("The fleet has no clusters. `kubectl atlhyper join NAME --create` adds one.\n")
	} else {
		renderSummary(&b, fleet.Summary, layout)
		b.WriteString("\n")
		renderTable(&b, fleet.Clusters, now, layout)
		renderAttention(&b, fleet.Attention, now, layout)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func renderSummary(b *strings.Builder, s FleetSummary, layout Layout) {
	parts := []string{fmt.Sprintf("%d available", s.Available), fmt.Sprintf("%d unavailable", s.Unavailable), fmt.Sprintf("%d unknown", s.Unknown)}
	for _, optional := range []struct {
		count int
		what  string
	}{{s.AwaitingApproval, "awaiting approval"}, {s.Deleting, "deleting"}, {s.Denied, "denied"}} {
		if optional.count > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", optional.count, optional.what))
		}
	}
	parts[0] = plural(s.Clusters, "cluster") + ": " + parts[0]
	writeWrapped(b, parts, layout.Width)

	totals := []string{"nodes " + absent, "pods " + absent}
	if s.Nodes != nil {
		totals[0] = fmt.Sprintf("nodes %d/%d ready", s.Nodes.Ready, s.Nodes.Total)
	}
	if s.Pods != nil {
		totals[1] = fmt.Sprintf("pods %d/%d running", s.Pods.Running, s.Pods.Total)
	}
	if s.Outdated > 0 {
		totals = append(totals, plural(s.Outdated, "cluster")+" with old figures")
	}
	if s.Missing > 0 {
		totals = append(totals, fmt.Sprintf("%d without", s.Missing))
	}
	writeWrapped(b, totals, layout.Width)
}

// writeWrapped writes parts with commas between them and breaks lines only there.
func writeWrapped(b *strings.Builder, parts []string, width int) {
	const indent = "  "
	used := 0
	for i, part := range parts {
		if i < len(parts)-1 {
			part += ","
		}
		switch {
		case i == 0:
			used = 0
		case width > 0 && used+1+len(part) > width:
			b.WriteString("\n" + indent)
			used = len(indent)
		default:
			b.WriteString(" ")
			used++
		}
		b.WriteString(part)
		used += len(part)
	}
	b.WriteString("\n")
}

func renderTable(b *strings.Builder, clusters []ClusterStatus, now time.Time, layout Layout) {
	cells, widths := make([][]string, len(columns)), make([]int, len(columns))
	for i, col := range columns {
		cells[i] = []string{col.header}
		for j := range clusters {
			text := sanitize(col.cell(&clusters[j], now))
			if text == "" {
				text = absent
			}
			cells[i] = append(cells[i], text)
		}
		for _, text := range cells[i] {
			widths[i] = max(widths[i], utf8.RuneCountInString(text))
		}
	}
	shown := fitColumns(widths, layout.Width)
	for row := range len(clusters) + 1 {
		var line strings.Builder
		for n, i := range shown {
			text := cells[i][row]
			padding := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text))
			if n == len(shown)-1 {
				padding = ""
			}
			if n > 0 {
				line.WriteString(columnGap)
			}
			if layout.Color && row > 0 && columns[i].header == "AVAILABLE" {
				text = colorOf(clusters[row-1].Available) + text + "\x1b[0m"
			}
			line.WriteString(text + padding)
		}
		b.WriteString(line.String() + "\n")
	}
}

// fitColumns returns the indices of the columns that fit into width together. The
// reason is worth more than the figures, and the name is never cut, because it
// is what gets copied into the next command.
func fitColumns(widths []int, width int) []int {
	var shown []int
	for i := range columns {
		shown = append(shown, i)
	}
	total := func() int {
		sum := len(columnGap) * (len(shown) - 1)
		for _, i := range shown {
			sum += widths[i]
		}
		return sum
	}
	for width > 0 && total() > width {
		next := -1
		for n, i := range shown {
			if d := columns[i].drop; d > 0 && (next < 0 || d < columns[shown[next]].drop) {
				next = n
			}
		}
		if next < 0 {
			break
		}
		shown = slices.Delete(shown, next, next+1)
	}
	return shown
}

func renderAttention(b *strings.Builder, attention []Attention, now time.Time, layout Layout) {
	if len(attention) == 0 {
		return
	}
	b.WriteString("\nNeeds attention:\n")
	for i, a := range attention {
		if i == attentionLines {
			fmt.Fprintf(b, "  and %d more: kubectl atlhyper status -o yaml\n", len(attention)-i)
			return
		}
		line := "  " + a.Cluster + columnGap + sanitize(a.Reason)
		if since := age(a.Since, now); since != "" {
			line += " (" + since + ")"
		}
		if message := sanitize(a.Message); message != "" {
			line += ": " + message
		}
		b.WriteString(cut(line, layout.Width) + "\n")
	}
}

func colorOf(available metav1.ConditionStatus) string {
	switch available {
	case metav1.ConditionTrue:
		return "\x1b[32m"
	case metav1.ConditionFalse:
		return "\x1b[31m"
	default:
		return "\x1b[33m"
	}
}

func age(t *metav1.Time, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	// Clocks differ a little: the future is now.
	return duration.HumanDuration(max(0, now.Sub(t.Time)))
}

func percentCell(p *int64) string {
	if p == nil {
		return ""
	}
	return strconv.FormatInt(*p, 10) + "%"
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// cut shortens a line to width, marking that it did. A width of 0 is unlimited.
func cut(s string, width int) string {
	if width <= 0 || utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}
