// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// Knowledge says whether what is told of a cluster's anomalies holds now.
type Knowledge string

// What is known of a cluster's anomalies.
const (
	// KnowledgeCurrent means that the agent tells what is the case.
	KnowledgeCurrent Knowledge = "Current"
	// KnowledgePartial means that there may be more: the agent cannot read
	// everything.
	KnowledgePartial Knowledge = "Partial"
	// KnowledgeUnknown means that nobody knows what is the case: what is told is
	// what was known last. Nothing of it has cleared because of that.
	KnowledgeUnknown Knowledge = "Unknown"
)

// FleetAnomalies is what `kubectl atlhyper anomalies -o json` prints. Fields are
// added to it, but not renamed or removed.
type FleetAnomalies struct {
	// Summary has the totals of the clusters below.
	Summary AnomalyTotals `json:"summary"`
	// Clusters are sorted worst first.
	Clusters []ClusterAnomalies `json:"clusters"`
}

// AnomalyTotals counts open anomalies.
type AnomalyTotals struct {
	// Clusters is the number of clusters.
	Clusters int `json:"clusters"`
	// Critical, Warning and Info count those of the clusters that are not unknown.
	Critical int64 `json:"critical"`
	Warning  int64 `json:"warning"`
	Info     int64 `json:"info"`
	// Unknown is of how many clusters nobody knows.
	Unknown int `json:"unknown"`
}

// ClusterAnomalies is what is open in one cluster.
type ClusterAnomalies struct {
	// Name is the name of the ManagedCluster.
	Name string `json:"name"`
	// State says whether the rest holds now.
	State Knowledge `json:"state"`
	// AsOf is until when it was known to hold. Absent while it is, and when nothing
	// was ever told.
	AsOf *metav1.Time `json:"asOf,omitempty"`
	// Critical, Warning and Info count anomalies. Absent when none were ever told.
	Critical *int64 `json:"critical,omitempty"`
	Warning  *int64 `json:"warning,omitempty"`
	Info     *int64 `json:"info,omitempty"`
	// Worst are the worst, most severe and then oldest first. At most 20.
	Worst []AnomalyLine `json:"worst"`
}

// AnomalyLine is one anomaly.
type AnomalyLine struct {
	// Rule is the id of the rule, as in docs/reference/anomalies.md.
	Rule string `json:"rule"`
	// Severity is critical, warning or info.
	Severity string `json:"severity"`
	// Kind, Namespace and Name say what is broken.
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	// Reason is what was seen, in a word.
	Reason string `json:"reason"`
	// Count is how many objects show it.
	Count int32 `json:"count"`
	// Since is when it began.
	Since metav1.Time `json:"since"`
}

// anomaliesOptions are the flags of anomalies.
type anomaliesOptions struct {
	output   string
	clusters []string
}

