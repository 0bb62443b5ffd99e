package room

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"tickcast/room/game"
	"tickcast/wire"
)

const (
	// recordsVersion is the newest version of the records that this build can fold: since
	// version 2 each room ticks at a phase of its own, and since version 3 a lost tail is named
	// by when the log told of it, and cancellations of its stakes are asked for at that time.
	recordsVersion = 3
	// raiseAfter is for how long all candidates must have announced newer versions before
	// they come into force: longer than it takes to hear of every one, and to forget one
	// that only was not heard for a moment.
	raiseAfter = 2 * nodeExpiry
	// reviveEvery is how often a replica that met something unknown looks for a snapshot
	// behind it.
	reviveEvery = 5 * time.Second
)

// firstVersions are in force where a log begins, and what a server can fold that
// announces nothing.
func firstVersions() wire.Versions {
	return wire.Versions{wire.Records: 1, "cashier": 1, "crash": 1, "race": 1}
}

// versions are the newest that the games of c, and this build, can fold.
func (c *PartitionConfig) versions() wire.Versions {
	v := wire.Versions{wire.Records: recordsVersion, c.Cashier.Name(): c.Cashier.Rules()}
	for _, k := range c.Kinds {
		v[k.Name()] = k.Rules()
	}
	return v
}

// folds is game.ErrUnknown when one of the versions is newer than what c can fold.
func (c *PartitionConfig) folds(v wire.Versions) error {
	known := c.versions()
	for _, name := range slices.Sorted(maps.Keys(v)) {
		if v[name] > known[name] {
			return fmt.Errorf("version %d of %s, of which this server knows %d: %w", v[name], name, known[name], game.ErrUnknown)
		}
	}
	return nil
}

// putInForce folds wire.OwnerVersions.
func (p *Partition) putInForce(data []byte) error {
	var v wire.Versions
	if err := json.Unmarshal(data, &v); err != nil {
		return fmt.Errorf("versions: %w", err)
	}
	if err := p.cfg.folds(v); err != nil {
		return err
	}
	p.versions = v
	for _, id := range slices.Sorted(maps.Keys(p.rooms)) {
		p.touch(p.rooms[id]) // its next tick is due at another time
	}
	return nil
}

// kindOf is the game that a room may be made of; nil if none of that name is in force.
// So a room is made by all folds or by none.
func (p *Partition) kindOf(name string) (game.Kind, error) {
	kind := p.kinds[name]
	switch own := name == wire.Records || name == p.cfg.Cashier.Name(); {
	case own || p.versions[name] == 0:
		return nil, nil
	case kind == nil:
		return nil, fmt.Errorf("game %q: %w", name, game.ErrUnknown)
	}
	return kind, nil
}

// inUse is v with at least the first version of the games that rooms are of.
func (p *Partition) inUse(v wire.Versions) wire.Versions {
	v = maps.Clone(v)
	for _, r := range p.rooms {
		if !r.hidden {
			v[r.kind] = max(v[r.kind], 1)
		}
	}
	return v
}

// agreement is what the candidates of a partition can all fold, and since when.
type agreement struct {
	versions wire.Versions
	since    time.Time
}

// agree puts the newest versions into force that all candidates can fold: older ones at
// once, since somebody waits for them; newer ones when that has been so for a while.
func (r *Replica) agree(now time.Time) {
	if r.tail.waits(now) {
		return
	}
	want := r.part.inUse(r.cfg.Versions())
	if a := &r.agreement; !maps.Equal(want, a.versions) {
		a.versions, a.since = want, now
	}
	if now.Sub(r.agreement.since) < raiseAfter {
		want = r.part.inUse(want.Least(r.part.versions))
	}
	if !maps.Equal(want, r.part.versions) {
		r.appender.appendDuty("", game.Duty{Kind: wire.OwnerVersions, Data: game.Encode(want)}, r.part.Last().Seq)
	}
}

// revive goes on from a snapshot behind something unknown. There is one when the owner has
// gone back to versions that this server knows.
func (r *Replica) revive(now time.Time) {
	if !errors.Is(r.halted, game.ErrUnknown) || now.Sub(r.revivedAt) < reviveEvery || r.handover.draining {
		return
	}
	r.revivedAt = now
	ctx, cancel := context.WithTimeout(r.ctx, restoreWithin)
	defer cancel()
	p, _, _ := r.keeper.restore(ctx, r.cfg.Partition, r.stream)
	if p.last.Seq == 0 || p.last.Seq < r.part.last.Seq {
		return
	}
	r.log.Warn("goes on from a checkpoint", "seq", r.part.last.Seq, "checkpoint", p.last.Seq, "err", r.halted)
	r.halted = nil
	r.metrics.halted.Dec()
	if r.goOnFrom(p) {
		r.lookUp()
	}
}
