// Package wallet is the seam to an operator's own wallet: what Tickcast asks of it,
// the client that asks by HTTP, and the other side of it for tests and for trying.
//
// Nouns: a Wallet keeps the money of players; a Transaction moves some of it once,
// however often it is asked for; an Answer is definite, an error is not. Client is a
// Wallet behind HTTP, Handler serves one, Memory is one in memory, and Faults damages
// what goes between them. The protocol is described in docs/wallet.md.
//
// Ownership: everything here is safe for concurrent use and starts no goroutine.
//
// Guarantees: a Client takes nothing for an answer that the wallet has not signed for
// that very request; so a page of a proxy, a lost reply and an answer to somebody else
// are all unknown. A Handler takes nothing that is unsigned or older than MaxSkew.
//
// Non-guarantees: a signed request that is sent again within MaxSkew is served again.
// Transactions are idempotent, and reading twice harms nobody.
//
// Limits: bodies are at most MaxBodyBytes; balances are 0 to MaxBalance.
package wallet
