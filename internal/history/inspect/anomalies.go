// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inspect

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// anomalies is the flags of "history anomalies".
type anomalies struct {
	span
	kinds, namespaces, rules []string
	node, severity           string
	transitions              bool
}

func newAnomalies(p *program) *cobra.Command {
	f := &anomalies{}
	cmd := p.subcommand("anomalies", "Print open anomalies, or their transitions",
		"  hub history anomalies                       # what is open now, the most severe first\n"+
			"  hub history anomalies --severity critical --since 24h",
		f.run)
	flags := cmd.Flags()
	flags.StringSliceVar(&f.kinds, "kind", nil, "only anomalies of objects of these kinds, such as Pod")
	flags.StringSliceVarP(&f.namespaces, "namespace", "n", nil, "only anomalies of objects in these namespaces; - for objects without one")
	flags.StringSliceVar(&f.rules, "rule", nil, "only anomalies of these rules, such as PodCrashLoopBackOff")
	flags.StringVar(&f.node, "node", "", "only anomalies on this node")
	flags.StringVar(&f.severity, "severity", "", "only anomalies at least this severe: info, warning or critical")
	flags.BoolVar(&f.transitions, "transitions", false, "print what was raised and cleared, newest first; --since and --until imply it")
	f.bind(cmd, "24h with --transitions")
	return cmd
}

func (f *anomalies) run(ctx context.Context, s *session) error {
	kinds, err := s.kinds(ctx, f.kinds)
	if err != nil {
		return err
	}
	q := history.AnomalyQuery{Namespaces: namespaces(f.namespaces), Rules: f.rules}
	if f.severity != "" {
		if q.MinSeverity, err = severityNamed(f.severity); err != nil {
			return err
		}
	}
	a := answer[anomalyView]{what: "open anomalies", columns: anomalyColumns(s, "SINCE", sinceOf), diagnose: func(ctx context.Context) error {
		if err := s.checkNames(ctx, "namespace", telemetry.KindNamespace, f.namespaces); err != nil {
			return err
		}
		return s.checkNames(ctx, "node", telemetry.KindNode, []string{f.node})
	}}
	var rows iter.Seq2[history.Anomaly, error]
	if f.transitions || f.given() {
		if q.Range, err = f.between(s, day, history.MaxAhead); err != nil {
			return err
		}
		a.what, a.columns = "transitions of anomalies", anomalyColumns(s, "TIME", timeOf)
		rows = merged(ctx, s, read(s.reader.AnomalyTransitions, q), func(a, b history.Anomaly) int { return b.At.Compare(a.At) })
	} else {
		rows = merged(ctx, s, read(s.reader.OpenAnomalies, q), mostSevere)
	}
	if len(kinds) > 0 || f.node != "" { // the store knows neither
		s.filtering = true
		rows = kept(s, rows, func(a history.Anomaly) bool {
			return (len(kinds) == 0 || slices.Contains(kinds, telemetry.Kind(a.Object.Kind))) && (f.node == "" || a.Node == f.node)
		})
	}
	a.rows = mapped(rows, s.anomalyView)
	return a.write(ctx, s)
}

// read asks one of the two questions about anomalies.
func read(ask func(context.Context, history.AnomalyQuery) (history.Page[history.Anomaly], error), q history.AnomalyQuery) fetch[history.Anomaly] {
	return func(ctx context.Context, cluster history.ClusterUID, paging history.Paging) (history.Page[history.Anomaly], error) {
		q.Cluster, q.Paging = cluster, paging
		return ask(ctx, q)
	}
}

// mostSevere is the order of open anomalies.
func mostSevere(a, b history.Anomaly) int {
	return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Fingerprint, b.Fingerprint))
}

func severityNamed(name string) (telemetry.Severity, error) {
	var names []string
	for v := telemetry.SeverityInfo; v <= telemetry.SeverityCritical; v++ {
		if v.String() == name {
			return v, nil
		}
		names = append(names, v.String())
	}
	return 0, missing("severity", []string{name}, names)
}

// anomalyView is an anomaly as it is printed.
type anomalyView struct {
	clusterView
	At           time.Time         `json:"at"`
	Epoch        uint64            `json:"epoch"`
	Seq          uint64            `json:"seq"`
	Rule         string            `json:"rule"`
	Fingerprint  string            `json:"fingerprint"`
	State        string            `json:"state"`
	Severity     string            `json:"severity"`
	Object       *refView          `json:"object,omitempty"`
	Owner        *refView          `json:"owner,omitempty"`
	TemplateHash string            `json:"templateHash,omitempty"`
	Container    string            `json:"container,omitempty"`
	Node         string            `json:"node,omitempty"`
	Reason       string            `json:"reason,omitempty"`
	Message      string            `json:"message,omitempty"`
	Count        uint32            `json:"count"`
	Since        time.Time         `json:"since"`
	Evidence     map[string]string `json:"evidence,omitempty"`
}

func (s *session) anomalyView(a history.Anomaly) anomalyView {
	return anomalyView{
		clusterView: s.clusterView(a.Cluster), At: a.At.UTC(), Epoch: uint64(a.Epoch), Seq: a.Seq, Rule: a.Rule, Fingerprint: a.Fingerprint,
		State: a.State.String(), Severity: a.Severity.String(), Object: viewRef(a.Object), Owner: viewRef(a.Owner),
		TemplateHash: a.TemplateHash, Container: a.Container, Node: a.Node, Reason: a.Reason, Message: a.Message, Count: a.Count,
		Since: a.Since.UTC(), Evidence: labels(a.Evidence),
	}
}

func sinceOf(v anomalyView) time.Time { return v.Since }

func timeOf(v anomalyView) time.Time { return v.At }

func anomalyColumns(s *session, when string, of func(anomalyView) time.Time) []column[anomalyView] {
	columns := []column[anomalyView]{
		{header: when, cell: func(v anomalyView) string { return stamp(of(v), s.location) }},
		{header: "AGE", cell: func(v anomalyView) string { return age(of(v), s.now) }},
	}
	columns = append(columns, clusterColumn(s, func(v anomalyView) history.ClusterUID { return v.Cluster })...)
	return append(columns,
		column[anomalyView]{header: "SEVERITY", cell: func(v anomalyView) string { return v.Severity }},
		column[anomalyView]{header: "STATE", cell: func(v anomalyView) string { return v.State }},
		column[anomalyView]{header: "RULE", cell: func(v anomalyView) string { return v.Rule }},
		column[anomalyView]{header: "OBJECT", cell: func(v anomalyView) string {
			if v.Object == nil {
				return ""
			}
			return object(v.Object.Kind, v.Object.NS, v.Object.Name)
		}},
		column[anomalyView]{header: "CONTAINER", optional: true, cell: func(v anomalyView) string { return v.Container }},
		column[anomalyView]{header: "NODE", optional: true, cell: func(v anomalyView) string { return v.Node }},
		column[anomalyView]{header: "COUNT", right: true, cell: func(v anomalyView) string { return strconv.FormatUint(uint64(v.Count), 10) }},
		column[anomalyView]{header: "MESSAGE", prose: true, cell: func(v anomalyView) string { return v.Message }},
	)
}
