package crash

import (
	"fmt"

	"tickcast/room/game"
	"tickcast/wire"
)

// KindName is the game's name in create actions, in the directory and in views.
const KindName = "crash"

// Kind makes rooms of this game. It is immutable and safe for concurrent use.
type Kind struct {
	chains Chains
	curve  *Curve // shared by all rooms; built when the first round flies
}

// New makes the kind. All rooms of a process take their seeds from chains.
func New(chains Chains) *Kind { return &Kind{chains: chains, curve: new(Curve)} }

// Name implements game.Kind.
func (k *Kind) Name() string { return KindName }

// Rules implements game.Kind.
func (k *Kind) Rules() int { return RulesVersion }

// New implements game.Kind.
func (k *Kind) New(_ game.At, c game.Config, _ *game.Effects) (game.Room, *wire.Error) {
	settings := defaultSettings()
	if len(c.Settings) > 0 {
		change, e := parseChange(settings, c.Settings, false)
		if e != nil {
			return nil, e
		}
		settings = change.settings
	}
	r := &Room{kind: k, awaited: make(map[string]*bet)}
	r.state = state{
		ID: c.ID, UUID: c.UUID, Name: c.Name, Partition: c.Partition,
		Mode: stateRunning, Phase: phaseIdle, Wanted: settings,
		Current: newRound(0, settings), Next: newRound(1, settings),
	}
	if c.Paused {
		r.Mode = statePaused
	}
	r.Current.Done, r.Current.Archived = true, true // there was no round 0
	return r, nil
}

// Restore implements game.Kind.
func (k *Kind) Restore(snapshot []byte) (game.Room, error) {
	r, err := k.restore(snapshot)
	if err != nil {
		return nil, fmt.Errorf("crash: restore a room: %w", err)
	}
	return r, nil
}
