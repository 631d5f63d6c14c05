// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
)

// retryFirst is the shortest wait between two attempts to watch a kind; it
// doubles up to Options.retryMax, each with up to 100 % jitter.
const retryFirst = 800 * time.Millisecond

// listWatch makes the requests of one reflector and tells how they end. It is
// the place to see failures, because the reflector retries refused connections
// without calling its error handler.
type listWatch struct {
	client   rest.Interface
	resource string
	// namespace narrows what is listed and watched; "" for all.
	namespace string
	// fieldSelector narrows what is listed and watched.
	fieldSelector string
	// metadataOnly asks the API server for names and labels alone.
	metadataOnly bool
	// jsonOnly asks the API server for JSON, for types without a binary form.
	jsonOnly bool
	// watchTimeout replaces the reflector's 5 to 10 minutes when it is not zero.
	watchTimeout time.Duration
	// failed receives every failure but the end of ctx.
	failed func(error)
	// resumed is called when a watch goes on where the last one ended.
	resumed func()
}

// forReflector is what a reflector takes.
func (l *listWatch) forReflector() *cache.ListWatch {
	return &cache.ListWatch{ListWithContextFunc: l.list, WatchFuncWithContext: l.watch}
}

func (l *listWatch) list(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
	list, err := l.request(&options, "PartialObjectMetadataList").Do(ctx).Get()
	if err != nil && ctx.Err() == nil {
		l.failed(err)
	}
	return list, err
}

func (l *listWatch) watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	options.Watch = true
	if l.watchTimeout != 0 {
		options.TimeoutSeconds = new(int64(l.watchTimeout.Seconds()))
	}
	w, err := l.request(&options, "PartialObjectMetadata").Watch(ctx)
	switch {
	case err != nil && ctx.Err() == nil:
		l.failed(err)
	case err == nil && options.SendInitialEvents == nil:
		l.resumed()
	}
	return w, err
}

// request prepares a list or a watch; metadataAs is what to ask for instead of
// whole objects.
func (l *listWatch) request(options *metav1.ListOptions, metadataAs string) *rest.Request {
	options.FieldSelector = l.fieldSelector
	request := l.client.Get().NamespaceIfScoped(l.namespace, l.namespace != "").Resource(l.resource).VersionedParams(options, metav1.ParameterCodec)
	switch {
	case l.jsonOnly:
		request.SetHeader("Accept", runtime.ContentTypeJSON)
	case l.metadataOnly:
		as := ";as=" + metadataAs + ";g=meta.k8s.io;v=v1"
		request.SetHeader("Accept", runtime.ContentTypeProtobuf+as+","+runtime.ContentTypeJSON+as)
	}
	return request
}

// contextClock ends every After when ctx ends. The reflector waits for one
// between two attempts to stream a listing without looking at its context,
// which would delay a shutdown by as long as the wait.
type contextClock struct {
	clock.RealClock
	ctx context.Context
}

// After sends the time after d or, if that is sooner, at the end of ctx.
func (c contextClock) After(d time.Duration) <-chan time.Time {
	fired := make(chan time.Time, 1)
	go func() {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case now := <-timer.C:
			fired <- now
		case <-c.ctx.Done():
			fired <- c.Now()
		}
	}()
	return fired
}

// quiet makes a debug message of the error that the reflector reports for every
// failed attempt, which for a kind that may not be read is forever. The inventory
// says once that a kind has become stale, and why.
func quiet(logger logr.Logger) logr.Logger {
	sink := logger.GetSink()
	if sink == nil {
		return logger
	}
	return logr.New(quietSink{sink})
}

// failedAttempt is the message of cache.DefaultWatchErrorHandler.
const failedAttempt = "Failed to watch"

type quietSink struct{ logr.LogSink }

// Init does nothing: the sink underneath was initialised already.
func (quietSink) Init(logr.RuntimeInfo) {}

// Error logs an error, a failed attempt for whoever asks for details.
func (s quietSink) Error(err error, msg string, keysAndValues ...any) {
	switch {
	case msg != failedAttempt || err == nil:
		s.LogSink.Error(err, msg, keysAndValues...)
	case s.Enabled(1):
		s.Info(1, msg, append(keysAndValues, "reason", err.Error())...)
	}
}

// WithName returns a sink that is as quiet.
func (s quietSink) WithName(name string) logr.LogSink { return quietSink{s.LogSink.WithName(name)} }

// WithValues returns a sink that is as quiet.
func (s quietSink) WithValues(keysAndValues ...any) logr.LogSink {
	return quietSink{s.LogSink.WithValues(keysAndValues...)}
}
