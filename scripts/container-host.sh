#!/usr/bin/env bash
# Runs a command as if it were alone on a host with podman:
#
#   scripts/container-host.sh DIRECTORY COMMAND [ARGUMENT...]
#
# Images, containers, volumes and state live in DIRECTORY; network, mounts and
# processes in namespaces of their own. All of it ends with the command, however
# that ends. There is no way to the network outside. Needs root; exits with 69
# where the kernel or a sandbox does not allow namespaces.
set -euo pipefail

if [ "${1:-}" = inside ]; then
	directory=$2
	shift 2
	# State that podman keeps in fixed places.
	for at in /run /dev/shm; do mount -t tmpfs tmpfs "$at"; done
	[ ! -d /etc/cni/net.d ] || mount -t tmpfs tmpfs /etc/cni/net.d
	ip link set lo up
	# crun refuses hybrid cgroups.
	cat >"$directory/containers.conf" <<-END
		[engine]
		runtime = "runc"
		cgroup_manager = "cgroupfs"
		events_logger = "file"
		[network]
		network_backend = "netavark"
		network_config_dir = "$directory/networks"
	END
	cat >"$directory/storage.conf" <<-END
		[storage]
		driver = "overlay"
		graphroot = "$directory/storage"
		runroot = "/run/containers/storage"
	END
	export CONTAINERS_CONF="$directory/containers.conf" CONTAINERS_STORAGE_CONF="$directory/storage.conf"
	export TMPDIR="$directory/tmp"
	mkdir -p "$TMPDIR" "$directory/networks" "$directory/bin"
	# Podman's own limits are higher than every root may set, and those of
	# containers.conf are forgotten for a container with one of its own.
	cat >"$directory/bin/podman" <<-'END'
		#!/bin/sh
		if [ "$1" = run ] || [ "$1" = create ]; then
			command=$1 files=$(ulimit -Hn)
			shift
			set -- "$command" --ulimit nproc=4096:4096 --ulimit "nofile=$files:$files" "$@"
		fi
		exec /usr/bin/podman "$@"
	END
	chmod +x "$directory/bin/podman"
	export PATH="$directory/bin:$PATH"
	# Not exec: the first process of a PID namespace has to collect orphans.
	status=0
	"$@" || status=$?
	exit "$status"
fi

directory=$(realpath "$1")
shift
namespaces=(unshare --mount --net --pid --fork --kill-child --mount-proc)
if ! "${namespaces[@]}" true; then
	echo 'namespaces cannot be made here' >&2
	exit 69
fi
end() {
	# unshare takes the first process of the namespace with it, and that all others.
	kill -KILL "$child" 2>/dev/null || true
	wait "$child" 2>/dev/null || true
	# Control groups outlive namespaces. Those in use do not let themselves be removed.
	find /sys/fs/cgroup -depth -type d -path '*/libpod_parent*' -exec rmdir {} + 2>/dev/null || true
}
"${namespaces[@]}" "$0" inside "$directory" "$@" &
child=$!
trap end EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
wait "$child"
