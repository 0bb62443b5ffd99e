// Package kvwatch follows a key-value bucket for as long as its owner runs.
//
// Role: what the gateway and the operator API share. Guarantees: apply is called
// from one goroutine, with the newest value of every key at least once. A bucket
// that is not there yet, or a watch that ended, is tried again. Non-guarantees:
// values that were replaced while nobody watched are not seen; a value may be seen
// twice.
package kvwatch
