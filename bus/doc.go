// Package bus is the home of NATS: how a process reaches it, which streams and
// buckets a deployment has, and which role may write what.
//
// Nouns: a Role is a NATS user with the Permissions of one kind of process; a
// Layout is what is fixed when the streams are made; Embedded is a server inside
// this process, for a deployment on one box.
//
// Ownership: EnsureStreams is the only code that makes or alters streams, and
// only RoleRoom may run it. The records in the streams belong to the packages
// that write them; their subjects and encodings are package wire's.
//
// Guarantees. A record's kind is told by its subject, and the server refuses a
// publish on a subject that the role may not write: a gateway cannot write a
// claim, an owner's record or a result, and nobody can write on "log.>", the
// feed of committed records. Each role has its own inbox prefix, so one role
// cannot read the replies meant for another. The embedded server enforces the
// same permissions as a server run with ServerConfig, and listens on no port.
//
// Non-guarantees:
//   - Processes of one role share a user. A gateway can read the answers of other
//     gateways and publish in their name.
//   - The server does not check reply subjects. A request may name any subject for
//     its reply, and whoever answers publishes there with his own rights; so
//     services answer with Respond, which answers inboxes only. JetStream's own
//     answers (direct gets, acknowledgements of publishes) have no such check: who
//     holds the password of a gateway can have one stored on a subject of the log.
//     Genuine tells an answer to a direct get, whose content he chooses, from a
//     record; an acknowledgement has no content of his choice, but it is stored.
//     So the permissions contain mistakes, and what a stolen password can forge,
//     not the disturbance that it can cause.
//   - Timestamps of records are the clock of the stream's leader and may go back.
//   - Core NATS subjects (out, rsp, log, node, prs) are at most once.
//
// Limits: at most wire.MaxPartitions partitions, and their number never changes.
package bus
