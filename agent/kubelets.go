// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package agent

import (
	"context"
	"fmt"

	"k8s.io/client-go/rest"

	"github.com/atlhyper/atlhyper/agent/anomalies"
	"github.com/atlhyper/atlhyper/agent/inventory"
	"github.com/atlhyper/atlhyper/agent/kubelet"
)

// Values of Config.KubeletAccess.
const (
	kubeletProxy  = "proxy"
	kubeletDirect = "direct"
)

// watching returns what watches the cluster and has it judged, and what reads its
// kubelets until a context ends.
func (c *Config) watching(member *rest.Config, ship *delivery, judged *anomalies.Anomalies) (*inventory.Inventory, func(context.Context) error, error) {
	names, err := c.namesOf()
	if err != nil {
		return nil, nil, err
	}
	options := inventory.Options{Sink: ship, Observer: judged, NamesOf: names, Logger: c.Logger.WithName("inventory")}
	readKubelets := func(context.Context) error { return nil }
	reader, err := c.kubelets(member, ship, judged)
	if err != nil {
		return nil, nil, err
	}
	if reader != nil {
		options.Observer, readKubelets = reader.Follow(judged), reader.Run
	}
	inv, err := inventory.New(member, options)
	if err != nil {
		return nil, nil, fmt.Errorf("preparing the inventory: %w", err)
	}
	return inv, readKubelets, nil
}

// kubelets returns what reads kubelets, nil for nothing.
func (c *Config) kubelets(member *rest.Config, ship *delivery, judged *anomalies.Anomalies) (*kubelet.Reader, error) {
	if c.KubeletInterval == 0 {
		return nil, nil //nolint:nilnil // documented
	}
	if c.KubeletAccess != "" && c.KubeletAccess != kubeletProxy && c.KubeletAccess != kubeletDirect {
		return nil, fmt.Errorf("--kubelet-access is %q; it may be %s or %s", c.KubeletAccess, kubeletProxy, kubeletDirect)
	}
	reader, err := kubelet.New(member, kubelet.Options{
		Interval: c.KubeletInterval, Observer: judged, Logger: c.Logger.WithName("kubelets"),
		Direct: c.KubeletAccess == kubeletDirect, Namespace: c.Namespace, CAFile: c.KubeletCAFile,
	})
	if err != nil {
		return nil, err
	}
	if err := ship.registry.Register(kubelet.NewCollector(reader.Stats)); err != nil {
		return nil, fmt.Errorf("registering the metrics about kubelets: %w", err)
	}
	return reader, nil
}
