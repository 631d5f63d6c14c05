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
		"nothing":                    {"", nil, nil},
		"only comments":              {"# nothing\n---\n# here\n---\n", nil, nil},
		"documents":                  {podYAML + "---\n" + strings.ReplaceAll(podYAML, "name: a", "name: c"), []string{"Pod default/a", "Pod default/c"}, nil},
		"a separator first and last": {"---\n" + podYAML + "---\n", []string{"Pod default/a"}, nil},
		"a separator with a comment": {"--- # first\n" + podYAML + "---\t\n" + nodeJSON, []string{"Pod default/a", "Node node"}, nil},
		"lines of Windows":           {strings.ReplaceAll(podYAML+"---\n"+podYAML, "\n", "\r\n"), []string{"Pod default/a", "Pod default/a"}, nil},
		"a byte order mark":          {"\xef\xbb\xbf" + podYAML, []string{"Pod default/a"}, nil},
		"three dashes within a text": {"apiVersion: v1\nkind: Node\nmetadata:\n  name: node\n  annotations:\n    text: |\n      ---\n      more\n", []string{"Node node"}, nil},
		"JSON":                       {podJSON, []string{"Pod default/b"}, nil},
		"JSON values in a row":       {podJSON + "\n" + nodeJSON, []string{"Pod default/b", "Node node"}, nil},
		"a JSON list":                {"[" + podJSON + ",null," + nodeJSON + "]", []string{"Pod default/b", "Node node"}, nil},
		"a YAML list":                {"- " + podJSON + "\n- " + nodeJSON, []string{"Pod default/b", "Node node"}, nil},
		"a flow mapping":             {"{apiVersion: v1, kind: Node, metadata: {name: node}}", []string{"Node node"}, nil},
		"a List":                     {`{"apiVersion":"v1","kind":"List","items":[` + podJSON + "," + nodeJSON + "]}", []string{"Pod default/b", "Node node"}, nil},
		"an empty List":              {"apiVersion: v1\nkind: List\nitems: []\n", nil, nil},
		"a List of null":             {"apiVersion: v1\nkind: List\nitems: null\n---\n" + podYAML, []string{"Pod default/a"}, nil},
		"a typed list of null":       {`{"apiVersion":"v1","kind":"PodList","items":null}`, nil, nil},
		"Lists in a List": {
			`{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"PodList","items":[{"metadata":{"name":"c","namespace":"x"}}]},` +
				`{"apiVersion":"v1","kind":"List","items":[` + nodeJSON + `]},` + podJSON + `]}`, []string{"Pod x/c", "Node node", "Pod default/b"}, nil,
		},
		"a typed list without types":  {`{"apiVersion":"v1","kind":"PodList","items":[{"metadata":{"name":"c","namespace":"x"}}]}`, []string{"Pod x/c"}, nil},
		"kinds that nobody looks at":  {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n---\n" + podYAML, []string{"Pod default/a"}, map[string]int{"v1 ConfigMap": 1}},
		"versions that nobody speaks": {"apiVersion: autoscaling/v1\nkind: HorizontalPodAutoscaler\nmetadata: {name: h}\n", nil, map[string]int{"autoscaling/v1 HorizontalPodAutoscaler": 1}},
		"a kind that ends in List":    {"apiVersion: example.com/v1\nkind: AllowList\nmetadata: {name: l}\n", nil, map[string]int{"example.com/v1 AllowList": 1}},
		"one with items":              {"apiVersion: example.com/v1\nkind: AllowList\nmetadata: {name: l}\nitems: [{kind: CIDR}]\n", nil, map[string]int{"example.com/v1 AllowList": 1}},
		"one with other items":        {"apiVersion: example.com/v1\nkind: AllowList\nitems: [a, b]\n", nil, map[string]int{"example.com/v1 AllowList": 1}},
		"one with one item":           {"apiVersion: example.com/v1\nkind: AllowList\nitems: 5\n", nil, map[string]int{"example.com/v1 AllowList": 1}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			d := &analyze.Dump{}
			if errs := d.Read("dump", []byte(tc.content)); len(errs) > 0 {
				t.Fatal(errs)
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
		"Lists without end":                  {strings.Repeat(`{"apiVersion":"v1","kind":"List","items":[`, 12) + strings.Repeat("]}", 12), "a List within 10 others"},
		"a List of nothing":                  {"apiVersion: v1\nkind: List\n", "a List without items"},
		"a List of a number":                 {"apiVersion: v1\nkind: List\nitems: 5\n", "the items of a List are no list"},
		"a cut after a value":                {podJSON + `{"apiVersion"`, "document 1: reading the JSON at byte"},
		"the second value":                   {podJSON + "{}", "document 1: value 2: it is no"},
		"a number in a list":                 {"- 1\n", "item 1: it is no Kubernetes object"},
		"a time that is none":                {"apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {name: a}\nspec: {renewTime: soon}\n", "Lease a: reading a Lease: reading a time"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			d := &analyze.Dump{}
			errs := d.Read("dump", []byte(tc.content))
			if len(errs) != 1 || !strings.Contains(errs[0].Error(), tc.want) {
				t.Errorf("errors %v, want one that contains %q", errs, tc.want)
			}
		})
	}
}

