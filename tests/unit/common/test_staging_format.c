/* The staging format: its bytes, and that what is put is what is got. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/staging_format.h"

static const MrStagedPart first = {.partition = 3,
								   .events = 0x01020304,
								   .epoch = INT64_MIN + 5,
								   .previous = 0x1112131415161718,
								   .next = INT64_MAX,
								   .last_offset = -1,
								   .last_ts = 0x2122232425262728,
								   .last_crc = 0xfeedbeef};

static void
a_trailer_has_these_bytes(void **state)
{
	static const char bytes[] = "\0\0\0\2" /* version */
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
	assert_int_equal(got.events, first.events);
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

static const char packed[] = "\0\0\0\2" /* events */
							 "\1\2\3\4\5\6\7\x8"
							 "\xff\xff\xff\xff\xff\xff\xff\xff"
							 "\0\0\0\3"
							 "\0\4\0\0"
							 "\0\0\0\5hello\0\0\0"
							 "\xff\xff\xff\xff"
							 "\0\0\0\4four"
							 "\0\0\0\0\0\0\0\x9"
							 "\0\0\0\0\0\0\0\2"
							 "\0\0\0\0"
							 "\0\0\0\0"
							 "\0\0\0\0"
							 "\0\0\0\1h\0\0\0"
							 "\xff\xff\xff\xff";

/* As the writer does it; returns the bytes. */
static size_t
put_pack(char *pack)
{
	char *at = mr_put32(pack, 2);

	at = mr_packed_put_fixed(at, 0x0102030405060708, -1, 3, MR_KIND_LOG_APPEND_TIME);
	at = mr_packed_put_bytes(at, "hello", 5);
	at = mr_packed_put_bytes(at, NULL, 0);
	at = mr_packed_put_bytes(at, "four", 4);
	at = mr_packed_put_fixed(at, 9, 2, 0, 0);
	at = mr_packed_put_bytes(at, "", 0);
	at = mr_packed_put_bytes(at, "h", 1);
	at = mr_packed_put_bytes(at, NULL, 0);
	return (size_t) (at - pack);
}

static void
a_pack_has_these_bytes(void **state)
{
	char pack[200];

	(void) state;
	memset(pack, 'x', sizeof(pack));
	assert_int_equal(put_pack(pack), sizeof(packed) - 1);
	assert_memory_equal(pack, packed, sizeof(packed) - 1);
	assert_int_equal(MR_PACK_HEAD_BYTES + mr_packed_bytes(5, 0, 4) + mr_packed_bytes(0, 1, 0),
					 sizeof(packed) - 1);
}

static void
the_events_of_a_pack_are_got(void **state)
{
	char pack[200];
	MrPackReader reader = mr_pack_begin(pack, put_pack(pack));
	MrPackedEvent event;

	(void) state;
	assert_true(mr_pack_next(&reader, &event));
	assert_true(event.offset == 0x0102030405060708 && event.kafka_ts == -1);
	assert_int_equal(event.partition, 3);
	assert_int_equal(event.kind, MR_KIND_LOG_APPEND_TIME);
	assert_int_equal(event.key.length, 5);
	assert_memory_equal(event.key.at + 4, "hello", 5);
	assert_null(event.headers.at);
	assert_int_equal(event.payload.length, 4);
	assert_int_equal((event.payload.at - pack) % 4, 0);
	assert_false(mr_pack_is_whole(&reader));
	assert_true(mr_pack_next(&reader, &event));
	assert_true(event.offset == 9 && event.kafka_ts == 2);
	assert_non_null(event.key.at);
	assert_int_equal(event.key.length, 0);
	assert_int_equal(event.headers.length, 1);
	assert_null(event.payload.at);
	assert_true(mr_pack_is_whole(&reader));
	assert_false(mr_pack_next(&reader, &event));
	assert_true(mr_pack_is_whole(&reader));
}

/* Reads all of it, as far as it goes. Of memory of exactly that size, so that a sanitizer sees a step too far. */
static int
is_whole(const char *bytes, size_t length)
{
	char *pack = test_malloc(length);
	MrPackReader reader;
	MrPackedEvent event;

	memcpy(pack, bytes, length);
	reader = mr_pack_begin(pack, length);
	while (mr_pack_next(&reader, &event))
		;
	test_free(pack);
	return mr_pack_is_whole(&reader);
}

static void
a_broken_pack_is_refused(void **state)
{
	char pack[201];
	const size_t length = put_pack(pack);
	static const int32_t lengths[] = {-2, INT32_MIN, INT32_MAX, INT32_MAX - 2, 200, 9};

	(void) state;
	pack[length] = 0;
	assert_true(is_whole(pack, length));
	for (size_t i = 0; i < length; i++)
		assert_false(is_whole(pack, i));
	assert_false(is_whole(pack, length + 1));
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
	{
		mr_put32(pack + 28, (uint32_t) lengths[i]);
		assert_false(is_whole(pack, length));
	}
	mr_put32(pack + 28, 5);
	for (int bit = 0; bit < 32; bit++)
	{
		mr_put32(pack + 24, (uint32_t) 1 << bit);
		assert_int_equal(is_whole(pack, length), bit >= 17 && bit <= 19);
	}
	mr_put32(pack + 24, 0);
	mr_put32(pack, 1);
	assert_false(is_whole(pack, length));
	mr_put32(pack, UINT32_MAX);
	assert_false(is_whole(pack, length));
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
		cmocka_unit_test(a_trailer_has_these_bytes),    cmocka_unit_test(what_is_put_is_got),
		cmocka_unit_test(another_form_is_refused),      cmocka_unit_test(a_pack_has_these_bytes),
		cmocka_unit_test(the_events_of_a_pack_are_got), cmocka_unit_test(a_broken_pack_is_refused),
		cmocka_unit_test(integers_are_big_endian),
	};

	return cmocka_run_group_tests_name("common/staging_format", tests, NULL, NULL);
}
