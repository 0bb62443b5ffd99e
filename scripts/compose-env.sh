#!/usr/bin/env bash
# Draws the secrets of docker-compose.yml into .env, once. Who has that file can
# play the operator and foresee every round: it is readable by its owner only, and
# git ignores it.
set -euo pipefail
cd "$(dirname "$0")/.."

file=${1:-.env}
if [ -e "$file" ]; then
	echo "$file is there already; remove it to draw new secrets (a running deployment loses its rooms' seeds)," >&2
	echo "or add what a newer version needs by hand: NAME=\$(openssl rand -hex 32)" >&2
	exit 1
fi

draw() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }

umask 077
{
	for name in TICKCAST_NATS_{GATEWAY,ROOM,LEDGER,OPERATOR,AUDITOR}_PASSWORD \
		TICKCAST_{ROOM_SECRET,JWT_SECRET,OPERATOR_KEY} REDIS_PASSWORD POSTGRES_PASSWORD; do
		echo "$name=$(draw)"
	done
} >"$file.part"
mv "$file.part" "$file"
echo "wrote $file"
