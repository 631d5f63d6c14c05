// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	atlhyperac "github.com/atlhyper/atlhyper/api/v1alpha1/applyconfiguration/api/v1alpha1"
	agentmanifests "github.com/atlhyper/atlhyper/config/agent"
)

const defaultJoinTimeout = 30 * time.Second

// joinOptions are the flags of join.
type joinOptions struct {
	create     bool
	timeout    time.Duration
	hubURL     string
	hubCAFile  string
	agentImage string
	onlySecret bool
	output     string
	outputFile string
}

func newJoinCommand(f *factory, streams genericiooptions.IOStreams) *cobra.Command {
	o := joinOptions{}
	cmd := &cobra.Command{
		Use:   "join NAME",
		Short: "Print what to apply in a cluster to make it a member",
		Long: `Print what to apply in a cluster to make it a member of the fleet.

Asks the hub for a token that lets one agent join as NAME, and prints the agent's
manifests with it. The token expires after an hour and ends as soon as the agent
has joined. Applying the output again is safe: an agent that has joined keeps its
session. To let an agent join again, run join again and apply its output.`,
		Example: `  # The ManagedCluster exists: join the cluster of the context "member"
  kubectl atlhyper join prod-eu-1 | kubectl --context member apply -f -

  # Create the ManagedCluster too
  kubectl atlhyper join prod-eu-1 --create | kubectl --context member apply -f -

  # The agent is installed otherwise, by Helm or Flux: only its credential
  kubectl atlhyper join prod-eu-1 --only-secret | kubectl --context member apply -f -

  # Members reach the hub at another address than this machine does
  kubectl atlhyper join prod-eu-1 --hub-url https://hub.example.com:6443 --hub-ca-file hub-ca.crt --output-file join.yaml`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: f.completeClusters(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd.Context(), f, streams, args[0])
		},
	}
	fs := cmd.Flags()
	fs.BoolVar(&o.create, "create", false, "Create the ManagedCluster, with an empty spec, if it does not exist.")
	fs.DurationVar(&o.timeout, "timeout", defaultJoinTimeout, "How long to wait for the hub's answer.")
	fs.StringVar(&o.hubURL, "hub-url", "",
		"URL at which the member reaches the hub's API server. Defaults to what the hub advertises, then to the kubeconfig's.")
	fs.StringVar(&o.hubCAFile, "hub-ca-file", "",
		"File with the PEM certificates to verify the hub with. Defaults to what the hub advertises, then to the kubeconfig's.")
	fs.StringVar(&o.agentImage, "agent-image", defaultAgentImage(), "Image of the agent.")
	fs.BoolVar(&o.onlySecret, "only-secret", false, "Print the join Secret alone.")
	fs.StringVarP(&o.output, "output", "o", formatYAML, "Form of the output: yaml or json.")
	fs.StringVar(&o.outputFile, "output-file", "", "Write to this file, readable by its owner only, instead of the standard output.")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]cobra.Completion{formatYAML, formatJSON}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (o *joinOptions) run(ctx context.Context, f *factory, streams genericiooptions.IOStreams, name string) error {
	// Whatever can be found wrong is found before the hub makes a credential.
	if o.output != formatYAML && o.output != formatJSON {
		return fmt.Errorf("--output is %q; it can be yaml or json", o.output)
	}
	if o.timeout <= 0 {
		return fmt.Errorf("--timeout is %s; it has to be more than 0", o.timeout)
	}
	override, local, err := o.endpoints(f)
	if err != nil {
		return err
	}
	c, err := f.client()
	if err != nil {
		return err
	}
	cluster, err := o.findCluster(ctx, c, streams, name)
	if err != nil {
		return err
	}
	if err := refuseJoin(cluster); err != nil {
		return err
	}

	answer, err := requestJoin(ctx, c, cluster, o.timeout)
	if err != nil {
		return err
	}
	endpoint, warnings, err := chooseEndpoint(override, endpointOfSecret(answer.data), local)
	if err != nil {
		return err
	}
	for _, warning := range warnings {
		fmt.Fprintln(streams.ErrOut, "warning:", sanitize(warning))
	}
	if !o.onlySecret && o.agentImage == defaultAgentImage() && !isRelease() {
		fmt.Fprintf(streams.ErrOut, "warning: this is not a release, so the image %s may not exist; --agent-image names another\n", o.agentImage)
	}
	return o.print(streams, name, answer, endpoint)
}

