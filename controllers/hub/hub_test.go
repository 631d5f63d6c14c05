// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package hub_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/atlhyper/atlhyper/controllers/hub"
	"github.com/atlhyper/atlhyper/internal/authority"
	"github.com/atlhyper/atlhyper/internal/testing/controlplane"
)

func TestRunRefuses(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	closed := "https://" + freeAddress(t)
	for name, c := range map[string]struct {
		change func(*hub.Config)
		want   string
	}{
		"an address that is no URL":       {func(c *hub.Config) { c.AdvertiseURL = "hub.example.com" }, "--advertise-url"},
		"an address without TLS":          {func(c *hub.Config) { c.AdvertiseURL = "http://hub.example.com" }, "--advertise-url"},
		"an address with a password":      {func(c *hub.Config) { c.AdvertiseURL = "https://a:b@hub.example.com" }, "--advertise-url"},
		"certificates for no address":     {func(c *hub.Config) { c.AdvertiseCAFile = empty }, "--advertise-ca-file needs --advertise-url"},
		"a fraction above 1":              {func(c *hub.Config) { c.MassOutageFraction = 55 }, "--mass-outage-fraction"},
		"no fraction":                     {func(c *hub.Config) { c.MassOutageFraction = 0 }, "--mass-outage-fraction"},
		"a negative hold":                 {func(c *hub.Config) { c.MassOutageHold = -1 }, "--mass-outage-hold"},
		"no requests":                     {func(c *hub.Config) { c.KubeAPIQPS = 0 }, "--kube-api-qps"},
		"no workers":                      {func(c *hub.Config) { c.ConcurrentReconciles = 0 }, "--concurrent-reconciles"},
		"an election nowhere":             {func(c *hub.Config) { c.LeaderElectionNamespace = "" }, "--leader-election-namespace"},
		"a database of no kind":           {func(c *hub.Config) { c.Telemetry.DSN = "oracle://x/y" }, "oracle"},
		"two databases":                   {func(c *hub.Config) { c.Telemetry.DSNFile = "f" }, "--dsn and --dsn-file"},
		"times that are none":             {func(c *hub.Config) { c.Telemetry.Retention = "samples=forever" }, "--retention"},
		"an ingest URL without TLS":       {func(c *hub.Config) { c.Telemetry.IngestURL = "http://hub.example.com" }, "--ingest-url"},
		"an ingest URL to nothing":        {func(c *hub.Config) { c.Telemetry.IngestURL, c.Telemetry.IngestBindAddress = "https://h", "0" }, "--ingest-bind-address"},
		"a certificate without its key":   {func(c *hub.Config) { c.Telemetry.IngestCertFile = empty }, "--ingest-key-file"},
		"an ingest CA for no certificate": {func(c *hub.Config) { c.Telemetry.IngestCAFile = empty }, "--ingest-ca-file needs"},
		"an unknown form of log":          {func(c *hub.Config) { c.Log.Format = "xml" }, "--log-format"},
		"a kubeconfig that is not there":  {func(c *hub.Config) { c.RESTConfig, c.Kubeconfig = nil, filepath.Join(t.TempDir(), "none") }, "reading the kubeconfig"},
		"an API server that is away":      {func(*hub.Config) {}, "reaching the API server " + closed},
	} {
		t.Run(name, func(t *testing.T) {
			config := hub.DefaultConfig()
			config.RESTConfig = &rest.Config{Host: closed}
			config.Telemetry.DSN = hub.NoHistory
			c.change(&config)
			if err := hub.Run(t.Context(), config); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want something about %q", err, c.want)
			}
		})
	}
}

func TestFlags(t *testing.T) {
	config := hub.DefaultConfig()
	fs := flag.NewFlagSet("hub", flag.ContinueOnError)
	config.BindFlags(fs)
	want := hub.DefaultConfig()
	want.Log.Format = "json"
	if config != want {
		t.Errorf("binding flags changed the defaults: %+v", config)
	}
	args := []string{
		"--kubeconfig=k", "--advertise-url=https://h", "--advertise-ca-file=f", "--metrics-bind-address=0",
		"--health-probe-bind-address=:1", "--leader-elect=false", "--leader-election-namespace=n", "--kube-api-qps=7",
		"--kube-api-burst=9", "--concurrent-reconciles=3", "--mass-outage-fraction=0.5", "--mass-outage-hold=1m",
		"--log-format=console", "--log-verbosity=2", "--dsn=none", "--dsn-file=d", "--retention=samples=24h",
		"--ingest-bind-address=:2", "--ingest-url=https://i", "--ingest-cert-file=c", "--ingest-key-file=k", "--ingest-ca-file=a",
	}
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	set := 0
	fs.Visit(func(*flag.Flag) { set++ })
	all := 0
	fs.VisitAll(func(f *flag.Flag) {
		all++
		if f.Usage == "" {
			t.Errorf("--%s is not documented", f.Name)
		}
	})
	if set != len(args) || all != len(args) {
		t.Errorf("%d flags, %d set, %d given", all, set, len(args))
	}
	if config.KubeAPIQPS != 7 || config.MassOutageHold != time.Minute || config.LeaderElect || config.Log.Verbosity != 2 {
		t.Errorf("got %+v", config)
	}
}

