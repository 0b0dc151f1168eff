/* The header fields of a request. */
#ifndef MR_API_FIELDS_H
#define MR_API_FIELDS_H

struct MrExchange;

/*
 * The value of a field; NULL: there is none. Of several with the name the first, but a list that comes in several fields is one
 * list, as RFC 9110, section 5.3, has it.
 */
extern const char *mr_exchange_header(const struct MrExchange *exchange, const char *name);
/* How many fields of that name the request has. */
extern int mr_exchange_header_count(const struct MrExchange *exchange, const char *name);

#endif