// endpoints are what the flags and what the kubeconfig say of the hub.
func (o *joinOptions) endpoints(f *factory) (override, local endpoint, err error) {
	if override, err = o.readOverride(); err != nil {
		return endpoint{}, endpoint{}, err
	}
	config, err := f.restConfig()
	if err != nil {
		return endpoint{}, endpoint{}, err
	}
	local, err = endpointOfKubeconfig(config)
	return override, local, err
}

func (o *joinOptions) readOverride() (endpoint, error) {
	e := endpoint{url: o.hubURL}
	if e.url != "" {
		if err := checkURL(e.url); err != nil {
			return endpoint{}, fmt.Errorf("checking --hub-url: %w", err)
		}
	}
	if o.hubCAFile != "" {
		var err error
		if e.ca, err = os.ReadFile(o.hubCAFile); err != nil {
			return endpoint{}, fmt.Errorf("reading --hub-ca-file: %w", err)
		}
		if err := checkCA(e.ca); err != nil {
			return endpoint{}, fmt.Errorf("reading --hub-ca-file %s: %w", o.hubCAFile, err)
		}
	}
	return e, nil
}

func (o *joinOptions) findCluster(
	ctx context.Context, c client.Client, streams genericiooptions.IOStreams, name string,
) (*v1alpha1.ManagedCluster, error) {
	cluster, err := getCluster(ctx, c, name)
	if !apierrors.IsNotFound(err) {
		return cluster, err
	}
	if !o.create {
		return nil, fmt.Errorf(`managedcluster %[1]q does not exist. Commit it and apply it to the hub:

apiVersion: atlhyper.io/v1alpha1
kind: ManagedCluster
metadata:
  name: %[1]s
spec: {}

or create it now: kubectl atlhyper join %[1]s --create`, name)
	}
	if err := c.Apply(ctx, atlhyperac.ManagedCluster(name), client.FieldOwner(FieldManager)); err != nil {
		return nil, fmt.Errorf("creating managedcluster %q: %w", name, err)
	}
	fmt.Fprintf(streams.ErrOut, "managedcluster/%s created\n", name)
	return getCluster(ctx, c, name)
}

// refuseJoin says why a cluster cannot join at all.
func refuseJoin(cluster *v1alpha1.ManagedCluster) error {
	switch {
	case !cluster.DeletionTimestamp.IsZero():
		return fmt.Errorf("managedcluster %q is being deleted; wait until it is gone, then create it again", cluster.Name)
	case !accepted(cluster):
		return fmt.Errorf("managedcluster %[1]q is not accepted. If it belongs to the fleet: kubectl atlhyper accept %[1]s", cluster.Name)
	default:
		return nil
	}
}

func (o *joinOptions) print(streams genericiooptions.IOStreams, name string, answer joinAnswer, hub endpoint) error {
	documents := joinDocuments{cluster: name, answer: answer, hub: hub, image: o.agentImage}
	objects, err := documents.all(agentmanifests.Files, o.onlySecret)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := writeObjects(&b, objects, o.output); err != nil {
		return err
	}
	apply := fmt.Sprintf("kubectl atlhyper join %s | kubectl --context MEMBER apply -f -", name)
	if o.outputFile == "" {
		if _, err := streams.Out.Write(b.Bytes()); err != nil {
			return fmt.Errorf("writing the manifests: %w", err)
		}
	} else {
		if err := writePrivateFile(o.outputFile, b.Bytes()); err != nil {
			return err
		}
		apply = fmt.Sprintf("kubectl --context MEMBER apply -f %s", o.outputFile)
	}
	expires := "it has been used or an hour has passed"
	if !answer.expires.IsZero() {
		expires = answer.expires.UTC().Format(time.RFC3339) + " or until it has been used"
	}
	fmt.Fprintf(streams.ErrOut, "The output holds a credential, valid until %s. To use it:\n  %s\n", expires, apply)
	return nil
}

// writePrivateFile puts data at path, readable by its owner only, whatever was
// there before. It replaces the file in one step, so that a reader of the old
// one does not get to see the new content.
func writePrivateFile(path string, data []byte) (err error) {
	// CreateTemp makes files with mode 0600.
	file, err := os.CreateTemp(filepath.Dir(path), ".kubectl-atlhyper-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("writing %s: %w", path, err), os.Remove(file.Name()))
		}
	}()
	_, writeErr := file.Write(data)
	if err := errors.Join(writeErr, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
