// Tickcast runs live multiplier rounds that people play together.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"tickcast/app"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal ends ctx, and everything drains. From then on signals do what
	// they do by default, so a second one ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(app.Main(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
