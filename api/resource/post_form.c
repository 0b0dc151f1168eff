#include "api/resource/post_form.h"

#include <stdlib.h>

#include "api/request/accept.h"
#include "api/wire/target.h"

static bool has_form(const MrExchange *exchange, const char *body, size_t len);
static bool add(MrExchange *exchange, const char *body, size_t len);

bool
mr_post_form_read(MrExchange *exchange)
{
	size_t len;
	const char *body = mr_exchange_body(exchange, &len);
	const char *why;

	if (!has_form(exchange, body, len))
		return true;
	if (!mr_form_check(body, len, &why))
	{
		mr_exchange_refuse(exchange, MR_PROBLEM_BODY, why,
						   "Write the parameters of a form as those of a query, with "
						   "curl --data-urlencode for one; or send JSON with Content-Type: "
						   "application/json.");
		return false;
	}
	return add(exchange, body, len);
}

/* A CloudEvent in binary mode has data of any type. What begins as JSON is no form: curl -d calls it one. */
static bool
has_form(const MrExchange *exchange, const char *body, size_t len)
{
	return len > 0 && *body != '{' && *body != '[' &&
		   mr_media_type_is(mr_exchange_header(exchange, "Content-Type"),
							"application/x-www-form-urlencoded") &&
		   mr_exchange_header(exchange, "ce-type") == NULL;
}

static bool
add(MrExchange *exchange, const char *body, size_t len)
{
	char *text = mr_malloc(len + 1);
	char error[128];
	bool ok;

	memcpy(text, body, len);
	text[len] = '\0';
	ok = mr_params_add(&exchange->params, text, error, sizeof(error));
	free(text);
	if (ok)
		mr_exchange_drop_body(exchange);
	else
		mr_exchange_refuse(exchange, MR_PROBLEM_PARAMETER, error,
						   "Give each parameter once, in the query or in the form.");
	return ok;
}