func newAnomaliesCommand(f *factory, streams genericiooptions.IOStreams) *cobra.Command {
	o := anomaliesOptions{}
	cmd := &cobra.Command{
		Use:   "anomalies",
		Short: "Show what is broken in the fleet",
		Long: `Show what is broken in the fleet: how many anomalies are open in each cluster, and
the worst of them.

STATE is Current, Partial when the agent cannot read everything, or Unknown when the
agent or its API server is not heard. Then the figures are what was known last, as
long ago as AS-OF says; nothing has cleared because nobody looks. A dash means that
nothing was ever told.

Each cluster tells its 20 worst. All of them, with messages, evidence and history,
are in "hub history anomalies"; docs/reference/anomalies.md says what each rule means
and what to do.`,
		Example: `  # The whole fleet, the worst cluster first
  kubectl atlhyper anomalies

  # One cluster, as far as it tells
  kubectl atlhyper anomalies --cluster prod-eu-1

  # What is critical, one line each
  kubectl atlhyper anomalies -o json | jq -r '.clusters[] | .name as $c | .worst[] | select(.severity == "critical") | "\($c) \(.rule) \(.kind) \(.namespace)/\(.name)"'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), f, streams) },
	}
	fs := cmd.Flags()
	fs.StringVarP(&o.output, "output", "o", "", "Form of the output: wide, yaml or json. A table that fits by default.")
	fs.StringSliceVar(&o.clusters, "cluster", nil, "Only this cluster, with all that it tells. Can be given several times.")
	_ = cmd.RegisterFlagCompletionFunc("output",
		cobra.FixedCompletions([]cobra.Completion{formatWide, formatYAML, formatJSON}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("cluster", f.completeClusters(0))
	return cmd
}

func (o *anomaliesOptions) run(ctx context.Context, f *factory, streams genericiooptions.IOStreams) error {
	if !slices.Contains([]string{"", formatWide, formatYAML, formatJSON}, o.output) {
		return fmt.Errorf("--output is %q; it can be wide, yaml or json", o.output)
	}
	c, err := f.client()
	if err != nil {
		return err
	}
	clusters, err := o.read(ctx, c)
	if err != nil {
		return err
	}
	now := time.Now()
	fleet := Anomalies(clusters, now)
	var out bytes.Buffer
	if o.output == formatJSON || o.output == formatYAML {
		err = writeValue(&out, fleet, o.output)
	} else {
		// As status does it.
		layout, _ := (&statusOptions{output: o.output}).layout(streams.Out)
		lines := anomaliesPerCluster
		if len(o.clusters) > 0 || o.output == formatWide {
			lines = 0
		}
		err = RenderAnomalies(&out, fleet, now, layout, lines)
	}
	if err != nil {
		return err
	}
	if _, err := streams.Out.Write(out.Bytes()); err != nil {
		return fmt.Errorf("writing the anomalies: %w", err)
	}
	return nil
}

// read gets the named clusters one by one, which needs no right to list, and
// otherwise lists.
func (o *anomaliesOptions) read(ctx context.Context, c client.Reader) ([]v1alpha1.ManagedCluster, error) {
	if len(o.clusters) == 0 {
		list := &v1alpha1.ManagedClusterList{}
		if err := c.List(ctx, list); err != nil {
			return nil, readError("the managedclusters", err)
		}
		return list.Items, nil
	}
	var clusters []v1alpha1.ManagedCluster
	var errs []error
	for _, name := range o.clusters {
		cluster, err := getCluster(ctx, c, name)
		switch {
		case apierrors.IsNotFound(err):
			errs = append(errs, fmt.Errorf("managedcluster %q does not exist", name))
		case err != nil:
			errs = append(errs, err)
		default:
			clusters = append(clusters, *cluster)
		}
	}
	return clusters, errors.Join(errs...)
}

// Anomalies computes what is broken in the fleet at now from what was read of it.
func Anomalies(clusters []v1alpha1.ManagedCluster, now time.Time) FleetAnomalies {
	fleet := FleetAnomalies{Summary: AnomalyTotals{Clusters: len(clusters)}, Clusters: []ClusterAnomalies{}}
	for i := range clusters {
		of := anomaliesOf(&clusters[i], now)
		fleet.Clusters = append(fleet.Clusters, of)
		if of.State == KnowledgeUnknown {
			fleet.Summary.Unknown++
			continue
		}
		fleet.Summary.Critical += count(of.Critical)
		fleet.Summary.Warning += count(of.Warning)
		fleet.Summary.Info += count(of.Info)
	}
	slices.SortStableFunc(fleet.Clusters, func(a, b ClusterAnomalies) int {
		return cmp.Or(
			cmp.Compare(count(b.Critical), count(a.Critical)),
			cmp.Compare(boolean(b.State == KnowledgeUnknown), boolean(a.State == KnowledgeUnknown)),
			cmp.Compare(count(b.Warning), count(a.Warning)),
			cmp.Compare(count(b.Info), count(a.Info)),
			cmp.Compare(a.Name, b.Name),
		)
	})
	return fleet
}

func anomaliesOf(cluster *v1alpha1.ManagedCluster, now time.Time) ClusterAnomalies {
	s := &cluster.Status
	of := ClusterAnomalies{Name: cluster.Name, Worst: []AnomalyLine{}}
	of.State, of.AsOf = knowledge(cluster, now)
	if s.Anomalies == nil {
		of.State, of.AsOf = KnowledgeUnknown, nil
		return of
	}
	of.Critical, of.Warning, of.Info = long(s.Anomalies.Critical), long(s.Anomalies.Warning), long(s.Anomalies.Info)
	for i := range s.Anomalies.Worst {
		w := &s.Anomalies.Worst[i]
		of.Worst = append(of.Worst, AnomalyLine{
			Rule: w.Rule, Severity: string(w.Severity), Kind: w.Kind, Namespace: w.Namespace, Name: w.Name,
			Reason: w.Reason, Count: w.Count, Since: w.Since,
		})
	}
	return of
}

// knowledge says whether what an agent told holds at now, and otherwise until when
// it did.
func knowledge(cluster *v1alpha1.ManagedCluster, now time.Time) (Knowledge, *metav1.Time) {
	s := &cluster.Status
	if !meta.IsStatusConditionTrue(s.Conditions, v1alpha1.ClusterConditionConnected) || hubSilent(cluster, now) {
		return KnowledgeUnknown, s.LastHeartbeatTime
	}
	if c := meta.FindStatusCondition(s.Conditions, v1alpha1.ClusterConditionAPIServerHealthy); c != nil && c.Status == metav1.ConditionFalse {
		return KnowledgeUnknown, &c.LastTransitionTime
	}
	if len(s.StaleResources) > 0 {
		return KnowledgePartial, nil
	}
	return KnowledgeCurrent, nil
}

func long(n *int32) *int64 {
	if n == nil {
		return nil
	}
	return new(int64(*n))
}

func count(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}
