// Package linear checks that what clients saw of their accounts can have happened: that
// there is one order of all operations on an account, in which each takes effect at one
// moment between its beginning and its end, and each balance is that of the moment.
//
// Nouns: an Operation is one change or one look at an account as a client saw it; a
// history is a slice of them, in any order, or a file with one JSON object a line; a
// Report says which accounts have no such order.
//
// What a client cannot know it leaves open. An answer that never came makes the outcome
// Unknown. What happens later than it is told (a payout) has no Return. A balance that
// was pushed and not asked for was true at any time before it came: its Invoke is that of
// what it must include, or 0.
//
// Guarantees: a history is only called wrong if no order exists. Non-guarantees: an
// operation that is not in the history cannot be told from one that must not be, so
// everything that changed an account must be there; without versions of balances fewer
// errors can be seen. The search takes exponential time in the number of operations of
// one account that overlap and show no balance; it ends at a limit, and says so.
package linear
