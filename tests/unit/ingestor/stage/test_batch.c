/* A batch: entries, chain, CRC of the last message, trailer, SQL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "ingestor/stage/batch.h"

static MrStageBatch batch;

static int
setup(void **state)
{
	(void) state;
	mr_batch_begin(&batch, 77);
	return 0;
}

static int
teardown(void **state)
{
	(void) state;
	mr_batch_free(&batch);
	return 0;
}

static uint64_t
get(const char *at, int bytes)
{
	uint64_t value = 0;

	for (int i = 0; i < bytes; i++)
		value = value << 8 | (unsigned char) at[i];
	return value;
}

static void
add(int *slot, int32_t partition, int64_t offset, const char *key, const char *payload)
{
	MrCopyRow row = {.batch = batch.id,
					 .offset = offset,
					 .kafka_ts = offset * 10,
					 .partition = partition,
					 .key = key,
					 .key_len = key ? strlen(key) : 0,
					 .payload = payload,
					 .payload_len = payload ? strlen(payload) : 0};
	MrStageEntry *entry = mr_batch_entry(&batch, slot, partition, partition * 1000, offset);

	mr_batch_add(&batch, entry, &row, NULL);
}

/* The trailer's entries begin 56 bytes each behind version and count. */
static const char *
trailer(int number)
{
	return batch.data.data + batch.data.len - MR_COPY_END_BYTES -
		   (size_t) (batch.entry_count - number) * 56;
}

static void
trailer_says_what_the_batch_holds(void **state)
{
	int slot_a = -1, slot_b = -1;
	const char *at;

	(void) state;
	add(&slot_b, 5, 100, "k1", "one");
	add(&slot_a, 2, 7, NULL, "x");
	add(&slot_b, 5, 103, "k2", "three");
	assert_int_equal(batch.events, 3);
	mr_batch_close(&batch, 123456);
	at = trailer(0) - 8;
	assert_int_equal(get(at - 4, 4), 8 + 2 * 56);
	assert_int_equal(get(at, 4), MR_TRAILER_VERSION);
	assert_int_equal(get(at + 4, 4), 2);
	at = trailer(0); /* sorted: partition 2 first */
	assert_int_equal(get(at, 4), 2);
	assert_int_equal(get(at + 4, 4), 1);
	assert_int_equal(get(at + 8, 8), 2000);
	assert_int_equal(get(at + 16, 8), 7);
	assert_int_equal(get(at + 24, 8), 8);
	assert_int_equal(get(at + 32, 8), 7);
	assert_int_equal(get(at + 40, 8), 70);
	assert_int_equal(get(at + 48, 4), crc32(0, (const Bytef *) "x", 1));
	at = trailer(1);
	assert_int_equal(get(at, 4), 5);
	assert_int_equal(get(at + 4, 4), 2);
	assert_int_equal(get(at + 16, 8), 100);
	assert_int_equal(get(at + 24, 8), 104);
	assert_int_equal(get(at + 32, 8), 103);
	assert_int_equal(get(at + 48, 4), crc32(0, (const Bytef *) "k2three", 7));
	assert_memory_equal(batch.data.data + batch.data.len - 2, "\377\377", 2);
}

/* A row of the COPY stream: kind, and the payload. Returns where the next one begins. */
static const char *
read_row(const char *at, int *kind, const char **payload, size_t *length)
{
	assert_int_equal(get(at, 2), MR_SEG_NATTS);
	assert_int_equal(get(at + 6, 8), batch.id);
	*kind = (int) get(at + 50, 2);
	at += 52;
	for (int column = MR_SEG_KEY; column <= MR_SEG_PAYLOAD; column++)
	{
		int32_t size = (int32_t) get(at, 4);

		*payload = at += 4;
		*length = size < 0 ? 0 : (size_t) size;
		at += *length;
	}
	return at;
}

static void
events_fill_packs_and_large_ones_are_rows(void **state)
{
	static char text[9000];
	size_t sizes[400];
	int slot = -1;
	int event = 0;
	int packs = 0;
	int kind;
	const char *payload;
	size_t length;
	const char *at;

	(void) state;
	memset(text, 'e', sizeof(text) - 1);
	for (int i = 0; i < 400; i++)
	{
		sizes[i] = i == 200 ? 8057 : i == 300 ? 8056 : (size_t) (i % 7) * 40;
		text[sizes[i]] = '\0';
		add(&slot, 1, i, "key", text);
		text[sizes[i]] = 'e';
	}
	mr_batch_close(&batch, 0);
	assert_int_equal(batch.entries[0].part.events, 400);
	assert_int_equal(batch.entries[0].part.last_crc, mr_message_crc("key", 3, text, sizes[399]));
	for (at = read_row(batch.data.data + MR_COPY_HEADER_BYTES, &kind, &payload, &length);
		 kind != MR_KIND_TRAILER; at = read_row(at, &kind, &payload, &length))
	{
		MrPackReader reader = mr_pack_begin((char *) payload, length);
		MrPackedEvent packed;

		if (event == 200) /* with what a pack has around it, too large for one */
		{
			assert_int_equal(kind, 0);
			assert_int_equal(length, 8057);
			event++;
			continue;
		}
		assert_int_equal(kind, MR_KIND_PACK);
		assert_true(length <= MR_PACK_BYTES);
		packs++;
		while (mr_pack_next(&reader, &packed))
		{
			assert_int_equal(packed.offset, event);
			assert_int_equal(packed.kafka_ts, event * 10);
			assert_int_equal(packed.partition, 1);
			assert_int_equal(packed.key.length, 3);
			assert_null(packed.headers.at);
			assert_int_equal(packed.payload.length, sizes[event]);
			assert_memory_equal(packed.payload.at + 4, text, sizes[event]);
			event++;
		}
		assert_true(mr_pack_is_whole(&reader));
	}
	assert_int_equal(event, 400);
	assert_in_range(packs, 8, 14);
}

