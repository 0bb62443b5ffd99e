# Everything one does with this repository. `make` alone lists the targets.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

TOOL := go tool -modfile=tools/go.mod
OUTPUT := test-output

# TEST runs go test. CI puts a reporter with the same arguments in its place.
TEST ?= go test
# What is given to go test besides: make test ARGS='-run TestRace -v' PACKAGES=./room/...
ARGS ?=
# Packages are tested in this order, the longest first.
PACKAGES ?= ./app ./room ./web ./server ./ledger ./loadtest ./...
# Of the tests of a package that may run beside each other: most of them wait most of the time.
PARALLEL ?= $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))
FUZZTIME ?= 10s
# Of the plan of make chaos.
SEED ?= 1

# The race detector needs a C compiler; without one the tests run, and say so.
RACE = $(shell scripts/race-flag.sh)

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/tickcast
	CGO_ENABLED=0 go build -trimpath -o bin/tickcast .

.PHONY: run
run: ## Start everything in one process, with its data in ./data
	go run .

.PHONY: test
test: deps ## Run the tests (installs what they need on Debian as root)
	$(MAKE) --no-print-directory -j 2 test-packages test-sim test-peers test-deploy

# All but what the other three do, which are done meanwhile.
.PHONY: test-packages
test-packages:
	$(TEST) $(RACE) -shuffle=on -timeout 30m -parallel $(PARALLEL) $(ARGS) $(PACKAGES)

.PHONY: test-deploy
test-deploy: ## Check the compose file, the image and the configurations in deploy/
	go -C test/compose test -count=1 ./...

.PHONY: test-peers
test-peers: ## Test the harness of the comparison (Linux)
	[ "$$(uname -s)" != Linux ] || go -C loadtest/peers test $(RACE) -shuffle=on -timeout 30m ./...

# How much of it: make test-long plays more.
SIM ?=

.PHONY: test-sim
test-sim: ## Simulate a partition, and play models; the race detector would find nothing there and take ten times as long
	[ -z "$(RACE)" ] || go test -timeout 30m ./room/sim $(SIM)
	[ -z "$(RACE)" ] || go test -timeout 30m -run TestAnyInterleaving ./room/crash

.PHONY: test-long
test-long: SIM = -tags long -timeout 90m -sim.rounds 20000 -sim.times 500
test-long: deps test-compose test-sim ## Run the tests that take too long for every change as well
	$(TEST) $(RACE) -shuffle=on -timeout 60m -parallel $(PARALLEL) -tags long $(ARGS) $(PACKAGES)

ROUNDS ?= 100000

.PHONY: sim
sim: ## Simulate a partition for ROUNDS (100000) rounds from SEED (1) on, and each scenario 1000 times
	go test ./room/sim -count=1 -timeout 0 -v -run 'TestSimulation|TestScenarios' -sim.rounds $(ROUNDS) -sim.seed $(SEED) -sim.times 1000

.PHONY: test-compose
test-compose: ## Start docker-compose.yml in containers of its own, and play (root, Debian)
	@scripts/install-test-deps.sh containers
	go -C test/compose test -count=1 -timeout 40m -tags long -run TestComposeFileRuns -v ./...

.PHONY: chaos
chaos: deps build ## Break a whole cluster by the plan of SEED while bots play, and judge (4 minutes)
	bin/tickcast swarm chaos --seed $(SEED) $(ARGS)

.PHONY: deps
deps: ## Install what the tests need, where that is possible
	@scripts/install-test-deps.sh

.PHONY: lint
lint: ## Check format, go vet, staticcheck and the shell scripts
	@unformatted=$$($(TOOL) gofumpt -l .); \
	if [ -n "$$unformatted" ]; then echo "gofumpt would change:" >&2; echo "$$unformatted" >&2; exit 1; fi
	go vet -tags long ./...
	$(TOOL) staticcheck -tags long ./...
	[ "$$(uname -s)" != Linux ] || { cd loadtest/peers && go vet ./... && go tool -modfile=../../tools/go.mod staticcheck ./...; }
	scripts/lint-shell.sh

.PHONY: fmt
fmt: ## Format the sources
	$(TOOL) gofumpt -w .

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (10s)
	scripts/fuzz.sh $(FUZZTIME) $(PACKAGES)

.PHONY: bench
bench: ## Run the benchmarks
	go test -run '^$$' -bench . -benchmem $(ARGS) $(PACKAGES)

.PHONY: bin/peers
bin/peers:
	go -C loadtest/peers build -trimpath -o ../../bin/peers .

.PHONY: bench-fanout
bench-fanout: build bin/peers ## Compare the gateway with a bare loop of send(2), in under 50 s (Linux, cc)
	bin/peers fanout $(ARGS)

.PHONY: bench-peers
bench-peers: build bin/peers ## Compare the gateway with other servers (an hour, ^C prints what it has; ARGS=--help)
	bin/peers compare --output $(OUTPUT) $(ARGS)

.PHONY: bench-swarm
bench-swarm: build bin/peers ## Compare what a frame costs the swarm with a client in C, in under three minutes (Linux, cc)
	bin/peers swarm-cost $(ARGS)

.PHONY: bench-commands
bench-commands: build bin/peers ## Measure taps, cash-outs and bets from socket to answer, in under a minute (Linux, cc)
	bin/peers commands $(ARGS)

.PHONY: bench-room
bench-room: build bin/peers ## One room of 15,000 players beside a bare loop, judged by the swarm (PLAYERS, TICK_MS; two minutes; Linux, cc)
	scripts/bench-swarm.sh room

.PHONY: bench-rooms
bench-rooms: build ## 10,000 rooms with three players in each, judged by the swarm (ROOMS; two minutes)
	scripts/bench-swarm.sh rooms

.PHONY: bench-slow
bench-slow: build ## 5,000 players with and without slow ones among them (PLAYERS, REPETITIONS; six minutes)
	scripts/bench-swarm.sh slow

.PHONY: bench-restart
bench-restart: build ## Restart all gateways in turn under 20,000 players (PLAYERS, GATEWAYS; three minutes; redis-server)
	scripts/bench-restart.sh

.PHONY: cover
cover: deps ## Measure test coverage into test-output/cover.html
	@mkdir -p $(OUTPUT)
	go test -timeout 15m -coverpkg ./... -coverprofile $(OUTPUT)/cover.out $(ARGS) $(PACKAGES)
	go tool cover -html $(OUTPUT)/cover.out -o $(OUTPUT)/cover.html
	go tool cover -func $(OUTPUT)/cover.out | tail -n 1

.PHONY: clean
clean: ## Remove what was built and measured (not ./data)
	rm -rf bin $(OUTPUT)
