// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Program is the process that tests of delivery start and kill.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/atlhyper/atlhyper/test/delivery/actor"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: program shipper|receiver FILE")
		os.Exit(2) //nolint:forbidigo // a program ends here
	}
	//nolint:forbidigo // and begins here
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	err := actor.Run(ctx, os.Args[1], os.Args[2])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "ended by", err)
		os.Exit(1) //nolint:forbidigo // a program ends here
	}
}
