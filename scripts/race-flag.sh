#!/usr/bin/env bash
# Prints -race where the race detector works, and says so loudly where it does not.
set -euo pipefail

if [ "$(go env CGO_ENABLED)" = 1 ] && command -v "$(go env CC)" >/dev/null 2>&1; then
	echo -race
	exit 0
fi
echo 'NO C COMPILER: the tests run WITHOUT the race detector.' >&2
if [ "${CI:-}" = true ]; then
	echo '-race' # go test fails and says what is missing
fi
