// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package process runs the real programs that tests, the demo and the
// benchmarks need, and makes sure that they end: with Stop, and on Linux also
// when the process that started them dies without calling it.
package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Spec says what to run.
type Spec struct {
	// Path is the executable.
	Path string
	// Args are its arguments, without the program's name.
	Args []string
	// Env is added to the environment of this process.
	Env []string
	// Log is the file that standard output and error are appended to.
	Log string
}

// Process is a running program.
type Process struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{}

	mu       sync.Mutex
	err      error
	stopping bool
}

// Start runs the program. It leads a process group of its own, so that a Ctrl-C
// in the terminal reaches only the parent, which then stops its children in order.
func Start(spec Spec) (*Process, error) {
	name := filepath.Base(spec.Path)
	log, err := os.OpenFile(spec.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", name, err)
	}
	defer log.Close()

	cmd := exec.Command(spec.Path, spec.Args...) //nolint:noctx // it ends with Stop or Kill, in the order its owner chooses, not with the context of its start
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), spec.Env...)
	cmd.SysProcAttr = attributes()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}

	p := &Process{name: name, log: spec.Log, cmd: cmd, done: make(chan struct{})}
	go func() {
		err := cmd.Wait()
		p.mu.Lock()
		if !p.stopping {
			p.err = fmt.Errorf("%s ended by itself (%s); the end of %s:\n%s",
				name, cmd.ProcessState, spec.Log, tail(spec.Log, 4096))
			if err == nil {
				p.err = fmt.Errorf("%s ended by itself; its log is %s", name, spec.Log)
			}
		}
		p.mu.Unlock()
		close(p.done)
	}()
	return p, nil
}

// PID is the id of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err says why the process ended although nobody stopped it; nil before it has
// ended and after Stop or Kill.
func (p *Process) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Signal sends a signal to the process.
func (p *Process) Signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

// Kill ends the process with SIGKILL, as a crash would, and waits for it.
func (p *Process) Kill() {
	p.expectEnd()
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Stop asks the process to end with SIGTERM, waits up to grace and then kills it.
// It fails when it had to be killed. Stopping an ended process does nothing.
func (p *Process) Stop(grace time.Duration) error {
	select {
	case <-p.done:
		return nil
	default:
	}
	p.expectEnd()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping %s: %w", p.name, err)
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
		_ = p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("%s did not stop within %s and was killed; its log is %s", p.name, grace, p.log)
	}
}

// Tail returns the last 4 KiB of what the process has written.
func (p *Process) Tail() string { return tail(p.log, 4096) }

func (p *Process) expectEnd() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopping = true
}

// tail returns the last bytes of a file, for an error message.
func tail(path string, size int64) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > size {
		if _, err := f.Seek(-size, io.SeekEnd); err != nil {
			return err.Error()
		}
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text))
}
