/* Text as a JSON string. Pure. */
#ifndef MR_COMMON_JSON_H
#define MR_COMMON_JSON_H

#include "common/buffer.h"

/* Appends the text in quotes, escaped. Each byte that is not part of valid UTF-8 becomes the replacement. */
extern void mr_json_put_text(MrBuffer *out, const char *text, size_t len, const char *replacement);

/*
 * Appends the text in quotes, escaped; line ends behind it (libpq's messages have them) are dropped. A byte that is no UTF-8
 * becomes a question mark: an error message may come in any encoding, and what is written must be read by others.
 */
extern void mr_json_put_string(MrBuffer *out, const char *text);

#endif
