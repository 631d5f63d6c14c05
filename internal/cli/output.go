// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package cli

import (
	"encoding/json"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// Forms of output.
const (
	formatYAML = "yaml"
	formatJSON = "json"
	formatWide = "wide"
)

// writeObjects writes YAML documents, or one JSON List.
func writeObjects(w io.Writer, objects []*unstructured.Unstructured, format string) error {
	if format == formatJSON {
		items := make([]any, 0, len(objects))
		for _, object := range objects {
			items = append(items, object.Object)
		}
		return writeValue(w, map[string]any{"apiVersion": "v1", "kind": "List", "items": items}, format)
	}
	for _, object := range objects {
		if _, err := io.WriteString(w, "---\n"); err != nil {
			return fmt.Errorf("writing the output: %w", err)
		}
		if err := writeValue(w, object.Object, format); err != nil {
			return err
		}
	}
	return nil
}

// writeValue writes one value as JSON or YAML.
func writeValue(w io.Writer, value any, format string) error {
	var data []byte
	var err error
	if format == formatJSON {
		if data, err = json.MarshalIndent(value, "", "  "); err == nil {
			data = append(data, '\n')
		}
	} else {
		data, err = yaml.Marshal(value)
	}
	if err != nil {
		return fmt.Errorf("encoding the output: %w", err)
	}
	if _, err := w.Write(data); err != nil {
		return fmt.Errorf("writing the output: %w", err)
	}
	return nil
}
