/* Cursors come back as they were written, and no other text is one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/request/cursor.h"

static MrCursorSecret secret;

static int
setup(void **state)
{
	(void) state;
	mr_cursor_secret_make(&secret, "a secret");
	return 0;
}

static void
there_and_back(void **state)
{
	(void) state;
	for (int backward = 0; backward < 2; backward++)
		for (int n = 0; n < 20; n++)
		{
			MrBuffer text = {0};
			MrCursor cursor;
			const char *id = "01234567890123456789" + n;

			mr_cursor_write(&text, &secret, "type=a&", backward, "2026-01-01 00:00:00+00", id);
			assert_true(strspn(mr_buffer_string(&text),
							   "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrst"
							   "uvwxyz0123456789-_") == text.len);
			assert_true(mr_cursor_read(&cursor, &secret, "type=a&", mr_buffer_string(&text)));
			assert_int_equal(cursor.backward, backward);
			assert_string_equal(cursor.time, "2026-01-01 00:00:00+00");
			assert_string_equal(cursor.id, id);
			mr_cursor_free(&cursor);
			assert_false(mr_cursor_read(&cursor, &secret, "type=b&", mr_buffer_string(&text)));
			mr_buffer_free(&text);
		}
}

/* Each character replaced by each other one, each prefix, and another secret. */
static void
changed(void **state)
{
	MrBuffer text = {0};
	MrCursorSecret other;
	MrCursor cursor;

	(void) state;
	mr_cursor_write(&text, &secret, "", false, "t", "i");
	for (size_t i = 0; i < text.len; i++)
	{
		char kept = text.data[i];

		for (int c = 1; c < 256; c++)
		{
			text.data[i] = (char) c;
			if (c != (unsigned char) kept)
				assert_false(mr_cursor_read(&cursor, &secret, "", mr_buffer_string(&text)));
		}
		text.data[i] = '\0';
		assert_false(mr_cursor_read(&cursor, &secret, "", text.data));
		text.data[i] = kept;
	}
	mr_cursor_secret_make(&other, "another");
	assert_false(mr_cursor_read(&cursor, &other, "", mr_buffer_string(&text)));
	mr_cursor_secret_make(&other, NULL);
	assert_false(mr_cursor_read(&cursor, &other, "", mr_buffer_string(&text)));
	assert_true(mr_cursor_read(&cursor, &secret, "", mr_buffer_string(&text)));
	mr_cursor_free(&cursor);
	mr_buffer_free(&text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(changed),
	};

	return cmocka_run_group_tests_name("request/cursor", tests, setup, NULL);
}
