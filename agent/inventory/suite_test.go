// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"context"
	"net"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/atlhyper/atlhyper/internal/testing/controlplane"
)

var (
	cluster *controlplane.ControlPlane
	client  kubernetes.Interface
)

func TestInventoryOfARealCluster(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(40 * time.Second)
	SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	RunSpecs(t, "Inventory of a real cluster")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	cluster = startCluster(ctx)
	client = kubernetes.NewForConfigOrDie(cluster.Config())
})

func startCluster(ctx context.Context, apiServerArgs ...string) *controlplane.ControlPlane {
	GinkgoHelper()
	dir, err := os.MkdirTemp("", "inventory-")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(os.RemoveAll, dir)
	cp, err := controlplane.Start(ctx, controlplane.Options{Dir: dir, APIServerArgs: apiServerArgs})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(cp.Stop()).To(Succeed()) })
	return cp
}

// patience is for how long an API server may be silent: longer than a busy machine
// stalls.
const patience = 5 * time.Second

// quick are options that make specs short. Watches end every 3 s.
func quick() Options {
	return Options{
		Logger:         GinkgoLogr,
		HealthInterval: 200 * time.Millisecond,
		HealthTimeout:  time.Second,
		UnhealthyAfter: patience,
		StaleAfter:     patience,
		watchTimeout:   3 * time.Second,
		retryMax:       time.Second,
	}
}

// run runs an Inventory until the end of the spec, and demands that it then ends.
func run(ctx context.Context, cfg *rest.Config, options Options) *Inventory {
	GinkgoHelper()
	i, _ := begin(ctx, cfg, options)
	return i
}

// begin runs an Inventory until the end of the spec or the call of a function, which
// returns how long it took to end.
func begin(ctx context.Context, cfg *rest.Config, options Options) (_ *Inventory, end func() time.Duration) {
	GinkgoHelper()
	i, err := New(cfg, options)
	Expect(err).NotTo(HaveOccurred())
	// The spec's context ends before its cleanup, which is what ends this one.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- i.Run(ctx) }()
	end = sync.OnceValue(func() time.Duration {
		asked := time.Now()
		cancel()
		Eventually(done).Should(Receive(BeNil()))
		return time.Since(asked)
	})
	DeferCleanup(end)
	return i, end
}

// gate forwards connections to an API server while it is open.
type gate struct {
	ctx    context.Context
	target string
	addr   string

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]struct{}
	running  sync.WaitGroup
}

// newGate opens a gate and returns it with a config that leads through it.
func newGate(ctx context.Context, cfg *rest.Config) (*gate, *rest.Config) {
	GinkgoHelper()
	target, err := url.Parse(cfg.Host)
	Expect(err).NotTo(HaveOccurred())
	g := &gate{ctx: context.WithoutCancel(ctx), target: target.Host, addr: "127.0.0.1:0"}
	g.open()
	DeferCleanup(g.close)
	cfg = rest.CopyConfig(cfg)
	cfg.Host = "https://" + g.addr
	return g, cfg
}

func (g *gate) open() {
	GinkgoHelper()
	listener, err := new(net.ListenConfig).Listen(g.ctx, "tcp", g.addr)
	Expect(err).NotTo(HaveOccurred())
	g.mu.Lock()
	g.listener, g.addr, g.conns = listener, listener.Addr().String(), map[net.Conn]struct{}{}
	g.mu.Unlock()
	g.running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			g.running.Go(func() { g.forward(conn) })
		}
	})
}

func (g *gate) forward(client net.Conn) {
	defer client.Close()
	server, err := new(net.Dialer).DialContext(g.ctx, "tcp", g.target)
	if err != nil {
		return
	}
	defer server.Close()
	g.mu.Lock()
	if g.conns == nil {
		g.mu.Unlock()
		return
	}
	g.conns[client], g.conns[server] = struct{}{}, struct{}{}
	g.mu.Unlock()
	g.running.Go(func() { pipe(server, client) })
	pipe(client, server)
}

// pipe copies until one side ends, and then ends both.
func pipe(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if _, werr := to.Write(buffer[:n]); err != nil || werr != nil {
			return
		}
	}
}

// close cuts all connections and refuses new ones.
func (g *gate) close() {
	g.mu.Lock()
	_ = g.listener.Close()
	for conn := range g.conns {
		_ = conn.Close()
	}
	g.conns = nil
	g.mu.Unlock()
	g.running.Wait()
}
