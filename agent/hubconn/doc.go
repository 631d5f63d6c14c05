// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package hubconn is the agent's side of the contract with the hub: it joins,
// keeps the credentials fresh, shows by a Lease that the agent lives, watches
// the cluster's own ManagedCluster and follows the hub to new addresses.
//
// A Connection is always in exactly one State. It starts as Joining: with the
// session that an earlier run stored in the member cluster, or with the join
// token of the join folder. While it holds a session, it goes between Connected
// and HubUnreachable; Clone takes the place of Connected in a cluster whose
// identity belongs to another cluster. LockedOut means that the hub refuses the
// credentials, Deleting that the cluster leaves the fleet; from both, a new join
// token leads back, without a restart.
//
// Everything that talks to the hub goes through one HTTP/2 connection. Clients
// are made once, from Connection.RESTConfig; the address and the token under
// them change without their noticing.
//
// No token is ever logged, and none is part of a Status.
package hubconn
