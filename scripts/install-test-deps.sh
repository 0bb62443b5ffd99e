#!/usr/bin/env bash
# Installs the programs that tests need and this machine lacks, with apt when that
# is possible, and otherwise says which tests will be skipped. Daemons of the
# installed packages are kept from starting: tests start their own.
#
#   scripts/install-test-deps.sh [containers]
#
# With "containers" also what the start of docker-compose.yml needs (make test-long).
set -euo pipefail

missing_packages=()
consequences=()

# has PROGRAM: in PATH, or where Debian keeps PostgreSQL and daemons.
has() {
	command -v "$1" >/dev/null 2>&1 ||
		compgen -G "/usr/lib/postgresql/*/bin/$1" >/dev/null ||
		[ -x "/usr/sbin/$1" ]
}

# lack CONSEQUENCE PACKAGE...: what is lost without the packages.
lack() {
	consequences+=("$1")
	shift
	missing_packages+=("$@")
}

compiles_c() {
	echo '#include <stdlib.h>
	int main(void) { return 0; }' | gcc -x c -o /dev/null - >/dev/null 2>&1
}

has redis-server || lack 'tests against a real Redis' redis-server
{ has postgres && has initdb && has psql; } || lack 'tests against a real PostgreSQL' postgresql
{ has chromium || has chromium-browser || has google-chrome; } || lack 'tests of the pages in a browser' chromium
[ -d /usr/share/fonts/truetype/dejavu ] || [ -n "${DISPLAY:-}" ] || lack 'legible screenshots' fonts-dejavu-core
has haproxy || lack 'tests through a load balancer' haproxy
compiles_c || lack 'the race detector' gcc libc6-dev
has shellcheck || lack 'the check of shell scripts (make lint)' shellcheck
has make || lack 'make' make
if [ "${1:-}" = containers ]; then
	{ has podman && has runc && has iptables && has podman-compose && has debootstrap &&
		[ -x /usr/lib/podman/netavark ] && [ -x /usr/lib/podman/aardvark-dns ]; } ||
		lack 'the start of docker-compose.yml' podman runc netavark aardvark-dns iptables iproute2 podman-compose debootstrap
fi

if [ "${#missing_packages[@]}" -eq 0 ]; then
	exit 0
fi

give_up() {
	{
		echo "======================================================================"
		echo "$1"
		echo "Not installed: ${missing_packages[*]}. Without them there are no:"
		printf '  - %s\n' "${consequences[@]}"
		echo "Tests that need them are SKIPPED (with CI=true they fail)."
		echo "======================================================================"
	} >&2
	exit 0
}

command -v apt-get >/dev/null 2>&1 || give_up 'This is no Debian: install these programs by hand.'
[ "$(id -u)" -eq 0 ] || give_up "Run 'sudo scripts/install-test-deps.sh' to install what the tests need."

echo "installing for the tests: ${missing_packages[*]}" >&2
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt=(apt-get -o DPkg::Lock::Timeout=300 -qq)
# An old package list names versions that the archive no longer has.
if ! { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "${missing_packages[@]}"; } >&2; then
	give_up 'apt-get failed (see above).'
fi
