package service

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// NATSNode is what differs between the configurations of a cluster's nodes.
type NATSNode struct {
	Name    string
	Routes  string   // address for the other nodes
	Others  []string // URLs of the other nodes' routes, with a user and a password
	Monitor string   // address of the monitoring page
}

// NATSCluster is several NATS servers with JetStream that keep streams together.
type NATSCluster struct {
	Nodes []*Service

	monitors []string // addresses, by node
	release  []func() // give the ports of routes and monitors back
}

// StartNATSCluster starts n servers, named n0, n1 and so on, with their data in dir, and
// returns when they are one. Config renders the configuration of a node. Path is that of
// nats-server. The caller calls Close.
func StartNATSCluster(path, dir string, n int, config func(NATSNode) string) (*NATSCluster, error) {
	c := &NATSCluster{}
	if err := c.start(path, dir, n, config); err != nil {
		c.Close()
		return nil, fmt.Errorf("start a NATS cluster: %w", err)
	}
	return c, nil
}

func (c *NATSCluster) start(path, dir string, n int, config func(NATSNode) string) error {
	var routes []string
	for range n {
		for _, list := range []*[]string{&routes, &c.monitors} {
			port, release, err := ReservePort()
			if err != nil {
				return err
			}
			c.release = append(c.release, release)
			*list = append(*list, Address(port))
		}
	}
	for i := range n {
		node := NATSNode{Name: fmt.Sprint("n", i), Routes: routes[i], Monitor: c.monitors[i]}
		for j, address := range routes {
			if j != i {
				node.Others = append(node.Others, "nats://node:password-of-nodes@"+address)
			}
		}
		home, err := subdirectory(dir, node.Name)
		if err != nil {
			return err
		}
		spec, err := NATS(path, home, config(node))
		if err != nil {
			return err
		}
		spec.Name += " " + node.Name
		s, err := Launch(spec)
		if err != nil {
			return err
		}
		c.Nodes = append(c.Nodes, s)
	}
	if err := until(c.Whole); err != nil {
		return fmt.Errorf("%w\n%s", err, c.Nodes[0].Log())
	}
	return nil
}

// URL is what clients are given: all nodes.
func (c *NATSCluster) URL() string {
	var urls []string
	for _, s := range c.Nodes {
		urls = append(urls, s.URL())
	}
	return strings.Join(urls, ",")
}

// Whole reports, as an error, which node is not there or lags behind in a stream. While
// there is none, any node may be stopped without a stream losing its majority.
func (c *NATSCluster) Whole() error {
	var errs []error
	for _, monitor := range c.monitors {
		errs = append(errs, healthy(monitor))
	}
	return errors.Join(errs...)
}

// Close ends all nodes.
func (c *NATSCluster) Close() {
	for _, s := range c.Nodes {
		s.Close()
	}
	for _, release := range c.release {
		release()
	}
	c.release = nil
}

// healthy asks a node whether it knows the cluster's leader and has its streams.
func healthy(monitor string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+monitor+"/healthz", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the NATS server with its monitor at %s is not healthy: %s", monitor, res.Status)
	}
	return nil
}
