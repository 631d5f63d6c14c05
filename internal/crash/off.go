// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

//go:build !crashsites

package crash

import "context"

// At marks a moment.
func At(string) {}

// Sent marks the moment at which the HTTP request that is made with the returned
// context has been written, and its answer has not been read.
func Sent(ctx context.Context, _ string) context.Context { return ctx }
