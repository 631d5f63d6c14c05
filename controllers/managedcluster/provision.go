// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	coordinationac "k8s.io/client-go/applyconfigurations/coordination/v1"
	coreac "k8s.io/client-go/applyconfigurations/core/v1"
	metaac "k8s.io/client-go/applyconfigurations/meta/v1"
	rbacac "k8s.io/client-go/applyconfigurations/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// Annotations of a cluster's namespace, in which the hub remembers what it did.
const (
	// AnnotationProvisioned is the fingerprint of the objects that were applied,
	// set after the last of them.
	AnnotationProvisioned = "atlhyper.io/provisioned"
	// AnnotationJoinAnswered is the nonce of the join request answered last.
	AnnotationJoinAnswered = "atlhyper.io/join-answered"
	// The namespace carries v1alpha1.AnnotationJoinExpires while there is a join Secret.

	// revokedMark is the fingerprint of a cluster that was denied.
	revokedMark = "revoked"
)

const (
	labelManagedBy = "app.kubernetes.io/managed-by"
	agentRole      = "agent"
)

const (
	kindNamespace = "Namespace"
	kindLease     = "Lease"
)

var namespaceKind = corev1.SchemeGroupVersion.WithKind(kindNamespace)

// marks is what the annotations of a cluster's namespace say.
type marks struct {
	provisioned string
	answered    string
	openUntil   time.Time
}

func marksOf(annotations map[string]string) marks {
	m := marks{provisioned: annotations[AnnotationProvisioned], answered: annotations[AnnotationJoinAnswered]}
	if s, ok := annotations[v1alpha1.AnnotationJoinExpires]; ok {
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t = time.Unix(0, 0) // there is a join Secret; when it expires is unknown, so end it
		}
		m.openUntil = t
	}
	return m
}

func namespaceOf(cluster string) string { return v1alpha1.ClusterNamespacePrefix + cluster }

// ClusterRoleName is the name of the ClusterRole and the ClusterRoleBinding of a
// cluster's agent.
func ClusterRoleName(cluster string) string { return "atlhyper:cluster:" + cluster }

// desiredObject is one object to apply, with its metadata to fill in and to read
// from the answer.
type desiredObject struct {
	ref    objectRef
	config runtime.ApplyConfiguration
	meta   func() *metaac.ObjectMetaApplyConfiguration
}

