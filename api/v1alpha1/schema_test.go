// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package v1alpha1_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// borrowed are the parts of our schemas that apimachinery defines: their shape is
// not ours to bound. Each is named with its type, and must look like it.
var borrowed = map[string]string{
	"ManagedCluster.spec.allowedNamespaces.selector":      "LabelSelector",
	"NotificationChannel.spec.allowedNamespaces.selector": "LabelSelector",
	"ServiceSLO.spec.clusters.selector":                   "LabelSelector",
	"AlertRule.spec.clusters.selector":                    "LabelSelector",
	"AlertRule.spec.source.anomaly.labelSelector":         "LabelSelector",
	"AlertRule.spec.source.metric.nodeSelector":           "LabelSelector",
	"AlertRule.spec.source.slo.selector":                  "LabelSelector",
	"RemoteCommand.spec.drain.podSelector":                "LabelSelector",

	"ManagedCluster.status.conditions[]":      "Condition",
	"ServiceSLO.status.conditions[]":          "Condition",
	"AlertRule.status.conditions[]":           "Condition",
	"NotificationChannel.status.conditions[]": "Condition",
	"Silence.status.conditions[]":             "Condition",
	"RemoteCommand.status.conditions[]":       "Condition",

	"ManagedCluster.status.capacity.cpu":                 "Quantity",
	"ManagedCluster.status.capacity.memory":              "Quantity",
	"ManagedCluster.status.capacity.ephemeralStorage":    "Quantity",
	"ManagedCluster.status.capacity.pods":                "Quantity",
	"ManagedCluster.status.allocatable.cpu":              "Quantity",
	"ManagedCluster.status.allocatable.memory":           "Quantity",
	"ManagedCluster.status.allocatable.ephemeralStorage": "Quantity",
	"ManagedCluster.status.allocatable.pods":             "Quantity",
	"ManagedCluster.status.requested.cpu":                "Quantity",
	"ManagedCluster.status.requested.memory":             "Quantity",
	"ManagedCluster.status.requested.ephemeralStorage":   "Quantity",
	"ManagedCluster.status.requested.pods":               "Quantity",
	"ManagedCluster.status.used.cpu":                     "Quantity",
	"ManagedCluster.status.used.memory":                  "Quantity",
	"ManagedCluster.status.used.ephemeralStorage":        "Quantity",
	"ManagedCluster.status.used.pods":                    "Quantity",
}

func definitions(t *testing.T) []*apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(crdFolder, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var found []*apiextensionsv1.CustomResourceDefinition
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		definition := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(content, definition); err != nil {
			t.Fatalf("reading %s: %v", file, err)
		}
		found = append(found, definition)
	}
	return found
}

func TestDefinitionsKeepTheContractOfEveryKind(t *testing.T) {
	shortNames := map[string]string{
		"ManagedCluster": "mc", "ServiceSLO": "sslo", "AlertRule": "ar",
		"NotificationChannel": "nc", "Silence": "sil", "RemoteCommand": "rcmd",
	}
	for _, definition := range definitions(t) {
		kind := definition.Spec.Names.Kind
		shortName, known := shortNames[kind]
		if !known {
			t.Errorf("%s is not a kind of this test: add it", kind)
		}
		delete(shortNames, kind)
		if !slices.Equal(definition.Spec.Names.ShortNames, []string{shortName}) {
			t.Errorf("%s has the short names %v, want %s", kind, definition.Spec.Names.ShortNames, shortName)
		}
		if !slices.Contains(definition.Spec.Names.Categories, "atlhyper") {
			t.Errorf("%s is not in the category atlhyper", kind)
		}
		if definition.Spec.Group != v1alpha1.GroupName || len(definition.Spec.Versions) != 1 {
			t.Errorf("%s is in group %s with %d versions", kind, definition.Spec.Group, len(definition.Spec.Versions))
		}
		version := definition.Spec.Versions[0]
		if version.Subresources == nil || version.Subresources.Status == nil {
			t.Errorf("%s has no status subresource", kind)
		}
		status := version.Schema.OpenAPIV3Schema.Properties["status"]
		if status.Default == nil || string(status.Default.Raw) != `{"observedGeneration":-1}` {
			t.Errorf("%s.status does not default to observedGeneration -1", kind)
		}
		columns := map[string]bool{}
		for _, column := range version.AdditionalPrinterColumns {
			columns[column.Name] = true
		}
		for _, want := range []string{"Age"} {
			if !columns[want] {
				t.Errorf("%s has no printed column %s", kind, want)
			}
		}
		if len(columns) < 4 {
			t.Errorf("%s has only the printed columns %v", kind, slices.Sorted(maps.Keys(columns)))
		}
	}
	for kind := range shortNames {
		t.Errorf("there is no definition of %s", kind)
	}
}

