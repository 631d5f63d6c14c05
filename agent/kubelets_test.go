// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package agent

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"

	"github.com/atlhyper/atlhyper/agent/anomalies"
)

func TestWhichKubeletsAreRead(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		config Config
		reads  bool
		want   string
	}{
		"none unless somebody says so": {config: Config{}},
		"by way of the API server":     {config: Config{KubeletInterval: time.Minute}, reads: true},
		"the same by its name":         {config: Config{KubeletInterval: time.Minute, KubeletAccess: "proxy"}, reads: true},
		"too often":                    {config: Config{KubeletInterval: time.Second}, want: "must be from 15s to 2m0s"},
		"in an unknown way":            {config: Config{KubeletInterval: time.Minute, KubeletAccess: "ssh"}, want: `--kubelet-access is "ssh"`},
		"directly, trusting nobody":    {config: Config{KubeletInterval: time.Minute, KubeletAccess: "direct"}, want: "reading the authorities of kubelets"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reader, err := test.config.kubelets(&rest.Config{Host: "https://127.0.0.1:1"}, &delivery{registry: prometheus.NewRegistry()}, &anomalies.Anomalies{})
			if (reader != nil) != test.reads || (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("reader %t, error %v", reader != nil, err)
			}
		})
	}
}