// desired returns the objects that an accepted cluster has, in the order in
// which they are applied.
func (r *Reconciler) desired(mc *v1alpha1.ManagedCluster) []desiredObject {
	ns := namespaceOf(mc.Name)
	labels := map[string]string{v1alpha1.LabelCluster: mc.Name, labelManagedBy: v1alpha1.FieldOwnerHub}
	owner := metaac.OwnerReference().
		WithAPIVersion(v1alpha1.GroupVersion.String()).WithKind("ManagedCluster").
		WithName(mc.Name).WithUID(mc.UID).WithController(true)

	namespace := coreac.Namespace(ns).WithLabels(labels).WithOwnerReferences(owner)
	account := coreac.ServiceAccount(v1alpha1.AgentServiceAccount, ns).WithLabels(labels).
		WithAutomountServiceAccountToken(false)
	session := coreac.Secret(v1alpha1.AgentSessionSecret, ns).WithLabels(labels).WithType(corev1.SecretTypeOpaque)
	lease := coordinationac.Lease(v1alpha1.AgentLease, ns).WithLabels(labels)
	role := rbacac.Role(agentRole, ns).WithLabels(labels).WithRules(
		rule(v1alpha1.GroupName, "remotecommands", "", "get", "list", "watch"),
		rule(v1alpha1.GroupName, "remotecommands/status", "", "get", "patch"),
		rule("coordination.k8s.io", "leases", v1alpha1.AgentLease, "get", "patch", "update"),
		rule("", "serviceaccounts/token", v1alpha1.AgentServiceAccount, "create"),
		rule("", "configmaps", v1alpha1.AgentBundle, "get", "list", "watch"),
	)
	subject := rbacac.Subject().WithKind(rbacv1.ServiceAccountKind).WithNamespace(ns).WithName(v1alpha1.AgentServiceAccount)
	binding := rbacac.RoleBinding(agentRole, ns).WithLabels(labels).WithSubjects(subject).
		WithRoleRef(rbacac.RoleRef().WithAPIGroup(rbacv1.GroupName).WithKind("Role").WithName(agentRole))
	name := ClusterRoleName(mc.Name)
	clusterRole := rbacac.ClusterRole(name).WithLabels(labels).WithOwnerReferences(owner).WithRules(
		rule(v1alpha1.GroupName, "managedclusters", mc.Name, "get", "list", "watch"),
		rule(v1alpha1.GroupName, "managedclusters/status", mc.Name, "get", "patch"),
	)
	clusterBinding := rbacac.ClusterRoleBinding(name).WithLabels(labels).WithOwnerReferences(owner).WithSubjects(subject).
		WithRoleRef(rbacac.RoleRef().WithAPIGroup(rbacv1.GroupName).WithKind("ClusterRole").WithName(name))

	objects := []desiredObject{
		{objectRef{kindNamespace, ns}, namespace, func() *metaac.ObjectMetaApplyConfiguration { return namespace.ObjectMetaApplyConfiguration }},
		{objectRef{"ServiceAccount", v1alpha1.AgentServiceAccount}, account, func() *metaac.ObjectMetaApplyConfiguration { return account.ObjectMetaApplyConfiguration }},
		{objectRef{"Secret", v1alpha1.AgentSessionSecret}, session, func() *metaac.ObjectMetaApplyConfiguration { return session.ObjectMetaApplyConfiguration }},
		{objectRef{kindLease, v1alpha1.AgentLease}, lease, func() *metaac.ObjectMetaApplyConfiguration { return lease.ObjectMetaApplyConfiguration }},
		{objectRef{"Role", agentRole}, role, func() *metaac.ObjectMetaApplyConfiguration { return role.ObjectMetaApplyConfiguration }},
		{objectRef{"RoleBinding", agentRole}, binding, func() *metaac.ObjectMetaApplyConfiguration { return binding.ObjectMetaApplyConfiguration }},
		{objectRef{"ClusterRole", name}, clusterRole, func() *metaac.ObjectMetaApplyConfiguration { return clusterRole.ObjectMetaApplyConfiguration }},
		{objectRef{"ClusterRoleBinding", name}, clusterBinding, func() *metaac.ObjectMetaApplyConfiguration { return clusterBinding.ObjectMetaApplyConfiguration }},
	}
	if len(r.bundle) > 0 {
		bundle := coreac.ConfigMap(v1alpha1.AgentBundle, ns).WithLabels(labels).WithData(r.bundle)
		objects = append(objects, desiredObject{
			objectRef{"ConfigMap", v1alpha1.AgentBundle},
			bundle,
			func() *metaac.ObjectMetaApplyConfiguration { return bundle.ObjectMetaApplyConfiguration },
		})
	}
	return objects
}

func rule(group, resource, name string, verbs ...string) *rbacac.PolicyRuleApplyConfiguration {
	out := rbacac.PolicyRule().WithAPIGroups(group).WithResources(resource).WithVerbs(verbs...)
	if name != "" {
		out.WithResourceNames(name)
	}
	return out
}

// bundleOf returns what the bundle of every cluster holds: nothing when agents are
// to be told nothing.
func bundleOf(o Options) (map[string]string, error) {
	bundle := map[string]string{}
	for key, at := range map[string]endpoint{
		v1alpha1.BundleEndpoints: {o.AdvertiseURL, string(o.AdvertiseCA)},
		v1alpha1.BundleIngest:    {o.IngestURL, string(o.IngestCA)},
	} {
		if at.URL == "" {
			continue
		}
		document, err := json.Marshal(endpoints{[]endpoint{at}})
		if err != nil {
			return nil, fmt.Errorf("writing %s of the bundle: %w", key, err)
		}
		bundle[key] = string(document)
	}
	return bundle, nil
}

// endpoints is the document under a key of the bundle.
type endpoints struct {
	Endpoints []endpoint `json:"endpoints"`
}

type endpoint struct {
	URL string `json:"url"`
	CA  string `json:"ca"`
}

// fingerprint identifies the content of some objects.
func fingerprint(objects []desiredObject) (string, error) {
	hash := sha256.New()
	encoder := json.NewEncoder(hash)
	for _, o := range objects {
		if err := encoder.Encode(o.config); err != nil {
			return "", fmt.Errorf("writing %s %s: %w", o.ref.kind, o.ref.name, err)
		}
	}
	return hex.EncodeToString(hash.Sum(nil)[:12]), nil
}

