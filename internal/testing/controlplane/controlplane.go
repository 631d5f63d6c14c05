// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package controlplane runs real Kubernetes control planes on loopback: etcd and
// kube-apiserver, and on request the controller manager, the scheduler and KWOK.
// The binaries are those that hack/k8s/ensure.sh provides.
//
// It serves tests, the demo and the benchmarks. envtest would do for the first
// two binaries, but not for the others, for restarting the API server on its
// address, or for ending everything when the parent is killed.
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/atlhyper/atlhyper/internal/testing/process"
)

const (
	startTimeout = 2 * time.Minute
	stopTimeout  = time.Minute
)

// Options say what a control plane consists of.
type Options struct {
	// Name is the name of the kubeconfig's context. Defaults to "local".
	Name string
	// Dir is the folder for data, keys and logs. It must exist.
	Dir string
	// Binaries is the folder with the executables. Defaults to Binaries().
	Binaries string
	// ControllerManager runs the controllers that tests may need: garbage
	// collection, namespaces, service accounts, deployments and so on.
	ControllerManager bool
	// Scheduler runs the scheduler.
	Scheduler bool
	// KWOKConfig is the file with the stages that KWOK plays; empty for no KWOK.
	KWOKConfig string
	// APIServerArgs are added to the API server's arguments.
	APIServerArgs []string
}

// ControlPlane is a running control plane.
type ControlPlane struct {
	options    Options
	certs      *certificates
	config     *rest.Config
	kubeconfig string
	etcdURL    string
	port       int

	etcd, apiServer *process.Process
	others          []*process.Process
}

// Start runs a control plane and returns when its API server is ready. The
// caller has to Stop it. On an error nothing is left running.
func Start(ctx context.Context, options Options) (_ *ControlPlane, err error) {
	if options.Name == "" {
		options.Name = "local"
	}
	if options.Binaries == "" {
		if options.Binaries, err = Binaries(); err != nil {
			return nil, err
		}
	}
	c := &ControlPlane{options: options}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop())
		}
	}()
	if c.certs, err = writeCertificates(options.Dir); err != nil {
		return nil, err
	}
	if err := c.startEtcd(ctx); err != nil {
		return nil, err
	}
	if c.port, err = freePort(ctx); err != nil {
		return nil, err
	}
	if err := c.writeKubeconfig(); err != nil {
		return nil, err
	}
	if err := c.StartAPIServer(ctx); err != nil {
		return nil, err
	}
	if err := c.startOthers(); err != nil {
		return nil, err
	}
	return c, nil
}

// Config authenticates as a member of system:masters.
func (c *ControlPlane) Config() *rest.Config { return rest.CopyConfig(c.config) }

// Kubeconfig is the path of a kubeconfig file for the same user.
func (c *ControlPlane) Kubeconfig() string { return c.kubeconfig }

// CA is the certificate authority of the API server in PEM.
func (c *ControlPlane) CA() []byte { return c.certs.caPEM }

// APIServer is the process of the API server.
func (c *ControlPlane) APIServer() *process.Process { return c.apiServer }

// Etcd is the process of etcd.
func (c *ControlPlane) Etcd() *process.Process { return c.etcd }

// Stop ends every process of the control plane, the last started first. etcd and
// the API server are killed: nothing of theirs is kept, and an API server with
// open watches takes a minute to stop politely.
func (c *ControlPlane) Stop() error {
	var errs []error
	for _, p := range slices.Backward(c.others) {
		errs = append(errs, p.Stop(stopTimeout))
	}
	for _, p := range []*process.Process{c.apiServer, c.etcd} {
		if p != nil {
			p.Kill()
		}
	}
	return errors.Join(errs...)
}

// CrashAPIServer kills the API server alone; etcd keeps its data.
func (c *ControlPlane) CrashAPIServer() { c.apiServer.Kill() }

// StartAPIServer runs the API server, after CrashAPIServer again at the
// same address, and waits until it is ready.
func (c *ControlPlane) StartAPIServer(ctx context.Context) error {
	k := c.certs
	args := []string{
		"--etcd-servers=" + c.etcdURL,
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(c.port),
		"--endpoint-reconciler-type=none",
		"--tls-cert-file=" + k.serving, "--tls-private-key-file=" + k.servingKey,
		"--client-ca-file=" + k.ca,
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + k.serviceAccountKey,
		"--service-account-signing-key-file=" + k.serviceAccountKey,
		"--service-cluster-ip-range=10.0.0.0/16",
		"--authorization-mode=Node,RBAC",
		"--enable-bootstrap-token-auth=true",
		"--allow-privileged=true",
		"--profiling=false",
	}
	if !c.options.ControllerManager {
		// Nothing would create the default ServiceAccount that it demands of pods.
		args = append(args, "--disable-admission-plugins=ServiceAccount")
	}
	var err error
	c.apiServer, err = c.run("kube-apiserver", append(args, c.options.APIServerArgs...))
	if err != nil {
		return err
	}
	return c.waitReady(ctx)
}

