package ledger

import (
	"context"
	"fmt"

	"tickcast/wire"
)

// ArchiveSessions stores session events. An event that is stored already is left
// as it is.
func (b *Book) ArchiveSessions(ctx context.Context, events []wire.SessionEvent) error {
	var r rows
	for _, e := range events {
		r.add(e.ID, e.Session, e.Player, e.Name, flag(e.Guest), e.Gateway, e.Kind, e.Address, e.Reason, e.At)
	}
	begun, err := b.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("archive sessions: begin: %w", err)
	}
	err = tx{begun, b.dialect, b.statements}.insert(ctx, &r, `INSERT INTO sessions
		(id, session, player, name, guest, gateway, kind, address, reason, at)`, `ON CONFLICT (id) DO NOTHING`)
	if err != nil {
		_ = begun.Rollback() // the first error says more
		return fmt.Errorf("archive sessions: %w", err)
	}
	if err := begun.Commit(); err != nil {
		return fmt.Errorf("archive sessions: commit: %w", err)
	}
	return nil
}

// storableSession reports whether the database takes the event.
func storableSession(e wire.SessionEvent) bool {
	if e.ID == "" || !text(e.ID, maxIDBytes) || !text(e.Reason, maxReasonBytes) {
		return false
	}
	for _, s := range []string{e.Session, e.Player, e.Name, e.Gateway, e.Kind, e.Address} {
		if !text(s, maxTextBytes) {
			return false
		}
	}
	return true
}
