package wire

import "strconv"

// Offer asks a candidate on OfferSubject to take a partition over from its owner,
// who speaks on until the candidate's claim is in the log. It is answered by a Decline,
// or not at all when the candidate claims.
type Offer struct {
	Epoch uint64 `json:"epoch"` // of the owner; the claim is to replace it
	Seq   uint64 `json:"seq"`   // the last record that the owner folded
}

// Decline tells why a candidate does not claim what it was offered.
type Decline struct {
	Why string `json:"why"`
}

// OfferSubject is where a room server is offered partition p.
func OfferSubject(p int, node string) string { return "offer." + strconv.Itoa(p) + "." + node }
