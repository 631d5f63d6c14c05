// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package analyze judges a file of Kubernetes objects by the anomaly rules, without
// a cluster.
package analyze

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/observe"
)

// Dump is what was read of one or more files. The zero value is empty.
type Dump struct {
	// Objects that rules look at.
	Objects []facts.Object
	// Ignored counts objects of kinds that no rule looks at, by "apiVersion Kind".
	Ignored map[string]int
	// Heartbeat is the newest moment at which something in the cluster gave a sign
	// of life: about when the dump was made. Zero when nothing tells.
	Heartbeat time.Time
	// Newest is the newest moment of all.
	Newest time.Time
}

// header is what tells an object's type.
type header struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
	} `json:"metadata"`
	Items *[]json.RawMessage `json:"items"`
}

func (h *header) String() string {
	name := h.Metadata.Name
	if h.Metadata.Namespace != "" {
		name = h.Metadata.Namespace + "/" + name
	}
	return strings.TrimSpace(h.Kind + " " + name)
}

// Read adds the objects of a file: YAML documents or JSON values one after another,
// each an object, a List, or a list of objects. Errors begin with name and the
// number of the document, from 1.
func (d *Dump) Read(name string, content []byte) error {
	number := 0
	for document := range documents(content) {
		number++
		if err := d.document(document); err != nil {
			return fmt.Errorf("%s: document %d: %w", name, number, err)
		}
	}
	return nil
}

// documents yields the documents of a YAML stream. JSON has no separators and is
// one document.
func documents(content []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
		start := 0
		blank := true
		for offset := 0; offset < len(content); {
			end := len(content)
			if i := bytes.IndexByte(content[offset:], '\n'); i >= 0 {
				end = offset + i + 1
			}
			line := content[offset:end]
			if separates(line) {
				// What stands before the first separator is a document only if
				// there is something.
				if !blank || start > 0 {
					if !yield(content[start:offset]) {
						return
					}
				}
				start, blank = offset+len("---"), false
			} else if text := bytes.TrimSpace(line); len(text) > 0 && text[0] != '#' && text[0] != '%' {
				blank = false
			}
			offset = end
		}
		yield(content[start:])
	}
}

func separates(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte("---"))
	return ok && (len(rest) == 0 || strings.ContainsRune(" \t\r\n", rune(rest[0])))
}

func (d *Dump) document(content []byte) error {
	trimmed := bytes.TrimSpace(content)
	if len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') {
		values, err := split(trimmed)
		if err == nil {
			return d.values(values)
		}
		// YAML may begin like this as well, but not after a whole value.
		if _, yamlErr := yaml.YAMLToJSON(content); yamlErr != nil || len(values) > 0 {
			return err
		}
	}
	converted, err := yaml.YAMLToJSON(content)
	if err != nil {
		return fmt.Errorf("reading the YAML: %w", err)
	}
	return d.value(converted)
}

// split returns the JSON values that follow one another, up to an error.
func split(content []byte) ([]json.RawMessage, error) {
	var values []json.RawMessage
	decoder := json.NewDecoder(bytes.NewReader(content))
	for {
		var value json.RawMessage
		err := decoder.Decode(&value)
		if errors.Is(err, io.EOF) {
			return values, nil
		}
		if err != nil {
			return values, fmt.Errorf("reading the JSON at byte %d: %w", decoder.InputOffset(), err)
		}
		values = append(values, value)
	}
}

func (d *Dump) values(values []json.RawMessage) error {
	for i, value := range values {
		if err := d.value(value); err != nil {
			if len(values) > 1 {
				return fmt.Errorf("value %d: %w", i+1, err)
			}
			return err
		}
	}
	return nil
}

// value takes an object, a List, or a list of objects.
func (d *Dump) value(content []byte) error {
	content = bytes.TrimSpace(content)
	switch {
	case len(content) == 0, string(content) == "null":
		return nil // only comments
	case content[0] == '[':
		var items []json.RawMessage
		if err := json.Unmarshal(content, &items); err != nil {
			return fmt.Errorf("reading the list: %w", err)
		}
		return d.items(items, &header{})
	case content[0] != '{':
		return errors.New("it is no Kubernetes object: a mapping with apiVersion and kind is expected")
	}
	return d.object(content, &header{})
}

func (d *Dump) items(items []json.RawMessage, list *header) error {
	for i, item := range items {
		if bytes.Equal(bytes.TrimSpace(item), []byte("null")) {
			continue
		}
		if err := d.object(item, list); err != nil {
			return fmt.Errorf("item %d: %w", i+1, err)
		}
	}
	return nil
}

// object takes an object or a List. Items of a typed list, as the API returns it,
// do not name their own type: list does.
func (d *Dump) object(content []byte, list *header) error {
	var h header
	if err := json.Unmarshal(content, &h); err != nil {
		return fmt.Errorf("reading the object: %w", err)
	}
	if h.Kind == "" && h.APIVersion == "" {
		h.Kind, h.APIVersion = strings.TrimSuffix(list.Kind, "List"), list.APIVersion
	}
	if h.Kind == "" || h.APIVersion == "" {
		return errors.New("it is no Kubernetes object: apiVersion and kind are required")
	}
	if strings.HasSuffix(h.Kind, "List") && h.Items != nil {
		if list.Kind != "" {
			return fmt.Errorf("a %s within a %s", h.Kind, list.Kind)
		}
		return d.items(*h.Items, &h)
	}
	if h.Kind == "List" {
		return errors.New("a List without items")
	}
	o, err := observe.Decode(h.APIVersion, h.Kind, content)
	if err != nil {
		return fmt.Errorf("%s: %w", &h, err)
	}
	d.times(content)
	if o == nil {
		if d.Ignored == nil {
			d.Ignored = map[string]int{}
		}
		d.Ignored[h.APIVersion+" "+h.Kind]++
		return nil
	}
	d.Objects = append(d.Objects, o)
	return nil
}

// stamps finds the moments at which something had happened already. Those of the
// first group are written again and again by what is alive.
var stamps = regexp.MustCompile(`"(?:(lastHeartbeatTime|renewTime|lastTimestamp|lastObservedTime|eventTime)|` +
	`creationTimestamp|lastTransitionTime|lastUpdateTime|lastProbeTime|firstTimestamp|startTime|startedAt|finishedAt|completionTime|` +
	`lastScheduleTime|lastSuccessfulTime|lastScaleTime|lastPhaseTransitionTime|timeAdded|acquireTime)"\s*:\s*"([^"\\]{1,40})"`)

func (d *Dump) times(content []byte) {
	for _, match := range stamps.FindAllSubmatch(content, -1) {
		t, err := time.Parse(time.RFC3339Nano, string(match[2]))
		if err != nil {
			continue
		}
		if t.After(d.Newest) {
			d.Newest = t
		}
		if len(match[1]) > 0 && t.After(d.Heartbeat) {
			d.Heartbeat = t
		}
	}
}
