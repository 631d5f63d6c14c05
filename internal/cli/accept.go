// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

func newAcceptCommand(f *factory, streams genericiooptions.IOStreams) *cobra.Command {
	var allPending bool
	cmd := &cobra.Command{
		Use:   "accept [NAME...]",
		Short: "Admit clusters to the fleet",
		Long: `Admit clusters to the fleet: sets spec.accepted of their ManagedClusters to true.

A cluster that registered itself waits for this. Compare the cluster ID that is
printed with the UID of the kube-system namespace of the cluster you mean:

  kubectl --context member get namespace kube-system -o jsonpath={.metadata.uid}`,
		Example: `  # Admit two clusters
  kubectl atlhyper accept prod-eu-1 prod-eu-2

  # Admit every cluster that waits for approval, but none that was denied
  kubectl atlhyper accept --all-pending`,
		ValidArgsFunction: f.completeClusters(0),
		RunE: func(cmd *cobra.Command, names []string) error {
			if allPending == (len(names) > 0) {
				return errors.New("name the clusters to accept, or pass --all-pending")
			}
			c, err := f.client()
			if err != nil {
				return err
			}
			if allPending {
				return acceptPending(cmd.Context(), c, streams)
			}
			return acceptNamed(cmd.Context(), c, streams, names)
		},
	}
	cmd.Flags().BoolVar(&allPending, "all-pending", false,
		"Accept every cluster that waits for approval. Clusters that were denied are left alone.")
	return cmd
}

func acceptNamed(ctx context.Context, c client.Client, streams genericiooptions.IOStreams, names []string) error {
	errs := make([]error, 0, len(names))
	for _, name := range names {
		cluster, err := getCluster(ctx, c, name)
		if apierrors.IsNotFound(err) {
			err = fmt.Errorf("managedcluster %q does not exist; `kubectl atlhyper status` lists those that do", name)
		}
		if err == nil {
			err = accept(ctx, c, streams, cluster)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func acceptPending(ctx context.Context, c client.Client, streams genericiooptions.IOStreams) error {
	list := &v1alpha1.ManagedClusterList{}
	if err := c.List(ctx, list); err != nil {
		return readError("the managedclusters", err)
	}
	var errs []error
	found := false
	for i := range list.Items {
		if pending(&list.Items[i]) {
			found = true
			errs = append(errs, accept(ctx, c, streams, &list.Items[i]))
		}
	}
	if !found {
		fmt.Fprintln(streams.ErrOut, "No cluster waits for approval.")
	}
	return errors.Join(errs...)
}

// pending says whether nobody has decided about the cluster yet. One that was
// denied has been decided about.
func pending(cluster *v1alpha1.ManagedCluster) bool {
	if accepted(cluster) || !cluster.DeletionTimestamp.IsZero() {
		return false
	}
	condition := meta.FindStatusCondition(cluster.Status.Conditions, v1alpha1.ClusterConditionAccepted)
	return condition == nil || condition.Reason != v1alpha1.ClusterReasonDenied
}

// accepted is what spec.accepted says, with its default.
func accepted(cluster *v1alpha1.ManagedCluster) bool {
	return cluster.Spec.Accepted == nil || *cluster.Spec.Accepted
}

// accept merges one field instead of applying it: a patch never creates a
// cluster that was deleted meanwhile and takes no field from whoever applies the
// rest of the spec.
func accept(ctx context.Context, c client.Client, streams genericiooptions.IOStreams, cluster *v1alpha1.ManagedCluster) error {
	unchanged := accepted(cluster)
	owners := acceptedAppliers(cluster.ManagedFields)
	if !unchanged {
		patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"accepted":true}}`))
		if err := c.Patch(ctx, cluster, patch, client.FieldOwner(FieldManager)); err != nil {
			return fmt.Errorf("accepting managedcluster %q: %w", cluster.Name, err)
		}
	}
	line := "managedcluster/" + cluster.Name + " accepted"
	if unchanged {
		line += " (unchanged)"
	}
	if id := cluster.Status.ClusterID; id != "" {
		line += ", cluster ID " + sanitize(id)
	}
	if _, err := fmt.Fprintln(streams.Out, line); err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	if !unchanged && len(owners) > 0 {
		fmt.Fprintf(streams.ErrOut, "note: %s applies spec.accepted of %s and may set it back to false; change it at that source too\n",
			sanitize(strings.Join(owners, ", ")), cluster.Name)
	}
	return nil
}

// acceptedAppliers are the field managers, other than this program, that own
// spec.accepted through server-side apply and so will assert their value again.
func acceptedAppliers(entries []metav1.ManagedFieldsEntry) []string {
	var owners []string
	for _, entry := range entries {
		if entry.Operation != metav1.ManagedFieldsOperationApply || entry.FieldsV1 == nil || entry.Manager == FieldManager {
			continue
		}
		var fields struct {
			Spec map[string]any `json:"f:spec"`
		}
		if err := json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields); err != nil {
			continue
		}
		if _, owned := fields.Spec["f:accepted"]; owned {
			owners = append(owners, entry.Manager)
		}
	}
	slices.Sort(owners)
	return slices.Compact(owners)
}
