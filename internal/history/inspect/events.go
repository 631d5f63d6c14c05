// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inspect

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// events is the flags of "history events".
type events struct {
	span
	kinds, namespaces, reasons []string
	name, uid, eventType       string
}

func newEvents(p *program) *cobra.Command {
	f := &events{}
	cmd := p.subcommand("events", "Print Kubernetes events, newest first",
		"  hub history events --cluster prod-eu --namespace shop --since 2h\n"+
			"  hub history events --kind Pod --name web-0 -o jsonl",
		f.run)
	flags := cmd.Flags()
	flags.StringSliceVar(&f.kinds, "kind", nil, "only events about objects of these kinds, such as Pod")
	flags.StringSliceVarP(&f.namespaces, "namespace", "n", nil, "only events about objects in these namespaces; - for objects without one")
	flags.StringSliceVar(&f.reasons, "reason", nil, "only events with these reasons, such as BackOff")
	flags.StringVar(&f.name, "name", "", "only events about objects of this name")
	flags.StringVar(&f.uid, "uid", "", "only events about the object with this UID")
	flags.StringVar(&f.eventType, "type", "", "only events of this type: Normal or Warning")
	f.bind(cmd, "24h")
	return cmd
}

func (f *events) run(ctx context.Context, s *session) error {
	between, err := f.between(s, day, history.MaxAhead)
	if err != nil {
		return err
	}
	kinds, err := s.eventKinds(ctx, f.kinds, between)
	if err != nil {
		return err
	}
	q := history.EventQuery{Range: between, Namespaces: namespaces(f.namespaces), Reasons: f.reasons, Name: f.name, UID: f.uid, Kinds: kinds}
	if f.eventType != "" {
		if q.Type, err = eventTypeNamed(f.eventType); err != nil {
			return err
		}
	}
	read := func(ctx context.Context, cluster history.ClusterUID, paging history.Paging) (history.Page[history.Event], error) {
		q.Cluster, q.Paging = cluster, paging
		return s.reader.Events(ctx, q)
	}
	a := answer[eventView]{
		what: "events", columns: eventColumns(s),
		rows: mapped(merged(ctx, s, read, func(a, b history.Event) int { return b.LastSeen.Compare(a.LastSeen) }), s.eventView),
		diagnose: func(ctx context.Context) error {
			return s.checkNames(ctx, "namespace", telemetry.KindNamespace, f.namespaces)
		},
	}
	return a.write(ctx, s)
}

func eventTypeNamed(name string) (telemetry.EventType, error) {
	types := []telemetry.EventType{telemetry.EventNormal, telemetry.EventWarning}
	names := make([]string, len(types))
	for i, t := range types {
		if names[i] = t.String(); strings.EqualFold(names[i], name) {
			return t, nil
		}
	}
	return 0, missing("type", []string{name}, names)
}

// eventKinds returns kinds as events spell them. Events are about objects of any
// kind, also of those that are not inventoried: of such a kind there has to be one.
func (s *session) eventKinds(ctx context.Context, wanted []string, between history.Range) ([]string, error) {
	known := telemetry.Kinds()
	kinds := make([]string, 0, len(wanted))
	for _, w := range wanted {
		if i := slices.IndexFunc(known, func(k telemetry.Kind) bool { return spells(k, w) }); i >= 0 {
			kinds = append(kinds, string(known[i]))
			continue
		}
		found := false
		for _, c := range s.clusters {
			page, err := s.reader.Events(ctx, history.EventQuery{Cluster: c.uid, Range: between, Kinds: []string{w}, Paging: history.Paging{Limit: 1}})
			if err != nil {
				return nil, fmt.Errorf("looking for events of cluster %s: %w", c.title(), err)
			}
			found = found || len(page.Items) > 0
		}
		if !found {
			return nil, missing("kind", []string{w}, words(known))
		}
		kinds = append(kinds, w)
	}
	return kinds, nil
}

// eventView is an event as it is printed.
type eventView struct {
	clusterView
	UID        string    `json:"uid"`
	NS         string    `json:"namespace,omitempty"`
	Name       string    `json:"name,omitempty"`
	Type       string    `json:"type"`
	Reason     string    `json:"reason,omitempty"`
	Message    string    `json:"message,omitempty"`
	Regarding  *refView  `json:"regarding,omitempty"`
	FieldPath  string    `json:"fieldPath,omitempty"`
	Controller string    `json:"controller,omitempty"`
	Host       string    `json:"host,omitempty"`
	Count      uint32    `json:"count"`
	FirstSeen  time.Time `json:"firstSeen,omitzero"`
	LastSeen   time.Time `json:"lastSeen"`
}

func (s *session) eventView(e history.Event) eventView {
	return eventView{
		clusterView: s.clusterView(e.Cluster), UID: e.UID, NS: e.Namespace, Name: e.Name, Type: e.Type.String(), Reason: e.Reason,
		Message: e.Message, Regarding: viewRef(e.Regarding), FieldPath: e.FieldPath, Controller: e.Controller, Host: e.Host,
		Count: e.Count, FirstSeen: e.FirstSeen.UTC(), LastSeen: e.LastSeen.UTC(),
	}
}

func (v *eventView) object() string {
	if v.Regarding == nil {
		return ""
	}
	return object(v.Regarding.Kind, v.Regarding.NS, v.Regarding.Name)
}

func eventColumns(s *session) []column[eventView] {
	columns := []column[eventView]{
		{header: "LAST SEEN", cell: func(v eventView) string { return stamp(v.LastSeen, s.location) }},
		{header: "AGE", cell: func(v eventView) string { return age(v.LastSeen, s.now) }},
	}
	columns = append(columns, clusterColumn(s, func(v eventView) history.ClusterUID { return v.Cluster })...)
	return append(columns,
		column[eventView]{header: "TYPE", cell: func(v eventView) string { return v.Type }},
		column[eventView]{header: "REASON", cell: func(v eventView) string { return v.Reason }},
		column[eventView]{header: "OBJECT", cell: func(v eventView) string { return v.object() }},
		column[eventView]{header: "COUNT", right: true, cell: func(v eventView) string { return strconv.FormatUint(uint64(v.Count), 10) }},
		column[eventView]{header: "FROM", optional: true, cell: func(v eventView) string { return v.Controller }},
		column[eventView]{header: "MESSAGE", prose: true, cell: func(v eventView) string { return v.Message }},
	)
}
