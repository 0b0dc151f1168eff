/* What to do about an error of the server that a call of ours met, by its SQLSTATE. Pure. */
#ifndef MR_INGESTOR_ADVICE_H
#define MR_INGESTOR_ADVICE_H

#include <stddef.h>

/* Writes one line; "" where there is nothing to say. role and database: of the connection. */
extern void mr_control_advice(const char *sqlstate, const char *role, const char *database,
							  char *out, size_t out_size);

#endif
