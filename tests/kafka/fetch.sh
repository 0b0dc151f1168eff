#!/bin/bash
# Prepares the test broker once per machine and prints the directory it is in, outside the work tree:
#   libs/        the jars, from Maven Central
#   connect/     with the argument --connect: those of a worker of Kafka Connect
#   debezium/    with --debezium: Debezium's connector for PostgreSQL
#   jmx/         with --jmx: Prometheus's JMX exporter, a Java agent
#   formatted/   an empty, formatted data directory, to be copied for each broker (saves a JVM start)
#   broker.jsa   an archive of loaded classes (AppCDS): the broker is up in about 1 s instead of 2 to 4
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/millrace/kafka-4.4.0
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9

# One line that says what to do: whoever runs the tests sees it instead of a trace for each of them.
unreachable() {
	echo "kafka: the broker's jars could not be fetched from Maven Central ($cache/fetch.log): make it or a mirror" \
		"(~/.m2/settings.xml) reachable, or copy $cache/libs from another machine," \
		"or leave the end-to-end tests out: CHECK=\"lint unit sql\" make check" >&2
	exit 1
}

# jars POM DIRECTORY
jars() {
	[ ! -d "$cache/$2" ] || return 0
	rm -rf "$cache/$2.new"
	mvn -q -B -f "$1" dependency:copy-dependencies -DincludeScope=runtime \
		-DoutputDirectory="$cache/$2.new" >"$cache/fetch.log" 2>&1 || unreachable
	mv "$cache/$2.new" "$cache/$2"
}

jars "$here/pom.xml" libs
for more in "$@"; do
	jars "$here/${more#--}/pom.xml" "${more#--}"
done

# The archive remembers the class path, so it is spelled out, always in the same order.
printf '%s\n' "$cache"/libs/*.jar | sort | paste -sd: >"$cache/classpath"

jvm=(java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1
	-Dlog4j2.configurationFile="$here/log4j2.properties" -cp "$(cat "$cache/classpath")")

if [ ! -d "$cache/formatted" ]; then
	rm -rf "$cache/formatted.new" && mkdir "$cache/formatted.new"
	cat >"$cache/format.properties" <<-P
		process.roles=broker,controller
		node.id=1
		controller.quorum.voters=1@127.0.0.1:1
		listeners=PLAINTEXT://127.0.0.1:2,CONTROLLER://127.0.0.1:1
		controller.listener.names=CONTROLLER
		log.dirs=$cache/formatted.new
	P
	id=$(head -c16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=')
	"${jvm[@]}" kafka.tools.StorageTool format -t "$id" -c "$cache/format.properties" >&2
	mv "$cache/formatted.new" "$cache/formatted"
fi

# tests/lib/broker.py makes the archive at its first clean stop (it knows how to start a broker).
echo "$cache"
