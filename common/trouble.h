/*
 * The present trouble of something that is tried again and again: a connection, a call, a client. It makes a line in
 * the log when its text changes, not at each attempt, and is what /readyz shows. It belongs to whoever tries, and to
 * that thread. Zero-initialized: no trouble.
 */
#ifndef MR_COMMON_TROUBLE_H
#define MR_COMMON_TROUBLE_H

#include <stdbool.h>

#include "common/log.h"

typedef struct MrTrouble
{
	char text[512]; /* one line; "" = none */
} MrTrouble;

/*
 * Takes the text over, cut to its room, as one line. Returns the level to log it with: MR_LOG_WARN for a text that was
 * not the last one, MR_LOG_DEBUG for the same again.
 */
extern MrLogLevel mr_trouble_set(MrTrouble *trouble, const char *text);
extern void mr_trouble_clear(MrTrouble *trouble);
extern bool mr_trouble_is_set(const MrTrouble *trouble);

#endif
