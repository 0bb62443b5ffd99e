package judge

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"tickcast/wire"
)

const (
	// recordsKnown is the newest version of the records that is judged here. The second
	// one moves ticks and the third names lost tails otherwise, of which the log has nothing.
	recordsKnown = 3
	// cashierGame names the rules of the cashier.
	cashierGame = "cashier"
)

// versionKnown is the newest version that is judged here, 0 of what is not.
func versionKnown(name string) int {
	switch name {
	case wire.Records:
		return recordsKnown
	case cashierGame, "crash", "race":
		return rulesKnown
	}
	return 0
}

// versions follow what is in force.
type versions struct {
	inForce wire.Versions // not modified
	epoch   uint64        // that put it into force; 0: a log begins with it
	folds   wire.Versions // what the newest claim says that its owner can fold; nil: nothing
}

func newVersions() versions {
	return versions{inForce: wire.Versions{wire.Records: 1, cashierGame: 1, "crash": 1, "race": 1}}
}

// Versions are in force behind the last record that was judged. They are not modified.
func (l *Log) Versions() wire.Versions { return l.versions.inForce }

// putInForce follows a record by which the owner changes what is in force. One that
// changes nothing repeats a record of his own of which he did not hear that it was stored.
func (l *Log) putInForce(data []byte) error {
	var v wire.Versions
	if json.Unmarshal(data, &v) != nil {
		return l.differs("versions", "numbers by name", fmt.Sprintf("%.200q", data))
	}
	for _, name := range []string{wire.Records, cashierGame} {
		if v[name] == 0 {
			return l.differs("version of "+name, "one, as every server has it", "none")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v)) {
		if err := l.mayBeInForce(name, v[name]); err != nil {
			return err
		}
	}
	f := &l.versions
	if maps.Equal(v, f.inForce) && f.epoch != l.epoch {
		return l.differs("versions", "others than are in force", string(data))
	}
	f.inForce, f.epoch = v, l.epoch
	return nil
}

func (l *Log) mayBeInForce(name string, n int) error {
	what, known, folds := "version of "+name, versionKnown(name), l.versions.folds
	switch {
	case n < 1:
		return l.differs(what, "1 or more", fmt.Sprint(n))
	case folds != nil && n > folds[name]:
		return l.differs(what, fmt.Sprintf("at most %d, as the owner's claim says", folds[name]), fmt.Sprint(n))
	case known == 0 && l.cfg.Rooms == nil:
		return l.differs(what, "none, as it is not judged here", fmt.Sprint(n))
	case known > 0 && n > known:
		return l.differs(what, fmt.Sprintf("at most %d, which is judged here", known), fmt.Sprint(n))
	}
	return nil
}
