#!/bin/bash
# Fetches the jars of the Spring Boot service once per machine from Maven Central, compiles it into the directory that is given,
# and prints the class path.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
classes=${1:?directory for the classes}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/millrace/spring-$(sha256sum "$here/pom.xml" | cut -c 1-12)
mkdir -p "$cache" "$classes"
exec 9>"$cache/lock"
flock 9
if [ ! -d "$cache/libs" ]; then
	rm -rf "$cache/libs.new"
	mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$cache/libs.new" \
		>"$cache/fetch.log" 2>&1 || {
		echo "spring: the jars could not be fetched from Maven Central ($cache/fetch.log): make it or a mirror" \
			"(~/.m2/settings.xml) reachable, or leave the comparison out: bench_api.py --alone" >&2
		exit 1
	}
	mv "$cache/libs.new" "$cache/libs"
fi
javac -parameters -d "$classes" -cp "$cache/libs/*" "$here/Peer.java"
echo "$classes:$cache/libs/*"
