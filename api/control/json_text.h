/* Text as JSON, for the few documents that PostgreSQL does not render. */
#ifndef MR_API_JSON_TEXT_H
#define MR_API_JSON_TEXT_H

#include "common/buffer.h"

/* A JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD, so that the document is always valid. */
extern void mr_json_string(MrBuffer *out, const char *text, size_t len);
/* ,"name":"value" (without the comma at the beginning of an object); nothing for NULL. */
extern void mr_json_member(MrBuffer *out, const char *name, const char *value);

#endif
