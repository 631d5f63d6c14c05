// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of every AtlHyper kind.
const GroupName = "atlhyper.io"

var (
	// GroupVersion is the group and version of the kinds in this package.
	GroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1alpha1"}
	// SchemeGroupVersion is GroupVersion under the name generated code expects.
	SchemeGroupVersion = GroupVersion

	schemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)
	// AddToScheme registers the kinds of this package.
	AddToScheme = schemeBuilder.AddToScheme
)

// Resource returns the group resource of a plural name in this group.
func Resource(resource string) schema.GroupResource {
	return GroupVersion.WithResource(resource).GroupResource()
}

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&ManagedCluster{}, &ManagedClusterList{},
		&ServiceSLO{}, &ServiceSLOList{},
		&AlertRule{}, &AlertRuleList{},
		&NotificationChannel{}, &NotificationChannelList{},
		&Silence{}, &SilenceList{},
		&RemoteCommand{}, &RemoteCommandList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
