package testsvc

import (
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The head of a record in a block file of nats-server, little endian: length (4, its
// highest bit is a flag), sequence (8, its highest bits are flags), timestamp (8), length
// of the subject (2).
const (
	blockHead   = 22
	blockFlag   = 1 << 31
	removedFlag = 3 << 62 // the timestamp is another record's
)

// consumerLogs begins the names of the directories with logs of the replicas of consumers.
const consumerLogs = "C-R"

// CutPower leaves in the store of a NATS server, which must not be running, what a power
// cut leaves that took what was not on the disk at that time: of every stream and every
// log of its replicas the tail is gone, its first record torn in the middle, and what was
// only an index. Positions of consumers stay, as they may; so do the streams that are named,
// which were written before.
func CutPower(t testing.TB, store string, at time.Time, written ...string) {
	t.Helper()
	cut := 0
	err := filepath.WalkDir(store, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && (strings.HasPrefix(e.Name(), consumerLogs) || slices.Contains(written, e.Name())):
			return fs.SkipDir
		case filepath.Base(path) == "index.db":
			return os.Remove(path)
		case !strings.HasSuffix(path, ".blk"):
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if keep := tornAt(b, at.UnixNano()); keep < len(b) {
			cut++
			return os.Truncate(path, int64(keep))
		}
		return nil
	})
	if err != nil {
		t.Fatalf("cut the power: %v", err)
	}
	if cut == 0 {
		t.Fatalf("cut the power: %s has no record behind %s", store, at)
	}
}

// tornAt is the middle of the first record from some time on, or the length of the block.
func tornAt(block []byte, at int64) int {
	for i := 0; i+blockHead <= len(block); {
		size := int(binary.LittleEndian.Uint32(block[i:]) &^ blockFlag)
		if size < blockHead {
			return len(block)
		}
		seq, written := binary.LittleEndian.Uint64(block[i+4:]), int64(binary.LittleEndian.Uint64(block[i+12:]))
		if seq&removedFlag == 0 && written >= at {
			return i + size/2
		}
		i += size
	}
	return len(block)
}
