// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package crash names the moments at which the end of the process would be worst:
// between a write and its sync, a commit and its answer. Tests kill programs exactly
// there and look at what is left.
//
// In programs as they are shipped nothing of this exists: At is an empty function
// that the compiler removes together with the name. Built with the tag crashsites, a
// program reads two variables:
//
//	ATLHYPER_CRASH=spool.sync.before:3   end with SIGKILL at the third passage
//	ATLHYPER_CRASH_LOG=/path             note there what was passed and where it ended
//
// A name says the part, what it does, and where in it: "store.append.before-commit".
package crash
