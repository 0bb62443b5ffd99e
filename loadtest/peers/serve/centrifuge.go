package serve

import (
	"context"
	"io"
	"net/http"

	"github.com/centrifugal/centrifuge"
)

// Channel is what clients of centrifuge and NATS subscribe to.
const Channel = "bench"

// Centrifuge is the library that Centrifugo runs on, with its engine in memory. With best it has the settings
// that cost the least CPU; a delay of writes with a timer would save 3 KB a connection and cost as much CPU as the
// default.
func Centrifuge(in io.Reader, out io.Writer, best bool) error {
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		return err
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		r := centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{}}
		if best {
			r.ReplyWithoutQueue = true
			r.QueueInitialCap = 1
		}
		return r, nil
	})
	node.OnConnect(func(c *centrifuge.Client) {
		c.OnSubscribe(func(_ centrifuge.SubscribeEvent, answer centrifuge.SubscribeCallback) {
			answer(centrifuge.SubscribeReply{}, nil)
		})
	})
	if err := node.Run(); err != nil {
		return err
	}
	var config centrifuge.WebsocketConfig
	if best {
		config.ReadBufferSize, config.WriteBufferSize = 512, 512
		config.UseWriteBufferPool = true
		config.ProcessCommandsOffReadLoop = true
	}
	var handler http.Handler = centrifuge.NewWebsocketHandler(node, config)
	return serveHTTP(in, out, handler, func(u Update) error {
		_, err := node.Publish(Channel, appendPayload(nil, u))
		return err
	})
}
