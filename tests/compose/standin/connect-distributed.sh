#!/bin/bash
# In place of the official image's start of a Connect worker.
# shellcheck disable=SC2086 # several options
exec java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 ${KAFKA_HEAP_OPTS:-} -Dlog4j2.configurationFile=/opt/kafka/log4j2.properties \
	-cp '/opt/kafka/connect/*' org.apache.kafka.connect.cli.ConnectDistributed "$@"
