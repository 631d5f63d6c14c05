// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// change is a state of a pod that was written.
type change struct {
	// begun and answered are when the request was sent, and when it was answered.
	begun, answered time.Time
	version         string
}

// makePod makes a pod that runs, of a StatefulSet when there is a name of one.
func (l *lab) makePod(ctx context.Context, namespace, name, owner string) (*corev1.Pod, error) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{NodeName: "node-1", Containers: []corev1.Container{{Name: "web", Image: "registry.example.com/web:1"}}},
	}
	if owner != "" {
		pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: owner, UID: "uid-of-the-owner", Controller: new(true)}}
	}
	pod, err := l.kube.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("creating a pod: %w", err)
	}
	now := metav1.Now()
	pod.Status = corev1.PodStatus{
		Phase: corev1.PodRunning, StartTime: &now,
		Conditions:        []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: now}},
		ContainerStatuses: []corev1.ContainerStatus{{Name: "web", Image: "registry.example.com/web:1", Started: new(true)}},
	}
	_, err = l.recover(ctx, pod)
	return pod, err
}

// fail says of a pod that its container cannot start, which a rule raises at once and
// takes back at once.
func (l *lab) fail(ctx context.Context, pod *corev1.Pod) (change, error) {
	s := &pod.Status.ContainerStatuses[0]
	s.Ready, s.State = false, corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "InvalidImageName"}}
	return l.write(ctx, pod)
}

// recover says of a pod that its container runs.
func (l *lab) recover(ctx context.Context, pod *corev1.Pod) (change, error) {
	s := &pod.Status.ContainerStatuses[0]
	s.Ready, s.State = true, corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}}
	return l.write(ctx, pod)
}

func (l *lab) write(ctx context.Context, pod *corev1.Pod) (change, error) {
	begun := time.Now()
	updated, err := l.kube.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	if err != nil {
		return change{}, fmt.Errorf("writing the status of a pod: %w", err)
	}
	answered := time.Now()
	*pod = *updated
	return change{begun: begun, answered: answered, version: updated.ResourceVersion}, nil
}

// atOnce does something for each of n, as fast as the API server lets it.
func (l *lab) atOnce(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for w := range l.writers {
		group.Go(func() error {
			for i := w; i < n; i += l.writers {
				if err := do(ctx, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// crowd are pods that fail together.
type crowd struct {
	owners int
	pods   []*corev1.Pod
}

// prepare makes the marker, the pod of the single changes, and the pods of the storms.
func (l *lab) prepare(ctx context.Context, pods int) (crowds []crowd, err error) {
	l.marker = "marker"
	marker, err := l.makePod(ctx, metav1.NamespaceDefault, l.marker, "")
	if err != nil {
		return nil, err
	}
	if _, err := l.fail(ctx, marker); err != nil {
		return nil, err
	}
	for _, owners := range []int{1, 150, pods} {
		ns := fmt.Sprintf("owners-%d", owners)
		if _, err := l.kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, metav1.CreateOptions{}); err != nil {
			return nil, fmt.Errorf("creating a namespace: %w", err)
		}
		c := crowd{owners: owners, pods: make([]*corev1.Pod, pods)}
		err := l.atOnce(ctx, pods, func(ctx context.Context, i int) (err error) {
			c.pods[i], err = l.makePod(ctx, ns, fmt.Sprintf("pod-%04d", i), fmt.Sprintf("owner-%04d", i%owners))
			return err
		})
		if err != nil {
			return nil, err
		}
		crowds = append(crowds, c)
	}
	return crowds, nil
}
