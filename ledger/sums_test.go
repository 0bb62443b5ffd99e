package ledger

import (
	"context"
	"errors"
	"testing"
	"time"

	"tickcast/internal/testkit"
	"tickcast/internal/testsvc"
	"tickcast/wire"
)

// TestSumsTakeLongerThanAnybodyWaits holds sums up by a lock. Nobody who asks
// meanwhile waits longer than he wants to, and the sum is there for who asks later.
func TestSumsTakeLongerThanAnybodyWaits(t *testing.T) {
	b := openBook(t, testsvc.Postgres(t))
	wantResult(t, "a stake", b, stakeOf("s", "ann", 1000), "", 99_000)
	impatient, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()

	release := lockEntries(t, b)
	for range 2 {
		if _, err := b.Health(impatient); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("while the first sum is held up: %v, want the end of the patience", err)
		}
	}
	release()
	first := wire.LedgerHealth{Database: "postgres", Transfers: 2, Accounts: 2}
	wantHealth(t, "the sum that nobody waited for", b, first)

	wantResult(t, "another stake", b, stakeOf("s2", "ann", 1000), "", 98_000)
	release = lockEntries(t, b)
	sumsAreDue(b)
	wantHealth(t, "older sums while new ones are held up", b, first)
	release()
	testkit.Eventually(t, "the new sums are there", patience, func() bool {
		h, err := b.Health(context.Background())
		return err == nil && h.Transfers == 3
	})
}

// TestCloseEndsASum closes a book under a sum that would not end.
func TestCloseEndsASum(t *testing.T) {
	at := testsvc.Postgres(t)
	b, other := openBook(t, at), openBook(t, at)
	defer lockEntries(t, other)()
	done := make(chan error, 1)
	go func() {
		_, err := b.Health(context.Background())
		done <- err
	}()
	testkit.Eventually(t, "it sums up", patience, func() bool {
		b.sums.mu.Lock()
		defer b.sums.mu.Unlock()
		return b.sums.running != nil
	})
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("who had asked got %v", err)
	}
	if _, err := b.Health(context.Background()); err == nil {
		t.Error("a closed book tells sums")
	}
}

// lockEntries keeps everybody from reading the entries until release.
func lockEntries(t *testing.T, b *Book) (release func()) {
	t.Helper()
	tx, err := b.write.BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(context.Background(), "LOCK TABLE entries IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(errors.Join(err, tx.Rollback()))
	}
	return func() {
		t.Helper()
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
	}
}

func sumsAreDue(b *Book) {
	b.sums.mu.Lock()
	defer b.sums.mu.Unlock()
	b.sums.due = time.Time{}
}

func wantHealth(t *testing.T, why string, b *Book, want wire.LedgerHealth) {
	t.Helper()
	if h, err := b.Health(context.Background()); err != nil || h != want {
		t.Errorf("%s: %+v, %v; want %+v", why, h, err, want)
	}
}
