// Package bench measures servers that bring updates to many WebSockets, side by side: the same client, sizes
// and rates for each, in processes of their own, interleaved.
//
// Nouns: a Peer is a server of the comparison and how a client talks to it. A stage is its processes while they
// run. A Load is a rate and a size. A Sample is what one peer showed in one repetition; a Result is the medians
// of its samples, and the ratios to the bare loop's.
//
// CPU is what the kernel accounted to the server's process between two instants, divided by the updates that
// reached clients between them. Memory is the resident set with idle connections less the one without. Latency
// is from the instant at which an update was due until the client has read it, by one clock of one machine.
//
// Non-guarantees: client and server share the cores, so rates near saturation measure both, and a busy machine
// is measured with them. Linux only.
package bench
