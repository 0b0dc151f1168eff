/* Binary COPY rows, byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ingestor/stage/copy_row.h"

static void
header_and_end(void **state)
{
	char out[32];

	(void) state;
	assert_ptr_equal(mr_copy_header(out), out + MR_COPY_HEADER_BYTES);
	assert_memory_equal(out, "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19);
	assert_ptr_equal(mr_copy_end(out), out + MR_COPY_END_BYTES);
	assert_memory_equal(out, "\377\377", 2);
}

static void
full_row(void **state)
{
	static const char expected[] = "\0\10"
								   "\0\0\0\10\1\2\3\4\5\6\7\10"
								   "\0\0\0\10\0\0\0\0\0\0\0\52"
								   "\0\0\0\10\0\0\1\213\317\345\150\173"
								   "\0\0\0\4\0\0\0\3"
								   "\0\0\0\2\0\4"
								   "\0\0\0\1k"
								   "\0\0\0\2hh"
								   "\0\0\0\3{0}";
	const MrCopyRow row = {.batch = 0x0102030405060708,
						   .offset = 42,
						   .kafka_ts = 1700000000123,
						   .partition = 3,
						   .kind = MR_KIND_LOG_APPEND_TIME,
						   .key = "k",
						   .key_len = 1,
						   .headers = "hh",
						   .headers_len = 2,
						   .payload = "{0}",
						   .payload_len = 3};
	char out[128];
	size_t len = (size_t) (mr_copy_row(out, &row) - out);

	(void) state;
	assert_int_equal(len, MR_COPY_ROW_BYTES + 6);
	assert_int_equal(len, sizeof(expected) - 1);
	assert_memory_equal(out, expected, len);
}

static void
nulls_are_not_empty(void **state)
{
	MrCopyRow row = {.kafka_ts = -1, .key = "", .payload = ""};
	char out[128];
	char *end = mr_copy_row(out, &row);

	(void) state;
	assert_int_equal(end - out, MR_COPY_ROW_BYTES);
	assert_memory_equal(end - 12, "\0\0\0\0\377\377\377\377\0\0\0\0", 12);
	row.key = row.payload = NULL;
	end = mr_copy_row(out, &row);
	assert_int_equal(end - out, MR_COPY_ROW_BYTES);
	assert_memory_equal(end - 12, "\377\377\377\377\377\377\377\377\377\377\377\377", 12);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_and_end),
		cmocka_unit_test(full_row),
		cmocka_unit_test(nulls_are_not_empty),
	};

	return cmocka_run_group_tests_name("ingestor/copy_row", tests, NULL, NULL);
}
