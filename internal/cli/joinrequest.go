// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// withdrawTimeout bounds how long an unanswered request is tried to be taken back.
const withdrawTimeout = 5 * time.Second

// joinAnswer is what the hub put into the join Secret.
type joinAnswer struct {
	nonce   string
	data    map[string][]byte
	expires time.Time
}

// requestJoin asks the hub for a join token and waits for it. A request that
// stays unanswered is taken back, so that a hub that starts later makes no
// credential that nobody waits for.
func requestJoin(ctx context.Context, c client.WithWatch, cluster *v1alpha1.ManagedCluster, timeout time.Duration) (joinAnswer, error) {
	nonce := newNonce()
	if err := annotateJoin(ctx, c, cluster.Name, nonce); err != nil {
		return joinAnswer{}, err
	}
	waitCtx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	secret, err := awaitJoinSecret(waitCtx, c, cluster.Name, nonce)
	if err == nil {
		return answerOf(secret, nonce), nil
	}
	cleanupCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawTimeout)
	defer cancel()
	switch {
	case ctx.Err() != nil:
		err = fmt.Errorf("waiting for the hub's answer: %w", context.Cause(ctx))
	case waitCtx.Err() != nil:
		err = explainTimeout(cleanupCtx, c, cluster.Name, nonce, timeout)
	}
	return joinAnswer{}, errors.Join(err, withdrawJoin(cleanupCtx, c, cluster.Name, nonce))
}

// newNonce returns 128 random bits that no other request has.
func newNonce() string {
	b := make([]byte, 16)
	// crypto/rand never returns an error.
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

func annotateJoin(ctx context.Context, c client.Client, name, nonce string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"annotations": map[string]string{v1alpha1.AnnotationJoinRequest: nonce},
	}})
	if err != nil {
		return fmt.Errorf("encoding the join request: %w", err)
	}
	cluster := &v1alpha1.ManagedCluster{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := c.Patch(ctx, cluster, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(FieldManager)); err != nil {
		return fmt.Errorf("requesting a join token for managedcluster %q: %w", name, err)
	}
	return nil
}

// awaitJoinSecret lists once, which also shows at once what is forbidden, and
// then watches.
func awaitJoinSecret(ctx context.Context, c client.WithWatch, name, nonce string) (*corev1.Secret, error) {
	selection := []client.ListOption{
		client.InNamespace(v1alpha1.ClusterNamespacePrefix + name),
		client.MatchingFields{"metadata.name": v1alpha1.AgentJoinSecret},
	}
	list := &corev1.SecretList{}
	if err := c.List(ctx, list, selection...); err != nil {
		return nil, fmt.Errorf("reading the Secret %s of managedcluster %q: %w", v1alpha1.AgentJoinSecret, name, err)
	}
	for i := range list.Items {
		if answers(&list.Items[i], nonce) {
			return &list.Items[i], nil
		}
	}
	watcher := &cache.ListWatch{WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
		return c.Watch(ctx, &corev1.SecretList{}, append(selection, &client.ListOptions{Raw: &options})...)
	}}
	event, err := watchtools.Until(ctx, list.ResourceVersion, watcher, func(event watch.Event) (bool, error) {
		if event.Type == watch.Error {
			return false, fmt.Errorf("watching for the Secret %s of managedcluster %q: %w",
				v1alpha1.AgentJoinSecret, name, statusError(event.Object))
		}
		secret, ok := event.Object.(*corev1.Secret)
		return ok && event.Type != watch.Deleted && answers(secret, nonce), nil
	})
	if err != nil {
		return nil, err
	}
	secret, ok := event.Object.(*corev1.Secret)
	if !ok {
		return nil, fmt.Errorf("watching for the Secret %s of managedcluster %q: got a %T", v1alpha1.AgentJoinSecret, name, event.Object)
	}
	return secret, nil
}

func answers(secret *corev1.Secret, nonce string) bool {
	return secret.Annotations[v1alpha1.AnnotationJoinRequest] == nonce && len(secret.Data[v1alpha1.CredentialToken]) > 0
}

func answerOf(secret *corev1.Secret, nonce string) joinAnswer {
	answer := joinAnswer{nonce: nonce, data: secret.Data}
	// Without a readable time the user learns the lifetime instead.
	if t, err := time.Parse(time.RFC3339, secret.Annotations[v1alpha1.AnnotationJoinExpires]); err == nil {
		answer.expires = t
	}
	return answer
}

// withdrawJoin removes the request if it is still the one with this nonce.
func withdrawJoin(ctx context.Context, c client.Client, name, nonce string) error {
	cluster, err := getCluster(ctx, c, name)
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("withdrawing the join request: %w", err)
	case cluster.Annotations[v1alpha1.AnnotationJoinRequest] != nonce:
		return nil
	}
	// The resource version keeps a request that somebody else has made meanwhile.
	base := cluster.DeepCopy()
	delete(cluster.Annotations, v1alpha1.AnnotationJoinRequest)
	patch := client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})
	if err := c.Patch(ctx, cluster, patch, client.FieldOwner(FieldManager)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("withdrawing the join request (annotation %s of managedcluster %q): %w", v1alpha1.AnnotationJoinRequest, name, err)
	}
	return nil
}

func explainTimeout(ctx context.Context, c client.Client, name, nonce string, timeout time.Duration) error {
	cluster, err := getCluster(ctx, c, name)
	if err != nil {
		return fmt.Errorf("the hub did not answer within %s, nor could its state be read: %w", timeout, err)
	}
	return fmt.Errorf("the hub did not answer the join request of managedcluster %q within %s: %s",
		name, timeout, diagnoseJoin(cluster, nonce))
}
