// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// syscallStop is how a thread reports that it entered or left a system call.
const syscallStop = int(unix.SIGTRAP) | 0x80

// countCalls counts the system calls of a process over some cycles, as strace does,
// by stopping each of its threads at each of them. Another process does it, this
// program with --trace: one that waits for its children, as this one does, would
// take the stops for theirs.
func countCalls(ctx context.Context, p subject, cycles int) (calls int, err error) {
	program, err := os.Executable()
	if err != nil {
		return 0, fmt.Errorf("finding this program: %w", err)
	}
	command := exec.CommandContext(ctx, program, "--trace="+strconv.Itoa(p.pid()))
	command.Stderr = os.Stderr
	ask, err := command.StdinPipe()
	if err != nil {
		return 0, fmt.Errorf("starting the tracer: %w", err)
	}
	answers, err := command.StdoutPipe()
	if err != nil {
		return 0, fmt.Errorf("starting the tracer: %w", err)
	}
	if err := command.Start(); err != nil {
		return 0, fmt.Errorf("starting the tracer: %w", err)
	}
	// When the tracer ends, the kernel lets the threads go.
	defer func() { err = errors.Join(err, ask.Close(), command.Wait()) }()

	lines := bufio.NewScanner(answers)
	count := func() (int, error) {
		if _, err := io.WriteString(ask, "\n"); err != nil {
			return 0, fmt.Errorf("asking the tracer: %w", err)
		}
		if !lines.Scan() {
			return 0, errors.New("asking the tracer: it does not answer")
		}
		return strconv.Atoi(lines.Text())
	}
	if _, err := count(); err != nil {
		return 0, err
	}
	for range 2 { // those during which it was stopped
		if _, _, err := p.cycle(ctx); err != nil {
			return 0, err
		}
	}
	before, err := count()
	if err != nil {
		return 0, err
	}
	for range cycles {
		if _, _, err := p.cycle(ctx); err != nil {
			return 0, err
		}
	}
	after, err := count()
	return after - before, err
}

// trace counts the system calls of a process and says how many there were so far
// for every line that it reads, until there are no more lines.
func trace(pid int) error {
	var calls atomic.Int64
	ready, failed := make(chan struct{}), make(chan error, 1)
	go func() { failed <- follow(pid, &calls, ready) }()
	select {
	case err := <-failed:
		return err
	case <-ready:
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Fprintln(os.Stdout, calls.Load())
	}
	return nil
}

// follow stops all threads of a process at each system call. It ends with this
// program, or with the process.
func follow(pid int, calls *atomic.Int64, ready chan<- struct{}) error {
	runtime.LockOSThread() // only the thread that traces may wait
	defer runtime.UnlockOSThread()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil || len(tasks) == 0 {
		return fmt.Errorf("listing the threads of process %d: there are none: %w", pid, err)
	}
	for _, task := range tasks {
		tid, err := strconv.Atoi(filepath.Base(task))
		if err != nil {
			return fmt.Errorf("listing the threads of process %d: %w", pid, err)
		}
		if err := seize(tid); err != nil {
			return fmt.Errorf("tracing thread %d: %w", tid, err)
		}
	}
	close(ready)
	inside := map[int]bool{}
	for {
		var status unix.WaitStatus
		tid, err := unix.Wait4(-1, &status, unix.WALL, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("waiting for process %d: %w", pid, err)
		case !status.Stopped():
			continue // a thread ended
		}
		deliver := 0
		switch signal := int(status.StopSignal()); {
		case signal == syscallStop:
			if inside[tid] = !inside[tid]; inside[tid] {
				calls.Add(1)
			}
		case int(status)>>16 == 0: // a signal of the process itself, and no event
			deliver = signal
		}
		_ = unix.PtraceSyscall(tid, deliver) // a thread that has ended needs none
	}
}

// seize begins to trace a thread, and those that it makes, and stops it.
func seize(tid int) error {
	const options = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE
	for _, request := range [...]struct{ what, data uintptr }{{unix.PTRACE_SEIZE, options}, {unix.PTRACE_INTERRUPT, 0}} {
		if _, _, e := syscall.RawSyscall6(syscall.SYS_PTRACE, request.what, uintptr(tid), 0, request.data, 0, 0); e != 0 {
			return e
		}
	}
	return nil
}

// traced returns the process that --trace names.
func traced(args []string) (pid int, ok bool) {
	if len(args) != 1 {
		return 0, false
	}
	text, ok := strings.CutPrefix(args[0], "--trace=")
	pid, err := strconv.Atoi(text)
	return pid, ok && err == nil
}
