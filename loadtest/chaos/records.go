package chaos

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"tickcast/wire"
)

// commandKey names a command in the log.
type commandKey struct{ player, room, key string }

// records is what an export of the log says of commands.
type records struct {
	commands map[commandKey]int // how often each one's record stands in it
	streams  map[string]uint64  // records of any kind, by stream
	total    uint64             // in all of them
}

// maxRecordLine bounds a line of an export: a record is at most 1 MiB, in base64.
const maxRecordLine = 4 << 20

// readRecords reads an export of the log (docs/audit.md).
func readRecords(path string) (*records, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read export: %w", err)
	}
	defer func() { _ = f.Close() }()
	r := &records{commands: map[commandKey]int{}, streams: map[string]uint64{}}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxRecordLine)
	for lines.Scan() {
		var l struct {
			Stream  string `json:"stream"`
			Subject string `json:"subject"`
			Data    []byte `json:"data"`
		}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("read export: %w", err)
		}
		r.total++
		r.streams[l.Stream]++
		kind, _, room, ok := wire.ParseLogSubject(l.Subject)
		if !ok || kind != wire.KindCommand {
			continue
		}
		c, err := wire.DecodeCommand(l.Data)
		if err != nil {
			return nil, fmt.Errorf("read export: record on %s: %w", l.Subject, err)
		}
		r.commands[commandKey{c.Player, room, c.Key}]++
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read export: %w", err)
	}
	return r, nil
}
