// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	metainternalversionscheme "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/flowcontrol"
)

const (
	// requestsPerSecond and requestBurst bound what the inventory asks of its
	// API server. Watching needs a few requests in ten minutes; the bound is for
	// the day on which something here is wrong.
	requestsPerSecond = 10
	requestBurst      = 30
)

// kind is one watched kind.
type kind struct {
	// resource is its name as in "deployments.apps".
	resource string
	// run watches until ctx ends.
	run func(ctx context.Context)
	// synced says, with the Inventory's mu held, whether it was listed once.
	synced func() bool
	// served says whether the cluster has the kind; nil for always. One that it
	// does not have is neither waited for nor stale.
	served func() bool
	// looked says whether that is known yet; nil when served is.
	looked func() bool
}

// stores hold what is known of each kind.
type stores struct {
	pods         *store[slimPod, podTally]
	nodes        *store[slimNode, nodeTally]
	deployments  *workloadStore
	statefulSets *workloadStore
	daemonSets   *workloadStore
	jobs         *workloadStore
	cronJobs     *workloadStore
}

type workloadStore = store[slimWorkload, workloadTally]

// clients reach the API server: one per API group, and one that is not rate
// limited for health checks, so that these wait for nothing.
type clients struct {
	core, apps, batch, raw rest.Interface
	// metadata is for core kinds of which only names and labels are read.
	metadata rest.Interface
	// connect makes the client of another API group.
	connect func(schema.GroupVersion) (rest.Interface, error)
}

func newClients(cfg *rest.Config) (clients, error) {
	scheme := runtime.NewScheme()
	builder := runtime.NewSchemeBuilder(corev1.AddToScheme, appsv1.AddToScheme, batchv1.AddToScheme,
		autoscalingv2.AddToScheme, discoveryv1.AddToScheme, networkingv1.AddToScheme, addRoutes,
		admissionregistrationv1.AddToScheme, certificatesv1.AddToScheme, coordinationv1.AddToScheme, policyv1.AddToScheme,
		storagev1.AddToScheme, addConditioned)
	if err := builder.AddToScheme(scheme); err != nil {
		return clients{}, fmt.Errorf("registering the built-in kinds: %w", err)
	}
	cfg = rest.CopyConfig(cfg)
	if cfg.UserAgent == "" {
		cfg.UserAgent = rest.DefaultKubernetesUserAgent()
	}
	cfg.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	cfg.ContentType = runtime.ContentTypeProtobuf
	cfg.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	// A timeout of the client would end every watch.
	cfg.Timeout = 0
	cfg.QPS, cfg.Burst = requestsPerSecond, requestBurst
	cfg.RateLimiter = flowcontrol.NewTokenBucketRateLimiter(cfg.QPS, cfg.Burst)
	httpClient, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return clients{}, fmt.Errorf("making an HTTP client for the API server: %w", err)
	}
	var c clients
	for _, group := range []struct {
		client  *rest.Interface
		path    string
		version schema.GroupVersion
	}{
		{&c.core, "/api", corev1.SchemeGroupVersion},
		{&c.apps, "/apis", appsv1.SchemeGroupVersion},
		{&c.batch, "/apis", batchv1.SchemeGroupVersion},
	} {
		if *group.client, err = clientFor(cfg, group.path, group.version, httpClient); err != nil {
			return clients{}, err
		}
	}
	c.connect = func(version schema.GroupVersion) (rest.Interface, error) {
		return clientFor(cfg, "/apis", version, httpClient)
	}
	metadata := rest.CopyConfig(cfg)
	metadata.NegotiatedSerializer = metainternalversionscheme.Codecs.WithoutConversion()
	if c.metadata, err = clientFor(metadata, "/api", corev1.SchemeGroupVersion, httpClient); err != nil {
		return clients{}, err
	}
	raw := rest.CopyConfig(cfg)
	raw.RateLimiter, raw.QPS = nil, -1
	c.raw, err = clientFor(raw, "/api", corev1.SchemeGroupVersion, httpClient)
	return c, err
}

