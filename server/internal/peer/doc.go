// Package peer is how the edge speaks to the rest of a deployment over NATS: it asks
// owners and ledger workers, and appends to streams.
//
// Guarantees: everything ends with its context or a bound of its own. A Peer is safe
// for concurrent use. Non-guarantees: a request that timed out may have been
// answered; an append that ended with its context may be in the stream.
package peer
