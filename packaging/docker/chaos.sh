#!/bin/sh
# Kills (kill -9) or pauses a container of the stack, any of CHAOS_SERVICES, and brings it back, again and again. It needs
# Docker's socket, so whoever controls this container controls the machine: run it where you would run `docker`.
project=$(docker inspect --format '{{index .Config.Labels "com.docker.compose.project"}}' "$(hostname)") || exit 1
victim=

one_of() { printf '%s\n' "$@" | shuf -n 1; }

container_of() {
	docker ps --quiet --filter "label=com.docker.compose.project=$project" --filter "label=com.docker.compose.service=$1" | shuf -n 1
}

bring_back() {
	[ -n "$victim" ] || return 0
	docker unpause "$victim" >/dev/null 2>&1
	docker start "$victim" >/dev/null
	victim=
}

# interruptible, as a shell runs its trap only between commands
nap() { sleep "$1" & wait $!; }

trap 'bring_back; exit 0' TERM INT
while :; do
	nap "$CHAOS_INTERVAL"
	# shellcheck disable=SC2086 # lists of words
	service=$(one_of $CHAOS_SERVICES) fault=$(one_of $CHAOS_FAULTS)
	victim=$(container_of "$service")
	[ -n "$victim" ] || continue
	echo "chaos: $fault $service ($victim) for $CHAOS_DURATION s"
	docker "$fault" "$victim" >/dev/null
	nap "$CHAOS_DURATION"
	bring_back
done
