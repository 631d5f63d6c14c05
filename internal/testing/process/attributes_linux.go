// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package process

import "syscall"

// attributes makes the kernel kill the child when its parent dies, so that a
// test that is killed leaves nothing behind.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
