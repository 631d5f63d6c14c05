// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package hub

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/history/inspect"
	"github.com/atlhyper/atlhyper/internal/history/store"
	"github.com/atlhyper/atlhyper/internal/observability"
)

// HistoryCommand returns the command that prints what the history holds. Clusters
// have names where the API server can be asked for them.
func HistoryCommand(out, errOut io.Writer) *cobra.Command {
	config := DefaultConfig()
	command := inspect.New(openForReading, inspect.Streams{Out: out, ErrOut: errOut},
		inspect.WithDefaultDSN(DefaultDSN), inspect.WithNames(config.clusterNames))
	command.PersistentFlags().StringVar(&config.Kubeconfig, "kubeconfig", "",
		"kubeconfig file of the hub cluster, for the names of the clusters (default: the pod's ServiceAccount, or what kubectl would use)")
	return command
}

func openForReading(ctx context.Context, dsn string) (inspect.Reader, io.Closer, error) {
	s, err := store.Open(ctx, dsn, store.Options{ReadOnly: true, Connections: 2})
	if err != nil {
		return nil, nil, err
	}
	return s, s, nil
}

// clusterNames returns the names of the ManagedClusters by UID.
func (c *Config) clusterNames(ctx context.Context) (map[history.ClusterUID]string, error) {
	config, err := c.restConfig(observability.Version())
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("registering the kinds of %s: %w", v1alpha1.GroupName, err)
	}
	reader, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("making a client for the API server: %w", err)
	}
	clusters := &v1alpha1.ManagedClusterList{}
	if err := reader.List(ctx, clusters); err != nil {
		return nil, fmt.Errorf("listing the ManagedClusters: %w", err)
	}
	names := make(map[history.ClusterUID]string, len(clusters.Items))
	for i := range clusters.Items {
		if id := clusters.Items[i].Status.ClusterID; id != "" {
			names[history.ClusterUID(id)] = clusters.Items[i].Name
		}
	}
	return names, nil
}
