package judge

import (
	"encoding/json"

	"tickcast/wire"
)

// Facts that the judge knows.
const (
	factCommit = "commit"
	factSalt   = "salt"
	factOpen   = "open"
	factReveal = "reveal"
)

func knownFact(kind string) bool {
	return kind == factCommit || kind == factSalt || kind == factOpen || kind == factReveal
}

// scout reads ahead of the judge and remembers which seeds are revealed, as a flight
// cannot be judged without its own.
type scout struct {
	epoch uint64
	facts map[string][]aheadFact // by room, oldest first
}

type aheadFact struct {
	seq    uint64
	kind   string     // factOpen or factReveal
	reveal revealFact // of factOpen the round alone
}

type revealFact struct {
	Round uint64 `json:"round"`
	Chain uint32 `json:"chain"`
	Index uint64 `json:"index"`
	Seed  string `json:"seed"`
}

func newScout() scout { return scout{facts: map[string][]aheadFact{}} }

// look takes the next record of the log.
func (s *scout) look(partition int, rec *Record) {
	kind, err := kindOf(partition, rec)
	if err != nil || rec.Foreign {
		return
	}
	if kind == wire.KindClaim {
		if _, ok := claimOf(rec); ok {
			s.epoch = rec.Seq
		}
	}
	if kind != wire.KindOwner {
		return
	}
	var evt wire.OwnerRecord
	if json.Unmarshal(rec.Data, &evt) != nil || evt.Epoch != s.epoch || evt.Kind != factOpen && evt.Kind != factReveal {
		return
	}
	f := aheadFact{seq: rec.Seq, kind: evt.Kind}
	if json.Unmarshal(evt.Data, &f.reveal) == nil {
		s.facts[evt.Room] = append(s.facts[evt.Room], f)
	}
}

// passed forgets the facts of a room that the judge has reached.
func (s *scout) passed(room string, seq uint64) {
	facts := s.facts[room]
	for len(facts) > 0 && facts[0].seq <= seq {
		facts = facts[1:]
	}
	if len(facts) == 0 {
		delete(s.facts, room)
		return
	}
	s.facts[room] = facts
}

// find looks for the reveal of a round of a room, or for what a log without it goes on
// with: another seed, or the opening of the round behind the next. The opening of the next
// one is passed over: its owner may have read a reveal that the log has lost since.
func (s *scout) find(room string, round uint64) (f aheadFact, found bool) {
	for _, f := range s.facts[room] {
		if f.kind == factReveal && f.reveal.Round >= round || f.kind == factOpen && f.reveal.Round > round+1 {
			return f, true
		}
	}
	return aheadFact{}, false
}