func TestEveryPropertyIsDescribedAndBounded(t *testing.T) {
	w := &schemaWalker{t: t, seen: map[string]bool{}}
	for _, definition := range definitions(t) {
		kind := definition.Spec.Names.Kind
		root := definition.Spec.Versions[0].Schema.OpenAPIV3Schema
		if root.Description == "" {
			t.Errorf("%s has no description", kind)
		}
		for _, part := range []string{"spec", "status"} {
			w.property(kind+"."+part, root.Properties[part], false)
		}
		for name := range root.Properties {
			if !slices.Contains([]string{"apiVersion", "kind", "metadata", "spec", "status"}, name) {
				t.Errorf("%s.%s is neither spec nor status", kind, name)
			}
		}
	}
	for path, name := range borrowed {
		if !w.seen[path] {
			t.Errorf("%s is listed as a %s of apimachinery, but does not exist", path, name)
		}
	}
	if w.properties < 300 {
		t.Errorf("walked only %d properties: does this test still see the definitions?", w.properties)
	}
}

type schemaWalker struct {
	t          *testing.T
	seen       map[string]bool
	properties int
}

// property checks a property: what every schema must have, and a description that
// begins with the serialized name.
func (w *schemaWalker) property(path string, schema apiextensionsv1.JSONSchemaProps, inList bool) {
	w.properties++
	name := path[strings.LastIndex(path, ".")+1:]
	switch {
	case schema.Description == "":
		w.t.Errorf("%s has no description", path)
	case !strings.HasPrefix(schema.Description, name+" ") && borrowed[path] == "":
		w.t.Errorf("%s: the description does not begin with the name of the property: %q", path, strings.SplitN(schema.Description, "\n", 2)[0])
	}
	w.schema(path, schema, inList)
}

func (w *schemaWalker) schema(path string, schema apiextensionsv1.JSONSchemaProps, inList bool) {
	if name, ok := borrowed[path]; ok {
		w.seen[path] = true
		w.borrowed(path, name, schema)
		return
	}
	if inList && schema.Default != nil {
		w.t.Errorf("%s has a default inside a list: tools that compare lists as a whole would see a difference for ever", path)
	}
	switch schema.Type {
	case "":
		w.t.Errorf("%s has no type", path)
	case "number":
		w.t.Errorf("%s is a floating point number: use a decimal string", path)
	case "integer":
		if schema.Minimum == nil {
			w.t.Errorf("%s is an integer without a minimum", path)
		}
	case "string":
		if schema.MaxLength == nil && len(schema.Enum) == 0 && schema.Format != "date-time" {
			w.t.Errorf("%s is a string without maxLength, enum or format", path)
		}
	case "array":
		if schema.MaxItems == nil {
			w.t.Errorf("%s is a list without maxItems", path)
		}
		if schema.XListType == nil {
			w.t.Errorf("%s is a list without a list type", path)
		}
		w.schema(path+"[]", *schema.Items.Schema, true)
	case "object":
		w.object(path, schema, inList)
	}
}

func (w *schemaWalker) object(path string, schema apiextensionsv1.JSONSchemaProps, inList bool) {
	if values := schema.AdditionalProperties; values != nil {
		if schema.MaxProperties == nil {
			w.t.Errorf("%s is a map without maxProperties", path)
		}
		w.schema(path+"{}", *values.Schema, inList)
	}
	if schema.XPreserveUnknownFields != nil {
		w.t.Errorf("%s keeps unknown fields", path)
	}
	for name, property := range schema.Properties {
		w.property(path+"."+name, property, inList)
	}
}

// borrowed checks that a schema is of the type that the exemption names.
func (w *schemaWalker) borrowed(path, name string, schema apiextensionsv1.JSONSchemaProps) {
	has := func(names ...string) bool {
		for _, property := range names {
			if _, ok := schema.Properties[property]; !ok {
				return false
			}
		}
		return len(schema.Properties) == len(names)
	}
	looksRight := map[string]bool{
		"LabelSelector": has("matchExpressions", "matchLabels"),
		"Condition":     has("lastTransitionTime", "message", "observedGeneration", "reason", "status", "type"),
		"Quantity":      schema.XIntOrString && schema.Pattern != "",
	}
	if !looksRight[name] {
		w.t.Errorf("%s is exempt as a %s, but does not look like one", path, name)
	}
}