// What cannot be read hides nothing but itself.
func TestTheRestIsRead(t *testing.T) {
	const broken = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"status":{"containerStatuses":[{"name":"c","restartCount":"5"}]}}`
	cases := map[string]struct {
		content string
		want    []string
		errs    []string
		unread  map[string]int
	}{
		"a document among others": {
			nodeJSON + "\n---\n" + broken + "\n---\n" + podJSON,
			[]string{"Node node", "Pod default/b"},
			[]string{"dump: document 2: Pod x: reading a Pod: json: "},
			map[string]int{"Pod": 1},
		},
		"items of a List": {
			`{"apiVersion":"v1","kind":"List","items":[7,` + broken + `,` + podJSON + `,` + broken + `]}`,
			[]string{"Pod default/b"},
			[]string{"dump: document 1: item 1: it is no", "dump: document 1: item 2: Pod x: ", "dump: document 1: item 4: Pod x: "},
			map[string]int{"Pod": 2, "-": 1},
		},
		"a text that is neither": {
			nodeJSON + "\n---\nkind: [\n---\n" + podYAML,
			[]string{"Node node", "Pod default/a"},
			[]string{"dump: document 2: reading the YAML: "},
			map[string]int{"": 1},
		},
		"values before a cut": {
			nodeJSON + broken + podJSON + `{"apiVersion`,
			[]string{"Node node", "Pod default/b"},
			[]string{"dump: document 1: value 2: Pod x: ", "dump: document 1: reading the JSON at byte "},
			map[string]int{"Pod": 1, "": 1},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			d := &analyze.Dump{}
			errs := d.Read("dump", []byte(tc.content))
			if diff := cmp.Diff(tc.want, names(d)); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
			if len(errs) != len(tc.errs) {
				t.Fatalf("errors %v, want %q", errs, tc.errs)
			}
			for i, want := range tc.errs {
				if !strings.HasPrefix(errs[i].Error(), want) {
					t.Errorf("error %q, want %q", errs[i], want)
				}
			}
			if !maps.Equal(tc.unread, d.Unread) {
				t.Errorf("unread %v, want %v", d.Unread, tc.unread)
			}
		})
	}
}

// Nothing is missed that may be in what could not be read.
func TestNothingIsMissedOfWhatIsUnread(t *testing.T) {
	const service = "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: default, creationTimestamp: '2026-11-23T11:00:00Z'}\nspec: {selector: {app: web}}\n"
	const found = "warning ServiceNoEndpoints Service default/web"
	for name, tc := range map[string]struct {
		more string
		want []string
	}{
		"a Secret":          {"apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: '!'}\n", []string{found}},
		"no object":         {"hello\n", []string{found}},
		"an EndpointSlice":  {"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: e}\nendpoints: 5\n", nil},
		"a pod, and others": {podYAML + "---\n" + podYAML + "status: 5\n", nil},
		"something":         {"kind: [\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := &analyze.Dump{}
			if errs := d.Read("dump", []byte(service+"---\n"+tc.more)); len(errs) != 1 {
				t.Fatalf("errors %v", errs)
			}
			if diff := cmp.Diff(tc.want, shown(analyze.Judge(d, analyze.Options{Now: dumped}))); diff != "" {
				t.Errorf("anomalies (-want +got):\n%s", diff)
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
		"a clock that is behind":               {created(-9 * time.Minute), 9 * time.Minute},
		"a time that cannot be":                {created(-time.Hour), 0},
		"a life that cannot be":                {heartbeat(24*time.Hour) + "---\n" + heartbeat(-time.Hour), -24 * time.Hour},
		"what the last apply said is not life": {"apiVersion: v1\nkind: Pod\nmetadata: {name: a, annotations: {last: '{\"renewTime\":\"2020-01-01T00:00:00Z\"}'}}\n", 0},
		"an annotation is not life":            {"apiVersion: v1\nkind: Pod\nmetadata: {name: a, annotations: {renewTime: '2020-01-01T00:00:00Z'}}\n", 0},
		"a spec is not life":                   {"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {renewTime: '2020-01-01T00:00:00Z'}\n", 0},
		"of what nobody knows nothing counts":  {heartbeat(24*time.Hour) + "---\napiVersion: a/v1\nkind: Plan\nmetadata: {name: a}\nstatus: {startTime: '2026-11-23T11:00:00Z'}\n", -24 * time.Hour},
		"a Lease":                              {"apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {name: a}\nspec: {renewTime: '2026-11-22T12:00:00Z'}\n", -24 * time.Hour},
		"a series":                             {"apiVersion: events.k8s.io/v1\nkind: Event\nmetadata: {name: a}\nregarding: {kind: Pod, name: a}\nseries: {count: 2, lastObservedTime: '2026-11-22T12:00:00.1234Z'}\n", -24*time.Hour + 123400*time.Microsecond},
		"an event of old":                      {"apiVersion: events.k8s.io/v1\nkind: Event\nmetadata: {name: a}\nregarding: {kind: Pod, name: a}\ndeprecatedFirstTimestamp: '2026-11-22T11:00:00Z'\ndeprecatedLastTimestamp: '2026-11-22T12:00:00Z'\n", -24 * time.Hour},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			d := &analyze.Dump{Clock: clock}
			if errs := d.Read("dump", []byte(tc.content)); len(errs) > 0 {
				t.Fatal(errs)
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
	if errs := d.Read("dump", []byte(content)); len(errs) > 0 {
		t.Fatal(errs)
	}
	got := analyze.Judge(d, analyze.Options{Now: dumped})
	if len(got) != 1 || got[0].Rule != "PodCrashLoopBackOff" || got[0].Since != nil {
		t.Errorf("found %+v", got)
	}
}

// FuzzRead: whatever is in a file, reading it ends, with objects and errors that name
// the document, and what was read can be judged.
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
		for _, err := range d.Read("dump", content) {
			if !strings.HasPrefix(err.Error(), "dump: document ") {
				t.Errorf("the error does not say where: %v", err)
			}
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
