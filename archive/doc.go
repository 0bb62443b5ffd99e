// Package archive keeps what is trimmed from the logs, and reads a log as a whole: what
// was trimmed from the archive, the rest from its stream.
//
// Nouns: a Record is a record as it stands in a stream; a Segment is a run of records of
// one partition, stored once under a name that tells which; a Store is where segments
// are, a Bucket of NATS or a Directory; a Writer extends the archive of a partition; a
// Reader reads logs.
//
// Formats are defined in docs/audit.md: a segment is a compressed piece of an export,
// and its name has the head of the log behind its last record. So the names of
// consecutive segments are a chain of hashes, and a segment is checked with its name and
// the one before.
//
// Guarantees. What a segment has follows from the log: two servers that archive the same
// records write the same lines under the same name, or segments that overlap and agree
// where one cuts differently, so neither a repetition nor a deposed owner does harm. A
// segment counts as archived when it was read back. A Reader hands out no record of a
// segment that does not hash to its name, or that disagrees with one which ends in it, and
// says which segment is missing or altered.
//
// Non-guarantees: a chain shows what was altered by who did not write all names behind
// it anew, and the stream. Whoever may do that is found by the statements of an earlier
// audit.
//
// Limits: a segment has at most 32,768 records and 16 MiB of lines besides its last one.
package archive
