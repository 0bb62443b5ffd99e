package wire

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
)

// Command is a player's command as it stands in the log. The room is in the
// subject. The encoding is compact because a log holds millions of them and a
// takeover decodes each again.
type Command struct {
	Player  string // who acts; set by the gateway from the token, never by the client
	Name    string // display name
	Guest   bool   // the player came with a guest token
	Gateway string // where the answer goes: AnswerSubject(Gateway)
	Key     string // client's idempotency key
	Op      string // operation, e.g. "bet"
	Round   uint64 // the round that the command is for; 0 in the cashier
	Args    []byte // JSON object, at most MaxArgsBytes
}

const commandVersion = 1

var errCommand = errors.New("wire: malformed command record")

// AppendBinary appends the encoding of c to b.
func (c *Command) AppendBinary(b []byte) ([]byte, error) {
	guest := byte(0)
	if c.Guest {
		guest = 1
	}
	b = append(b, commandVersion, guest)
	b = binary.AppendUvarint(b, c.Round)
	for _, s := range [...]string{c.Player, c.Name, c.Gateway, c.Key, c.Op} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	b = binary.AppendUvarint(b, uint64(len(c.Args)))
	return append(b, c.Args...), nil
}

// EncodedBytes is at least what AppendBinary appends.
func (c *Command) EncodedBytes() int {
	const counts = 2 + 7*binary.MaxVarintLen64
	return counts + len(c.Player) + len(c.Name) + len(c.Gateway) + len(c.Key) + len(c.Op) + len(c.Args)
}

// DecodeCommand decodes a command record. Args alias b.
func DecodeCommand(b []byte) (Command, error) {
	if len(b) < 2 || b[0] != commandVersion || b[1] > 1 {
		return Command{}, errCommand
	}
	c := Command{Guest: b[1] == 1}
	b = b[2:]
	round, n := binary.Uvarint(b)
	if n <= 0 {
		return Command{}, errCommand
	}
	c.Round, b = round, b[n:]
	text := string(b) // once for all
	for _, f := range [...]*string{&c.Player, &c.Name, &c.Gateway, &c.Key, &c.Op} {
		s, rest, ok := cutField(b)
		if !ok {
			return Command{}, errCommand
		}
		end := len(text) - len(rest)
		*f, b = text[end-len(s):end], rest
	}
	args, rest, ok := cutField(b)
	if !ok || len(rest) > 0 || len(args) > MaxArgsBytes {
		return Command{}, errCommand
	}
	c.Args = args
	if c.Name != "" && !ValidText(c.Name, MaxNameBytes) {
		return Command{}, errCommand
	}
	if !ValidPlayer(c.Player) || !ValidKey(c.Key) || !ValidOp(c.Op) || !ValidNode(c.Gateway) {
		return Command{}, errCommand
	}
	return c, nil
}

func cutField(b []byte) (field, rest []byte, ok bool) {
	n, w := binary.Uvarint(b)
	if w <= 0 || n > uint64(len(b)-w) {
		return nil, nil, false
	}
	return b[w : w+int(n)], b[w+int(n):], true
}

// BodyHash identifies what a command says, without who asks and under which
// key: the same key with another BodyHash is a conflict.
func (c *Command) BodyHash() [8]byte {
	b := make([]byte, 0, 8+MaxOpBytes+1+MaxArgsBytes)
	b = binary.BigEndian.AppendUint64(b, c.Round)
	b = append(append(b, c.Op...), 0)
	sum := sha256.Sum256(append(b, c.Args...))
	return [8]byte(sum[:8])
}

// MsgID is the log's deduplication ID of a command: a hash of player, room, key
// and body. With the bare key a conflict could not be seen, and one player could
// swallow another's command.
func (c *Command) MsgID(room string) string {
	b := make([]byte, 0, MaxPlayerBytes+MaxRoomIDBytes+MaxKeyBytes+16)
	for _, s := range [...]string{c.Player, room, c.Key} {
		b = append(append(b, s...), 0)
	}
	body := c.BodyHash()
	sum := sha256.Sum256(append(b, body[:]...))
	return base64.RawURLEncoding.EncodeToString(sum[:18])
}
