/*
 * Bytes that are written once and sent to many clients, on several threads: each holder has a reference, and the last
 * one that is given back frees them.
 */
#ifndef MR_API_SHARED_TEXT_H
#define MR_API_SHARED_TEXT_H

#include "common/buffer.h"

typedef struct MrSharedText MrSharedText;

/* Takes the bytes over, and empties the buffer. The caller has the first reference. */
extern MrSharedText *mr_shared_text_new(MrBuffer *text);
/* One reference more; the same text, for convenience. */
extern MrSharedText *mr_shared_text_hold(MrSharedText *text);
/* Gives a reference back; NULL is none. */
extern void mr_shared_text_release(MrSharedText *text);
extern const char *mr_shared_text_data(const MrSharedText *text);
extern size_t mr_shared_text_len(const MrSharedText *text);

#endif
