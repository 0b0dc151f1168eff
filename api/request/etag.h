/* Strong entity tags of a body, and If-None-Match (RFC 9110, sections 8.8.3 and 13.1.2); pure. */
#ifndef MR_API_ETAG_H
#define MR_API_ETAG_H

#include <stdbool.h>
#include <stddef.h>

#define MR_ETAG_SIZE         35 /* 32 hexadecimal digits in quotes, and a NUL */
#define MR_ETAG_VARIANT_SIZE 40

extern void mr_etag_make(char tag[MR_ETAG_SIZE], const void *body, size_t len);
/*
 * The tag of the same text in the coding gzip: other bytes have another strong tag. `tag` is one of mr_etag_make().
 */
extern void mr_etag_gzip(char variant[MR_ETAG_VARIANT_SIZE], const char *tag);
/* Does the field (NULL: not sent) name this tag, its variant, or any? */
extern bool mr_etag_matches(const char *if_none_match, const char *tag);

#endif
