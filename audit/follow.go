package audit

import (
	"context"
	"errors"
	"slices"
	"time"

	"tickcast/archive"
	"tickcast/audit/judge"
)

const (
	defaultEvery = 250 * time.Millisecond
	// followChunk is how many records are read before rounds are compared with the book,
	// so that few wait for it.
	followChunk = 10_000
)

// Follow audits a deployment from its beginning and goes on beside it until ctx ends or a
// difference shows. A round is stated when everything about it is in the log, some
// milliseconds behind its reveal, and a round is not judged before those that flew
// meanwhile in its partition are revealed. When the log or the ledger cannot be read, it
// tells Warn and tries again.
func Follow(ctx context.Context, c Config) (Report, error) {
	a, err := newAuditor(ctx, c)
	if err != nil {
		return Report{}, err
	}
	return a.done(a.follow(ctx))
}

func (a *auditor) follow(ctx context.Context) error {
	every := a.Every
	if every == 0 {
		every = defaultEvery
	}
	checked := time.Now()
	for ctx.Err() == nil {
		behind, err := a.catchUp(ctx)
		if err == nil && a.Book != nil && a.BookEvery > 0 && time.Since(checked) > a.BookEvery {
			checked = time.Now()
			err = a.checkBook(ctx)
		}
		var d *judge.Difference
		switch {
		case errors.As(err, &d):
			return err
		case err != nil && ctx.Err() == nil && a.Warn != nil:
			a.Warn(err)
		case err == nil && behind:
			continue
		case err == nil:
			if err := a.unmended(); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(every):
		}
	}
	return nil
}

// catchUp reads what has come, and compares with the book as it is behind that.
func (a *auditor) catchUp(ctx context.Context) (behind bool, err error) {
	if err := a.compareSettled(ctx); err != nil { // of a book that was away
		return false, err
	}
	for p, l := range a.logs {
		last, err := a.Source.Last(ctx, p)
		if err != nil {
			return false, err
		}
		to := min(last, l.Read()+followChunk)
		behind = behind || to < last
		if err := a.follower(ctx, p, to); err != nil {
			return false, err
		}
		if err := a.compareSettled(ctx); err != nil {
			return false, err
		}
	}
	return behind, nil
}

// follower reads without comparing, as no page is open.
func (a *auditor) follower(ctx context.Context, p int, to uint64) error {
	if a.logs[p].Read() >= to {
		return nil
	}
	return a.Source.Read(ctx, p, a.logs[p].Read()+1, to, func(r archive.Record) error { return a.logs[p].Feed(judged(&r)) })
}

// unmended is a difference that a later record might have mended, and none has, or a mend
// that none tells.
func (a *auditor) unmended() error {
	for _, l := range a.logs {
		if d := l.Unmended(); d != nil {
			return d
		}
	}
	return a.book.untold(a.logs)
}

func (a *auditor) compareSettled(ctx context.Context) error {
	if len(a.settled) == 0 {
		return nil
	}
	read := make([]uint64, len(a.logs))
	for p, l := range a.logs {
		read[p] = l.Read()
	}
	if err := a.openPage(ctx, read); err != nil {
		return err
	}
	defer a.closePage()
	return a.settle(ctx)
}

func (a *auditor) checkBook(ctx context.Context) error {
	if err := a.openPage(ctx, slices.Repeat([]uint64{0}, len(a.logs))); err != nil {
		return err
	}
	defer a.closePage()
	return a.book.invariants(ctx, a.Book.custody)
}
