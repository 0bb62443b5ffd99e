package audit

import (
	"bufio"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"tickcast/audit/judge"
)

// Statement says what an auditor found of a round. Two auditors of the same log state the
// same Digest and Head.
type Statement struct {
	Partition int    `json:"partition"`
	Room      string `json:"room"`
	UUID      string `json:"uuid"`
	Game      string `json:"game"`
	Round     uint64 `json:"round"`
	Voided    bool   `json:"voided,omitempty"`
	Centi     int64  `json:"centi,omitempty"` // crash point
	Bets      int    `json:"bets,omitempty"`
	Stake     int64  `json:"stake,omitempty"`
	Paid      int64  `json:"paid,omitempty"`
	Players   int    `json:"players,omitempty"` // of a race
	Digest    string `json:"digest"`            // SHA-256 of the round's facts, hex
	Seq       uint64 `json:"seq"`               // record with which the round was settled
	Head      string `json:"head"`              // of the log up to there, hex
	Booked    bool   `json:"booked"`            // compared with the ledger
	Mended    int    `json:"mended,omitempty"`  // bets, archives and scores that the ledger has otherwise, and mended
	Key       []byte `json:"key,omitempty"`     // public Ed25519 key
	Signature []byte `json:"signature,omitempty"`
}

func stateOf(rd *judge.Round, booked bool, mended int, key ed25519.PrivateKey) Statement {
	digest := rd.Digest()
	s := Statement{
		Partition: rd.Partition, Room: rd.Room, UUID: rd.UUID, Game: rd.Game, Round: rd.Number, Voided: rd.Voided,
		Centi: rd.Centi, Bets: rd.Count, Stake: rd.Stake, Paid: rd.Paid, Players: len(rd.Ranking),
		Digest: hex.EncodeToString(digest[:]), Seq: rd.Seq, Head: hex.EncodeToString(rd.Head[:]), Booked: booked, Mended: mended,
	}
	if key != nil {
		s.Key, _ = key.Public().(ed25519.PublicKey)
		s.Signature = ed25519.Sign(key, s.signed())
	}
	return s
}

// signed is what the signature is of.
func (s *Statement) signed() []byte {
	compared := strconv.FormatBool(s.Booked)
	if s.Mended > 0 {
		compared = "mended " + strconv.Itoa(s.Mended)
	}
	return fmt.Appendf(nil, "tickcast audit 1\n%s %d %s %d %s %s\n", s.UUID, s.Round, s.Digest, s.Seq, s.Head, compared)
}

// Verify checks the signature against the statement's own key. Whose key that is, the
// caller knows.
func (s *Statement) Verify() error {
	if len(s.Key) != ed25519.PublicKeySize || !ed25519.Verify(s.Key, s.signed(), s.Signature) {
		return fmt.Errorf("statement of round %d of room %s: the signature is not of this statement", s.Round, s.Room)
	}
	return nil
}

// ReadKey reads an Ed25519 key (PKCS #8, PEM), as openssl genpkey -algorithm ed25519
// makes it.
func ReadKey(path string) (ed25519.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read signing key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("read signing key %s: it is not a PEM file", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read signing key %s: %w", path, err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("read signing key %s: it is not an Ed25519 key", path)
	}
	return key, nil
}

// Against are the statements of an earlier audit, by round.
type Against map[roundID]Statement

type roundID struct {
	uuid  string
	round uint64
}

// ReadAgainst reads statements, one JSON object a line, and verifies those that are
// signed. Other lines, such as the report behind them, are left out.
func ReadAgainst(r io.Reader) (Against, error) {
	a := Against{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var s Statement
		if json.Unmarshal(lines.Bytes(), &s) != nil || s.Digest == "" {
			continue
		}
		if s.Signature != nil {
			if err := s.Verify(); err != nil {
				return nil, err
			}
		}
		a[roundID{s.UUID, s.Round}] = s
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read statements: %w", err)
	}
	if len(a) == 0 {
		return nil, errors.New("read statements: there is none")
	}
	return a, nil
}

// compare holds a statement against the earlier one of its round.
func (a Against) compare(rd *judge.Round, s *Statement) error {
	old, ok := a[roundID{s.UUID, s.Round}]
	if !ok {
		return nil
	}
	delete(a, roundID{s.UUID, s.Round})
	switch {
	case old.Digest != s.Digest:
		return inBook(rd, "", "digest of the earlier statement", old.Digest, s.Digest)
	case old.Seq != s.Seq || old.Head != s.Head:
		return inBook(rd, "", "log of the earlier statement", fmt.Sprintf("%s at record %d", old.Head, old.Seq), fmt.Sprintf("%s at record %d", s.Head, s.Seq))
	}
	return nil
}

// missing is a statement whose round was not met.
func (a Against) missing() error {
	for _, s := range a {
		return &judge.Difference{
			Partition: s.Partition, Room: s.Room, Round: s.Round, What: "round of an earlier statement", Expected: "digest " + s.Digest, Found: "no such round",
		}
	}
	return nil
}
