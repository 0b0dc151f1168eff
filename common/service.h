/*
 * A word to the service manager, by the protocol of systemd's sd_notify(3): datagrams to the socket that NOTIFY_SOCKET
 * names. Without it (a shell, a container) nothing is sent. The protocol is stable, and so small that the manual advises
 * against linking a library for it.
 */
#ifndef MR_COMMON_SERVICE_H
#define MR_COMMON_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

/* Sends a state, such as "READY=1". False: there is nobody to send it to, or it could not be sent. */
extern bool mr_service_notify(const char *state);

/* How often "WATCHDOG=1" has to be sent, half of what WATCHDOG_USEC allows, in ms; 0: nobody waits for it. */
extern int64_t mr_service_watchdog_ms(void);

#endif
