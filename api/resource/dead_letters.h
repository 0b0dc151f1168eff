/* Dead letters: as a list, by kind, one by one; replay and discard. */
#ifndef MR_API_DEAD_LETTERS_H
#define MR_API_DEAD_LETTERS_H

#include "api/request/exchange.h"

extern void mr_dead_letters_get(MrExchange *exchange);
extern void mr_dead_letter_groups_get(MrExchange *exchange);
extern void mr_dead_letter_get(MrExchange *exchange);
extern void mr_dead_letters_replay(MrExchange *exchange);
extern void mr_dead_letters_discard(MrExchange *exchange);

#endif
