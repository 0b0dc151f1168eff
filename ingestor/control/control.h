/*
 * The control connection: calls of millrace's functions that belong to no lane, one after the
 * other. Calls wait while the connection is down; those that were under way when it broke, and
 * those behind them, fail. It reconnects without end, with backoff.
 */
#ifndef MR_INGESTOR_CONTROL_H
#define MR_INGESTOR_CONTROL_H

#include <event2/event.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#define MR_CONTROL_MAX_VALUES 5

typedef struct MrControl MrControl;

/* result is NULL when the call failed (logged already). */
typedef void (*MrControlAnswer)(void *owner, const PGresult *result, uint64_t tag);

extern MrControl *mr_control_new(struct event_base *base, const char *dsn,
								 void (*connected)(void *owner), void *owner);
extern bool mr_control_is_open(const MrControl *control);
/* The values are copied; answer may be NULL. */
extern void mr_control_call(MrControl *control, const char *sql, int count,
							const char *const *values, MrControlAnswer answer, void *owner,
							uint64_t tag);
extern uint64_t mr_control_losses(const MrControl *control);
/* Why there is no connection, or what a call of ours last failed with; "" when neither is the case. */
extern const char *mr_control_trouble(const MrControl *control);
/* No answers after this. */
extern void mr_control_free(MrControl *control);

#endif
