// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package bearer finds out whose requests are that bring a ServiceAccount's token,
// and keeps the question, which goes to the API server, rare.
package bearer

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
)

// MaxToken is the size in bytes of the largest token that is looked at.
const MaxToken = 8 << 10

// Token returns the token that a request's headers have, or "" when it is not exactly
// one, or larger than MaxToken.
func Token(h http.Header) string {
	values := h.Values("Authorization")
	if len(values) != 1 {
		return ""
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || len(token) > MaxToken {
		return ""
	}
	return token
}

// Subject returns whose token it claims to be, or "" when it cannot be a
// ServiceAccount's. That proves nothing: it keeps what cannot be the token of somebody
// who is expected from costing a review.
func Subject(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || parts[2] == "" {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims struct {
		Subject string `json:"sub"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	return claims.Subject
}
