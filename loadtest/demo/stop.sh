#!/bin/bash
# Ends what start.sh started, and only that. The data stays in .run/ until the next start.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"

if [ -f "$processes" ]; then
	stop_all
	remove_outside
	echo "demo: stopped"
else
	echo "demo: nothing is running"
fi
