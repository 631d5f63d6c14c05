// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// inventory is the flags of "history inventory".
type inventory struct {
	span
	kinds, namespaces, phases []string
	node, name, ready         string
	deleted, changes          bool
}

func newInventory(p *program) *cobra.Command {
	f := &inventory{}
	cmd := p.subcommand("inventory", "Print the objects of the clusters, or what changed",
		"  hub history inventory --cluster prod-eu --kind Pod --namespace shop\n"+
			"  hub history inventory --kind Deployment --ready False -o json\n"+
			"  hub history inventory --since 2h            # what changed in the last two hours",
		f.run)
	flags := cmd.Flags()
	flags.StringSliceVar(&f.kinds, "kind", nil, "only objects of these kinds, such as Pod")
	flags.StringSliceVarP(&f.namespaces, "namespace", "n", nil, "only objects in these namespaces; - for objects without one")
	flags.StringSliceVar(&f.phases, "phase", nil, "only objects in these phases, such as Pending")
	flags.StringVar(&f.node, "node", "", "only pods on this node")
	flags.StringVar(&f.name, "name", "", "only objects whose name begins like this")
	flags.StringVar(&f.ready, "ready", "", "only objects that are: True, False or Unknown")
	flags.BoolVar(&f.deleted, "deleted", false, "also objects that are gone")
	flags.BoolVar(&f.changes, "changes", false, "print what changed, newest first, instead of what exists; --since and --until imply it")
	f.bind(cmd, "24h with --changes")
	return cmd
}

func (f *inventory) run(ctx context.Context, s *session) error {
	kinds, err := s.kinds(ctx, f.kinds)
	if err != nil {
		return err
	}
	if f.changes || f.given() {
		return f.printChanges(ctx, s, kinds)
	}
	q := history.ObjectQuery{
		Kinds: kinds, Namespaces: namespaces(f.namespaces), Phases: f.phases, Node: f.node, NamePrefix: f.name, Deleted: f.deleted,
	}
	if f.ready != "" {
		readiness, err := readinessNamed(f.ready)
		if err != nil {
			return err
		}
		q.Ready = &readiness
	}
	rows := inTurn(ctx, s, func(ctx context.Context, cluster history.ClusterUID, paging history.Paging) (history.Page[history.Object], error) {
		q.Cluster, q.Paging = cluster, paging
		return s.reader.Objects(ctx, q)
	})
	a := answer[objectView]{
		what: "objects", columns: objectColumns(s), rows: mapped(rows, s.objectView),
		diagnose: func(ctx context.Context) error {
			if err := s.checkNames(ctx, "namespace", telemetry.KindNamespace, f.namespaces); err != nil {
				return err
			}
			return s.checkNames(ctx, "node", telemetry.KindNode, []string{f.node})
		},
	}
	return a.write(ctx, s)
}

func readinessNamed(name string) (telemetry.Readiness, error) {
	for r := telemetry.ReadyUnknown; r <= telemetry.ReadyFalse; r++ {
		if r.String() == name {
			return r, nil
		}
	}
	return 0, missing("ready", []string{name}, []string{"True", "False", "Unknown"})
}

func (f *inventory) printChanges(ctx context.Context, s *session, kinds []telemetry.Kind) error {
	if f.node != "" || f.name != "" || f.ready != "" || len(f.phases) > 0 {
		return errors.New("--node, --name, --phase and --ready look at what exists: leave out --changes, --since and --until")
	}
	between, err := f.between(s, day, history.MaxAhead)
	if err != nil {
		return err
	}
	q := history.ObjectChangeQuery{Range: between, Kinds: kinds, Namespaces: namespaces(f.namespaces)}
	a := answer[objectView]{
		what: "changes of objects", columns: changeColumns(s), rows: mapped(s.changes(ctx, q), s.changeView),
		diagnose: func(ctx context.Context) error {
			return s.checkNames(ctx, "namespace", telemetry.KindNamespace, f.namespaces)
		},
	}
	return a.write(ctx, s)
}

func (s *session) changes(ctx context.Context, q history.ObjectChangeQuery) iter.Seq2[history.ObjectChange, error] {
	read := func(ctx context.Context, cluster history.ClusterUID, paging history.Paging) (history.Page[history.ObjectChange], error) {
		q.Cluster, q.Paging = cluster, paging
		return s.reader.ObjectChanges(ctx, q)
	}
	return merged(ctx, s, read, func(a, b history.ObjectChange) int { return b.At.Compare(a.At) })
}

