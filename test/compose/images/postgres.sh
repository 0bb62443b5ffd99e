#!/bin/sh
# Starts PostgreSQL as the entrypoint of the official image does: not as root, and
# the first time with a cluster made from POSTGRES_USER, _PASSWORD and _DB.
set -eu
for bin in /usr/lib/postgresql/*/bin; do PATH="$bin:$PATH"; done
export PATH

if [ "$1" != postgres ]; then
	exec "$@"
fi
if [ "$(id -u)" = 0 ]; then
	mkdir -p "$PGDATA"
	chown -R postgres "$PGDATA"
	chmod 700 "$PGDATA"
	exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
	user=${POSTGRES_USER:-postgres}
	if [ -z "${POSTGRES_PASSWORD:-}" ]; then
		echo 'Error: Database is uninitialized and superuser password is not specified.' >&2
		exit 1
	fi
	password=$(mktemp)
	printf '%s\n' "$POSTGRES_PASSWORD" >"$password"
	initdb -D "$PGDATA" --username="$user" --pwfile="$password"
	rm "$password"
	echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
	echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
	# Nobody gets in over the network before the database is there.
	pg_ctl -D "$PGDATA" -o "-c listen_addresses='' -c unix_socket_directories=/tmp" -w start
	if [ "${POSTGRES_DB:-$user}" != postgres ]; then
		createdb -h /tmp -U "$user" "${POSTGRES_DB:-$user}"
	fi
	pg_ctl -D "$PGDATA" -m fast -w stop
fi
exec "$@"
