// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package database runs real Postgres and MariaDB servers on loopback for tests
// and benchmarks, in a temporary folder and as a user without privileges. The
// programs come from hack/databases/ensure.sh; that they are missing is a failure.
package database

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/atlhyper/atlhyper/internal/testing/process"
)

// Server is a running database server.
type Server struct {
	dir     string
	port    int
	path    string
	args    []string
	scheme  string
	created atomic.Int64
	process *process.Process
	// create makes a database with a name.
	create func(ctx context.Context, name string) error
}

// NewDatabase makes an empty database and returns its DSN.
func (s *Server) NewDatabase(ctx context.Context) (string, error) {
	name := fmt.Sprintf("test%d", s.created.Add(1))
	if err := s.create(ctx, name); err != nil {
		return "", fmt.Errorf("creating the database %s: %w", name, err)
	}
	return s.dsn(name), nil
}

func (s *Server) dsn(name string) string {
	switch s.scheme {
	case "postgres":
		return fmt.Sprintf("postgres://atlhyper:secret@127.0.0.1:%d/%s?sslmode=disable", s.port, name)
	default:
		return fmt.Sprintf("%s://root:secret@127.0.0.1:%d/%s", s.scheme, s.port, name)
	}
}

// Crash kills the server as a power failure would, without a chance to tidy up.
func (s *Server) Crash() { s.process.Kill() }

// Pause stops the server and all its children where they are, as a machine that
// hangs does: connections stay and nobody answers. Resume lets them go on.
func (s *Server) Pause() error { return s.signal(syscall.SIGSTOP) }

// Resume lets a server that was paused go on.
func (s *Server) Resume() error { return s.signal(syscall.SIGCONT) }

// signal sends a signal to the server, and then to its children: one that has stopped
// has no new ones.
func (s *Server) signal(sig syscall.Signal) error {
	if err := s.process.Signal(sig); err != nil {
		return fmt.Errorf("signalling the database server: %w", err)
	}
	pid := s.process.PID()
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return fmt.Errorf("finding the children of the database server: %w", err)
	}
	for child := range strings.FieldsSeq(string(children)) {
		id, err := strconv.Atoi(child)
		if err == nil {
			err = syscall.Kill(id, sig)
		}
		if err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("signalling a child of the database server: %w", err)
		}
	}
	return nil
}

// Start starts a server that was crashed or stopped, at its old address.
func (s *Server) Start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		p, err := process.Start(process.Spec{Path: s.path, Args: s.args, Log: filepath.Join(s.dir, "log")})
		if err != nil {
			return err
		}
		s.process = p
		err = s.wait(ctx)
		// The children of a killed Postgres end a moment after it, and until
		// then a new one refuses to start.
		if err == nil || !errors.Is(err, errEnded) || !endsBecauseOfOthers(filepath.Join(s.dir, "log")) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

var errEnded = errors.New("the database server ended")

func endsBecauseOfOthers(log string) bool {
	text, err := os.ReadFile(log)
	return err == nil && strings.Contains(string(text[max(0, len(text)-1000):]), "is still in use")
}

// Stop stops the server.
func (s *Server) Stop() error {
	// SIGINT ends Postgres without waiting for its clients.
	if err := s.process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping the database server: %w", err)
	}
	return s.process.Stop(time.Minute)
}

// Close stops the server and removes its folder.
func (s *Server) Close() error {
	return errors.Join(s.Stop(), os.RemoveAll(s.dir))
}

// wait waits until the server takes connections.
func (s *Server) wait(ctx context.Context) error {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-s.process.Done():
			return fmt.Errorf("starting the database server: %w: %w", errEnded, s.process.Err())
		case <-ctx.Done():
			return fmt.Errorf("waiting for the database server: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// prepare makes a folder inside another one, "" for that of temporary files, which
// belongs to who will run the server, and returns how to run a program as them.
func prepare(parent, kind string) (dir string, as func(program string, args ...string) (string, []string), err error) {
	dir, err = os.MkdirTemp(parent, "atlhyper-"+kind+"-")
	if err != nil {
		return "", nil, fmt.Errorf("making a folder for %s: %w", kind, err)
	}
	if os.Geteuid() != 0 {
		return dir, func(program string, args ...string) (string, []string) { return program, args }, nil
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		return "", nil, fmt.Errorf("finding a user without privileges: %w", err)
	}
	uid, err := strconv.Atoi(nobody.Uid)
	if err != nil {
		return "", nil, fmt.Errorf("finding a user without privileges: %w", err)
	}
	gid, err := strconv.Atoi(nobody.Gid)
	if err != nil {
		return "", nil, fmt.Errorf("finding a user without privileges: %w", err)
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		return "", nil, fmt.Errorf("giving a folder to nobody: %w", err)
	}
	return dir, func(program string, args ...string) (string, []string) {
		// A change of user clears the signal that ends a child with its parent.
		return "/usr/bin/setpriv", append([]string{
			"--reuid=" + nobody.Uid, "--regid=" + nobody.Gid, "--clear-groups", "--pdeathsig", "KILL", program,
		}, args...)
	}, nil
}

// binaries returns the folder of a server's programs.
func binaries(ctx context.Context, kind string) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the repository: %w", err)
	}
	var script string
	for {
		script = filepath.Join(dir, "hack", "databases", "ensure.sh")
		if _, err := os.Stat(script); err == nil {
			break
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("finding the repository: not inside a checkout of AtlHyper")
		}
		dir = parent
	}
	cmd := exec.CommandContext(ctx, script, kind)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("finding %s with hack/databases/ensure.sh: %w", kind, err)
	}
	return strings.TrimSpace(string(out)), nil
}

func freePort(ctx context.Context) (int, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("finding a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
