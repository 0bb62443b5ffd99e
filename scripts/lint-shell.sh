#!/usr/bin/env bash
# Checks the shell scripts of this repository with shellcheck.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v shellcheck >/dev/null 2>&1; then
	echo 'SKIPPED: shellcheck is not installed; the shell scripts are not checked.' >&2
	[ "${CI:-}" != true ]
	exit
fi
shellcheck scripts/*.sh .ci/run
