// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/observability"
)

// completionTimeout bounds what pressing the tab key may cost.
const completionTimeout = 3 * time.Second

// factory makes clients for the hub that the kubectl flags select.
type factory struct {
	flags *genericclioptions.ConfigFlags
}

func (f *factory) restConfig() (*rest.Config, error) {
	config, err := f.flags.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	config.UserAgent = FieldManager + "/" + observability.Version()
	return config, nil
}

func (f *factory) client() (client.WithWatch, error) {
	config, err := f.restConfig()
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, corev1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("registering the kinds: %w", err)
		}
	}
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("making a client for the hub: %w", err)
	}
	return c, nil
}

// readError says what was not read and, where the cause is known, what to do.
func readError(what string, err error) error {
	if meta.IsNoMatchError(err) {
		return fmt.Errorf("reading %s: this cluster has no ManagedClusters; "+
			"is the current context the hub's (--context), and is AtlHyper installed there? %w", what, err)
	}
	return fmt.Errorf("reading %s: %w", what, err)
}

// getCluster reads one ManagedCluster. The error of a missing one satisfies
// apierrors.IsNotFound.
func getCluster(ctx context.Context, c client.Reader, name string) (*v1alpha1.ManagedCluster, error) {
	cluster := &v1alpha1.ManagedCluster{}
	if err := c.Get(ctx, client.ObjectKey{Name: name}, cluster); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, err
		}
		return nil, readError(fmt.Sprintf("managedcluster %q", name), err)
	}
	return cluster, nil
}

// completeClusters completes names of ManagedClusters that are not yet among
// the arguments. At most limit names are wanted; 0 means any number.
func (f *factory) completeClusters(limit int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if limit > 0 && len(args) >= limit {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		c, err := f.client()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		list := &v1alpha1.ManagedClusterList{}
		if err := c.List(ctx, list); err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []cobra.Completion
		for _, cluster := range list.Items {
			if !slices.Contains(args, cluster.Name) {
				names = append(names, cluster.Name)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

func (f *factory) completeContexts(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	config, err := f.flags.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []cobra.Completion
	for name := range config.Contexts {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, cobra.ShellCompDirectiveNoFileComp
}
