#!/usr/bin/env bash
# Restarts all gateways in turn (SIGTERM: each asks its players to move, and ends when they have) while PLAYERS
# (20000) players watch a room through GATEWAYS (3) of them, each a process of its own beside a nats-server, Redis, a
# room server and a ledger worker. The players are the swarm's, and know the gateways' addresses: no balancer hides a
# gateway that is away.
#
# The last line tells how the swarm judged, how many moved, and how many dials failed or were refused. The exit code
# is 0 if it passed and none did. What everybody says is in OUTPUT (test-output/restart).
set -euo pipefail
cd "$(dirname "$0")/.."

players=${PLAYERS:-20000} gateways=${GATEWAYS:-3} base=${PORT:-28100}
output=${OUTPUT:-test-output/restart}
program=${TICKCAST:-bin/tickcast}
mkdir -p "$output"
data=$(mktemp -d)
trap 'jobs -pr | xargs -r kill; wait; rm -rf "$data"' EXIT

# run NAME COMMAND... starts a process; its ID is in $!.
run() { "${@:2}" >>"$output/$1.log" 2>&1 & }

# await COMMAND... waits until a command succeeds, for a minute.
await() {
	for _ in $(seq 600); do
		if "$@" >/dev/null 2>&1; then
			return
		fi
		sleep 0.1
	done
	echo "in vain for a minute: $*; see $output" >&2
	exit 1
}

# ready PORT waits for the process with that internal listener, listens PORT for one of another kind.
ready() { await curl -fs "http://127.0.0.1:$1/readyz"; }
listens() { await bash -c "exec 3<>/dev/tcp/127.0.0.1/$1"; }

draw() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }
for name in NATS_{GATEWAY,ROOM,LEDGER,OPERATOR,AUDITOR}_PASSWORD ROOM_SECRET JWT_SECRET OPERATOR_KEY; do
	export "TICKCAST_$name=$(draw)"
done
echo "$TICKCAST_JWT_SECRET" >"$data/jwt"
export TICKCAST_NATS_URL=nats://127.0.0.1:$base TICKCAST_REDIS_URL=redis://127.0.0.1:$((base + 1))

rm -f "$output"/*.log
go build -o "$data/nats-server" github.com/nats-io/nats-server/v2
"$program" natsconfig --inline --listen "127.0.0.1:$base" --store-dir "$data/nats" >"$data/nats.conf"
run nats "$data/nats-server" -c "$data/nats.conf"
run redis redis-server --bind 127.0.0.1 --port $((base + 1)) --save '' --dir "$data"
listens "$base"
listens $((base + 1))
run room "$program" room --internal-listen "127.0.0.1:$((base + 2))"
run ledger "$program" ledger --internal-listen "127.0.0.1:$((base + 3))" --database-url "$data/ledger.db"

# gateway N starts a gateway, and returns when it is ready.
declare -a gateway_pids urls
gateway() {
	run "gateway-$1" "$program" gateway --listen "127.0.0.1:$((base + 10 + $1))" --internal-listen "127.0.0.1:$((base + 20 + $1))"
	gateway_pids[$1]=$!
	ready $((base + 20 + $1))
}
for i in $(seq 0 $((gateways - 1))); do
	gateway "$i"
	urls+=(--url "ws://127.0.0.1:$((base + 10 + i))/ws")
done
ready $((base + 2))
ready $((base + 3))
"$program" rooms create arena --api "http://127.0.0.1:$((base + 20))" --game race \
	--set gathering_ms=500 --set running_ms=2000 --set finished_ms=500 --set tick_ms=500 >/dev/null
for i in $(seq 0 $((gateways - 1))); do
	await curl -fs "http://127.0.0.1:$((base + 10 + i))/api/rooms/arena"
done

# The players arrive at 500 a second; a drain takes ten seconds.
arrive=$((players / 500 + 5))
"$program" swarm "${urls[@]}" --scenario steady --room arena --bots "$players" --jwt-secret-file "$data/jwt" --ramp "$((players / 500 + 1))s" \
	--duration "$((arrive + gateways * 25))s" --settle 30s --max-degraded -1 \
	--json "$output/report.json" --html "$output/report.html" >"$output/report.txt" 2>"$output/progress.log" &
swarm=$!
sleep "$arrive"
for i in $(seq 0 $((gateways - 1))); do
	kill -TERM "${gateway_pids[i]}"
	wait "${gateway_pids[i]}" || { echo "gateway $i ended with an error, see $output/gateway-$i.log" >&2; exit 1; }
	gateway "$i"
	sleep 3
done
verdict=0
wait "$swarm" || verdict=$?
awk -v players="$players" -v gateways="$gateways" '
	/× moves asked for by gateways/ { asked = $1 }
	/× connections moved/ { moved = $1 }
	/× dials failed/ { failed += $1 }
	/× dials refused/ { refused += $1 }
	/× connections (closed|that broke)/ { ended += $1 }
	/^verdict/ { verdict = $2 }
	END {
		printf "restart of %d gateways under %d players: verdict %s, %d asked to move, %d moved, %d connections ended, %d dials failed, %d refused\n",
			gateways, players, verdict, asked, moved, ended, failed, refused
		exit failed + refused > 0
	}
' "$output/report.txt" || verdict=1
exit "$verdict"
