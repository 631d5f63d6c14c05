// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package kubelet

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
)

// container is what is used by one that runs.
type container struct {
	namespace, pod, name string
	// measured is when, in milliseconds by the node's clock; 0 when it does not tell.
	measured int64
	// workingSet and memoryLimit are bytes; a limit of 0 is none.
	workingSet, memoryLimit int64
	// periods and throttled are the CFS periods; 0 without a CPU limit.
	periods, throttled uint64
}

// The families that are read; all others are skipped unparsed.
const (
	familyPeriods    = "container_cpu_cfs_periods_total"
	familyThrottled  = "container_cpu_cfs_throttled_periods_total"
	familyWorkingSet = "container_memory_working_set_bytes"
	familyLimit      = "container_spec_memory_limit_bytes"
)

const (
	// maxLine is the longest line that is looked at. Longer ones are skipped: images
	// and names are labels, and short.
	maxLine = 64 << 10
	// noLimit is from where on a limit is none: cgroups say so with a number that no
	// machine has.
	noLimit = 1 << 60
	// pauseContainer is what old runtimes call the one that holds a pod's network.
	pauseContainer = "POD"
)

var errNoMetrics = errors.New("the document has no metrics of containers")

// readContainers returns the containers of a document of cAdvisor that have a limit of
// memory or CPU, each once: while a container is replaced, the one before it may still
// be told of, and the latest counts. It keeps one line of the document at a time.
// Lines that it does not understand are skipped; a document without any metric of
// containers is an error, so that nothing is taken for gone.
func readContainers(document io.Reader) ([]container, error) {
	lines := bufio.NewReaderSize(document, maxLine)
	// One container is one cgroup.
	cgroups := map[string]*container{}
	found := false
	for {
		line, err := lines.ReadSlice('\n')
		long := false
		for errors.Is(err, bufio.ErrBufferFull) {
			long = true
			_, err = lines.ReadSlice('\n')
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("reading metrics of cAdvisor: %w", err)
		}
		if !long && bytes.HasPrefix(line, []byte("container_")) {
			found = true
			readLine(line, cgroups)
			if len(cgroups) > maxObjects {
				return nil, fmt.Errorf("reading metrics of cAdvisor: %w", errTooMany)
			}
		}
		if err != nil {
			break
		}
	}
	if !found {
		return nil, fmt.Errorf("reading metrics of cAdvisor: %w", errNoMetrics)
	}
	return latest(cgroups), nil
}

// latest returns one container for each name.
func latest(cgroups map[string]*container) []container {
	containers := make([]container, 0, len(cgroups))
	known := make(map[[3]string]int, len(cgroups))
	for _, c := range cgroups {
		if c.memoryLimit == 0 && c.periods == 0 {
			continue
		}
		key := [3]string{c.namespace, c.pod, c.name}
		n, again := known[key]
		switch {
		case !again:
			known[key] = len(containers)
			containers = append(containers, *c)
		case newer(c, &containers[n]):
			containers[n] = *c
		}
	}
	return containers
}

// newer does not depend on the order in which two are looked at.
func newer(a, b *container) bool {
	if a.measured != b.measured {
		return a.measured > b.measured
	}
	if a.workingSet != b.workingSet {
		return a.workingSet > b.workingSet
	}
	return a.periods < b.periods
}

// readLine takes a line of the exposition format, such as
//
//	family{container="web",id="/kubepods/…",namespace="shop",pod="web-1"} 12 1395066363000
func readLine(line []byte, cgroups map[string]*container) {
	family, rest, _ := bytes.Cut(line, []byte("{"))
	switch string(family) {
	case familyPeriods, familyThrottled, familyWorkingSet, familyLimit:
	default:
		return
	}
	labels, rest, ok := readLabels(rest)
	if !ok || !labels.complete() {
		return
	}
	value, measured, ok := readValue(rest)
	if !ok {
		return
	}
	c := cgroups[string(labels.id)]
	if c == nil {
		c = &container{namespace: string(labels.namespace), pod: string(labels.pod), name: string(labels.container)}
		cgroups[string(labels.id)] = c
	} else if !labels.name(c) {
		return // no two containers share a cgroup
	}
	c.measured = max(c.measured, measured)
	switch string(family) {
	case familyPeriods:
		c.periods = uint64(value)
	case familyThrottled:
		c.throttled = uint64(value)
	case familyWorkingSet:
		c.workingSet = int64(value)
	case familyLimit:
		if value < noLimit {
			c.memoryLimit = int64(value)
		}
	}
}

// labels of a line that are looked at. They are parts of it.
type labels struct{ id, namespace, pod, container []byte }

// complete says whether they are those of a container, not of a pod or of the node.
func (l *labels) complete() bool {
	return isName(l.container) && isName(l.pod) && isName(l.namespace) && string(l.container) != pauseContainer
}

// name says whether they are those of a certain container.
func (l *labels) name(c *container) bool {
	return c.namespace == string(l.namespace) && c.pod == string(l.pod) && c.name == string(l.container)
}

// readLabels reads what is between the braces, and returns what follows them.
func readLabels(line []byte) (found labels, rest []byte, ok bool) {
	for {
		line = bytes.TrimLeft(line, ", ")
		if len(line) == 0 {
			return found, nil, false
		}
		if line[0] == '}' {
			return found, line[1:], true
		}
		name, after, cut := bytes.Cut(line, []byte(`="`))
		if !cut {
			return found, nil, false
		}
		value, after, closed := readQuoted(after)
		if !closed {
			return found, nil, false
		}
		switch string(name) {
		case "id":
			found.id = value
		case "namespace":
			found.namespace = value
		case "pod":
			found.pod = value
		case "container":
			found.container = value
		}
		line = after
	}
}

// readQuoted returns what is before the closing quote, without its escapes, and what
// is behind it.
func readQuoted(line []byte) (value, rest []byte, ok bool) {
	escaped := false
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\\':
			escaped = true
			i++
		case '"':
			if value = line[:i]; escaped {
				value = unescape(value)
			}
			return value, line[i+1:], true
		}
	}
	return nil, nil, false
}

func unescape(value []byte) []byte {
	plain := make([]byte, 0, len(value))
	for i := 0; i < len(value); i++ {
		c := value[i]
		if c == '\\' && i+1 < len(value) {
			i++
			if c = value[i]; c == 'n' {
				c = '\n'
			}
		}
		plain = append(plain, c)
	}
	return plain
}

// readValue reads a number from 0 to what an int64 holds, and the moment after it in
// milliseconds, which may be missing.
func readValue(rest []byte) (value float64, measured int64, ok bool) {
	number, moment, _ := bytes.Cut(bytes.TrimSpace(rest), []byte(" "))
	value, err := strconv.ParseFloat(string(number), 64)
	if err != nil || math.IsNaN(value) || value < 0 || math.IsInf(value, 0) {
		return 0, 0, false
	}
	if measured, err = strconv.ParseInt(string(bytes.TrimSpace(moment)), 10, 64); err != nil {
		measured = 0
	}
	return min(value, 1<<62), max(measured, 0), true
}
