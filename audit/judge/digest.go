package judge

import (
	"crypto/sha256"
	"fmt"
)

// Digest is the SHA-256 of the round's facts in the canonical text of docs/audit.md. Two
// auditors who judged the same log have the same digests.
func (rd *Round) Digest() [sha256.Size]byte { return sha256.Sum256(rd.text()) }

func (rd *Round) text() []byte {
	ended := "ended"
	if rd.Voided {
		ended = "voided"
	}
	b := fmt.Appendf(nil, "tickcast round 1\n%s %s %s %d %s %d %d %d\n", rd.Game, rd.Room, rd.UUID, rd.Number, ended, rd.Started, rd.Ended, rd.Rules)
	if rd.Game == "crash" {
		b = fmt.Appendf(b, "chain %d %d %s %s %s\n", rd.Chain, rd.Index, rd.Commitment, rd.Salt, rd.Seed)
		b = fmt.Appendf(b, "point %d %d %d\n", rd.RTPBP, rd.Cap, rd.Centi)
		b = fmt.Appendf(b, "total %d %d %d\n", rd.Count, rd.Stake, rd.Paid)
	}
	for _, x := range rd.Bets {
		b = fmt.Appendf(b, "bet %s %s %d %d %d %s %d %d\n", x.ID, x.Player, x.Slot, x.Stake, x.Auto, x.State, x.Centi, x.Payout)
	}
	for _, s := range rd.Ranking {
		b = fmt.Appendf(b, "score %s %d\n", s.Player, s.Points)
	}
	return b
}