// objectView is an object, or a change of one, as it is printed.
type objectView struct {
	clusterView
	// At, Change, Epoch and Seq are those of a change.
	At     time.Time     `json:"at,omitzero"`
	Change string        `json:"change,omitempty"`
	Epoch  uint64        `json:"epoch,omitempty"`
	Seq    uint64        `json:"seq,omitempty"`
	Kind   string        `json:"kind"`
	NS     string        `json:"namespace,omitempty"`
	Name   string        `json:"name"`
	UID    string        `json:"uid"`
	Owner  *refView      `json:"owner,omitempty"`
	Node   string        `json:"node,omitempty"`
	Phase  string        `json:"phase,omitempty"`
	Reason string        `json:"reason,omitempty"`
	Note   string        `json:"message,omitempty"`
	Ready  string        `json:"ready"`
	Starts int32         `json:"restarts,omitempty"`
	Copies *replicasView `json:"replicas,omitempty"`

	ResourceVersion    uint64            `json:"resourceVersion,omitempty"`
	Generation         int64             `json:"generation,omitempty"`
	ObservedGeneration int64             `json:"observedGeneration,omitempty"`
	Created            time.Time         `json:"created,omitzero"`
	Deleted            time.Time         `json:"deletionRequested,omitzero"`
	FirstSeen          time.Time         `json:"firstSeen,omitzero"`
	Changed            time.Time         `json:"changed,omitzero"`
	Gone               time.Time         `json:"gone,omitzero"`
	Labels             map[string]string `json:"labels,omitempty"`
	Attributes         map[string]string `json:"attributes,omitempty"`
	Numbers            map[string]int64  `json:"numbers,omitempty"`

	containers string
}

// replicasView is the numbers of a workload.
type replicasView struct {
	Desired   int32 `json:"desired"`
	Current   int32 `json:"current"`
	Updated   int32 `json:"updated"`
	Ready     int32 `json:"ready"`
	Available int32 `json:"available"`
	Failed    int32 `json:"failed,omitempty"`
}

func (s *session) objectView(o history.Object) objectView {
	v := s.deltaView(o.Cluster, &o.ObjectDelta)
	v.FirstSeen, v.Changed, v.Gone = o.FirstSeen.UTC(), o.Changed.UTC(), o.Gone.UTC()
	return v
}

func (s *session) changeView(c history.ObjectChange) objectView {
	v := s.deltaView(c.Cluster, &c.ObjectDelta)
	v.At, v.Epoch, v.Seq, v.Change = c.At.UTC(), uint64(c.Epoch), c.Seq, c.Op.String()
	return v
}

func (s *session) deltaView(uid history.ClusterUID, d *telemetry.ObjectDelta) objectView {
	v := objectView{
		clusterView: s.clusterView(uid),
		Kind:        string(d.Kind), NS: d.Namespace, Name: d.Name, UID: d.UID, Owner: viewRef(d.Owner), Node: d.Node, Phase: d.Phase,
		Reason: d.Reason, Note: d.Message, Ready: d.Ready.String(), Starts: d.Restarts,
		ResourceVersion: d.ResourceVersion, Generation: d.Generation, ObservedGeneration: d.ObservedGeneration,
		Created: d.Created.UTC(), Deleted: d.Deleted.UTC(), Labels: labels(d.Labels), Attributes: labels(d.Attributes),
	}
	if d.Replicas != (telemetry.Replicas{}) {
		v.Copies = new(replicasView(d.Replicas))
	}
	if len(d.Numbers) > 0 {
		v.Numbers = map[string]int64{}
		for _, n := range d.Numbers {
			v.Numbers[numberName(n.ID)] = n.Value
		}
	}
	if all, ok := d.Number(telemetry.NumberContainers); ok {
		ready, _ := d.Number(telemetry.NumberReadyContainers)
		v.containers = fmt.Sprintf("%d/%d", ready, all)
	}
	return v
}

// count is how many of the parts of an object are ready.
func (v *objectView) count() string {
	if v.Copies == nil {
		return v.containers
	}
	return fmt.Sprintf("%d/%d", v.Copies.Ready, v.Copies.Desired)
}

func (v *objectView) phase() string {
	if !v.Gone.IsZero() {
		return "Gone"
	}
	if !v.Deleted.IsZero() {
		return "Terminating"
	}
	return v.Phase
}

