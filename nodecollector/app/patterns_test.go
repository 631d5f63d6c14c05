// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package app

import (
	"bytes"
	"flag"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/nodecollector"
)

// defaults are the flags with patterns.
var defaults = map[string]string{
	"exclude-interfaces": nodecollector.DefaultExcludeInterfaces, "virtual-interfaces": nodecollector.DefaultVirtualInterfaces,
	"exclude-disks": nodecollector.DefaultExcludeDisks, "exclude-filesystems": nodecollector.DefaultExcludeFilesystems,
	"exclude-mounts": nodecollector.DefaultExcludeMounts,
}

func bound(c *Config) *flag.FlagSet {
	flags := flag.NewFlagSet("nodecollector", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	c.BindFlags(flags)
	return flags
}

func (p *Patterns) named(name string) *regexp.Regexp {
	return map[string]*regexp.Regexp{
		"exclude-interfaces": p.Interfaces, "virtual-interfaces": p.VirtualInterfaces, "exclude-disks": p.Disks,
		"exclude-filesystems": p.Filesystems, "exclude-mounts": p.Mounts,
	}[name]
}

func TestPatternFlags(t *testing.T) {
	var help bytes.Buffer
	var c Config
	flags := bound(&c)
	flags.SetOutput(&help)
	flags.PrintDefaults()
	for name, initial := range defaults {
		t.Run(name, func(t *testing.T) {
			if got := c.Exclude.named(name).String(); got != initial {
				t.Errorf("the default is %s, want %s", got, initial)
			}
			if !strings.Contains(help.String(), "(default "+initial+")") {
				t.Errorf("the help does not show the default:\n%s", help.String())
			}
			var set Config
			if err := bound(&set).Parse([]string{"--" + name, "^only-this$"}); err != nil {
				t.Fatal(err)
			}
			for other, initial := range defaults {
				if got := set.Exclude.named(other); other == name && got.String() != "^only-this$" || other != name && got.String() != initial {
					t.Errorf("after setting %s, %s is %s", name, other, got)
				}
			}
			var empty Config
			if err := bound(&empty).Parse([]string{"--" + name + "="}); err != nil {
				t.Fatal(err)
			}
			for _, text := range []string{"", "eth0", "/", "\x00", "\U0010FFFF", "\xff"} {
				if empty.Exclude.named(name).MatchString(text) {
					t.Errorf("an empty pattern matches %q", text)
				}
			}
			err := bound(new(Config)).Parse([]string{"--" + name + "=(veth"})
			if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "no regular expression") || !strings.Contains(err.Error(), "(veth") {
				t.Errorf("a bad pattern: %v", err)
			}
		})
	}
}

// What is set reaches the collector.
func TestPatternsAndScopeAreUsed(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		lo   bool
		want telemetry.NetworkScope
	}{
		"defaults":      {nil, true, telemetry.NetworkHost},
		"no lo":         {[]string{"--exclude-interfaces=^lo$"}, false, telemetry.NetworkHost},
		"of a pod":      {[]string{"--network-scope=pod"}, true, telemetry.NetworkPod},
		"of a host":     {[]string{"--network-scope=host"}, true, telemetry.NetworkHost},
		"nothing hides": {[]string{"--exclude-interfaces="}, true, telemetry.NetworkHost},
	} {
		t.Run(name, func(t *testing.T) {
			samples := make(chan *telemetry.NodeSample, 100)
			c := config(t, agent(t, samples))
			flags := flag.NewFlagSet("nodecollector", flag.ContinueOnError)
			var set Config
			set.BindFlags(flags)
			if err := flags.Parse(tc.args); err != nil {
				t.Fatal(err)
			}
			c.Exclude, c.NetworkScope = set.Exclude, set.NetworkScope
			c.Root = "../testdata/trees/modern-20-fields/a"
			s := firstOf(t, c, samples)
			_, lo := s.Value(telemetry.MetricNetPhysical, "lo")
			if lo != tc.lo || s.Scope != tc.want {
				t.Errorf("lo is shown: %v, the scope is %s; want %v, %s", lo, s.Scope, tc.lo, tc.want)
			}
		})
	}
}
