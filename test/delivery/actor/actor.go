// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package actor is what the processes do that a test of delivery starts and kills: a
// shipper is an agent's spool and uplink with a source of records instead of a cluster,
// a receiver is a hub's ingest, history and maintenance without its API server. A
// program built from it with the tag crashsites ends where it is told to.
package actor

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// Ready is what a process writes to its Ready file once it works.
type Ready struct {
	// Control is the address on which it answers questions in plain HTTP.
	Control string
	// Ingest is where a receiver takes batches.
	Ingest string
}

// Run runs the actor that a file configures, until the context ends.
func Run(ctx context.Context, role, file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading the configuration: %w", err)
	}
	switch role {
	case "shipper":
		var c Shipper
		if err := json.Unmarshal(b, &c); err != nil {
			return fmt.Errorf("reading the configuration: %w", err)
		}
		return c.Run(ctx)
	case "receiver":
		var c Receiver
		if err := json.Unmarshal(b, &c); err != nil {
			return fmt.Errorf("reading the configuration: %w", err)
		}
		return c.Run(ctx)
	}
	return fmt.Errorf("there is no role %q", role)
}

// logger writes to standard error, which is the process's log.
func logger() logr.Logger {
	return funcr.New(func(prefix, args string) {
		fmt.Fprintln(os.Stderr, time.Now().Format("15:04:05.000"), prefix, args)
	}, funcr.Options{})
}

func listen(ctx context.Context) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening on loopback: %w", err)
	}
	return l, nil
}

// announce writes the file that says that the process works, all at once.
func announce(file string, ready Ready) error {
	b, err := json.Marshal(ready)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".tmp", b, 0o600); err != nil {
		return fmt.Errorf("saying where it listens: %w", err)
	}
	if err := os.Rename(file+".tmp", file); err != nil {
		return fmt.Errorf("saying where it listens: %w", err)
	}
	return nil
}

// answer serves questions until the context ends.
func answer(ctx context.Context, l net.Listener, questions map[string]func(context.Context) (any, error)) error {
	mux := http.NewServeMux()
	for path, do := range questions {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			out, err := do(r.Context())
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			_ = json.NewEncoder(w).Encode(out) // who asked may be gone
		})
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // nobody asks any more
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("answering questions: %w", err)
	}
	return nil
}

// claim is the part of a token that says whose it is.
func claim(cluster string) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"sub":"system:serviceaccount:%s%s:%s"}`,
		v1alpha1.ClusterNamespacePrefix, cluster, v1alpha1.AgentServiceAccount))
}