func clientFor(cfg *rest.Config, path string, version schema.GroupVersion, httpClient *http.Client) (rest.Interface, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.APIPath, cfg.GroupVersion = path, &version
	client, err := rest.RESTClientForConfigAndClient(cfg, httpClient)
	if err != nil {
		return nil, fmt.Errorf("making a client for %s: %w", version, err)
	}
	return client, nil
}

// addKinds makes the store and the reflector of every kind.
func (i *Inventory) addKinds() {
	i.nodes = addKind(i, i.clients.core, "nodes", "", reducer(slimNodeOf), &corev1.Node{}, countNode)
	i.pods = addKind(i, i.clients.core, "pods", "", reducer(slimPodOf), &corev1.Pod{}, countPod)
	i.deployments = addWorkload[appsv1.Deployment](i, i.clients.apps, "deployments", appsv1.GroupName)
	i.statefulSets = addWorkload[appsv1.StatefulSet](i, i.clients.apps, "statefulsets", appsv1.GroupName)
	i.daemonSets = addWorkload[appsv1.DaemonSet](i, i.clients.apps, "daemonsets", appsv1.GroupName)
	i.jobs = addWorkload[batchv1.Job](i, i.clients.batch, "jobs", batchv1.GroupName)
	i.cronJobs = addWorkload[batchv1.CronJob](i, i.clients.batch, "cronjobs", batchv1.GroupName)
}

func addWorkload[O any](i *Inventory, client rest.Interface, resource, group string) *workloadStore {
	reduce := reducer(func(*O) slimWorkload { return slimWorkload{} })
	return addKind(i, client, resource, group, reduce, new(O), countWorkload)
}

// addKind makes the store of a kind and the reflector that fills it.
func addKind[S, T comparable](
	i *Inventory, client rest.Interface, resource, group string,
	reduce func(any) (slimObject[S], bool), example any, count func(*T, S, int32),
) *store[S, T] {
	name := schema.GroupResource{Group: group, Resource: resource}.String()
	s := &store[S, T]{
		reduce:  reduce,
		count:   count,
		objects: map[objectKey]S{},
		mu:      &i.mu,
		changed: i.signal,
		listed: func() bool {
			i.staleness.succeeded(name)
			return i.reassess(time.Now())
		},
	}
	var target cache.ReflectorStore = s
	if ledger := i.ledgers[name]; ledger != nil {
		target = &tee{counts: s, ledger: ledger}
	}
	target = i.observed(name, target)
	i.kinds = append(i.kinds, kind{
		resource: name,
		synced:   func() bool { return s.synced },
		run: func(ctx context.Context) {
			i.reflect(ctx, &listWatch{client: client, resource: resource}, name, example, target)
		},
	})
	return s
}

// reflect fills a store with what requests list and watch, until ctx ends, and
// notes how the requests go for the resource of a name.
func (i *Inventory) reflect(ctx context.Context, requests *listWatch, name string, example any, target cache.ReflectorStore) {
	requests.watchTimeout = i.options.watchTimeout
	requests.failed = func(err error) {
		i.note(func(now time.Time) bool { i.staleness.failed(name, err, now); return false })
	}
	requests.resumed = func() {
		i.note(func(time.Time) bool { i.staleness.succeeded(name); return false })
	}
	retryMax := i.options.retryMax
	logger := quiet(i.options.Logger).V(1)
	reflector := cache.NewReflectorWithOptions(requests.forReflector(), example, target, cache.ReflectorOptions{
		Name:   name,
		Logger: &logger,
		Clock:  contextClock{ctx: ctx},
		Backoff: &wait.Backoff{
			Duration: retryFirst, Cap: retryMax, Factor: 2, Jitter: 1,
			Steps: int(math.Ceil(float64(retryMax) / float64(retryFirst))),
		},
	})
	reflector.RunWithContext(ctx)
}
