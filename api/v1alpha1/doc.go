// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package v1alpha1 holds the custom resources of AtlHyper, group atlhyper.io:
// ManagedCluster, ServiceSLO, AlertRule, NotificationChannel, Silence and
// RemoteCommand.
//
// The package is types, validation markers and constants; it has no behaviour
// and depends on apimachinery alone, so that anyone can import it.
//
// Every kind keeps one contract:
//
//   - spec belongs to the user; no controller writes it.
//   - status.observedGeneration is -1 until a controller has seen the object,
//     so kstatus reports InProgress rather than Current for a fresh object.
//   - Ready says that the object is accepted and in force. An outage or a burnt
//     budget never makes Ready false; such verdicts have conditions of their own.
//   - Reconciling and Stalled are present only while true.
//   - nothing inside a list has a default in the schema, because tools that
//     compare lists as a whole would see a difference for ever. What is unset
//     there has the default that its documentation names.
//   - numbers with a fraction are decimal strings, durations are integers in
//     seconds, and every list and string has a bound.
//
// +kubebuilder:object:generate=true
// +kubebuilder:ac:generate=true
// +kubebuilder:ac:output:package=applyconfiguration
// +groupName=atlhyper.io
package v1alpha1
