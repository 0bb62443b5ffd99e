package race

import (
	"bytes"
	"encoding/json"
	"time"

	"tickcast/room/game"
	"tickcast/wire"
)

// settings are what a room plays by during one round.
type settings struct {
	Version uint64 `json:"version"` // grows with every change by an operator
	tunables
}

// tunables are the settings that an operator may change. They are apart from the
// version so that a strict decoder refuses a version from outside.
type tunables struct {
	GatheringMS   int64 `json:"gathering_ms"`
	RunningMS     int64 `json:"running_ms"`
	FinishedMS    int64 `json:"finished_ms"`
	MaxTapsPerSec int64 `json:"max_taps_per_s"`
	TickMS        int64 `json:"tick_ms"`
}

// Ranges of the settings. A phase is at least as long as two ticks of the
// fastest clock, so that every screen sees it, and at most ten minutes, so that a
// typing error does not block a room for a day. Nobody taps a thousand times a
// second; bots in a load test may.
const (
	minPhaseMS    = 100
	maxPhaseMS    = 600_000
	maxTapsPerSec = 1000
	minTickMS     = 50
	maxTickMS     = 1000
)

// badSettings says what would be right. It never quotes a library's message:
// answers are folded state, and the text of a library changes with its version.
const badSettings = "settings are an object of whole numbers: gathering_ms, running_ms, finished_ms from %d to %d, " +
	"max_taps_per_s from 1 to %d, tick_ms from %d to %d"

func defaultSettings() settings {
	return settings{Version: 1, tunables: tunables{
		GatheringMS:   5000,
		RunningMS:     15_000,
		FinishedMS:    5000,
		MaxTapsPerSec: 20,
		TickMS:        100,
	}}
}

// with returns s changed by a JSON object that has some of its fields.
func (s settings) with(patch []byte) (settings, *wire.Error) {
	d := json.NewDecoder(bytes.NewReader(patch))
	d.DisallowUnknownFields()
	if !json.Valid(patch) || !isObject(patch) || d.Decode(&s.tunables) != nil || !s.valid() {
		return settings{}, wire.Errorf(wire.CodeBadSettings, badSettings,
			minPhaseMS, maxPhaseMS, maxTapsPerSec, minTickMS, maxTickMS)
	}
	return s, nil
}

func (s settings) valid() bool {
	within := func(n, low, high int64) bool { return low <= n && n <= high }
	return within(s.GatheringMS, minPhaseMS, maxPhaseMS) &&
		within(s.RunningMS, minPhaseMS, maxPhaseMS) &&
		within(s.FinishedMS, minPhaseMS, maxPhaseMS) &&
		within(s.MaxTapsPerSec, 1, maxTapsPerSec) &&
		within(s.TickMS, minTickMS, maxTickMS)
}

func (s settings) gathering() game.Time { return millis(s.GatheringMS) }
func (s settings) running() game.Time   { return millis(s.RunningMS) }
func (s settings) finished() game.Time  { return millis(s.FinishedMS) }
func (s settings) tick() game.Time      { return millis(s.TickMS) }

func millis(n int64) game.Time { return game.Time(n) * game.Time(time.Millisecond) }

// isObject reports whether valid JSON is an object.
func isObject(b []byte) bool {
	b = bytes.TrimLeft(b, " \t\r\n")
	return len(b) > 0 && b[0] == '{'
}
