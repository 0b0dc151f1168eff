#!/bin/bash
# In place of the official image's start: variables KAFKA_X_Y are the broker's properties x.y, the data directory is
# formatted when it is empty.
set -euo pipefail
properties=/opt/kafka/config/server.properties
env | sed -nE 's/^KAFKA_([A-Z0-9_]+)=(.*)$/\1 \2/p' | grep -vE '^(HEAP_OPTS|OPTS) ' | while read -r name value; do
	name=${name,,}
	echo "${name//_/.}=$value"
done >"$properties"
jvm=(java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile=/opt/kafka/log4j2.properties -cp '/opt/kafka/libs/*')
[ -e "$KAFKA_LOG_DIRS/meta.properties" ] ||
	"${jvm[@]}" kafka.tools.StorageTool format -t 5L6g3nShT-eMCtK--X86sw -c "$properties"
# shellcheck disable=SC2086 # several options
exec "${jvm[@]}" ${KAFKA_HEAP_OPTS:-} ${KAFKA_OPTS:-} kafka.Kafka "$properties"
