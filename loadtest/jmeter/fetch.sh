#!/bin/bash
# Prepares JMeter once per machine from Maven Central and prints its home directory. A JMeter of your own is as good: set
# JMETER_HOME.
set -euo pipefail
if [ -n "${JMETER_HOME:-}" ]; then echo "$JMETER_HOME" && exit; fi
here=$(cd "$(dirname "$0")" && pwd)
home=${XDG_CACHE_HOME:-$HOME/.cache}/millrace/jmeter-5.6.3
mkdir -p "$home"
exec 9>"$home/lock"
flock 9
if [ ! -d "$home/bin" ]; then
	rm -rf "${home:?}/lib"
	mkdir -p "$home/lib/ext"
	mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$home/lib" \
		>"$home/fetch.log" 2>&1 || {
		echo "jmeter: the jars could not be fetched from Maven Central ($home/fetch.log): make it or a mirror" \
			"(~/.m2/settings.xml) reachable, or set JMETER_HOME to a JMeter 5.6" >&2
		exit 1
	}
	rm -rf "$home/config" && mkdir "$home/config"
	python3 -m zipfile -e "$home"/lib/ApacheJMeter_config-*.jar "$home/config"
	mv "$home"/lib/ApacheJMeter_*.jar "$home/lib/ext"
	mv "$home"/lib/ApacheJMeter-*.jar "$home/config/bin/ApacheJMeter.jar"
	mv "$home/config/bin" "$home/bin" # last: then it is whole
	rm -rf "$home/config"
fi
echo "$home"
