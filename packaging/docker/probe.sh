#!/bin/bash
# probe PORT PATH: 0 when GET PATH on this port of this container is answered with 200. For health checks: the images have
# neither curl nor wget.
exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
printf 'GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$2" >&3
read -r -t 3 _ status _ <&3 || exit 1
cat <&3 >/dev/null # servers complain in their log when nobody takes the rest
[ "$status" = 200 ]