func (c *ControlPlane) startEtcd(ctx context.Context) error {
	client, err := freePort(ctx)
	if err != nil {
		return err
	}
	peer, err := freePort(ctx)
	if err != nil {
		return err
	}
	c.etcdURL = "http://127.0.0.1:" + strconv.Itoa(client)
	peerURL := "http://127.0.0.1:" + strconv.Itoa(peer)
	c.etcd, err = c.run("etcd", []string{
		"--data-dir=" + filepath.Join(c.options.Dir, "etcd"),
		"--listen-client-urls=" + c.etcdURL, "--advertise-client-urls=" + c.etcdURL,
		"--listen-peer-urls=" + peerURL, "--initial-advertise-peer-urls=" + peerURL,
		"--initial-cluster=default=" + peerURL,
		"--unsafe-no-fsync", "--log-level=warn",
	})
	return err
}

func (c *ControlPlane) startOthers() error {
	common := []string{"--kubeconfig=" + c.kubeconfig}
	if c.options.ControllerManager {
		if err := c.runOther("kube-controller-manager", append(common,
			"--use-service-account-credentials=true",
			"--service-account-private-key-file="+c.certs.serviceAccountKey,
			"--root-ca-file="+c.certs.ca,
			"--leader-elect=false", "--secure-port=0", "--profiling=false",
			"--node-monitor-period=5s",
		)); err != nil {
			return err
		}
	}
	if c.options.Scheduler {
		if err := c.runOther("kube-scheduler", append(common,
			"--leader-elect=false", "--secure-port=0", "--profiling=false",
		)); err != nil {
			return err
		}
	}
	if c.options.KWOKConfig != "" {
		return c.runOther("kwok", append(common,
			"--config="+c.options.KWOKConfig,
			"--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
			"--node-lease-duration-seconds=40",
			"--server-address=",
		))
	}
	return nil
}

func (c *ControlPlane) runOther(name string, args []string) error {
	p, err := c.run(name, args)
	if err == nil {
		c.others = append(c.others, p)
	}
	return err
}

func (c *ControlPlane) run(name string, args []string) (*process.Process, error) {
	return process.Start(process.Spec{
		Path: filepath.Join(c.options.Binaries, name),
		Args: args,
		Log:  filepath.Join(c.options.Dir, name+".log"),
	})
}

func (c *ControlPlane) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	client, err := kubernetes.NewForConfig(c.config)
	if err != nil {
		return fmt.Errorf("making a client for the API server: %w", err)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-c.apiServer.Done():
			return c.apiServer.Err()
		case <-c.etcd.Done():
			return c.etcd.Err()
		case <-ctx.Done():
			return fmt.Errorf("waiting for the API server of %s (logs in %s): %w", c.options.Name, c.options.Dir, err)
		case <-tick.C:
		}
	}
}

func (c *ControlPlane) writeKubeconfig() error {
	k := c.certs
	c.config = &rest.Config{
		Host: "https://127.0.0.1:" + strconv.Itoa(c.port),
		TLSClientConfig: rest.TLSClientConfig{
			CAData: k.caPEM, CertData: k.adminPEM, KeyData: k.adminKeyPEM,
		},
		QPS: -1,
	}
	c.kubeconfig = filepath.Join(c.options.Dir, "kubeconfig")
	return WriteKubeconfig(c.kubeconfig, c.options.Name, c.config)
}

// WriteKubeconfig writes a kubeconfig file, readable by its owner, that connects
// and authenticates as config does.
func WriteKubeconfig(path, name string, config *rest.Config) error {
	file := clientcmdapi.NewConfig()
	file.CurrentContext = name
	file.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	file.Clusters[name] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	file.AuthInfos[name] = &clientcmdapi.AuthInfo{
		ClientCertificateData: config.CertData, ClientKeyData: config.KeyData, Token: config.BearerToken,
	}
	if err := clientcmd.WriteToFile(*file, path); err != nil {
		return fmt.Errorf("writing a kubeconfig: %w", err)
	}
	return nil
}

// Binaries is bin/k8s of the repository this process runs in, which
// hack/k8s/ensure.sh fills.
func Binaries() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the repository: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "hack", "k8s", "ensure.sh")); err == nil {
			break
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("not inside a checkout of AtlHyper: pass the folder of the Kubernetes binaries")
		}
		dir = parent
	}
	bin := filepath.Join(dir, "bin", "k8s")
	if _, err := os.Stat(filepath.Join(bin, "kube-apiserver")); err != nil {
		return "", fmt.Errorf("no Kubernetes binaries: run hack/k8s/ensure.sh, or make test, which does: %w", err)
	}
	return bin, nil
}

func freePort(ctx context.Context) (int, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("finding a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
