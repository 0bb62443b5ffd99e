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

// connectLog connects to the log with the rights of a room server, whatever node lives. The
// caller closes the connection.
func (c *cluster) connectLog() (*nats.Conn, error) {
	const role = "room"
	return nats.Connect(c.nats.URL(), nats.Name("chaos"), nats.Timeout(logTimeout), nats.MaxReconnects(-1),
		nats.UserInfo(role, c.secrets["TICKCAST_NATS_ROOM_PASSWORD"]), nats.CustomInboxPrefix("_INBOX."+role))
}

// stepDown asks the leader of a stream to let another node lead it, as a room server
// may.
func (c *cluster) stepDown(ctx context.Context, stream string) error {
	ctx, cancel := context.WithTimeout(ctx, logTimeout)
	defer cancel()
	conn, err := c.connectLog()
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
