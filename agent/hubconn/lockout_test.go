// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package hubconn

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

func TestRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := joined(t)
		r.hub.set(func(h *scriptedHub) { h.leaseCode, h.tokenCode = http.StatusUnauthorized, http.StatusUnauthorized })
		pass(t, 50*time.Second)
		r.wantState(t, LockedOut, "it was revoked")
		if n := r.logged(`"state"="LockedOut"`); n != 1 {
			t.Errorf("the lock-out was logged %d times; want 1", n)
		}
		if n := r.logged(`"state"="HubUnreachable"`); n != 0 {
			t.Errorf("the lock-out was logged as HubUnreachable %d times; want 0", n)
		}
		before := r.hub.seen().requests
		pass(t, time.Hour)
		if n := r.hub.seen().requests - before; n > 20 {
			t.Errorf("%d requests in an hour of being locked out; want at most 20", n)
		}
		if _, err := r.Token(t.Context(), v1alpha1.IngestAudience, ""); !errors.Is(err, ErrNoCredentials) {
			t.Errorf("a token while locked out: %v; want ErrNoCredentials", err)
		}

		r.hub.set(func(h *scriptedHub) { h.leaseCode, h.tokenCode = http.StatusOK, http.StatusCreated })
		r.join(t, "n2")
		pass(t, 10*time.Second)
		r.wantState(t, Connected, "")
		if got := last(r.hub.seen().renewals).joined; got != "n2" {
			t.Errorf("the Lease says that %q joined; want n2", got)
		}
	})
}

func TestRefusedTokenIsRenewedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := joined(t)
		r.hub.set(func(h *scriptedHub) { h.refused = h.tokens[len(h.tokens)-1] })
		before := len(r.hub.seen().renewals)
		// One period until the refusal, and a moment to get over it.
		pass(t, 35*time.Second)
		if n := len(r.hub.seen().renewals) - before; n != 1 {
			t.Errorf("%d renewals of the Lease with the new token; want 1", n)
		}
		r.wantState(t, Connected, "")
		if n := r.logged(`"previousState"="Connected"`); n != 0 {
			t.Errorf("the connection was given up %d times; want 0", n)
		}
	})
}

func TestFalseRefusalHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := joined(t)
		r.hub.set(func(h *scriptedHub) { h.leaseCode, h.tokenCode = http.StatusUnauthorized, http.StatusUnauthorized })
		pass(t, 10*time.Minute)
		r.wantState(t, LockedOut, "")
		r.hub.set(func(h *scriptedHub) { h.leaseCode, h.tokenCode = http.StatusOK, http.StatusCreated })
		pass(t, 8*time.Minute)
		r.wantState(t, Connected, "")
	})
}

func TestExpiredWhileTheHubWasAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := joined(t)
		r.hub.set(func(h *scriptedHub) { h.away = true })
		pass(t, 25*time.Hour)
		r.hub.set(func(h *scriptedHub) {
			h.away, h.leaseCode, h.tokenCode = false, http.StatusUnauthorized, http.StatusUnauthorized
		})
		pass(t, time.Minute)
		r.wantState(t, LockedOut, "it expired at")
	})
}

func TestJoinTokenRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.hub.set(func(h *scriptedHub) { h.tokenCode = http.StatusUnauthorized })
		r.join(t, "n1")
		r.run(t)
		pass(t, time.Hour)
		r.wantState(t, LockedOut, "refused the join token")
		if r.hub.seen().requests != 1 {
			t.Errorf("the refused token was tried %d times; want once", r.hub.seen().requests)
		}
		r.hub.set(func(h *scriptedHub) { h.tokenCode = http.StatusCreated })
		r.join(t, "n2")
		pass(t, 10*time.Second)
		r.wantState(t, Connected, "")
	})
}
