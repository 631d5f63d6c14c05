// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodes

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/authority"
)

const (
	// lookAgain is how often the Secret and the ConfigMap are compared with what they
	// should be: somebody may have replaced them.
	lookAgain = 10 * time.Minute
	// keepRetryMin and keepRetryMax bound the wait after a failure.
	keepRetryMin, keepRetryMax = time.Second, time.Minute
	keepTimeout                = 10 * time.Second

	// authorityName is the one in the certificates of authorities.
	authorityName = "atlhyper-agent-nodes"
)

// certificates shows a certificate to collectors, and keeps what they verify it with
// where they find it.
type certificates struct {
	core       corev1client.CoreV1Interface
	namespace  string // of the Secret
	collectors string // the namespace of the ConfigMap
	log        logr.Logger
	serving    *authority.Serving
}

// run keeps certificates until ctx ends.
func (c *certificates) run(ctx context.Context) {
	failing := ""
	for retry := keepRetryMin; ; {
		next, err := c.keep(ctx, time.Now())
		if ctx.Err() != nil {
			return
		}
		wait := min(time.Until(next), lookAgain)
		if err != nil {
			if failing != err.Error() {
				failing = err.Error()
				c.log.Info("Cannot publish what node collectors verify the agent with, trying again", "reason", failing)
			}
			wait, retry = retry, min(2*retry, keepRetryMax)
		} else {
			if failing != "" {
				c.log.Info("Publishing again what node collectors verify the agent with")
			}
			retry, failing = keepRetryMin, ""
		}
		timer := time.NewTimer(max(wait, 0))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// keep makes everything as it should be, and returns when to do so again.
func (c *certificates) keep(ctx context.Context, now time.Time) (next time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	a, err := c.authorities(ctx, now)
	if err != nil {
		return now, err
	}
	c.serving.Use(a.Signer)
	if err := c.publish(ctx, a.Keep); err != nil {
		return now, err
	}
	return a.Next, nil
}

// authorities reads the authorities from the Secret, and writes them when they
// change.
func (c *certificates) authorities(ctx context.Context, now time.Time) (authority.Arrangement, error) {
	secrets := c.core.Secrets(c.namespace)
	secret, err := secrets.Get(ctx, v1alpha1.MemberNodesSecret, metav1.GetOptions{})
	if err != nil {
		return authority.Arrangement{}, fmt.Errorf("reading the Secret %s/%s (config/agent has it, and the right to it): %w", c.namespace, v1alpha1.MemberNodesSecret, err)
	}
	all, err := authority.Parse(secret.Data[v1alpha1.CertificateAuthority], secret.Data[v1alpha1.CertificateAuthorityKey])
	if err != nil {
		c.log.Error(err, "Making a new authority, the Secret's cannot be used", "secret", v1alpha1.MemberNodesSecret)
		all = nil
	}
	a, err := all.Rotate(authorityName, now)
	if err != nil {
		return authority.Arrangement{}, err
	}
	certs, keys := a.Keep.PEM()
	if slices.Equal(secret.Data[v1alpha1.CertificateAuthority], certs) && slices.Equal(secret.Data[v1alpha1.CertificateAuthorityKey], keys) {
		return a, nil
	}
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	secret.Data[v1alpha1.CertificateAuthority], secret.Data[v1alpha1.CertificateAuthorityKey] = certs, keys
	if _, err := secrets.Update(ctx, secret, metav1.UpdateOptions{FieldManager: v1alpha1.FieldOwnerAgent}); err != nil {
		return authority.Arrangement{}, fmt.Errorf("writing the Secret %s/%s: %w", c.namespace, v1alpha1.MemberNodesSecret, err)
	}
	c.log.Info("Keeping a new authority for the agent's certificate", "authorities", len(a.Keep))
	return a, nil
}

// publish writes the certificates of authorities where collectors find them.
func (c *certificates) publish(ctx context.Context, all authority.Set) error {
	certs, _ := all.PEM()
	maps := c.core.ConfigMaps(c.collectors)
	found, err := maps.Get(ctx, v1alpha1.MemberNodesCA, metav1.GetOptions{})
	if err != nil {
		if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
			return fmt.Errorf("reading the ConfigMap %s/%s; apply config/nodecollector, which has it and the right to it: %w", c.collectors, v1alpha1.MemberNodesCA, err)
		}
		return fmt.Errorf("reading the ConfigMap %s/%s: %w", c.collectors, v1alpha1.MemberNodesCA, err)
	}
	if found.Data[v1alpha1.CertificateAuthority] == string(certs) {
		return nil
	}
	if found.Data == nil {
		found.Data = map[string]string{}
	}
	found.Data[v1alpha1.CertificateAuthority] = string(certs)
	if _, err := maps.Update(ctx, found, metav1.UpdateOptions{FieldManager: v1alpha1.FieldOwnerAgent}); err != nil {
		return fmt.Errorf("writing the ConfigMap %s/%s: %w", c.collectors, v1alpha1.MemberNodesCA, err)
	}
	return nil
}
