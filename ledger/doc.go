// Package ledger is the money: a double-entry book in SQL, the worker that books
// what rooms ask for, and the answers to queries about it.
//
// Nouns: a Book is the database; an Account belongs to a player, or is the house;
// a transfer moves an amount between the house and a player by two entries that
// cancel out; a bet is a booked stake, and it has at most one end (payout, cancel
// or lost). A Worker takes bookings from the work queue, applies them in batches
// of one SQL transaction, writes the results into the logs of the partitions, and
// then acknowledges. A mirror copies balances and scores to Redis for reading.
//
// Ownership: the database belongs to this package; nobody else writes it. A Book
// is safe for concurrent use, by several workers and processes on PostgreSQL and
// by one process on SQLite. A Worker owns its consumers and goroutines; Run
// returns after all of them.
//
// Guarantees: applying a booking twice is the same as once, also when it arrives
// in another order, in another batch, at another worker, or after a crash between
// any two steps; the first outcome of an ID is its outcome for ever. The sum of
// all entries is zero, a player's stored balance is the sum of his entries and
// never below zero, and its version grows by one with every change. Nothing leaves
// the work queue before its result is stored in the partition's log. When the
// queue lost its tail, and its consumer stands behind the end, a worker notices within
// seconds and begins with the first message that is left; what the servers threw away
// before that comes when its room asks again.
//
// With an operator's wallet (package wallet, custody.go) the players' money is there.
// The same holds of transfers, of which each is asked of the wallet until it is known
// what it did; balances are the wallet's. A booking that waits for the wallet leaves
// the work queue when its call is in the database, and its result may be lost with a
// worker: the room asks again.
//
// Non-guarantees: bookings are applied in the order of their arrival, which is not
// the order of the log when several workers run or one of them dies. A room books
// the end of a round after the results of the round's other bookings; a payout
// that comes after its bet was lost is refused. Redis lags behind, and may be
// behind for longer when it was away, or when a worker died: the next one to start
// copies the whole book. Of a stream of session events that lost its tail, and grew
// again before a worker looked, events may not be archived.
//
// Limits: amounts are 1 to MaxAmount minor units. No credit lifts a balance above
// MaxBalance, and no score goes beyond it: it is exact in a JavaScript number and
// in a Redis score. Payouts and refunds are not refused for it.
package ledger
