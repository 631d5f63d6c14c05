// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/atlhyper/atlhyper/internal/bearer"
	"github.com/atlhyper/atlhyper/internal/connections"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// writeTimeout is how long an answer may take to be taken.
const writeTimeout = 10 * time.Second

// route is what a path asks for.
type route struct {
	method  string // "" for a path that leads nowhere
	cluster string // as the path says, "" when it does not
	stream  telemetry.Stream
}

// parseRoute reads a path. Paths that are not clean lead nowhere.
func parseRoute(path string) route {
	rest, ok := strings.CutPrefix(path, "/v1/")
	if !ok {
		return route{}
	}
	var r route
	if after, ok := strings.CutPrefix(rest, "clusters/"); ok {
		if r.cluster, rest, ok = strings.Cut(after, "/"); !ok || r.cluster == "" {
			return route{}
		}
	}
	if rest == "offsets" {
		r.method = http.MethodGet
		return r
	}
	name, ok := strings.CutPrefix(rest, "streams/")
	if ok {
		name, ok = strings.CutSuffix(name, "/batches")
	}
	stream, err := telemetry.ParseStream(name)
	if !ok || err != nil {
		return route{cluster: r.cluster}
	}
	r.method, r.stream = http.MethodPost, stream
	return r
}

// label is the path as metrics name it: one of few.
func (r route) label() string {
	switch r.method {
	case http.MethodPost:
		return r.stream.String()
	case http.MethodGet:
		return streamOffsets
	}
	return streamNone
}

// exchange is a request on its way to an answer.
type exchange struct {
	w     http.ResponseWriter
	r     *http.Request
	route route
	label string // of metrics
	start time.Time

	cluster  string // the name, once authenticated
	uid      string // the pinned cluster ID, once admitted
	state    *clusterState
	bodyRead bool
}

// ServeHTTP answers agents. Start puts it behind TLS and limits.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{w: w, r: r, route: parseRoute(r.URL.Path), start: time.Now()}
	x.label = x.route.label()
	hasBody := r.ContentLength != 0
	if hasBody {
		// Whoever is refused gets no more time to send a body than that.
		_ = http.NewResponseController(w).SetReadDeadline(x.start.Add(s.config.Timeouts.Body)) // a recorder of tests has none
	}
	s.reply(x, s.answer(r.Context(), x), hasBody)
}

func (s *Server) answer(ctx context.Context, x *exchange) answer {
	if a := s.authenticate(ctx, x); a.reason != "" {
		return a
	}
	switch x.route.method {
	case "":
		return because(ReasonNotFound)
	case x.r.Method:
	default:
		return because(ReasonMethodNotAllowed)
	}
	if x.route.method == http.MethodGet {
		return s.offsets(ctx, x)
	}
	return s.batch(ctx, x)
}

func (s *Server) reply(x *exchange, a answer, hasBody bool) {
	s.metrics.answered(x.label, a.reason, time.Since(x.start))
	if x.state != nil && blamesCluster(a.reason) {
		x.state.refused(a.reason, time.Now())
	}
	if hasBody && !x.bodyRead && x.r.ProtoMajor == 1 {
		x.w.Header().Set("Connection", "close") // rather than read what nobody wants
	}
	controller := http.NewResponseController(x.w)
	_ = controller.SetWriteDeadline(time.Now().Add(writeTimeout)) // a recorder of tests has none
	if err := a.write(x.w); err != nil {
		s.log.V(2).Info("Writing an answer failed", "cluster", x.cluster, "error", err.Error())
	}
	if x.r.ProtoMajor == 1 {
		_ = controller.SetWriteDeadline(time.Time{}) // the connection may be used again
	}
}

// blamesCluster says whether a refusal lies with the cluster and sending again does
// not cure it.
func blamesCluster(reason Reason) bool {
	switch reason {
	case ReasonStored, ReasonDuplicate, ReasonOffsets, ReasonGap, ReasonHubBusy, ReasonStoreUnavailable, ReasonAuthUnavailable,
		ReasonIdentityPending, ReasonShuttingDown, ReasonRateLimited, ReasonClusterBusy, ReasonChecksum, ReasonSlowBody:
		return false
	default:
		return true
	}
}

// authenticate finds out whose request it is, and whether that cluster may send.
func (s *Server) authenticate(ctx context.Context, x *exchange) answer {
	token := bearer.Token(x.r.Header)
	if clusterOfUser(bearer.Subject(token)) == "" {
		return because(ReasonUnauthenticated)
	}
	cluster, err := s.reviews.Who(ctx, token)
	switch {
	case err != nil:
		s.log.V(1).Info("Reviewing a token failed", "error", err.Error())
		return because(ReasonAuthUnavailable)
	case cluster == "":
		return because(ReasonUnauthenticated)
	}
	x.cluster = cluster
	member, err := s.config.Members.Member(ctx, cluster)
	switch {
	case errors.Is(err, ErrUnknownCluster):
		return because(ReasonClusterUnknown)
	case err != nil:
		s.log.V(1).Info("Looking up a cluster failed", "cluster", cluster, "error", err.Error())
		return because(ReasonAuthUnavailable)
	}
	if reason := member.admit(); reason != "" {
		return because(reason)
	}
	x.uid = member.ClusterID
	if !connections.Claim(ctx, cluster) {
		return because(ReasonClusterBusy)
	}
	x.state = s.clusters.of(cluster, x.start)
	if wait := x.state.takeRequest(x.start); wait > 0 {
		return waiting(ReasonRateLimited, wait)
	}
	if contradicts(x.r, x.route.cluster, cluster, member.ClusterID) {
		if x.state.mayLog(x.start) {
			s.log.Info("Refusing a request that names another cluster than its credential", "cluster", cluster)
		}
		return because(ReasonContradiction)
	}
	return answer{}
}
