// Package operator is the operator's side of the edge: the console's page, the
// operator API and the profiles, on the internal listener.
//
// Role: it turns requests into actions in the rooms' log (adm records), waits for
// their answers, and shows what the deployment says about itself. It speaks to NATS
// as the operator role, so a gateway's credentials cannot do what it does.
//
// Ownership: an API belongs to its process; Handler may be called concurrently.
//
// Guarantees: an action is in the log at most once, whatever is repeated; a request
// without the key, from another origin or under another host name does nothing.
// Non-guarantees: an action whose answer did not come in time may still be done;
// the answer says so, and the audit list tells.
package operator
