package judge

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
)

type commitFact struct {
	Chain      uint32 `json:"chain"`
	Commitment string `json:"commitment"`
	Rounds     uint64 `json:"rounds"`
}

type saltFact struct {
	Chain  uint32 `json:"chain"`
	Salt   string `json:"salt"`
	Source string `json:"source"`
}

type openFact struct {
	Round uint64 `json:"round"`
	Rules int    `json:"rules"`
}

// fact implements rules.
func (c *crash) fact(at at, kind string, data []byte) error {
	if c.abandoned {
		return nil
	}
	var err error
	switch kind {
	case factCommit:
		err = c.commit(data)
	case factSalt:
		err = c.salt(data)
	case factOpen:
		err = c.open(at, data)
	case factReveal:
		err = c.reveal(data)
	default:
		err = c.room.differs(c.current, "kind of an owner's record", "a known one", fmt.Sprintf("%q", kind))
	}
	return err
}

func (c *crash) malformed(kind string, data []byte) error {
	return c.room.differs(c.current, "an owner's record", "a "+kind, fmt.Sprintf("%.200q", data))
}

// commit takes the commitment to a chain that is wanted.
func (c *crash) commit(data []byte) error {
	var f commitFact
	if json.Unmarshal(data, &f) != nil {
		return c.malformed(factCommit, data)
	}
	if n, wanted := c.chains.wantsCommit(c.current.Number); !wanted || n != f.Chain {
		return nil
	}
	commitment, ok := parseSeed(f.Commitment)
	if !ok || f.Rounds == 0 {
		return c.malformed(factCommit, data)
	}
	c.chains.next = &chain{number: f.Chain, rounds: f.Rounds, commitment: commitment, last: commitment}
	return nil
}

// salt takes the server's salt for a committed chain.
func (c *crash) salt(data []byte) error {
	var f saltFact
	if json.Unmarshal(data, &f) != nil {
		return c.malformed(factSalt, data)
	}
	next := c.chains.next
	if next == nil || next.salt != "" || next.number != f.Chain {
		return nil
	}
	if !validSalt(f.Salt) || f.Source != "server" {
		return c.malformed(factSalt, data)
	}
	next.salt, next.byServer = f.Salt, true
	return nil
}

// openOwed: the room runs, the round before was shown and revealed, and there is a chain.
func (c *crash) openOwed() bool {
	return c.state == running && (c.phase == idle || c.ready) && !c.owed && c.chains.ready(c.current.Number)
}

// open begins the next round, with the bets that were placed during the flight. What comes
// before the reveal has no effect, but a log may not go on like that.
func (c *crash) open(at at, data []byte) error {
	var f openFact
	if json.Unmarshal(data, &f) != nil {
		return c.malformed(factOpen, data)
	}
	if c.owed && f.Round > c.current.Number+1 {
		return c.unrevealed()
	}
	if !c.openOwed() || f.Round != c.current.Number+1 {
		return nil
	}
	if f.Rules != rulesKnown {
		return c.room.differs(c.next, "version of the rules", fmt.Sprint(rulesKnown), fmt.Sprint(f.Rules))
	}
	s := c.nextSettings()
	if c.current.Archive == nil {
		c.closing[c.current] = true
	}
	rd := c.next
	c.current, c.next = rd, c.room.log.newRound(c.room, rd.Number+1, c.wanted)
	ch := c.chains.begin(rd.Number)
	rd.settings, rd.Rules, rd.Started, rd.RTPBP, rd.Cap = s, f.Rules, at.wall, s.RTPBP, s.Cap
	rd.Chain, rd.Index, rd.Salt = ch.number, ch.index(rd.Number), ch.salt
	rd.Commitment = hex.EncodeToString(ch.commitment[:])
	c.enter(betting, at.now, s.BettingMS)
	return nil
}

// reveal checks the seed of the round that ended. One that comes before its round has
// ended gives the crash point away.
func (c *crash) reveal(data []byte) error {
	var f revealFact
	if json.Unmarshal(data, &f) != nil {
		return c.malformed(factReveal, data)
	}
	rd := c.current
	if f.Round > rd.Number || f.Round == rd.Number && !rd.done {
		return c.early(f.Round)
	}
	if f.Round < rd.Number || !c.owed {
		return c.revealAgain(&f)
	}
	ch := c.chains.current
	s, ok := parseSeed(f.Seed)
	if !ok {
		return c.malformed(factReveal, data)
	}
	if f.Chain != ch.number || f.Index != rd.Index {
		return c.room.differs(rd, "place of the seed", fmt.Sprintf("chain %d, index %d", ch.number, rd.Index), fmt.Sprintf("chain %d, index %d", f.Chain, f.Index))
	}
	if !s.follows(ch.last) {
		return c.falseSeed(rd, s)
	}
	ch.last, ch.lastIndex = s, f.Index
	c.owed = false
	rd.Seed = f.Seed
	return c.room.log.settle(rd)
}

// unrevealed says that the log goes on without the seed of the current round.
func (c *crash) unrevealed() *Difference {
	return c.room.differs(c.current, "what precedes the round behind the next", "the reveal of this one's seed", "no reveal")
}

// early says that the seed of a round came before its end.
func (c *crash) early(round uint64) *Difference {
	d := c.room.differs(nil, "when a seed is revealed", "behind the end of its round", "before it")
	d.Round = round
	return d
}

// falseSeed says what a seed should have hashed to.
func (c *crash) falseSeed(rd *Round, s seed) *Difference {
	hash := sha256Hex(s[:])
	return c.room.differs(rd, "SHA-256 of the revealed seed", hex.EncodeToString(c.chains.current.last[:]), hash)
}

// revealAgain checks a repeated reveal against the seeds that are known.
func (c *crash) revealAgain(f *revealFact) error {
	ch := c.chains.current
	if ch == nil || f.Chain != ch.number {
		return nil // of a chain that is used up
	}
	known, ok := ch.back(f.Index)
	if want := hex.EncodeToString(known[:]); !ok || want != f.Seed {
		d := c.room.differs(nil, "seed that is revealed again", want, f.Seed)
		d.Round = f.Round
		return d
	}
	return nil
}
