/* Text as a JSON string. Pure. */
#ifndef MR_COMMON_JSON_H
#define MR_COMMON_JSON_H

#include "common/buffer.h"

/* Appends the text in quotes, escaped; line ends behind it (libpq's messages have them) are dropped. */
extern void mr_json_put_string(MrBuffer *out, const char *text);

#endif
