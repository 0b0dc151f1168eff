#!/bin/bash
# Starts a worker of Kafka Connect from the image of Kafka. Each variable CONNECT_X_Y becomes the property x.y. Connectors are
# looked for in /opt/connectors, where others may be mounted; that for files, which the image has, is added whatever its
# version is.
set -euo pipefail
properties=/tmp/connect.properties
plugins=(/opt/kafka/libs/connect-file-*.jar)
[ ! -d /opt/connectors ] || plugins+=(/opt/connectors)
{
	echo "plugin.path=$(IFS=, && echo "${plugins[*]}")"
	env | sed -nE 's/^CONNECT_([A-Z0-9_]+)=(.*)$/\1 \2/p' | while read -r name value; do
		name=${name,,}
		echo "${name//_/.}=$value"
	done
} >"$properties"
exec /opt/kafka/bin/connect-distributed.sh "$properties"
