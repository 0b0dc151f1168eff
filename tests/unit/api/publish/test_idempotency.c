/* Idempotency-Key: its spellings, what makes two requests the same, the ids of their events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/publish/idempotency.h"

static MrIdempotencyKey key;

static void
expect(const char *field, const char *text)
{
	bool ok = mr_idempotency_key_read(&key, field);

	if (ok != (text != NULL))
		fail_msg("%s is %s", field, ok ? "taken" : "refused");
	if (ok)
		assert_string_equal(key.text, text);
}

static void
spellings(void **state)
{
	char field[300];

	(void) state;
	expect("\"abc\"", "abc");
	expect("abc", "abc"); /* the same key */
	expect("\"8e03978e-40d5-43e8-bc93-6894a57f9324\"", "8e03978e-40d5-43e8-bc93-6894a57f9324");
	expect("8e03978e-40d5-43e8-bc93-6894a57f9324", "8e03978e-40d5-43e8-bc93-6894a57f9324");
	expect("\"a \\\"b\\\\, c;\"", "a \"b\\, c;");
	expect("a=b:/+.~", "a=b:/+.~");
	expect("", NULL);
	expect("\"\"", NULL);
	expect("\"", NULL);
	expect("\"a", NULL);
	expect("\"a\\", NULL);
	expect("\"a\\b\"", NULL);
	expect("\"a\";p=1", NULL);
	expect("\"a\" ", NULL);
	expect("\"a\", \"b\"", NULL);
	expect("a,b", NULL);
	expect("a b", NULL);
	expect("a\"b", NULL);
	expect("a\tb", NULL);
	expect("\"a\x7f\"", NULL);
	expect("\"\xc3\xa4\"", NULL);
	memset(field, 'a', sizeof(field));
	field[MR_IDEMPOTENCY_KEY_MAX] = '\0';
	expect(field, field);
	field[MR_IDEMPOTENCY_KEY_MAX] = 'a';
	field[MR_IDEMPOTENCY_KEY_MAX + 1] = '\0';
	expect(field, NULL);
	field[0] = field[MR_IDEMPOTENCY_KEY_MAX + 1] = '"';
	field[MR_IDEMPOTENCY_KEY_MAX + 2] = '\0';
	assert_true(mr_idempotency_key_read(&key, field));
	assert_int_equal(strlen(key.text), MR_IDEMPOTENCY_KEY_MAX);
}

/* Texts up to NULL; "-" stands for a part that is not there. */
static void
print(unsigned char out[MR_FINGERPRINT_SIZE], const char *const *texts)
{
	MrFingerprint *fingerprint = mr_fingerprint_new();

	for (; *texts != NULL; texts++)
		mr_fingerprint_add(fingerprint, strcmp(*texts, "-") == 0 ? NULL : *texts, strlen(*texts));
	mr_fingerprint_end(fingerprint, out);
}

static void
fingerprints(void **state)
{
	static const char *const all[][4] = {{"ab", "c"}, {"a", "bc"}, {"abc"},     {"ab", "c", ""},
										 {"", "abc"}, {"-", "c"},  {"", "c"},   {"c"},
										 {"-", "-"},  {"-"},       {"", "", ""}};
	const int count = sizeof(all) / sizeof(all[0]);
	unsigned char a[MR_FINGERPRINT_SIZE];
	unsigned char b[MR_FINGERPRINT_SIZE];

	(void) state;
	for (int i = 0; i < count; i++)
		for (int j = 0; j < count; j++)
		{
			print(a, all[i]);
			print(b, all[j]);
			assert_int_equal(memcmp(a, b, sizeof(a)) == 0, i == j);
		}
}

static void
ids(void **state)
{
	static const MrIdempotencyKey keys[] = {{"a", {1}}, {"a", {2}}, {"b", {1}}};
	char uuids[7][MR_UUID_SIZE];
	char again[MR_UUID_SIZE];

	(void) state;
	for (int i = 0; i < 3; i++)
		mr_idempotency_uuid(uuids[i], &keys[i], "", 1);
	mr_idempotency_uuid(uuids[3], &keys[0], "c", 1);
	mr_idempotency_uuid(uuids[4], &keys[0], "", 2);
	mr_idempotency_uuid(uuids[5], &keys[0], "", 256);
	mr_idempotency_uuid(uuids[6], &keys[0], "a", 1);
	mr_idempotency_uuid(again, &keys[0], "", 1);
	assert_string_equal(again, uuids[0]);
	for (int i = 0; i < 7; i++)
	{
		assert_int_equal(strlen(uuids[i]), MR_UUID_SIZE - 1);
		assert_int_equal(uuids[i][14], '8');
		assert_non_null(strchr("89ab", uuids[i][19]));
		for (int j = 0; j < i; j++)
			assert_string_not_equal(uuids[i], uuids[j]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spellings),
		cmocka_unit_test(fingerprints),
		cmocka_unit_test(ids),
	};

	return cmocka_run_group_tests_name("idempotency", tests, NULL, NULL);
}
