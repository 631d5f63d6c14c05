// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package agent

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/atlhyper/atlhyper/agent/anomalies"
)

const (
	// maxLogLines is the largest Config.EvidenceLogLines.
	maxLogLines = 100
	// maxLogBytes bounds what is read of a log.
	maxLogBytes = 64 << 10
)

func checkLogLines(lines int) error {
	if lines < 0 || lines > maxLogLines {
		return fmt.Errorf("--evidence-log-lines is %d; it may be from 0 to %d", lines, maxLogLines)
	}
	return nil
}

// lastLines returns what reads so many last lines of a container that has ended; nil
// for none.
func lastLines(core corev1client.PodsGetter, lines int) anomalies.Lines {
	if lines == 0 {
		return nil
	}
	return func(ctx context.Context, namespace, pod, container string) (string, error) {
		// What ended is the container before the one that runs; when none has come
		// after it, it is itself the last.
		for _, previous := range []bool{true, false} {
			log, err := core.Pods(namespace).GetLogs(pod, &corev1.PodLogOptions{
				Container: container, Previous: previous, TailLines: new(int64(lines)), LimitBytes: new(int64(maxLogBytes)),
			}).DoRaw(ctx)
			if err == nil {
				return string(log), nil
			}
			if !previous || !apierrors.IsBadRequest(err) {
				return "", fmt.Errorf("reading the log of container %s of pod %s/%s: %w", container, namespace, pod, err)
			}
		}
		return "", nil
	}
}
