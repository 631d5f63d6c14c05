// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package fleet runs AtlHyper's own programs as real processes with real
// credentials against real control planes, for the demo, the tests and the
// benchmarks. What it does to a cluster it does the way a user would: with
// kubectl, the kustomizations in config and `kubectl atlhyper`.
package fleet

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/client-go/rest"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/testing/controlplane"
	"github.com/atlhyper/atlhyper/internal/testing/process"
)

// Programs says where everything is.
type Programs struct {
	// Root is the checkout, with config and hack.
	Root string
	// Kubernetes is the folder of kubectl and the control plane's binaries.
	Kubernetes string
	// AtlHyper is the folder of hub, agent and kubectl-atlhyper.
	AtlHyper string
}

// Locate finds the checkout that this process runs in. AtlHyper's programs are
// expected in bin, where `make build` puts them.
func Locate() (Programs, error) {
	kubernetes, err := controlplane.Binaries()
	if err != nil {
		return Programs{}, err
	}
	bin := filepath.Dir(kubernetes)
	return Programs{Root: filepath.Dir(bin), Kubernetes: kubernetes, AtlHyper: bin}, nil
}

// Build compiles AtlHyper's programs into a folder and returns where everything
// is, so that a test never runs a stale binary.
func Build(ctx context.Context, dir string) (Programs, error) {
	p, err := Locate()
	if err != nil {
		return p, err
	}
	p.AtlHyper = dir
	cmd := exec.CommandContext(ctx, "go", "build", "-o", dir+string(filepath.Separator), "./cmd/...")
	cmd.Dir = p.Root
	if out, err := cmd.CombinedOutput(); err != nil {
		return p, fmt.Errorf("building AtlHyper's programs: %w:\n%s", err, out)
	}
	return p, nil
}

// Cluster is a control plane and a folder for what runs beside it.
type Cluster struct {
	*controlplane.ControlPlane

	Programs Programs
	Name     string
	Dir      string
}

// StartCluster runs a control plane in a folder of its own below dir. Name, Dir
// and Binaries of the options are set here.
func StartCluster(ctx context.Context, programs Programs, name, dir string, options controlplane.Options) (Cluster, error) {
	c := Cluster{Programs: programs, Name: name, Dir: filepath.Join(dir, name)}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return c, fmt.Errorf("making the folder of %s: %w", name, err)
	}
	options.Name, options.Dir, options.Binaries = name, c.Dir, programs.Kubernetes
	var err error
	c.ControlPlane, err = controlplane.Start(ctx, options)
	return c, err
}

// Kubectl runs the kubectl that was built with the control plane, and with it
// AtlHyper's plugin, as an administrator of the cluster, and returns what it prints.
func (c Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	return c.runKubectl(ctx, "", args...)
}

// Apply applies YAML documents server-side, as the field manager given.
func (c Cluster) Apply(ctx context.Context, manager, documents string) error {
	_, err := c.runKubectl(ctx, documents, "apply", "--server-side", "--field-manager="+manager, "--filename=-")
	return err
}

func (c Cluster) runKubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(c.Programs.Kubernetes, "kubectl"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig(),
		"PATH="+c.Programs.AtlHyper+string(os.PathListSeparator)+os.Getenv("PATH"))
	var stdout, stderr strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// AccountConfig authenticates as a ServiceAccount in atlhyper-system, with a
// token of a day.
func (c Cluster) AccountConfig(ctx context.Context, account string) (*rest.Config, error) {
	token, err := c.Kubectl(ctx, "create", "token", account, "--namespace="+v1alpha1.MemberNamespace, "--duration=24h")
	if err != nil {
		return nil, err
	}
	return &rest.Config{
		Host: c.Config().Host, BearerToken: strings.TrimSpace(token),
		TLSClientConfig: rest.TLSClientConfig{CAData: c.CA()},
	}, nil
}

// accountKubeconfig writes AccountConfig as a file for another process.
func (c Cluster) accountKubeconfig(ctx context.Context, account string) (string, error) {
	config, err := c.AccountConfig(ctx, account)
	if err != nil {
		return "", err
	}
	path := filepath.Join(c.Dir, account+".kubeconfig")
	return path, controlplane.WriteKubeconfig(path, c.Name, config)
}

// Hub is a hub cluster.
type Hub struct {
	Cluster

	// DSN is where the hub keeps history; it keeps none when empty.
	DSN string
	// IngestAddress is where the hub takes telemetry, such as one of FreeAddress.
	// Required when DSN is set.
	IngestAddress string
}

// FreeAddress returns an address on loopback that nobody listened on a moment ago.
// It is for programs whose address has to be known before they start.
func FreeAddress(ctx context.Context) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("looking for a free address: %w", err)
	}
	return listener.Addr().String(), listener.Close()
}

// telemetryArgs are the flags about history and ingest. The DSN is in a file: it
// may have a password.
func (h Hub) telemetryArgs() ([]string, error) {
	if h.DSN == "" {
		return []string{"--dsn=none"}, nil
	}
	path := filepath.Join(h.Dir, "dsn")
	if err := os.WriteFile(path, []byte(h.DSN), 0o600); err != nil {
		return nil, fmt.Errorf("writing the DSN: %w", err)
	}
	return []string{
		"--dsn-file=" + path,
		"--ingest-bind-address=" + h.IngestAddress,
		"--ingest-url=https://" + h.IngestAddress,
	}, nil
}

