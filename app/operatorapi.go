package app

import (
	"context"

	"tickcast/bus"
	"tickcast/server/operator"
	"tickcast/web"
)

// addOperator adds the operator API, which has its own rights in NATS.
func (p *process) addOperator(ctx context.Context) error {
	nc, err := p.connect(ctx, bus.RoleOperator)
	if err != nil {
		return err
	}
	api, err := operator.New(operator.Config{
		ID:         p.name + "-operator",
		Conn:       nc,
		Partitions: p.partitions,
		Key:        p.secrets.operatorKey,
		Hosts:      p.config.ConsoleHosts,
		Console:    web.Console(),
		Log:        p.log.With("component", "operator"),
	})
	if err != nil {
		return err
	}
	p.operator = api
	p.ready = append(p.ready, api.Ready)
	p.group.add("operator API", api.Run)
	return nil
}