func objectColumns(s *session) []column[objectView] {
	return append(clusterColumn(s, func(v objectView) history.ClusterUID { return v.Cluster }), append(identity(),
		column[objectView]{header: "NODE", optional: true, cell: func(v objectView) string { return v.Node }},
		column[objectView]{header: "AGE", cell: func(v objectView) string { return age(v.Created, s.now) }},
		column[objectView]{header: "CHANGED", cell: func(v objectView) string { return ago(v.Changed, s.now) }},
		column[objectView]{header: "GONE", optional: true, cell: func(v objectView) string { return ago(v.Gone, s.now) }},
	)...)
}

func changeColumns(s *session) []column[objectView] {
	columns := []column[objectView]{
		{header: "TIME", cell: func(v objectView) string { return stamp(v.At, s.location) }},
		{header: "AGE", cell: func(v objectView) string { return age(v.At, s.now) }},
	}
	columns = append(columns, clusterColumn(s, func(v objectView) history.ClusterUID { return v.Cluster })...)
	columns = append(columns, column[objectView]{header: "CHANGE", cell: func(v objectView) string { return v.Change }})
	return append(append(columns, identity()...),
		column[objectView]{header: "NODE", optional: true, cell: func(v objectView) string { return v.Node }},
		column[objectView]{header: "MESSAGE", optional: true, prose: true, cell: func(v objectView) string { return v.Note }},
	)
}

// identity is the columns that objects and changes have in common.
func identity() []column[objectView] {
	return []column[objectView]{
		{header: "KIND", cell: func(v objectView) string { return v.Kind }},
		{header: "NAMESPACE", optional: true, cell: func(v objectView) string { return v.NS }},
		{header: "NAME", cell: func(v objectView) string { return v.Name }},
		{header: "READY", cell: func(v objectView) string { return v.Ready }},
		{header: "COUNT", optional: true, right: true, cell: func(v objectView) string { return v.count() }},
		{header: "PHASE", optional: true, cell: func(v objectView) string { return v.phase() }},
		{header: "REASON", optional: true, cell: func(v objectView) string { return v.Reason }},
		{header: "RESTARTS", optional: true, right: true, cell: func(v objectView) string { return optional(v.Starts) }},
	}
}

func numberName(id telemetry.NumberID) string {
	return cmp.Or(numberNames[id], fmt.Sprintf("number%d", id))
}

// numberNames are the names of the numbers of objects, with their units.
var numberNames = map[telemetry.NumberID]string{
	telemetry.NumberObjects:                   "objects",
	telemetry.NumberContainers:                "containers",
	telemetry.NumberReadyContainers:           "readyContainers",
	telemetry.NumberCPURequestMillis:          "cpuRequestMillis",
	telemetry.NumberCPULimitMillis:            "cpuLimitMillis",
	telemetry.NumberMemoryRequestBytes:        "memoryRequestBytes",
	telemetry.NumberMemoryLimitBytes:          "memoryLimitBytes",
	telemetry.NumberCPUCapacityMillis:         "cpuCapacityMillis",
	telemetry.NumberCPUAllocatableMillis:      "cpuAllocatableMillis",
	telemetry.NumberMemoryCapacityBytes:       "memoryCapacityBytes",
	telemetry.NumberMemoryAllocatableBytes:    "memoryAllocatableBytes",
	telemetry.NumberPodsCapacity:              "podsCapacity",
	telemetry.NumberPodsAllocatable:           "podsAllocatable",
	telemetry.NumberEphemeralCapacityBytes:    "ephemeralCapacityBytes",
	telemetry.NumberEphemeralAllocatableBytes: "ephemeralAllocatableBytes",
	telemetry.NumberStorageRequestBytes:       "storageRequestBytes",
	telemetry.NumberStorageCapacityBytes:      "storageCapacityBytes",
	telemetry.NumberMinReplicas:               "minReplicas",
	telemetry.NumberMaxReplicas:               "maxReplicas",
	telemetry.NumberEndpoints:                 "endpoints",
	telemetry.NumberReadyEndpoints:            "readyEndpoints",
	telemetry.NumberExitCode:                  "exitCode",
	telemetry.NumberParallelism:               "parallelism",
	telemetry.NumberBackoffLimit:              "backoffLimit",
	telemetry.NumberLastScheduledSeconds:      "lastScheduledSeconds",
	telemetry.NumberLastSucceededSeconds:      "lastSucceededSeconds",
	telemetry.NumberStartedSeconds:            "startedSeconds",
	telemetry.NumberFinishedSeconds:           "finishedSeconds",
}
