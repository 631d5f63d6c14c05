// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// revoke ends every token of a cluster's agent and takes its roles away. It
// returns the objects it removed. What is gone already is no error.
func (r *Reconciler) revoke(ctx context.Context, cluster string) (map[objectRef]string, error) {
	for _, name := range []string{v1alpha1.AgentSessionSecret, v1alpha1.AgentJoinSecret} {
		if err := r.deleteSecret(ctx, cluster, name); err != nil {
			return nil, fmt.Errorf("revoking the tokens of the agent: %w", err)
		}
	}
	ns := namespaceOf(cluster)
	local := metav1.ObjectMeta{Namespace: ns, Name: agentRole}
	global := metav1.ObjectMeta{Name: ClusterRoleName(cluster)}
	gone := map[objectRef]string{}
	for kind, object := range map[string]client.Object{
		"RoleBinding": &rbacv1.RoleBinding{ObjectMeta: local}, "Role": &rbacv1.Role{ObjectMeta: local},
		"ClusterRoleBinding": &rbacv1.ClusterRoleBinding{ObjectMeta: global}, "ClusterRole": &rbacv1.ClusterRole{ObjectMeta: global},
	} {
		if err := client.IgnoreNotFound(r.Delete(ctx, object)); err != nil {
			return nil, fmt.Errorf("deleting %s %s: %w", kind, object.GetName(), err)
		}
		gone[objectRef{kind, object.GetName()}] = removed
	}
	return gone, nil
}

// removeNamespace deletes the namespace of a cluster and returns whether it is
// gone for good.
func (r *Reconciler) removeNamespace(ctx context.Context, in *Input) (bool, error) {
	if in.namespace.terminating {
		return false, nil
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespaceOf(in.Cluster.Name)}}
	err := r.Delete(ctx, ns)
	if err != nil && !apierrors.IsNotFound(err) {
		return false, fmt.Errorf("deleting the namespace of the cluster: %w", err)
	}
	return err != nil, nil
}