// apply makes the objects of a cluster as they should be and returns their
// resource versions. Objects that are so already are not written.
func (r *Reconciler) apply(ctx context.Context, in *Input) (map[objectRef]string, error) {
	versions := map[objectRef]string{}
	for _, o := range r.desired(in.Cluster) {
		if err := r.Apply(ctx, o.config, client.ForceOwnership); err != nil {
			return nil, fmt.Errorf("applying %s %s: %w", o.ref.kind, o.ref.name, err)
		}
		if m := o.meta(); m != nil && m.ResourceVersion != nil {
			versions[o.ref] = *m.ResourceVersion
		}
	}
	if len(r.bundle) == 0 {
		if err := r.withdrawBundle(ctx, namespaceOf(in.Cluster.Name)); err != nil {
			return nil, fmt.Errorf("removing the bundle of a hub that has no address to tell: %w", err)
		}
	}
	return versions, nil
}

// withdrawBundle takes what bundleOf may write out of a bundle, and removes the
// bundle unless others have put something into it.
func (r *Reconciler) withdrawBundle(ctx context.Context, namespace string) error {
	bundle := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: v1alpha1.AgentBundle}}
	patch, err := json.Marshal(map[string]any{"data": map[string]any{v1alpha1.BundleEndpoints: nil, v1alpha1.BundleIngest: nil}})
	if err != nil {
		return err
	}
	if err := r.Patch(ctx, bundle, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return client.IgnoreNotFound(err)
	}
	if len(bundle.Data)+len(bundle.BinaryData) > 0 {
		return nil
	}
	err = client.IgnoreNotFound(r.Delete(ctx, bundle, client.Preconditions{UID: &bundle.UID, ResourceVersion: &bundle.ResourceVersion}))
	if apierrors.IsConflict(err) {
		return nil // somebody has just put something into it
	}
	return err
}

// mark writes the annotations of a cluster's namespace, unless they are so
// already, and returns its resource version, empty when nothing was written.
func (r *Reconciler) mark(ctx context.Context, cluster string, from, to marks) (string, error) {
	annotations := map[string]any{}
	set := func(key, old, value string) {
		switch {
		case old == value:
		case value == "":
			annotations[key] = nil
		default:
			annotations[key] = value
		}
	}
	set(AnnotationProvisioned, from.provisioned, to.provisioned)
	set(AnnotationJoinAnswered, from.answered, to.answered)
	set(v1alpha1.AnnotationJoinExpires, formatTime(from.openUntil), formatTime(to.openUntil))
	if len(annotations) == 0 {
		return "", nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}})
	if err != nil {
		return "", fmt.Errorf("writing the annotations of the namespace: %w", err)
	}
	ns := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: namespaceOf(cluster)}}
	ns.SetGroupVersionKind(namespaceKind)
	if err := r.Patch(ctx, ns, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return "", fmt.Errorf("annotating the namespace of the cluster: %w", err)
	}
	return ns.ResourceVersion, nil
}

func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// watchedKinds are the kinds whose metadata is watched, besides Leases. Secrets
// and ConfigMaps are not: reading them all would need a right that the hub is
// better off without.
func watchedKinds() []schema.GroupVersionKind {
	return []schema.GroupVersionKind{
		namespaceKind,
		corev1.SchemeGroupVersion.WithKind("ServiceAccount"),
		rbacv1.SchemeGroupVersion.WithKind("Role"),
		rbacv1.SchemeGroupVersion.WithKind("RoleBinding"),
		rbacv1.SchemeGroupVersion.WithKind("ClusterRole"),
		rbacv1.SchemeGroupVersion.WithKind("ClusterRoleBinding"),
	}
}

// WatchedMetadata returns an object of every kind whose metadata the controller
// watches, for the configuration of a cache. All of them carry the label
// v1alpha1.LabelCluster.
func WatchedMetadata() []client.Object {
	kinds := watchedKinds()
	out := make([]client.Object, 0, len(kinds))
	for _, kind := range kinds {
		object := &metav1.PartialObjectMetadata{}
		object.SetGroupVersionKind(kind)
		out = append(out, object)
	}
	return out
}
