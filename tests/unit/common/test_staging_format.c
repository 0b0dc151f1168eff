/* The staging format: its bytes, and that what is put is what is got. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/staging_format.h"

static const MrStagedPart first = {.partition = 3,
								   .rows = 0x01020304,
								   .epoch = INT64_MIN + 5,
								   .previous = 0x1112131415161718,
								   .next = INT64_MAX,
								   .last_offset = -1,
								   .last_ts = 0x2122232425262728,
								   .last_crc = 0xfeedbeef};

static void
a_trailer_has_these_bytes(void **state)
{
	static const char bytes[] = "\0\0\0\1" /* version */
								"\0\0\0\1" /* parts */
								"\0\0\0\3"
								"\1\2\3\4"
								"\x80\0\0\0\0\0\0\5"
								"\x11\x12\x13\x14\x15\x16\x17\x18"
								"\x7f\xff\xff\xff\xff\xff\xff\xff"
								"\xff\xff\xff\xff\xff\xff\xff\xff"
								"\x21\x22\x23\x24\x25\x26\x27\x28"
								"\xfe\xed\xbe\xef"
								"\0\0\0\0";
	char trailer[MR_TRAILER_HEAD_BYTES + MR_TRAILER_PART_BYTES];
	char *end = mr_trailer_put_part(mr_trailer_put_head(trailer, 1), &first);

	(void) state;
	assert_ptr_equal(end, trailer + sizeof(trailer));
	assert_int_equal(sizeof(bytes) - 1, mr_trailer_bytes(1));
	assert_memory_equal(trailer, bytes, sizeof(trailer));
}

static void
what_is_put_is_got(void **state)
{
	MrStagedPart second = {.partition = INT32_MAX, .last_offset = 9, .last_ts = -1};
	char trailer[MR_TRAILER_HEAD_BYTES + 2 * MR_TRAILER_PART_BYTES];
	MrStagedPart got;

	(void) state;
	mr_trailer_put_part(mr_trailer_put_part(mr_trailer_put_head(trailer, 2), &first), &second);
	assert_int_equal(mr_trailer_parts(trailer, sizeof(trailer)), 2);
	got = mr_trailer_part(trailer, 0);
	assert_int_equal(got.partition, first.partition);
	assert_int_equal(got.rows, first.rows);
	assert_true(got.epoch == first.epoch && got.previous == first.previous &&
				got.next == first.next);
	assert_true(got.last_offset == first.last_offset && got.last_ts == first.last_ts);
	assert_int_equal(got.last_crc, first.last_crc);
	got = mr_trailer_part(trailer, 1);
	assert_int_equal(got.partition, INT32_MAX);
	assert_true(got.last_offset == 9 && got.last_ts == -1);
}

static void
another_form_is_refused(void **state)
{
	char trailer[MR_TRAILER_HEAD_BYTES + MR_TRAILER_PART_BYTES + 1] = {0};

	(void) state;
	mr_trailer_put_head(trailer, 0);
	assert_int_equal(mr_trailer_parts(trailer, MR_TRAILER_HEAD_BYTES), 0);
	assert_int_equal(mr_trailer_parts(trailer, MR_TRAILER_HEAD_BYTES - 1), -1);
	mr_trailer_put_head(trailer, 1);
	assert_int_equal(mr_trailer_parts(trailer, sizeof(trailer) - 2), -1);
	assert_int_equal(mr_trailer_parts(trailer, sizeof(trailer) - 1), 1);
	assert_int_equal(mr_trailer_parts(trailer, sizeof(trailer)), -1);
	mr_trailer_put_head(trailer, UINT32_MAX);
	assert_int_equal(mr_trailer_parts(trailer, sizeof(trailer)), -1);
	mr_put32(mr_put32(trailer, MR_TRAILER_VERSION + 1), 1);
	assert_int_equal(mr_trailer_parts(trailer, sizeof(trailer) - 1), -1);
}

static void
integers_are_big_endian(void **state)
{
	char bytes[8];

	(void) state;
	assert_ptr_equal(mr_put16(bytes, 0xfedc), bytes + 2);
	assert_memory_equal(bytes, "\xfe\xdc", 2);
	mr_put32(bytes, 0xfedcba98);
	assert_memory_equal(bytes, "\xfe\xdc\xba\x98", 4);
	assert_true(mr_get32(bytes) == 0xfedcba98);
	mr_put64(bytes, 0xfedcba9876543210);
	assert_memory_equal(bytes, "\xfe\xdc\xba\x98\x76\x54\x32\x10", 8);
	assert_true(mr_get64(bytes) == 0xfedcba9876543210);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_trailer_has_these_bytes),
		cmocka_unit_test(what_is_put_is_got),
		cmocka_unit_test(another_form_is_refused),
		cmocka_unit_test(integers_are_big_endian),
	};

	return cmocka_run_group_tests_name("common/staging_format", tests, NULL, NULL);
}
