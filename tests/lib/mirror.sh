#!/bin/bash
# Prints the Debian mirror to make systems from: DEBIAN_MIRROR, or that of the machine's own apt, in either form of its sources.
[ -z "${DEBIAN_MIRROR:-}" ] || exec echo "$DEBIAN_MIRROR"
cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
	sed -nE 's#^(URIs: *|deb +(\[[^]]*\] +)?)(https?://[^ ]*/debian/?)( .*)?$#\3#p' | head -n 1
