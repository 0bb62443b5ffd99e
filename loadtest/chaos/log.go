package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// logTimeout bounds a request to the log's servers. An election takes seconds.
const logTimeout = 10 * time.Second

// stepDown asks the leader of a stream to let another node lead it, as a room server
// may.
func (c *cluster) stepDown(ctx context.Context, stream string) error {
	const role = "room"
	ctx, cancel := context.WithTimeout(ctx, logTimeout)
	defer cancel()
	conn, err := nats.Connect(c.nats.URL(), nats.Name("chaos"), nats.Timeout(logTimeout),
		nats.UserInfo(role, c.secrets["TICKCAST_NATS_ROOM_PASSWORD"]), nats.CustomInboxPrefix("_INBOX."+role))
	if err != nil {
		return fmt.Errorf("step-down of %s: %w", stream, err)
	}
	defer conn.Close()
	m, err := conn.RequestWithContext(ctx, "$JS.API.STREAM.LEADER.STEPDOWN."+stream, nil)
	if err != nil {
		return fmt.Errorf("step-down of %s: %w", stream, err)
	}
	var answer struct {
		Success bool `json:"success"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil || !answer.Success {
		return fmt.Errorf("step-down of %s was refused: %.200s", stream, m.Data)
	}
	return nil
}
