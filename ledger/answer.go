package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"tickcast/bus"
	"tickcast/ledger/wallet"
	"tickcast/wire"
)

const (
	// queryGroup shares the queries among all workers.
	queryGroup = "ledger"
	// queryWorkers answer at the same time, queryQueue more may wait; what comes
	// beyond that is refused at once.
	queryWorkers = 8
	queryQueue   = 256
	// queryTimeout bounds a query; who asked has given up by then.
	queryTimeout = 3 * time.Second
)

// answerQueries answers what arrives on LedgerQuerySubject until ctx ends, and
// then what it took before.
func (w *Worker) answerQueries(ctx context.Context) error {
	queue, quit := make(chan *nats.Msg, queryQueue), make(chan struct{})
	closed := make(chan struct{})
	sub, err := w.conn.QueueSubscribe(wire.LedgerQuerySubject, queryGroup, func(m *nats.Msg) {
		select {
		case queue <- m:
		default:
			w.reply(m, refuse(wire.CodeUnavailable, "the ledger has too many queries"))
			w.metrics.queries.WithLabelValues("any", string(wire.CodeUnavailable)).Inc()
		}
	})
	if err != nil {
		return fmt.Errorf("subscribe to queries: %w", err)
	}
	sub.SetClosedHandler(func(string) { close(closed) })
	var workers sync.WaitGroup
	for range queryWorkers {
		workers.Go(func() { w.queryLoop(context.WithoutCancel(ctx), queue, quit) })
	}
	<-ctx.Done()
	if err := sub.Drain(); err == nil {
		select {
		case <-closed:
		case <-time.After(drainTimeout): // the connection may be down
		}
	}
	close(quit)
	workers.Wait()
	return nil
}

// queryLoop answers queries until quit is closed and the queue is empty.
func (w *Worker) queryLoop(ctx context.Context, queue <-chan *nats.Msg, quit <-chan struct{}) {
	for {
		select {
		case m := <-queue:
			w.reply(m, w.query(ctx, m.Data))
			continue
		default:
		}
		select {
		case m := <-queue:
			w.reply(m, w.query(ctx, m.Data))
		case <-quit:
			return
		}
	}
}

func (w *Worker) reply(m *nats.Msg, r wire.LedgerReply) {
	body, err := json.Marshal(r)
	if err != nil {
		panic(fmt.Sprintf("ledger: marshal %T: %v", r, err))
	}
	if limit := w.conn.MaxPayload(); limit > 0 && int64(len(body)) > limit {
		w.reply(m, refuse(wire.CodeBadArgs, "this page is too large to send; ask for fewer rows"))
		return
	}
	if err := bus.Respond(m, body); err != nil {
		w.log.Debug("answer query", "err", err)
	}
}

// query answers one query.
func (w *Worker) query(ctx context.Context, data []byte) wire.LedgerReply {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	q, err := decodeQuery(data)
	if err != nil {
		w.metrics.queries.WithLabelValues("malformed", string(wire.CodeBadArgs)).Inc()
		return refuse(wire.CodeBadArgs, err.Error())
	}
	reply := w.lookUp(ctx, q)
	outcome := "ok"
	if reply.Error != nil {
		outcome = string(reply.Error.Code)
	}
	w.metrics.queries.WithLabelValues(q.Op, outcome).Inc()
	return reply
}

