// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package hubtest makes on a hub, for tests of the agent, what the hub's
// controller makes for a ManagedCluster, so that an agent can be tested against a
// real API server without a running hub.
package hubtest

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

const joinSeconds = 3600

// Provision creates a ManagedCluster and the namespace, identity, Lease and
// roles that go with it. The name may be left to the API server with generateName;
// afterwards mc has it.
func Provision(ctx context.Context, hub client.Client, mc *v1alpha1.ManagedCluster) error {
	if err := hub.Create(ctx, mc); err != nil {
		return fmt.Errorf("creating the ManagedCluster: %w", err)
	}
	namespace := v1alpha1.ClusterNamespacePrefix + mc.Name
	home := metav1.ObjectMeta{Namespace: namespace, Name: v1alpha1.AgentServiceAccount}
	everywhere := metav1.ObjectMeta{Name: "atlhyper:cluster:" + mc.Name}
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: home.Name, Namespace: namespace}}
	role := func(kind, name string) rbacv1.RoleRef {
		return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: name}
	}
	for _, object := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&corev1.ServiceAccount{ObjectMeta: home, AutomountServiceAccountToken: new(false)},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: v1alpha1.AgentSessionSecret}},
		&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: v1alpha1.AgentLease}},
		&rbacv1.Role{ObjectMeta: home, Rules: homeRules()},
		&rbacv1.RoleBinding{ObjectMeta: home, RoleRef: role("Role", home.Name), Subjects: subjects},
		&rbacv1.ClusterRole{ObjectMeta: everywhere, Rules: clusterRules(mc.Name)},
		&rbacv1.ClusterRoleBinding{ObjectMeta: everywhere, RoleRef: role("ClusterRole", everywhere.Name), Subjects: subjects},
	} {
		if err := hub.Create(ctx, object); err != nil {
			return fmt.Errorf("creating %T %s: %w", object, object.GetName(), err)
		}
	}
	return nil
}

func homeRules() []rbacv1.PolicyRule {
	group := []string{v1alpha1.GroupName}
	return []rbacv1.PolicyRule{
		{APIGroups: group, Resources: []string{"remotecommands"}, Verbs: []string{"get", "list", "watch"}},
		{APIGroups: group, Resources: []string{"remotecommands/status"}, Verbs: []string{"get", "patch"}},
		{
			APIGroups: []string{coordinationv1.GroupName}, Resources: []string{"leases"},
			ResourceNames: []string{v1alpha1.AgentLease}, Verbs: []string{"get", "patch", "update"},
		},
		{
			APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"},
			ResourceNames: []string{v1alpha1.AgentServiceAccount}, Verbs: []string{"create"},
		},
		{
			APIGroups: []string{""}, Resources: []string{"configmaps"},
			ResourceNames: []string{v1alpha1.AgentBundle}, Verbs: []string{"get", "list", "watch"},
		},
	}
}

func clusterRules(name string) []rbacv1.PolicyRule {
	group, names := []string{v1alpha1.GroupName}, []string{name}
	return []rbacv1.PolicyRule{
		{APIGroups: group, Resources: []string{"managedclusters"}, ResourceNames: names, Verbs: []string{"get", "list", "watch"}},
		{APIGroups: group, Resources: []string{"managedclusters/status"}, ResourceNames: names, Verbs: []string{"get", "patch"}},
	}
}

// JoinData makes the Secret agent-join of a cluster anew and returns the data of
// the Secret that `kubectl atlhyper join` would print: with a token that lives as
// long as agent-join does, and url and ca as where the hub is.
func JoinData(ctx context.Context, hub client.Client, cluster, nonce, url, ca string) (map[string]string, error) {
	join := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Namespace: v1alpha1.ClusterNamespacePrefix + cluster, Name: v1alpha1.AgentJoinSecret,
		Annotations: map[string]string{v1alpha1.AnnotationJoinRequest: nonce},
	}}
	if err := client.IgnoreNotFound(hub.Delete(ctx, join.DeepCopy())); err != nil {
		return nil, fmt.Errorf("deleting the join Secret: %w", err)
	}
	if err := hub.Create(ctx, join); err != nil {
		return nil, fmt.Errorf("creating the join Secret: %w", err)
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: new(int64(joinSeconds)),
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Secret", Name: join.Name},
	}}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: join.Namespace, Name: v1alpha1.AgentServiceAccount}}
	if err := hub.SubResource("token").Create(ctx, account, request); err != nil {
		return nil, fmt.Errorf("requesting the join token: %w", err)
	}
	return map[string]string{
		v1alpha1.CredentialCluster: cluster,
		v1alpha1.CredentialHubURL:  url,
		v1alpha1.CredentialHubCA:   ca,
		v1alpha1.CredentialToken:   request.Status.Token,
		v1alpha1.CredentialJoinID:  nonce,
	}, nil
}
