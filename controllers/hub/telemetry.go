// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package hub

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	authenticationv1client "k8s.io/client-go/kubernetes/typed/authentication/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/authority"
	"github.com/atlhyper/atlhyper/internal/bearer/tokenreview"
	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/history/keeper"
	"github.com/atlhyper/atlhyper/internal/history/store"
	"github.com/atlhyper/atlhyper/internal/ingest"
	"github.com/atlhyper/atlhyper/internal/ingest/fleet"
)

// IngestAuthority is the Secret, in the hub's namespace, of the authority that the
// ingest endpoint's certificates come from when nobody provides one. Agents trust
// its certificate and nothing else. To replace it, delete it and restart the hub.
const IngestAuthority = "atlhyper-ingest-ca"

const authorityTimeout = 30 * time.Second

// +kubebuilder:rbac:groups="",namespace=atlhyper-system,resources=secrets,verbs=create
// +kubebuilder:rbac:groups="",namespace=atlhyper-system,resources=secrets,resourceNames=atlhyper-ingest-ca,verbs=get

// A telemetry is what keeps history and takes what is kept in it.
type telemetry struct {
	keeper *keeper.Keeper
	// ingest is nil when the hub takes no telemetry.
	ingest *ingest.Server
	// ca is what agents verify the endpoint with; empty for their system's.
	ca []byte
}

// telemetry adds the history and the ingest endpoint to a manager. It returns nil
// when the hub keeps no history.
func (c *Config) telemetry(ctx context.Context, mgr manager.Manager, live client.Client) (*telemetry, error) {
	dsn, err := c.Telemetry.dsn()
	if err != nil || dsn == NoHistory {
		return nil, err
	}
	retention, err := history.ParseRetention(c.Telemetry.Retention)
	if err != nil {
		return nil, err
	}
	log := mgr.GetLogger()
	t := &telemetry{}
	t.keeper, err = keeper.New(keeper.Options{
		Open: func(ctx context.Context) (keeper.Store, error) {
			return store.Open(ctx, dsn, store.Options{Retention: retention})
		},
		Log:        log.WithName("history").WithValues("dsn", store.Redact(dsn)),
		Registerer: c.registerer(),
	})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(mgr.Add(everywhere(t.keeper.Run)), mgr.Add(manager.RunnableFunc(t.keeper.Maintain))); err != nil {
		return nil, fmt.Errorf("adding the history: %w", err)
	}
	if c.Telemetry.IngestBindAddress == "0" {
		return t, nil
	}
	authentication, err := authenticationv1client.NewForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return nil, fmt.Errorf("making a client for the agents' tokens: %w", err)
	}
	endpoint := ingest.Config{
		Addr:     c.Telemetry.IngestBindAddress,
		CertFile: c.Telemetry.IngestCertFile, KeyFile: c.Telemetry.IngestKeyFile,
		Appender: t.keeper, Offsets: t.keeper,
		Members:    fleet.ManagedClusters{Reader: mgr.GetClient()},
		Reviewer:   tokenreview.Reviewer{Creator: authentication.TokenReviews(), Audience: v1alpha1.IngestAudience},
		Retention:  retention,
		Registerer: c.registerer(),
		Log:        log.WithName("ingest"),
	}
	if endpoint.Certificate, t.ca, err = c.certificate(ctx, live); err != nil {
		return nil, err
	}
	if t.ingest, err = ingest.New(endpoint); err != nil {
		return nil, err
	}
	if err := errors.Join(mgr.Add(t.ingest), mgr.AddReadyzCheck("ingest", t.ingest.Ready)); err != nil {
		return nil, fmt.Errorf("adding the ingest endpoint: %w", err)
	}
	return t, nil
}

// registerer takes the metrics.
func (c *Config) registerer() prometheus.Registerer {
	if c.Registerer != nil {
		return c.Registerer
	}
	return metrics.Registry
}

// certificate returns how to get the endpoint's certificate, nil for the files, and
// what to verify it with.
func (c *Config) certificate(ctx context.Context, live client.Client) (func(*tls.ClientHelloInfo) (*tls.Certificate, error), []byte, error) {
	if c.Telemetry.IngestCertFile == "" {
		authorities, err := ensureAuthority(ctx, live, types.NamespacedName{Namespace: c.LeaderElectionNamespace, Name: IngestAuthority}, time.Now())
		if err != nil {
			return nil, nil, err
		}
		ca, _ := authorities.Keep.PEM()
		serving := authority.NewServing(c.Telemetry.ingestHosts())
		serving.Use(authorities.Signer)
		return serving.Certificate, ca, nil
	}
	if c.Telemetry.IngestCAFile == "" {
		return nil, nil, nil
	}
	ca, err := os.ReadFile(c.Telemetry.IngestCAFile)
	if err != nil {
		return nil, nil, fmt.Errorf("reading --ingest-ca-file: %w", err)
	}
	if len(parsePEM(ca)) == 0 {
		return nil, nil, fmt.Errorf("--ingest-ca-file %s holds no PEM certificate", c.Telemetry.IngestCAFile)
	}
	return nil, ca, nil
}

// ensureAuthority reads the authorities from a Secret, which it makes with one in it
// when there is none. Of several replicas that start at once one makes it, the others
// read it. The hub may not change it. Where somebody else put several into it, agents
// are told of all, and which one signs is decided at each start.
func ensureAuthority(ctx context.Context, live client.Client, key types.NamespacedName, now time.Time) (authority.Arrangement, error) {
	var none authority.Arrangement
	ctx, cancel := context.WithTimeout(ctx, authorityTimeout)
	defer cancel()
	secret := &corev1.Secret{}
	err := live.Get(ctx, key, secret)
	if apierrors.IsNotFound(err) {
		var made *authority.Authority
		if made, err = authority.New(key.Name, now); err != nil {
			return none, err
		}
		cert, private := authority.Set{made}.PEM()
		secret = &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, Labels: map[string]string{
				"app.kubernetes.io/name": "atlhyper-hub", "app.kubernetes.io/part-of": "atlhyper",
			}},
			Type: corev1.SecretTypeOpaque,
			Data: map[string][]byte{corev1.TLSCertKey: cert, corev1.TLSPrivateKeyKey: private},
		}
		err = live.Create(ctx, secret, client.FieldOwner(v1alpha1.FieldOwnerHub))
		if apierrors.IsAlreadyExists(err) {
			err = live.Get(ctx, key, secret)
		}
	}
	if err != nil {
		return none, fmt.Errorf("finding the authority of the ingest endpoint in Secret %s (or pass --ingest-cert-file): %w", key, err)
	}
	all, err := authority.Parse(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return none, fmt.Errorf("secret %s: delete it and restart the hub to make another: %w", key, err)
	}
	a := all.Arrange(now)
	if a.Signer == nil {
		return none, fmt.Errorf("secret %s: of %d authorities none is valid now: delete it and restart the hub to make another", key, len(all))
	}
	return a, nil
}