// Install applies what a hub cluster gets but the Deployment, whose place
// processes on this machine take.
func (h Hub) Install(ctx context.Context) error {
	config := filepath.Join(h.Programs.Root, "config")
	if _, err := h.Kubectl(ctx, "apply", "--server-side", "--filename="+filepath.Join(config, "hub", "namespace.yaml")); err != nil {
		return err
	}
	for _, folder := range []string{"crd", "rbac", "admission"} {
		if _, err := h.Kubectl(ctx, "apply", "--server-side", "--kustomize="+filepath.Join(config, folder)); err != nil {
			return err
		}
	}
	if _, err := h.Kubectl(ctx, "wait", "--for=condition=Established", "crd", "--all", "--timeout=2m"); err != nil {
		return err
	}
	// What users install in one go has to be accepted as a whole, Deployment included.
	_, err := h.Kubectl(ctx, "apply", "--server-side", "--dry-run=server", "--kustomize="+filepath.Join(config, "default"))
	return err
}

// StartReplica runs a hub as its own ServiceAccount, with the shipped roles. Its
// log is NAME.log in the cluster's folder.
func (h Hub) StartReplica(ctx context.Context, name string, args ...string) (*process.Process, error) {
	kubeconfig, err := h.accountKubeconfig(ctx, "atlhyper-hub")
	if err != nil {
		return nil, err
	}
	telemetry, err := h.telemetryArgs()
	if err != nil {
		return nil, err
	}
	return process.Start(process.Spec{
		Path: filepath.Join(h.Programs.AtlHyper, "hub"),
		Args: slices.Concat([]string{
			"--kubeconfig=" + kubeconfig,
			"--health-probe-bind-address=127.0.0.1:0",
			"--metrics-bind-address=127.0.0.1:0",
			"--advertise-url=" + h.Config().Host,
			"--advertise-ca-file=" + filepath.Join(h.Dir, "ca.crt"),
			"--log-format=console",
		}, telemetry, args),
		Env: []string{"POD_NAME=" + name},
		Log: filepath.Join(h.Dir, name+".log"),
	})
}

// Member is a member cluster.
type Member struct {
	Cluster

	// NodesAddress is where the agent takes samples of nodes, such as one of
	// FreeAddress; it takes none when empty.
	NodesAddress string
}

// Join prepares the member for its agent as an administrator would: with the
// agent's roles and with what `kubectl atlhyper join` prints. It returns the
// folder that a kubelet would mount the join Secret as.
func (m Member) Join(ctx context.Context, hub Hub) (string, error) {
	manifests := filepath.Join(m.Programs.Root, "config", "agent")
	for _, file := range []string{"namespace.yaml", "rbac.yaml", "session.yaml"} {
		if _, err := m.Kubectl(ctx, "apply", "--server-side", "--filename="+filepath.Join(manifests, file)); err != nil {
			return "", err
		}
	}
	secret, err := hub.Kubectl(ctx, "atlhyper", "join", m.Name, "--only-secret")
	if err != nil {
		return "", err
	}
	if err := m.Apply(ctx, "administrator", secret); err != nil {
		return "", err
	}
	return m.mountJoinSecret(ctx)
}

// StartAgent runs an agent as its ServiceAccount in the member. Its log is
// agent.log in the cluster's folder.
func (m Member) StartAgent(ctx context.Context, joinFolder string, args ...string) (*process.Process, error) {
	kubeconfig, err := m.accountKubeconfig(ctx, v1alpha1.MemberAgent)
	if err != nil {
		return nil, err
	}
	return process.Start(process.Spec{
		Path: filepath.Join(m.Programs.AtlHyper, "agent"),
		Args: append([]string{
			"--kubeconfig=" + kubeconfig,
			"--join-dir=" + joinFolder,
			"--spool-dir=" + filepath.Join(m.Dir, "spool"),
			"--nodes-bind-address=" + cmp.Or(m.NodesAddress, "0"),
			"--nodes-hosts=127.0.0.1",
			"--health-probe-bind-address=127.0.0.1:0",
			"--log-format=console",
		}, args...),
		Log: filepath.Join(m.Dir, "agent.log"),
	})
}

func (m Member) mountJoinSecret(ctx context.Context) (string, error) {
	text, err := m.Kubectl(ctx, "get", "secret", v1alpha1.MemberJoinSecret, "--namespace="+v1alpha1.MemberNamespace, "--output=jsonpath={.data}")
	if err != nil {
		return "", err
	}
	var values map[string]string
	if err := json.Unmarshal([]byte(text), &values); err != nil {
		return "", fmt.Errorf("reading the join Secret: %w", err)
	}
	folder := filepath.Join(m.Dir, "join")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", fmt.Errorf("making the join folder: %w", err)
	}
	for name, encoded := range values {
		value, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return "", fmt.Errorf("decoding %s of the join Secret: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), value, 0o600); err != nil {
			return "", fmt.Errorf("writing the join folder: %w", err)
		}
	}
	return folder, nil
}
