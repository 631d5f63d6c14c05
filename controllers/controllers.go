// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package controllers lists the controllers of the hub.
package controllers

import (
	"fmt"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/atlhyper/atlhyper/controllers/managedcluster"
)

// Deps are what the controllers need besides the manager.
type Deps struct {
	// ManagedCluster are the options of the controller of ManagedClusters.
	ManagedCluster managedcluster.Options
}

// Setup adds every controller of the hub to a manager.
func Setup(mgr ctrl.Manager, deps Deps) error {
	if err := managedcluster.Setup(mgr, deps.ManagedCluster); err != nil {
		return fmt.Errorf("setting up controllers: %w", err)
	}
	return nil
}
