#include "api/request/fields.h"

#include <event2/keyvalq_struct.h>
#include <strings.h>
#include <sys/queue.h>

#include "api/request/exchange.h"

static const char *join(struct evkeyvalq *fields, const char *name);

const char *
mr_exchange_header(const MrExchange *exchange, const char *name)
{
	static const char *const lists[] = {"Accept", "Accept-Encoding", "If-None-Match", "Prefer",
										"tracestate"};
	struct evkeyvalq *fields = evhttp_request_get_input_headers(exchange->http);
	const char *value = evhttp_find_header(fields, name);

	for (size_t i = 0; value != NULL && i < sizeof(lists) / sizeof(lists[0]); i++)
		if (strcasecmp(lists[i], name) == 0 && mr_exchange_header_count(exchange, name) > 1)
			return join(fields, name);
	return value;
}

int
mr_exchange_header_count(const MrExchange *exchange, const char *name)
{
	const struct evkeyvalq *fields = evhttp_request_get_input_headers(exchange->http);
	const struct evkeyval *field;
	int count = 0;

	TAILQ_FOREACH (field, fields, next)
		count += strcasecmp(field->key, name) == 0;
	return count;
}

/* In the request, too: it is one field from here on. */
static const char *
join(struct evkeyvalq *fields, const char *name)
{
	const struct evkeyval *field;
	MrBuffer all = {0};

	TAILQ_FOREACH (field, fields, next)
		if (strcasecmp(field->key, name) == 0)
			mr_buffer_printf(&all, "%s%s", all.len > 0 ? ", " : "", field->value);
	while (evhttp_remove_header(fields, name) == 0)
		;
	evhttp_add_header(fields, name, mr_buffer_string(&all));
	mr_buffer_free(&all);
	return evhttp_find_header(fields, name);
}
