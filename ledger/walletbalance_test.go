package ledger

import (
	"context"
	"sync"
	"testing"

	"tickcast/bus"
	"tickcast/ledger/wallet"
)

// slowReplies is a wallet whose replies to some transactions are held up on the way.
type slowReplies struct {
	wallet.Wallet

	mu    sync.Mutex // guards held
	held  map[string]chan struct{}
	moved chan string // IDs of deposits that are done
}

func (s *slowReplies) release(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.held[id])
}

// Deposit implements wallet.Wallet.
func (s *slowReplies) Deposit(ctx context.Context, t wallet.Transaction) (wallet.Answer, error) {
	answer, err := s.Wallet.Deposit(ctx, t)
	s.mu.Lock()
	held := s.held[t.ID]
	s.mu.Unlock()
	s.moved <- t.ID
	if held != nil {
		<-held
	}
	return answer, err
}

// TestRepliesOfTheWalletThatOvertakeEachOther: the balance that a player is told last is what he has.
func TestRepliesOfTheWalletThatOvertakeEachOther(t *testing.T) {
	t.Parallel()
	forEachDatabase(t, func(t *testing.T, r rig) {
		q, b, o := newQueue(t), custodyBook(t, r.url(t)), newOperatorWallet(t, walletInitial)
		slow := &slowReplies{Wallet: o.client(t), held: map[string]chan struct{}{"first": make(chan struct{})}, moved: make(chan string, 2)}
		q.start(Config{Book: b, Conn: q.connect(bus.RoleLedger), Wallet: slow, AckWait: shortAckWait})
		s1, s2 := stakeOf("s1", "ann", 1000), stakeOf("s2", "ann", 1000)
		q.send(s1, s2)
		q.wantResults("both stakes are booked", "s1", "s2")
		q.send(payoutOf("first", s1, 2500))
		if id := <-slow.moved; id != "first" {
			t.Fatalf("the wallet was asked for %s", id)
		}
		q.send(payoutOf("second", s2, 4000))
		q.wantResults("the second is answered first", "second")
		slow.release("first")
		q.wantResults("the first is answered", "first")
		first, second := q.of("first")[0], q.of("second")[0]
		const all = walletInitial - 2000 + 2500 + 4000
		if first.Version <= second.Version || first.Balance != all || second.Balance != all {
			t.Errorf("results %+v and then %+v, want %d in the later one", second, first, int64(all))
		}
		if got, err := b.Balance(t.Context(), "ann"); err != nil || got.Amount != all {
			t.Errorf("%+v, %v; want %d", got, err, int64(all))
		}
		o.wantAgreement(t, b, []string{"ann"})
	})
}

// lostReply is a wallet whose first reply to a deposit is lost; meanwhile the player is given something.
type lostReply struct {
	wallet.Wallet
	o    *operatorWallet
	once sync.Once
}

// Deposit implements wallet.Wallet.
func (l *lostReply) Deposit(ctx context.Context, t wallet.Transaction) (answer wallet.Answer, err error) {
	answer, err = l.Wallet.Deposit(ctx, t)
	l.once.Do(func() {
		l.o.Give(t.Player, 7)
		answer, err = wallet.Answer{}, errDeaf
	})
	return answer, err
}

// TestFirstAnswerAgain: to what it was asked before a wallet tells the balance of then.
func TestFirstAnswerAgain(t *testing.T) {
	t.Parallel()
	q, b, o := newQueue(t), custodyBook(t, sqliteURL(t)), newOperatorWallet(t, walletInitial)
	q.start(Config{Book: b, Conn: q.connect(bus.RoleLedger), Wallet: &lostReply{Wallet: o.client(t), o: o}, AckWait: shortAckWait})
	s := stakeOf("s", "ann", 1000)
	q.send(s)
	q.wantResults("the stake is booked", "s")
	q.send(payoutOf("p", s, 2500))
	q.wantResults("the payout is booked", "p")
	if got, want := q.of("p")[0], int64(walletInitial-1000+2500+7); got.Balance != want {
		t.Errorf("%+v, want %d", got, want)
	}
}
