// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package analyze_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/cli/analyze"
)

func names(d *analyze.Dump) []string {
	var list []string
	for _, o := range d.Objects {
		list = append(list, o.About().String())
	}
	return list
}

const (
	podYAML  = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: default}\n"
	podJSON  = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"b","namespace":"default"}}`
	nodeJSON = `{"apiVersion":"v1","kind":"Node","metadata":{"name":"node"}}`
)

func TestRead(t *testing.T) {
	cases := map[string]struct {
		content string
		want    []string
		ignored map[string]int
	}{
		"nothing":                     {"", nil, nil},
		"only comments":               {"# nothing\n---\n# here\n---\n", nil, nil},
		"documents":                   {podYAML + "---\n" + strings.ReplaceAll(podYAML, "name: a", "name: c"), []string{"Pod default/a", "Pod default/c"}, nil},
		"a separator first and last":  {"---\n" + podYAML + "---\n", []string{"Pod default/a"}, nil},
		"a separator with a comment":  {"--- # first\n" + podYAML + "---\t\n" + nodeJSON, []string{"Pod default/a", "Node node"}, nil},
		"lines of Windows":            {strings.ReplaceAll(podYAML+"---\n"+podYAML, "\n", "\r\n"), []string{"Pod default/a", "Pod default/a"}, nil},
		"a byte order mark":           {"\xef\xbb\xbf" + podYAML, []string{"Pod default/a"}, nil},
		"three dashes within a text":  {"apiVersion: v1\nkind: Node\nmetadata:\n  name: node\n  annotations:\n    text: |\n      ---\n      more\n", []string{"Node node"}, nil},
		"JSON":                        {podJSON, []string{"Pod default/b"}, nil},
		"JSON values in a row":        {podJSON + "\n" + nodeJSON, []string{"Pod default/b", "Node node"}, nil},
		"a JSON list":                 {"[" + podJSON + ",null," + nodeJSON + "]", []string{"Pod default/b", "Node node"}, nil},
		"a YAML list":                 {"- " + podJSON + "\n- " + nodeJSON, []string{"Pod default/b", "Node node"}, nil},
		"a flow mapping":              {"{apiVersion: v1, kind: Node, metadata: {name: node}}", []string{"Node node"}, nil},
		"a List":                      {`{"apiVersion":"v1","kind":"List","items":[` + podJSON + "," + nodeJSON + "]}", []string{"Pod default/b", "Node node"}, nil},
		"an empty List":               {"apiVersion: v1\nkind: List\nitems: []\n", nil, nil},
		"a typed list without types":  {`{"apiVersion":"v1","kind":"PodList","items":[{"metadata":{"name":"c","namespace":"x"}}]}`, []string{"Pod x/c"}, nil},
		"kinds that nobody looks at":  {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n---\n" + podYAML, []string{"Pod default/a"}, map[string]int{"v1 ConfigMap": 1}},
		"versions that nobody speaks": {"apiVersion: autoscaling/v1\nkind: HorizontalPodAutoscaler\nmetadata: {name: h}\n", nil, map[string]int{"autoscaling/v1 HorizontalPodAutoscaler": 1}},
		"a kind that ends in List":    {"apiVersion: example.com/v1\nkind: AllowList\nmetadata: {name: l}\n", nil, map[string]int{"example.com/v1 AllowList": 1}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			d := &analyze.Dump{}
			if err := d.Read("dump", []byte(tc.content)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, names(d)); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
			if !maps.Equal(tc.ignored, d.Ignored) {
				t.Errorf("ignored %v, want %v", d.Ignored, tc.ignored)
			}
		})
	}
}

func TestWhatCannotBeRead(t *testing.T) {
	cases := map[string]struct{ content, want string }{
		"broken YAML in the second document": {podYAML + "---\nkind: [\n", "dump: document 2: reading the YAML: "},
		"broken JSON":                        {`{"apiVersion":"v1",`, "dump: document 1: reading the JSON"},
		"text":                               {"hello", "dump: document 1: it is no Kubernetes object"},
		"a mapping that is none":             {"a: 1\n", "dump: document 1: it is no Kubernetes object: apiVersion and kind are required"},
		"no kind":                            {"apiVersion: v1\nmetadata: {name: a}\n", "apiVersion and kind are required"},
		"no name":                            {"apiVersion: v1\nkind: Pod\n", "document 1: Pod: reading a Pod: metadata.name is missing"},
		"a field of another type":            {podYAML + "spec: {nodeName: [1]}\n", "document 1: Pod default/a: reading a Pod: json: cannot unmarshal array"},
		"a broken time":                      {"apiVersion: v1\nkind: Pod\nmetadata: {name: a, creationTimestamp: yesterday}\n", `parsing time "yesterday"`},
		"an item of a List":                  {`{"apiVersion":"v1","kind":"List","items":[` + nodeJSON + `,{"kind":"Pod"}]}`, "document 1: item 2: it is no Kubernetes object"},
		"a List in a List":                   {`{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"List","items":[]}]}`, "a List within a List"},
		"a List of nothing":                  {"apiVersion: v1\nkind: List\n", "a List without items"},
		"a cut after a value":                {podJSON + `{"apiVersion"`, "document 1: reading the JSON at byte"},
		"the second value":                   {podJSON + "{}", "document 1: value 2: it is no"},
		"a number in a list":                 {"- 1\n", "item 1: reading the object"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			d := &analyze.Dump{}
			err := d.Read("dump", []byte(tc.content))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one that contains %q", err, tc.want)
			}
		})
	}
}

func TestMoment(t *testing.T) {
	clock := dumped
	heartbeat := func(ago time.Duration) string {
		return "apiVersion: v1\nkind: Node\nmetadata: {name: node}\nstatus: {conditions: [{type: Ready, status: 'True', lastHeartbeatTime: '" +
			clock.Add(-ago).Format(time.RFC3339) + "'}]}\n"
	}
	created := func(ago time.Duration) string {
		return "apiVersion: v1\nkind: Pod\nmetadata: {name: a, creationTimestamp: '" + clock.Add(-ago).Format(time.RFC3339) + "'}\n"
	}
	cases := map[string]struct {
		content string
		want    time.Duration
	}{
		"nothing tells":                        {podYAML, 0},
		"no sign of life":                      {created(72 * time.Hour), 0},
		"made just now":                        {heartbeat(4 * time.Minute), 0},
		"made yesterday":                       {heartbeat(24 * time.Hour), -24 * time.Hour},
		"something is newer than the lives":    {heartbeat(24*time.Hour) + "---\n" + created(23*time.Hour), -23 * time.Hour},
		"a clock that is behind":               {created(-time.Hour), time.Hour},
		"what the last apply said is not life": {"apiVersion: v1\nkind: Pod\nmetadata: {name: a, annotations: {last: '{\"renewTime\":\"2020-01-01T00:00:00Z\"}'}}\n", 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			d := &analyze.Dump{}
			if err := d.Read("dump", []byte(tc.content)); err != nil {
				t.Fatal(err)
			}
			if got := analyze.Moment(d, clock).Sub(clock); got != tc.want {
				t.Errorf("judged %s from now, want %s", got, tc.want)
			}
		})
	}
}

// A dump of a part of a cluster says nothing about what is not in it.
func TestPartial(t *testing.T) {
	for _, file := range []string{"WebhookBackendUnavailable/missing.yaml", "ServiceNoEndpoints/bad.yaml", "IngressBackendMissing/bad.yaml"} {
		d, want := read(t, filepath.Join("testdata", "rules", filepath.FromSlash(file)))
		if len(want) == 0 {
			t.Errorf("%s triggers nothing", file)
		}
		if got := shown(analyze.Judge(d, analyze.Options{Now: dumped, Partial: true})); len(got) > 0 {
			t.Errorf("%s: %v", file, got)
		}
	}
}

// Objects without any time: what is wrong is told, and not since when.
func TestWithoutTimes(t *testing.T) {
	d := &analyze.Dump{}
	content := podYAML + "status: {phase: Running, containerStatuses: [{name: web, restartCount: 3, state: {waiting: {reason: CrashLoopBackOff}}}]}\n"
	if err := d.Read("dump", []byte(content)); err != nil {
		t.Fatal(err)
	}
	got := analyze.Judge(d, analyze.Options{Now: dumped})
	if len(got) != 1 || got[0].Rule != "PodCrashLoopBackOff" || got[0].Since != nil {
		t.Errorf("found %+v", got)
	}
}

// FuzzRead: whatever is in a file, reading it ends, with objects or with an error
// that names the document, and what was read can be judged.
func FuzzRead(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "rules", "*", "bad.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	for _, s := range []string{"", "---\n---", "a: &a [*a]", `[[[`, "{", "\xff\xfe", `{"apiVersion":"v1","kind":"PodList","items":[{}]}`, "- - -\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		d := &analyze.Dump{}
		if err := d.Read("dump", content); err != nil {
			if !strings.HasPrefix(err.Error(), "dump: document ") {
				t.Errorf("the error does not say where: %v", err)
			}
			return
		}
		for _, o := range d.Objects {
			if o.About().Name == "" || o.About().Kind == "" {
				t.Errorf("an object without a name: %+v", o)
			}
		}
		for _, finding := range analyze.Judge(d, analyze.Options{Now: dumped}) {
			if finding.Rule == "" || finding.Kind == "" || finding.Count == 0 {
				t.Errorf("an incomplete finding: %+v", finding)
			}
		}
	})
}