static void
a_move_has_no_rows(void **state)
{
	int slot = -1;
	const char *at;

	(void) state;
	mr_batch_entry(&batch, &slot, 1, 9, 50)->part.next = 58;
	assert_false(mr_batch_is_empty(&batch));
	mr_batch_close(&batch, 0);
	at = trailer(0);
	assert_int_equal(get(at + 4, 4), 0);
	assert_int_equal(get(at + 16, 8), 50);
	assert_int_equal(get(at + 24, 8), 58);
	assert_int_equal(get(at + 32, 8), UINT64_MAX);
	assert_int_equal(get(at + 48, 4), 0);
}

static void
a_stale_slot_is_not_believed(void **state)
{
	int slot_a = -1, slot_b = -1;

	(void) state;
	add(&slot_a, 1, 10, NULL, "a");
	add(&slot_b, 2, 20, NULL, "b");
	mr_batch_begin(&batch, 78);
	assert_true(mr_batch_is_empty(&batch));
	add(&slot_b, 2, 21, NULL, "b");
	add(&slot_a, 1, 11, NULL, "a");
	add(&slot_b, 2, 22, NULL, "b");
	assert_int_equal(batch.entry_count, 2);
	assert_int_equal(batch.entries[slot_a].part.partition, 1);
	assert_int_equal(batch.entries[slot_b].part.events, 2);
}

static void
oversize_keeps_the_full_crc(void **state)
{
	int slot = -1;
	uint32_t crc = 0xdeadbeef;
	MrCopyRow row = {.offset = 4,
					 .partition = 1,
					 .kind = MR_KIND_OVERSIZE,
					 .payload = "\0\0\0\0\0\0\1\0",
					 .payload_len = 8};

	(void) state;
	mr_batch_add(&batch, mr_batch_entry(&batch, &slot, 1, 1, 4), &row, &crc);
	mr_batch_close(&batch, 0);
	assert_int_equal(get(trailer(0) + 48, 4), 0xdeadbeef);
}

static void
sql_names_partitions_and_epochs(void **state)
{
	int slot_a = -1, slot_b = -1;
	MrBuffer sql = {0};

	(void) state;
	add(&slot_b, 5, 100, NULL, "b");
	add(&slot_a, 2, 7, NULL, "a");
	mr_batch_close(&batch, 0);
	mr_batch_sql(&batch, 3, -9, "millrace.segment_3_1", &sql);
	assert_string_equal(mr_buffer_string(&sql),
						"SELECT millrace.stage(3, -9, '{2,5}', '{2000,5000}', 2, 2); "
						"COPY millrace.segment_3_1 FROM STDIN (FORMAT binary)");
	mr_buffer_free(&sql);
}

static void
giant_memory_is_given_back(void **state)
{
	static char big[6 << 20];
	int slot = -1;
	MrCopyRow row = {.offset = 1, .payload = big, .payload_len = sizeof(big)};

	(void) state;
	mr_batch_add(&batch, mr_batch_entry(&batch, &slot, 0, 1, 1), &row, NULL);
	assert_true(batch.data.cap > sizeof(big));
	mr_batch_begin(&batch, 1);
	assert_true(batch.data.cap < 4096);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(trailer_says_what_the_batch_holds, setup, teardown),
		cmocka_unit_test_setup_teardown(events_fill_packs_and_large_ones_are_rows, setup, teardown),
		cmocka_unit_test_setup_teardown(a_move_has_no_rows, setup, teardown),
		cmocka_unit_test_setup_teardown(a_stale_slot_is_not_believed, setup, teardown),
		cmocka_unit_test_setup_teardown(oversize_keeps_the_full_crc, setup, teardown),
		cmocka_unit_test_setup_teardown(sql_names_partitions_and_epochs, setup, teardown),
		cmocka_unit_test_setup_teardown(giant_memory_is_given_back, setup, teardown),
	};

	return cmocka_run_group_tests_name("ingestor/batch", tests, NULL, NULL);
}
