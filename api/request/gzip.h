/* The content coding gzip (RFC 1952), of an answer as a whole. */
#ifndef MR_API_GZIP_H
#define MR_API_GZIP_H

#include "common/buffer.h"

/* Replaces the text by its compressed form. Deterministic: the same text gives the same bytes. */
extern void mr_gzip(MrBuffer *text);

#endif