// decodeQuery reads a query and checks what its operation needs.
func decodeQuery(data []byte) (wire.LedgerQuery, error) {
	var q wire.LedgerQuery
	if err := json.Unmarshal(data, &q); err != nil {
		return q, errors.New("a query is a JSON object")
	}
	switch q.Op {
	case wire.QueryBalance, wire.QueryBets:
		if !wire.ValidPlayer(q.Player) {
			return q, fmt.Errorf("query %s needs a player", q.Op)
		}
	case wire.QueryRounds:
		if !wire.ValidRoomID(q.Room) {
			return q, errors.New("query rounds needs a room")
		}
	case wire.QueryLeaderboard:
		if q.Board == "" || !text(q.Board, maxTextBytes) {
			return q, errors.New("query leaderboard needs a board")
		}
	case wire.QueryAudit:
		if !text(q.Room, maxTextBytes) {
			return q, errors.New("query audit: malformed room")
		}
	case wire.QuerySessions:
		if q.Player != "" && !wire.ValidPlayer(q.Player) {
			return q, errors.New("query sessions: malformed player")
		}
	case wire.QueryHealth, wire.QueryWallet:
	case wire.QueryStakes:
		if q.Stakes == nil || len(q.Stakes.Open) > wire.MaxOrphans {
			return q, fmt.Errorf("query stakes needs stakes, at most %d of them open", wire.MaxOrphans)
		}
	case wire.QueryLogin:
		if q.Token == "" {
			return q, errors.New("query login needs a token")
		}
	default:
		return q, fmt.Errorf("unknown query %.32q", q.Op)
	}
	return q, nil
}

func (w *Worker) lookUp(ctx context.Context, q wire.LedgerQuery) wire.LedgerReply {
	var data any
	var err error
	page := Page{Before: q.Before, Limit: q.Limit}
	switch q.Op {
	case wire.QueryBalance:
		var b Balance
		b, err = w.balance(ctx, q.Player)
		data = wire.Balance{Type: wire.TypeBalance, Amount: b.Amount, Version: b.Version}
	case wire.QueryRounds:
		data, err = w.book.Rounds(ctx, q.Room, page)
	case wire.QueryBets:
		data, err = w.book.Bets(ctx, q.Player, page)
	case wire.QueryLeaderboard:
		data, err = w.book.Leaderboard(ctx, q.Board, q.Limit)
	case wire.QueryAudit:
		data, err = w.book.Audit(ctx, q.Room, page)
	case wire.QuerySessions:
		data, err = w.book.Sessions(ctx, q.Player, page)
	case wire.QueryHealth:
		data, err = w.health(ctx)
	case wire.QueryWallet:
		data, err = w.book.WalletQueue(ctx, page)
	case wire.QueryStakes:
		data, err = w.stakes(ctx, *q.Stakes)
	case wire.QueryLogin:
		data, err = w.login(ctx, q.Token)
	}
	if errors.Is(err, ErrPage) {
		return refuse(wire.CodeBadArgs, ErrPage.Error())
	}
	if errors.Is(err, wallet.ErrToken) {
		return refuse(wire.CodeInvalidToken, "the token stands for nobody")
	}
	if err != nil {
		w.log.Warn("query failed", "op", q.Op, "err", err)
		return refuse(wire.CodeUnavailable, "the ledger's database, or the wallet, cannot be asked at the moment")
	}
	body, err := json.Marshal(data)
	if err != nil {
		w.log.Error("encode reply", "op", q.Op, "err", err)
		return refuse(wire.CodeUnavailable, "the stored data cannot be shown")
	}
	return wire.LedgerReply{Data: body}
}

// stakes asks the queue first: what it says to be worked on is then in the book.
func (w *Worker) stakes(ctx context.Context, q wire.StakesQuery) (wire.StakesReply, error) {
	done, newest, err := w.worked(ctx)
	if err != nil {
		return wire.StakesReply{}, err
	}
	r, err := w.book.Stakes(ctx, q)
	r.Booked, r.Queued = done, newest
	return r, err
}

func (w *Worker) health(ctx context.Context) (wire.LedgerHealth, error) {
	h, err := w.book.Health(ctx)
	if err != nil {
		return h, err
	}
	if w.caller != nil {
		h.Wallet = &wire.WalletHealth{}
		if h.Wallet.Queued, h.Wallet.Oldest, err = w.book.walletBacklog(ctx); err != nil {
			return h, err
		}
	}
	h.Queued, err = w.queued(ctx)
	return h, err
}

func refuse(code wire.Code, message string) wire.LedgerReply {
	return wire.LedgerReply{Error: wire.Errorf(code, "%s", message)}
}
