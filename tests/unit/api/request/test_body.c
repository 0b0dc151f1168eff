/* Bodies that come compressed: what becomes of them, also when there is no memory for what they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <event2/buffer.h>
#include <event2/http.h>

#include "api/request/body.h"
#include "api/request/gzip.h"

#define TEXT "{\"type\":\"Temperature\",\"data\":\"30C\"}"

/* What body.c stands on. */
static const char *coding;
static MrProblem refused;
static size_t held;
static bool memory_is_out;

const char *
mr_exchange_header(const MrExchange *exchange, const char *name)
{
	(void) exchange;
	return strcmp(name, "Content-Encoding") == 0 ? coding : NULL;
}

int
mr_exchange_header_count(const MrExchange *exchange, const char *name)
{
	(void) exchange;
	(void) name;
	return 1;
}

const char *
mr_exchange_body(const MrExchange *exchange, size_t *len)
{
	struct evbuffer *input = evhttp_request_get_input_buffer(exchange->http);

	*len = evbuffer_get_length(input);
	return (const char *) evbuffer_pullup(input, -1);
}

void
mr_exchange_set_header(MrExchange *exchange, const char *name, const char *value)
{
	(void) exchange;
	assert_string_equal(name, "Accept-Encoding");
	assert_string_equal(value, "gzip");
}

void
mr_exchange_refuse(MrExchange *exchange, MrProblem problem, const char *detail, const char *hint)
{
	(void) exchange;
	(void) detail;
	(void) hint;
	refused = problem;
}

bool
mr_connection_has_room(MrConnection *connection, size_t more)
{
	(void) connection;
	(void) more;
	return true;
}

void
mr_connection_hold_decoded(MrConnection *connection, size_t bytes)
{
	(void) connection;
	held = bytes;
}

/* Before libevent's own. */
int
evbuffer_add_reference(struct evbuffer *out, const void *data, size_t len,
					   evbuffer_ref_cleanup_cb clean, void *arg)
{
	int (*real)(struct evbuffer *, const void *, size_t, evbuffer_ref_cleanup_cb, void *);

	if (memory_is_out)
		return -1;
	*(void **) &real = dlsym(RTLD_NEXT, "evbuffer_add_reference");
	return real(out, data, len, clean, arg);
}

/* Whether it is taken; and the body afterwards. */
static bool
decode(const char *as, const char *text, char body[100])
{
	const MrExchangeSetup setup = {.body_max = 1000};
	MrExchange exchange = {.setup = &setup, .http = evhttp_request_new(NULL, NULL)};
	MrBuffer bytes = {0};
	size_t len;
	bool taken;

	coding = as;
	refused = MR_PROBLEM_NONE;
	held = 0;
	mr_buffer_append(&bytes, text, strlen(text));
	if (as != NULL)
		mr_gzip(&bytes);
	evbuffer_add(evhttp_request_get_input_buffer(exchange.http), bytes.data, bytes.len);
	mr_buffer_free(&bytes);
	taken = mr_body_decode(&exchange);
	text = mr_exchange_body(&exchange, &len);
	memcpy(body, len > 0 ? text : "", len);
	body[len] = '\0';
	evhttp_request_free(exchange.http);
	return taken;
}

static void
what_it_was(void **state)
{
	char body[100];

	(void) state;
	assert_true(decode(NULL, TEXT, body));
	assert_string_equal(body, TEXT);
	assert_true(decode("gzip", TEXT, body));
	assert_string_equal(body, TEXT);
	assert_int_equal(held, strlen(TEXT));
	assert_true(decode("gzip", "", body));
	assert_string_equal(body, "");
	assert_int_equal(refused, MR_PROBLEM_NONE);
	assert_false(decode("br", TEXT, body));
	assert_int_equal(refused, MR_PROBLEM_CONTENT_CODING);
}

/* An empty body would be another request: with an event in its query it would be published. */
static void
without_memory(void **state)
{
	char body[100];

	(void) state;
	memory_is_out = true;
	assert_false(decode("gzip", TEXT, body));
	assert_int_equal(refused, MR_PROBLEM_BUSY);
	assert_int_equal(held, 0);
	memory_is_out = false;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(what_it_was),
									   cmocka_unit_test(without_memory)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
