#!/usr/bin/env bash
# Measures the shipped program (everything in one process, a fresh one for each run) with its own swarm as judge:
#
#   scripts/bench-swarm.sh room    one room of PLAYERS (15000) players that ticks each TICK_MS: 100, or so much more that
#                                  the updates a second are 60 % of what a bare loop of send(2) brings to as many
#                                  sockets just before
#   scripts/bench-swarm.sh rooms   ROOMS (10000) rooms that tick once a second, three players in each; they are made
#                                  in twenty parts a second apart, so that not all change their phase at once
#   scripts/bench-swarm.sh slow    one room of PLAYERS (5000) players, REPETITIONS (3) times without and with 1 % of
#                                  them never reading and 1 % reading a tenth; the last line has the median p99 of
#                                  the others, and their ratio
#
# Prints a line for each run, and ends with the exit code of the swarm's verdict. What the swarm and the server say
# is in OUTPUT (test-output/swarm).
set -euo pipefail
cd "$(dirname "$0")/.."

port=${PORT:-28080} internal=${INTERNAL_PORT:-28081}
output=${OUTPUT:-test-output/swarm}
program=${TICKCAST:-bin/tickcast} peers=${PEERS:-bin/peers}
mkdir -p "$output"
data=$(mktemp -d)
server=
stop() {
	if [ -n "$server" ]; then
		kill "$server" 2>/dev/null || true
		wait "$server" || true
		server=
	fi
}
trap 'stop; rm -rf "$data"' EXIT

# serve NAME starts a fresh server.
serve() {
	"$program" serve --data "$data/$1" --listen "127.0.0.1:$port" --internal-listen "127.0.0.1:$internal" \
		>"$output/$1-server.log" 2>&1 &
	server=$!
	until operate "$1" list >/dev/null 2>&1; do
		kill -0 "$server" || { tail -n 5 "$output/$1-server.log" >&2; exit 1; }
		sleep 0.2
	done
}

operate() { "$program" rooms "${@:2}" --api "http://127.0.0.1:$internal" --data "$data/$1"; }

# race NAME ROOM TICK_MS NUMBER makes a room, or many, and waits until the directory has them.
race() {
	operate "$1" create "$2" --game race --set "tick_ms=$3" >/dev/null
	until [ "$(operate "$1" list | wc -l)" -gt "$4" ]; do
		sleep 0.2
	done
}

# judge NAME ROOM FLAG... runs the swarm, and prints what it found in a line.
judge() {
	local name=$1 room=$2 verdict=0
	"$program" swarm --url "ws://127.0.0.1:$port/ws" --room "$room" --jwt-secret-file "$data/$name/secrets/jwt.secret" \
		--json "$output/$name.json" --html "$output/$name.html" "${@:3}" >"$output/$name.txt" 2>"$output/$name-progress.txt" || verdict=$?
	local peak
	peak=$(awk '/^VmHWM/ { print $2 }' "/proc/$server/status")
	awk -v name="$name" -v peak="$peak" '
		$1 == "delivery" { delivery = "p50 " $5 " p99 " $9 " p99.9 " $11 " ms" }
		/messages \(/ { messages = $1 }
		$2 == "×" && /missed|degraded|skipped/ { sub(/^ +/, ""); notes = notes "; " $0 }
		/^verdict/ { verdict = $2 }
		END { printf "%s: verdict %s, %s messages, delivery %s, peak RSS of the server %d MB%s\n", name, verdict, messages, delivery, peak / 1024, notes }
	' "$output/$name.txt" | tee "$output/$name-line.txt"
	return "$verdict"
}

# median_p99 NAME prints the median of the p99 of all runs of that name, in ms.
median_p99() {
	sed 's/.* p99 \([0-9.]*\) .*/\1/' "$output/$1"-[0-9]*-line.txt | sort -n | awk '{ v[NR] = $1 } END { print((v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2) }'
}

# run NAME ROOM TICK_MS FLAG...
run() {
	local verdict=0
	serve "$1"
	race "$1" "$2" "$3" 1
	judge "$1" "$2" "${@:4}" || verdict=$?
	stop
	return "$verdict"
}

# bare FLAG... runs the bare loop with as many sockets, and prints its line.
bare() {
	"$peers" compare --tickcast "$program" --servers bare --connections "$players" --repetitions 1 --stuck 0 --output "$output" "$@" |
		awk '$2 == "bare" && !seen { seen = 1; $1 = $2 = ""; print }'
}

# limit prints the milliseconds between updates at 60 % of what the bare loop does when it writes as fast as it can.
limit() {
	local line
	line=$(bare --busy 4x128 --calm 4x128)
	echo "the bare loop: $line" >&2
	awk -v players="$players" '{ sub(/.*flat out /, ""); ms = int(players * 1000 / (0.6 * $0)) + 1; print(ms > 100 ? ms : 100) }' <<<"$line"
}

failed=0
case ${1:-} in
room)
	players=${PLAYERS:-15000}
	tick=${TICK_MS:-}
	if [ -z "$tick" ]; then
		tick=$(limit)
	fi
	rate=$(awk -v ms="$tick" 'BEGIN { printf "%.2f", 1000 / ms }')
	echo "the bare loop at $rate updates a second: $(bare --ramp=false --busy "${rate}x128" --calm "${rate}x128")"
	echo "a tick each $tick ms"
	run room arena "$tick" --scenario steady --bots "$players" --ramp "${RAMP:-15s}" --warm-up 25s --duration 45s \
		--settle 15s --max-missed-ticks -1 --max-degraded -1 --max-delivery-p99 100ms || failed=1
	;;
rooms)
	rooms=${ROOMS:-10000}
	last=$((rooms - 1))
	serve rooms
	for part in $(seq 0 19); do
		race rooms "many-[$((rooms * part / 20))-$((rooms * (part + 1) / 20 - 1))]" 1000 $((rooms * (part + 1) / 20))
		sleep 1
	done
	judge rooms "many-[0-$last]" --scenario steady --bots $((last + 1)) --rooms-per-bot 3 --ramp 20s --warm-up 35s \
		--duration 65s --settle 15s --max-missed-ticks -1 --max-degraded -1 || failed=1
	;;
slow)
	rm -f "$output"/steady-*-line.txt "$output"/slow-*-line.txt
	for i in $(seq "${REPETITIONS:-3}"); do
		for scenario in steady slow; do
			run "$scenario-$i" arena "${TICK_MS:-100}" --scenario "$scenario" --bots "${PLAYERS:-5000}" --ramp 6s --warm-up 12s \
				--duration 42s --settle 15s --max-missed-ticks -1 || failed=1
		done
	done
	awk -v without="$(median_p99 steady)" -v with="$(median_p99 slow)" \
		'BEGIN { printf "slow ratio %.2f (p99 of readers without slow ones %s ms, with them %s ms)\n", with / without, without, with }'
	;;
*)
	sed -n 's/^# \{0,1\}//; 2,14p' "$0" >&2
	exit 2
	;;
esac
exit "$failed"
