#!/bin/bash
# enter.sh ROOT WORK COMMAND...: runs COMMAND in /srv/millrace of ROOT, which is not written to: WORK/tree is mounted there,
# WORK/cache and WORK/tmp for what else is written, and the Kafka jars of this machine. Processes, mounts and shared
# memory are the run's own: nothing outlives it.
set -euo pipefail
if [ "${1:-}" != --mounted ]; then
	exec unshare --mount --ipc --pid --fork --kill-child --propagation private "$0" --mounted "$@"
fi
root=$2 work=$3
shift 3

mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount --bind "$work/tmp" "$root/var/tmp"
mount --bind "$work/tree" "$root/srv/millrace"
mount --bind "$work/cache" "$root/srv/cache"
if [ -n "${KAFKA_DIR:-}" ]; then
	mount --bind "$KAFKA_DIR/libs" "$root/srv/cache/millrace/${KAFKA_DIR##*/}/libs"
fi
# Not exec: this shell is the first process of its namespace and reaps the orphans.
chroot "$root" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=/tmp \
	XDG_CACHE_HOME=/srv/cache PG_CONFIG="${PG_CONFIG:-pg_config}" MR_CFLAGS=-Werror CHECK="${CHECK:-}" E2E="${E2E:-}" \
	PYTEST_ADDOPTS="${PYTEST_ADDOPTS:-}" E2E_PROCESSES="${E2E_PROCESSES:-}" ${SEED:+"SEED=$SEED"} sh -c 'cd /srv/millrace && exec "$@"' sh "$@"
