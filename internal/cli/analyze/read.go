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
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/observe"
)

// maxDepth bounds how deep Lists may be within Lists.
const maxDepth = 10

// noObject is in the place of the kind of what is no object at all.
const noObject = "-"

var errNoMapping = errors.New("it is no Kubernetes object: a mapping with apiVersion and kind is expected")

// Dump is what was read of one or more files. The zero value is empty.
type Dump struct {
	// Clock is that of this machine, as of which times are believed: one that is
	// later by more than 10 minutes is none. Zero believes everything.
	Clock time.Time
	// Objects that rules look at.
	Objects []facts.Object
	// Ignored counts objects of kinds that no rule looks at, by "apiVersion Kind".
	Ignored map[string]int
	// Unread counts what could not be read, by kind: by "-" what is no object, and by
	// "" where nobody knows what it was.
	Unread map[string]int
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
	Items json.RawMessage `json:"items"`
}

func (h *header) String() string {
	name := h.Metadata.Name
	if h.Metadata.Namespace != "" {
		name = h.Metadata.Namespace + "/" + name
	}
	return strings.TrimSpace(h.Kind + " " + name)
}

// list says whether the object is a list of others, and returns its items: none for
// null. A custom resource may have a kind that ends in List, and fields of any name;
// lists have no name, and their items are objects.
func (h *header) list() (items []json.RawMessage, ok bool, err error) {
	if !strings.HasSuffix(h.Kind, "List") {
		return nil, false, nil
	}
	plain := h.Kind == "List" && h.APIVersion == "v1"
	switch {
	case !plain && (h.Items == nil || h.Metadata.Name != ""):
		return nil, false, nil
	case h.Items == nil:
		return nil, true, errors.New("a List without items")
	case h.Items[0] != '[' && h.Items[0] != 'n':
		if plain {
			return nil, true, errors.New("the items of a List are no list")
		}
		return nil, false, nil
	}
	if err := json.Unmarshal(h.Items, &items); err != nil {
		return nil, true, fmt.Errorf("reading the items: %w", err)
	}
	if plain {
		return items, true, nil
	}
	for _, item := range items {
		if item[0] != '{' && item[0] != 'n' {
			return nil, false, nil
		}
	}
	return items, true, nil
}

// reader reads a file into a Dump.
type reader struct {
	*Dump

	errs []error
}

// fail takes it that something could not be read, of a kind if that is known.
func (r *reader) fail(kind, where string, err error) {
	if r.Unread == nil {
		r.Unread = map[string]int{}
	}
	r.Unread[kind]++
	r.errs = append(r.errs, fmt.Errorf("%s: %w", where, err))
}

// Read adds the objects of a file: YAML documents or JSON values one after another,
// each an object, a List, or a list of objects. It returns an error for each thing
// that it cannot read, and reads the others. Errors begin with name and the number
// of the document, from 1.
func (d *Dump) Read(name string, content []byte) []error {
	r := reader{Dump: d}
	number := 0
	for document := range documents(content) {
		number++
		r.document(fmt.Sprintf("%s: document %d", name, number), document)
	}
	return r.errs
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

func (r *reader) document(where string, content []byte) {
	trimmed := bytes.TrimSpace(content)
	if len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') {
		values, err := split(trimmed)
		for i, value := range values {
			at := where
			if len(values) > 1 || err != nil {
				at = fmt.Sprintf("%s: value %d", where, i+1)
			}
			r.value(at, value)
		}
		if err == nil {
			return
		}
		// YAML may begin like this as well, but not after a whole value.
		if _, yamlErr := yaml.YAMLToJSON(content); yamlErr != nil || len(values) > 0 {
			r.fail("", where, err)
			return
		}
	}
	converted, err := yaml.YAMLToJSON(content)
	if err != nil {
		r.fail("", where, fmt.Errorf("reading the YAML: %w", err))
		return
	}
	r.value(where, converted)
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

// value takes an object, a List, or a list of objects.
func (r *reader) value(where string, content []byte) {
	content = bytes.TrimSpace(content)
	switch {
	case len(content) == 0, string(content) == "null":
		// only comments
	case content[0] == '[':
		var items []json.RawMessage
		if err := json.Unmarshal(content, &items); err != nil {
			r.fail("", where, fmt.Errorf("reading the list: %w", err))
			return
		}
		r.items(where, items, &header{}, 1)
	case content[0] != '{':
		r.fail(noObject, where, errNoMapping)
	default:
		r.object(where, content, &header{}, 0)
	}
}

func (r *reader) items(where string, items []json.RawMessage, list *header, depth int) {
	for i, item := range items {
		if !bytes.Equal(item, []byte("null")) {
			r.object(fmt.Sprintf("%s: item %d", where, i+1), item, list, depth)
		}
	}
}

// object takes an object or a List. Items of a typed list, as the API returns it,
// do not name their own type: list does.
func (r *reader) object(where string, content []byte, list *header, depth int) {
	var h header
	if content[0] != '{' {
		r.fail(noObject, where, errNoMapping)
		return
	}
	if err := json.Unmarshal(content, &h); err != nil {
		r.fail(h.Kind, where, fmt.Errorf("reading the object: %w", err))
		return
	}
	if h.Kind == "" && h.APIVersion == "" {
		h.Kind, h.APIVersion = strings.TrimSuffix(list.Kind, "List"), list.APIVersion
	}
	if h.Kind == "" || h.APIVersion == "" {
		r.fail(noObject, where, errors.New("it is no Kubernetes object: apiVersion and kind are required"))
		return
	}
	items, is, err := h.list()
	switch {
	case err == nil && is && depth >= maxDepth:
		r.fail("", where, fmt.Errorf("a %s within %d others", h.Kind, depth))
		return
	case err != nil:
		r.fail("", where, err)
		return
	case is:
		r.items(where, items, &h, depth+1)
		return
	}
	o, err := observe.Decode(h.APIVersion, h.Kind, content)
	switch {
	case err != nil:
		r.fail(h.Kind, where, fmt.Errorf("%s: %w", &h, err))
	case o == nil:
		if r.Ignored == nil {
			r.Ignored = map[string]int{}
		}
		r.Ignored[h.APIVersion+" "+h.Kind]++
	default:
		r.times(h.Kind, content)
		r.Objects = append(r.Objects, o)
	}
}
