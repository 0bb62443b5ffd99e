package loadtest

import "time"

// exchange is one question for another process's clock.
type exchange struct {
	Sent     time.Duration `json:"sent"`  // when it was asked, own clock
	There    time.Duration `json:"there"` // what the other clock read
	Received time.Duration `json:"-"`     // when the answer came, own clock
}

// offsetEstimate estimates how far another clock is ahead of the own one. An
// answer was read somewhere between question and answer, so half of what an
// exchange took bounds its error, and the fastest exchange says most (the minimum-
// delay filter of NTP). Since clocks drift, by up to some 50 µs a second, only the
// newest exchanges count.
type offsetEstimate struct {
	ring [keptExchanges]exchange
	n    int // exchanges ever
}

const keptExchanges = 16

func (o *offsetEstimate) add(e exchange) {
	o.ring[o.n%keptExchanges] = e
	o.n++
}

// offset is how far the other clock is ahead, and by how much that may be wrong,
// drift left aside. It is zero before the first exchange.
func (o *offsetEstimate) offset() (ahead, wrong time.Duration) {
	best := time.Duration(-1)
	for _, e := range o.ring[:min(o.n, keptExchanges)] {
		if took := e.Received - e.Sent; best < 0 || took < best {
			best = took
			ahead, wrong = e.There-(e.Sent+took/2), (took+1)/2
		}
	}
	return ahead, wrong
}
