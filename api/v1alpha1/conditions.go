// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package v1alpha1

// Conditions that every kind has, with the meaning that kstatus gives them.
const (
	// ConditionReady is True when the object is accepted and in force at the
	// observed generation.
	ConditionReady = "Ready"
	// ConditionReconciling is present and True while the hub is still working
	// towards the observed generation.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is present and True when the hub cannot get any further
	// until somebody changes the object or its surroundings.
	ConditionStalled = "Stalled"
)
