// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package app

import (
	"errors"
	"flag"
	"fmt"
	"regexp"

	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/nodecollector"
)

// Patterns say what is left out. A nil pattern is the default.
type Patterns struct {
	// Interfaces are network interfaces that are not shown, VirtualInterfaces those
	// that do not count toward the node's own traffic.
	Interfaces, VirtualInterfaces *regexp.Regexp
	// Disks are block devices, Filesystems types of filesystems and Mounts mount
	// points that are not shown.
	Disks, Filesystems, Mounts *regexp.Regexp
}

func (p *Patterns) bindFlags(fs *flag.FlagSet) {
	for _, f := range [...]struct {
		to                  **regexp.Regexp
		name, initial, what string
	}{
		{&p.Interfaces, "exclude-interfaces", nodecollector.DefaultExcludeInterfaces, "Network interfaces that are not shown"},
		{
			&p.VirtualInterfaces, "virtual-interfaces", nodecollector.DefaultVirtualInterfaces,
			"Network interfaces that are shown and do not count toward the node's own traffic",
		},
		{&p.Disks, "exclude-disks", nodecollector.DefaultExcludeDisks, "Block devices that are not shown"},
		{&p.Filesystems, "exclude-filesystems", nodecollector.DefaultExcludeFilesystems, "Types of filesystems that are not shown"},
		{&p.Mounts, "exclude-mounts", nodecollector.DefaultExcludeMounts, "Mount points that are not shown"},
	} {
		*f.to = regexp.MustCompile(f.initial)
		fs.Var(pattern{f.to}, f.name, f.what+", as a regular `expression` that may match any part unless it has ^ and $. Empty for none.")
	}
}

// pattern is a flag with a regular expression.
type pattern struct{ to **regexp.Regexp }

// nothing is a character that is none.
var nothing = regexp.MustCompile(`[^\x00-\x{10FFFF}]`)

// String implements flag.Value.
func (p pattern) String() string {
	if p.to == nil || *p.to == nil || *p.to == nothing {
		return ""
	}
	return (*p.to).String()
}

// Set implements flag.Value.
func (p pattern) Set(text string) error {
	if text == "" { // would match everything
		*p.to = nothing
		return nil
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return errors.New("it is no regular expression (RE2): " + err.Error())
	}
	*p.to = re
	return nil
}

// scopes are what --network-scope can be.
var scopes = map[string]telemetry.NetworkScope{"auto": 0, "host": telemetry.NetworkHost, "pod": telemetry.NetworkPod}

func scopeNamed(name string) (telemetry.NetworkScope, error) {
	scope, ok := scopes[name]
	if !ok {
		return 0, fmt.Errorf("--network-scope is %q, and can be auto, host or pod", name)
	}
	return scope, nil
}
