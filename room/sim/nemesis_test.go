package sim

import (
	"time"
)

// nemesis draws what goes wrong.
type nemesis struct {
	w      *world
	ended  bool
	pace   time.Duration
	counts map[string]int
}

func (n *nemesis) begin() {
	n.pace = []time.Duration{time.Second, 4 * time.Second, 15 * time.Second}[n.w.rnd.IntN(3)]
	n.counts = map[string]int{}
	n.nextLater()
}

func (n *nemesis) nextLater() {
	n.w.after(n.w.between(n.pace/4, 2*n.pace), func() {
		if !n.ended {
			n.strike()
			n.nextLater()
		}
	})
}

// strike does one thing.
func (n *nemesis) strike() {
	w := n.w
	s, g := w.servers[w.rnd.IntN(len(w.servers))], w.gateways[w.rnd.IntN(len(w.gateways))]
	if w.chance(0.6) { // rather the owner
		for _, o := range w.servers {
			if o.listens != 0 {
				s = o
			}
		}
	}
	strikes := []struct {
		name string
		do   func()
	}{
		{"kill", func() { n.kill(s) }},
		{"kill", func() { n.kill(s) }},
		{"pause", func() { s.pause(w.between(50*time.Millisecond, 4*time.Second)) }},
		{"pause", func() { s.pause(w.between(time.Millisecond, 900*time.Millisecond)) }},
		{"restart", func() { n.restart(s) }},
		{"cut from the log", func() { s.link.log = w.now + int64(w.between(50*time.Millisecond, 3*time.Second)) }},
		{"cut from the others", func() { s.link.core = w.now + int64(w.between(50*time.Millisecond, 3*time.Second)) }},
		{"silent leader", func() { w.log.silent = w.now + int64(w.between(50*time.Millisecond, 6*time.Second)) }},
		{"clock of the leader", func() { w.log.offset = int64(w.between(-5*time.Second, 5*time.Second)) }},
		{"clock of the leader", func() { w.log.offset += int64(w.between(-140*time.Millisecond, 140*time.Millisecond)) }},
		{"duplicates forgotten", func() { clear(w.log.seen) }},
		{"gateway dies", func() { n.killGateway(g) }},
		{"gateway cut off", func() { g.link.core = w.now + int64(w.between(50*time.Millisecond, 2*time.Second)) }},
		{"gateway cut from the log", func() { g.link.log = w.now + int64(w.between(50*time.Millisecond, 2*time.Second)) }},
		{"SQL down", func() { w.ledger.downFor(w.between(50*time.Millisecond, 8*time.Second)) }},
		{"Redis flushed", func() { w.redis.flush() }},
		{"snapshot damaged", func() { w.redis.damage = []string{"lost", "cut", "flipped", "old"}[w.rnd.IntN(4)] }},
		{"checkpoint damaged", func() { w.buckets[w.rnd.IntN(2)].damage = []string{"lost", "cut", "flipped", "old"}[w.rnd.IntN(4)] }},
		{"checkpoint without an answer", func() { w.buckets[w.rnd.IntN(2)].silent = []string{"stored", "lost", "late"}[w.rnd.IntN(3)] }},
		{"archive fails", func() { w.archive.damage = damages[w.rnd.IntN(len(damages))] }},
		{"stale node", func() { w.log.behind(1+w.rnd.Uint64N(20), w.between(50*time.Millisecond, 2*time.Second)) }},
		{"power cut", func() {
			if w.cfg.power {
				w.cutPower(lostMoments[w.rnd.IntN(len(lostMoments))], w.between(darkFrom, darkTo))
			}
		}},
		{"deploy", func() { n.deploy(s) }},
		{"operator", n.operate},
	}
	strike := strikes[w.rnd.IntN(len(strikes))]
	n.counts[strike.name]++
	w.note(strike.name, nil)
	strike.do()
}

func (n *nemesis) kill(s *server) {
	s.kill()
	n.startLater(s)
}

func (n *nemesis) restart(s *server) {
	if s.replica != nil && n.w.now >= s.stopped {
		s.leave()
		n.w.after(drainWithin, func() { n.startLater(s) })
	}
}

func (n *nemesis) startLater(s *server) {
	n.w.after(n.w.between(20*time.Millisecond, 4*time.Second), func() {
		if s.replica == nil {
			s.start()
		}
	})
}

func (n *nemesis) killGateway(g *gateway) {
	g.restart()
	g.link.down = true
	n.w.after(n.w.between(20*time.Millisecond, 2*time.Second), func() { g.link.down = false })
}

// operate is an operator who meddles, though seldom.
func (n *nemesis) operate() {
	i := n.w.rnd.IntN(n.w.cfg.rooms)
	room := roomName(i)
	switch n.w.rnd.IntN(8) {
	case 0:
		n.w.operator.act(room, "void", nil)
	case 1:
		n.w.operator.act(room, "set", []byte(n.w.operator.settings(i)))
	case 2:
		n.w.operator.act(room, "pause", nil)
		n.w.after(n.w.between(0, 3*time.Second), func() { n.w.operator.act(room, "resume", nil) })
	}
}

// end heals everything.
func (n *nemesis) end() {
	n.ended = true
	w := n.w
	w.cfg.loss, w.log.silent, w.log.stale, w.dark = 0, w.now, stale{}, w.now
	w.ledger.link.log, w.ledger.link.core, w.operator.link.log, w.operator.link.core = w.now, w.now, w.now, w.now
	w.ledger.downFor(0)
	for _, s := range w.servers {
		s.link.log, s.link.core = w.now, w.now
		if s.old && s.replica != nil { // all are of the newest version in the end
			s.kill()
		}
		s.old = false
		if s.replica == nil {
			s.start()
		}
	}
	for _, g := range w.gateways {
		g.link.log, g.link.core = w.now, w.now
	}
}

// downFor has SQL answer nobody for a while.
func (l *ledger) downFor(d time.Duration) {
	l.down = l.w.now + int64(d)
	l.w.at(l.down, l.pull)
}
