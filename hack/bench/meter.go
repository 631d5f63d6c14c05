// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/procfs"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/atlhyper/atlhyper/internal/testing/process"
)

// meter reads what a hub and its API server have used so far.
type meter struct {
	hub, apiServer *process.Process
	config         *rest.Config
}

// usage is a reading of the meter.
type usage struct {
	hubCPU, apiServerCPU time.Duration
	// hubMemory is the resident set of the hub in bytes.
	hubMemory uint64
	// hubBytes are the bytes that the hub has read and written through system
	// calls: its connections and its log.
	hubBytes uint64
	// Numbers of requests that change something.
	writes, leaseWrites, statusWrites float64
}

func (m meter) read(ctx context.Context) (usage, error) {
	var u usage
	hub, err := procfs.NewProc(m.hub.PID())
	if err != nil {
		return u, fmt.Errorf("reading the hub's process: %w", err)
	}
	stat, err := hub.Stat()
	if err != nil {
		return u, fmt.Errorf("reading the hub's CPU time: %w", err)
	}
	io, err := hub.IO()
	if err != nil {
		return u, fmt.Errorf("reading the hub's input and output: %w", err)
	}
	server, err := procfs.NewProc(m.apiServer.PID())
	if err != nil {
		return u, fmt.Errorf("reading the API server's process: %w", err)
	}
	serverStat, err := server.Stat()
	if err != nil {
		return u, fmt.Errorf("reading the API server's CPU time: %w", err)
	}
	u.hubCPU, u.apiServerCPU = seconds(stat.CPUTime()), seconds(serverStat.CPUTime())
	u.hubMemory = uint64(max(stat.ResidentMemory(), 0))
	u.hubBytes = io.RChar + io.WChar
	err = m.readWrites(ctx, &u)
	return u, err
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// readWrites counts the API server's own account of changing requests.
func (m meter) readWrites(ctx context.Context, u *usage) error {
	client, err := kubernetes.NewForConfig(m.config)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	text, err := client.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return fmt.Errorf("reading the API server's metrics: %w", err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("parsing the API server's metrics: %w", err)
	}
	family, ok := families["apiserver_request_total"]
	if !ok {
		return fmt.Errorf("the API server has no metric apiserver_request_total")
	}
	changing := []string{"POST", "PUT", "PATCH", "APPLY", "DELETE"}
	for _, metric := range family.GetMetric() {
		if !slices.Contains(changing, label(metric, "verb")) || label(metric, "resource") == "tokenreviews" ||
			label(metric, "resource") == "subjectaccessreviews" {
			continue
		}
		n := metric.GetCounter().GetValue()
		u.writes += n
		switch {
		case label(metric, "resource") == "leases":
			u.leaseWrites += n
		case label(metric, "resource") == "managedclusters" && label(metric, "subresource") == "status":
			u.statusWrites += n
		}
	}
	return nil
}

func label(metric *dto.Metric, name string) string {
	for _, pair := range metric.GetLabel() {
		if pair.GetName() == name {
			return pair.GetValue()
		}
	}
	return ""
}
