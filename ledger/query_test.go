package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"testing"

	"tickcast/wire"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// TestPages walks through lists whose rows share milliseconds.
func TestPages(t *testing.T) {
	forEachDatabase(t, func(t *testing.T, r rig) {
		b := r.book(t)
		const n = 23
		var batch []wire.Booking
		var events []wire.SessionEvent
		for i := range n {
			s := stakeOf(fmt.Sprintf("s%d", i), "ann", 100)
			s.At = int64(1000 + i/4)
			round := roundOf(fmt.Sprintf("r%d", i), uint64(100+i))
			round.Round.Ended = s.At
			batch = append(batch, s, round, wire.Booking{
				ID: fmt.Sprintf("a%d", i), Kind: wire.BookAudit, Room: "lobby", At: s.At, Audit: &wire.Action{ID: itoa(int64(i))},
			})
			events = append(events, wire.SessionEvent{ID: fmt.Sprintf("e%d", i), Player: "ann", Kind: "login", Guest: i%2 == 0, At: s.At})
		}
		if _, err := b.Apply(context.Background(), batch); err != nil {
			t.Fatal(err)
		}
		if err := b.ArchiveSessions(context.Background(), append(events, events[0])); err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		for name, read := range map[string]func(Page) (ids []string, ats []int64, next string, err error){
			"bets": func(p Page) (ids []string, ats []int64, next string, err error) {
				page, err := b.Bets(ctx, "ann", p)
				for _, v := range page.Bets {
					ids, ats = append(ids, v.ID), append(ats, v.At)
				}
				return ids, ats, page.Next, err
			},
			"rounds": func(p Page) (ids []string, ats []int64, next string, err error) {
				page, err := b.Rounds(ctx, "lobby", p)
				for _, v := range page.Rounds {
					ids, ats = append(ids, itoa(int64(v.Round))), append(ats, v.Ended)
				}
				return ids, ats, page.Next, err
			},
			"audit": func(p Page) (ids []string, ats []int64, next string, err error) {
				page, err := b.Audit(ctx, "", p)
				for _, v := range page.Entries {
					ids, ats = append(ids, v.Action.ID), append(ats, 0)
				}
				return ids, ats, page.Next, err
			},
			"sessions": func(p Page) (ids []string, ats []int64, next string, err error) {
				page, err := b.Sessions(ctx, "ann", p)
				for _, v := range page.Events {
					ids, ats = append(ids, v.ID), append(ats, v.At)
				}
				return ids, ats, page.Next, err
			},
		} {
			for _, limit := range []int{1, 4, 22, 23, 24, 100} {
				walk(t, fmt.Sprintf("%s by %d", name, limit), n, limit, read)
			}
			for _, p := range []Page{{Limit: -1}, {Limit: 101}, {Before: "?"}, {Before: "AAAA"}} {
				if _, _, _, err := read(p); !errors.Is(err, ErrPage) {
					t.Errorf("%s of %+v: %v, want ErrPage", name, p, err)
				}
			}
		}
	})
}

func walk(t *testing.T, why string, n, limit int, read func(Page) ([]string, []int64, string, error)) {
	t.Helper()
	seen := map[string]bool{}
	var last int64 = 1 << 60
	before := ""
	for pages := 0; ; pages++ {
		ids, ats, next, err := read(Page{Before: before, Limit: limit})
		if err != nil || len(ids) > limit || pages > n {
			t.Fatalf("%s: %d rows on page %d, %v", why, len(ids), pages, err)
		}
		for i, id := range ids {
			if seen[id] || ats[i] > last {
				t.Fatalf("%s: %s at %d is a repetition or out of order", why, id, ats[i])
			}
			seen[id], last = true, ats[i]
		}
		if next == "" {
			break
		}
		before = next
	}
	if len(seen) != n {
		t.Errorf("%s: %d rows, want %d", why, len(seen), n)
	}
}

func TestRoundsAndBets(t *testing.T) {
	b := openBook(t, sqliteURL(t))
	wantResult(t, "a stake", b, stakeOf("s", "ann", 1000), "", 99_000)
	wantResult(t, "a round", b, roundOf("r", 7), "", 0)
	rounds, err := b.Rounds(context.Background(), "lobby", Page{})
	if err != nil || len(rounds.Rounds) != 1 {
		t.Fatalf("rounds: %+v, %v", rounds, err)
	}
	if got, want := rounds.Rounds[0], roundOf("r", 7).Round; got.Ended != want.Ended || got.Round != 7 || string(got.Outcome) != string(want.Outcome) {
		t.Errorf("round %+v, want %+v", got, want)
	}
	bets, err := b.Bets(context.Background(), "ann", Page{})
	if err != nil || len(bets.Bets) != 1 {
		t.Fatalf("bets: %+v, %v", bets, err)
	}
	want := wire.PlacedBet{ID: "s", Room: "lobby", Round: 7, Slot: 1, Stake: 1000, Auto: 250, State: "lost", At: 1_700_000_000_000}
	if bets.Bets[0] != want {
		t.Errorf("bet %+v, want %+v", bets.Bets[0], want)
	}
}

func FuzzCursor(f *testing.F) {
	f.Add("")
	f.Add(cursor{at: 5, id: "x"}.encode())
	f.Fuzz(func(t *testing.T, s string) {
		c, err := parseCursor(s)
		if err != nil || s == "" {
			return
		}
		if c.encode() != s {
			t.Errorf("%q reads as %+v, which is written %q", s, c, c.encode())
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"id":"s","kind":"stake","p":0,"room":"lobby","at":1,"player":"ann","amount":100,"bet":{"room_uuid":"u","game":"crash","round":1,"slot":0}}`))
	f.Add([]byte(`{"id":"r","kind":"round","p":0,"round":{"room_uuid":"u","game":"crash","round":1,"ended":9223372036854775807,"outcome":{"a":"\u0000"}}}`))
	f.Add([]byte(`{"id":"a","kind":"audit","p":0,"audit":{"id":"\u0000","args":{}}}`))
	f.Add([]byte(`{"op":"rounds","room":"lobby","limit":-5,"before":"x"}`))
	b := openBook(f, sqliteURL(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		if q, err := decodeQuery(data); err == nil {
			w := Worker{book: b, log: slog.New(slog.DiscardHandler)}
			if q.Op != wire.QueryHealth {
				_ = w.lookUp(context.Background(), q)
			}
		}
		if _, err := decodeSession(data); err == nil {
			t.Log("a session event")
		}
		k, err := decodeBooking("ldg.0", data)
		if err != nil {
			return
		}
		if _, err := b.Apply(context.Background(), []wire.Booking{k}); err != nil {
			t.Errorf("a booking that decodes is an error: %v", err)
		}
	})
}
