/*
 * libFuzzer harness for query strings, coordinates, Accept and entity tags: whatever text comes, and, of what can be
 * written back, that it reads as it was.
 */
#include "api/request/accept.h"
#include "api/request/coordinate.h"
#include "api/request/etag.h"
#include "api/request/params.h"
#include "tests/fuzz/must.h"

static const char *const types[] = {"application/json", "text/csv"};

/* Names and values, encoded again, are the same names and values. */
static void
check_params(const char *text)
{
	MrParams params;
	MrParams again;
	MrBuffer query = {0};
	char error[128];

	if (!mr_params_parse(&params, text, error, sizeof(error)))
		return;
	for (int i = 0; i < params.count; i++)
	{
		mr_buffer_append(&query, "&", i > 0);
		mr_percent_encode(&query, params.items[i].name);
		mr_buffer_append(&query, "=", 1);
		mr_percent_encode(&query, params.items[i].value);
		mr_nearest_name(params.items[i].name, types, 2);
	}
	must(mr_params_parse(&again, mr_buffer_string(&query), error, sizeof(error)));
	must(again.count == params.count);
	for (int i = 0; i < params.count; i++)
		must(strcmp(again.items[i].name, params.items[i].name) == 0 &&
			 strcmp(again.items[i].value, params.items[i].value) == 0);
	mr_params_free(&again);
	mr_params_free(&params);
	mr_buffer_free(&query);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = text_of(data, len);
	MrCoordinate coordinate;
	char tag[MR_ETAG_SIZE];
	int choice;

	check_params(text);
	if (mr_coordinate_read(&coordinate, text))
		must(strlen(coordinate.topic) + strlen(coordinate.partition) + strlen(coordinate.offset) +
				 2 ==
			 strlen(text));
	choice = mr_accept_choose(text, types, 2);
	must(choice >= -1 && choice < 2);
	mr_etag_make(tag, text, len);
	mr_etag_matches(text, tag);
	must(mr_etag_matches(tag, tag));
	free(text);
	return 0;
}
