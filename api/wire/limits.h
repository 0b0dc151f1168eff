/* How requests come, and how much of them the API takes. The same for all connections of a process. */
#ifndef MR_API_LIMITS_H
#define MR_API_LIMITS_H

#include <stddef.h>
#include <stdint.h>

#include "api/wire/budget.h"
#include "api/wire/tls.h"

#define MR_TARGET_MAX 8192  /* bytes of a request target */
#define MR_HEAD_MAX   16384 /* bytes of the header fields */
#define MR_FIELDS_MAX 64

typedef struct MrWireLimits
{
	uint64_t body_bytes;
	int64_t
		head_ms; /* from the first byte of a request to the end of its head; for the handshake of TLS, too */
	int64_t idle_ms;      /* between requests, and for the client to take some of an answer */
	int64_t body_bytes_s; /* slowest rate of a body, in each window of body_grace_ms */
	int64_t body_grace_ms;
	int connections;  /* of one thread */
	MrBudget *budget; /* of all threads */
	MrTls *tls;       /* NULL: in clear text */
} MrWireLimits;

#endif
