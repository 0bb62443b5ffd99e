#!/usr/bin/env bash
# Runs every fuzz target of some packages, one after the other.
# Usage: scripts/fuzz.sh TIME PACKAGE...
set -euo pipefail

time=$1
shift
for package in $(go list "$@"); do
	for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		echo "== $package $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package"
	done
done
