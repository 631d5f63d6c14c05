// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster

import "time"

// JoinInput is what the decision about join Secrets rests on.
type JoinInput struct {
	// Member says that the cluster is accepted and not being deleted.
	Member bool
	// Requested is the nonce of the request, or empty.
	Requested string
	// Answered is the nonce that was answered last, or empty.
	Answered string
	// OpenUntil is when the token of the join Secret expires; zero when there is
	// no join Secret.
	OpenUntil time.Time
	// Joined is the nonce that the agent joined with last, or empty.
	Joined string
}

// Join says what to do about join Secrets.
type Join struct {
	// Issue says that a join Secret is to be made for the requested nonce.
	Issue bool
	// Withdraw says that the join Secret is to be deleted, which ends its token.
	Withdraw bool
	// NextCheck is when the token expires, zero when there is none.
	NextCheck time.Time
}

// DecideJoin answers every nonce once and withdraws a join Secret that was used,
// has expired or belongs to no member.
func DecideJoin(in JoinInput, now time.Time) Join {
	open := !in.OpenUntil.IsZero()
	if !in.Member {
		return Join{Withdraw: open}
	}
	if in.Requested != "" && in.Requested != in.Answered && in.Requested != in.Joined {
		return Join{Issue: true}
	}
	if open && (in.Joined == in.Answered || !now.Before(in.OpenUntil)) {
		return Join{Withdraw: true}
	}
	return Join{NextCheck: in.OpenUntil}
}