// A password must not be readable in the list of processes.
func TestFlagRefusesAPassword(t *testing.T) {
	config := hub.DefaultConfig()
	fs := flag.NewFlagSet("hub", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	config.BindFlags(fs)
	err := fs.Parse([]string{"--dsn=postgres://hub:s3cret@db/history"})
	if err == nil || !strings.Contains(err.Error(), "--dsn-file") {
		t.Errorf("got %v, want the way out", err)
	}
	if err := fs.Parse([]string{"--dsn=postgres://hub@db/history"}); err != nil {
		t.Errorf("a user without a password: %v", err)
	}
}

// The probes tell when the hub can take over, and metrics are for those whom the
// API server allows to read them.
func TestProbesAndMetrics(t *testing.T) {
	plane, err := controlplane.Start(t.Context(), controlplane.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plane.Stop(); err != nil {
			t.Error(err)
		}
	})
	if _, err := envtest.InstallCRDs(plane.Config(), envtest.CRDInstallOptions{
		Paths: []string{filepath.Join("..", "..", "config", "crd", "bases")}, ErrorIfPathMissing: true,
	}); err != nil {
		t.Fatal(err)
	}
	admin := kubernetes.NewForConfigOrDie(plane.Config())
	home := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "atlhyper-system"}}
	if _, err := admin.CoreV1().Namespaces().Create(t.Context(), home, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"reader", "other"} {
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := admin.CoreV1().ServiceAccounts("default").Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "metrics"}, Rules: []rbacv1.PolicyRule{{NonResourceURLs: []string{"/metrics"}, Verbs: []string{"get"}}}}
	if _, err := admin.RbacV1().ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "metrics"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "metrics"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "default", Name: "reader"}},
	}
	if _, err := admin.RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}

	config := hub.DefaultConfig()
	config.RESTConfig = plane.Config()
	config.LeaderElect = false
	config.Telemetry.DSN = "sqlite://" + filepath.Join(t.TempDir(), "history.db")
	config.Telemetry.IngestBindAddress = freeAddress(t)
	config.MetricsBindAddress, config.HealthProbeBindAddress = freeAddress(t), freeAddress(t)
	stop := start(t, config)
	client := &http.Client{Transport: &http.Transport{
		// The hub makes a certificate for itself; that it serves TLS is what matters here.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	defer client.CloseIdleConnections()
	for _, path := range []string{"/healthz", "/readyz"} {
		expect(t, client, "http://"+config.HealthProbeBindAddress+path, "", http.StatusOK, "ok")
	}
	url := "https://" + config.MetricsBindAddress + "/metrics"
	expect(t, client, url, "", http.StatusUnauthorized, "")
	expect(t, client, url, token(t, admin, "other"), http.StatusForbidden, "")
	expect(t, client, url, token(t, admin, "reader"), http.StatusOK, "rest_client_request_duration_seconds")
	expect(t, client, url, token(t, admin, "reader"), http.StatusOK, "atlhyper_history_available 1")
	expect(t, client, "https://"+config.Telemetry.IngestBindAddress+"/v1/offsets", "nonsense", http.StatusUnauthorized, "Unauthenticated")
	stop()
	config.Registerer = prometheus.NewRegistry()
	authorities(t, admin.CoreV1().Secrets("atlhyper-system"), config)
}

// start runs a hub until it is stopped.
func start(t *testing.T, config hub.Config) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- hub.Run(ctx, config) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the hub ended with %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// authorities expects that the certificate of the ingest endpoint comes from the
// authority that the hub keeps, and still does when somebody adds a second one.
func authorities(t *testing.T, secrets corev1client.SecretInterface, config hub.Config) {
	t.Helper()
	secret, err := secrets.Get(t.Context(), hub.IngestAuthority, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	own := secret.Data[corev1.TLSCertKey]
	all, err := authority.Parse(own, secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil || len(all) != 1 {
		t.Fatalf("the hub keeps %d authorities: %v", len(all), err)
	}
	other, err := authority.New("other", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey] = append(all, other).PEM()
	if _, err := secrets.Update(t.Context(), secret, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	start(t, config)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(own)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}}}
	t.Cleanup(client.CloseIdleConnections)
	expect(t, client, "https://"+config.Telemetry.IngestBindAddress+"/v1/offsets", "nonsense", http.StatusUnauthorized, "Unauthenticated")
}

func token(t *testing.T, admin kubernetes.Interface, account string) string {
	t.Helper()
	request, err := admin.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return request.Status.Token
}

// expect waits until a URL answers with a status and a text.
func expect(t *testing.T, client *http.Client, url, token string, status int, text string) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		code, body, err := get(t, client, url, token)
		if err == nil && code == status && strings.Contains(body, text) {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%s: status %d, error %v, want status %d and %q", url, code, err, status, text)
		case <-tick.C:
		}
	}
}

func get(t *testing.T, client *http.Client, url, token string) (int, string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
