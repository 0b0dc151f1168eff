/*
 * test_format_ndjson.c - documents of a message: ends of lines, blank lines, and what is in the lines does not matter
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "decode/format_ndjson.h"

/* The documents, each with a bar behind it. The message is a copy without anything behind: sanitizers watch its end. */
static void
check(const char *message, const char *expected)
{
	int length = (int) strlen(message);
	char *copy = malloc((size_t) length + 1 > 1 ? (size_t) length : 1);
	char found[200] = "";
	const char *document;
	int document_length;
	MrNdjson lines;
	int n = 0;

	assert_non_null(copy);
	memcpy(copy, message, (size_t) length);
	mr_ndjson_begin(&lines, copy, length);
	for (; mr_ndjson_next(&lines, &document, &document_length); n++)
	{
		strncat(found, document, (size_t) document_length);
		strcat(found, "|");
	}
	assert_string_equal(found, expected);
	assert_int_equal(mr_ndjson_count(copy, length, 100), n);
	free(copy);
}

static void
lines_are_documents(void **state)
{
	(void) state;
	check("", "");
	check("{}", "{}|");
	check("{}\n", "{}|");
	check("{}\n{}", "{}|{}|");
	check("1\r\n2\r\n", "1|2|");
	check("{\"a\": \"\\n\"}\n[\n", "{\"a\": \"\\n\"}|[|");
}

static void
blank_lines_are_none(void **state)
{
	(void) state;
	check("\n", "");
	check("\n\n \t\r\n\r", "");
	check("\n1\n\n\n2\n \n", "1|2|");
	check(" 1 \n\t2", " 1 |\t2|");
}

/* Only one carriage return is of the line's end, and only before a line feed. */
static void
other_bytes_are_kept(void **state)
{
	(void) state;
	check("1\r\r\n2\r", "1\r|2\r|");
	check("1\r2", "1\r2|");
	check("\xef\xbb\xbf{}\n\x0b\n\xff", "\xef\xbb\xbf{}|\x0b|\xff|");
}

static void
count_ends_behind_its_limit(void **state)
{
	(void) state;
	assert_int_equal(mr_ndjson_count("1\n2\n3\n4", 7, 2), 3);
	assert_int_equal(mr_ndjson_count("1\n2\n3\n4", 7, 3), 4);
	assert_int_equal(mr_ndjson_count("1\n2\n3\n4", 7, 4), 4);
	assert_int_equal(mr_ndjson_count("1\0002\n", 4, 4), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_documents),
		cmocka_unit_test(blank_lines_are_none),
		cmocka_unit_test(other_bytes_are_kept),
		cmocka_unit_test(count_ends_behind_its_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
