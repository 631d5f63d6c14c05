// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

//go:build !linux

package nodecollector

import (
	"errors"
	"time"
)

// Nodes run Linux. Elsewhere the package compiles and reads recorded trees.

func statfsOf(string) (SpaceCounts, error) { return SpaceCounts{}, errors.ErrUnsupported }

func kernelClock() Clock { return Clock{} }

func isProc(string) bool { return false }

func isSys(string) bool { return false }

func sameDevice(string, string) bool { return false }

func inInitialPIDNamespace() bool { return false }

func processCPU() time.Duration { return 0 }

func thermalZones(string) []zone { return nil }

func sysctl(string, string) Number { return Number{} }
