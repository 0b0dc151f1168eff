/* Keys: lines of the file, which key a request has, what it allows, new ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/control/keys.h"

/* SHA-256 of "abc" (FIPS 180-4) */
#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static MrKeys *
read_keys(const char *text)
{
	char error[400];
	MrKeys *keys = mr_keys_read(text, strlen(text), error, sizeof(error));

	if (keys == NULL)
		fail_msg("%s: %s", text, error);
	return keys;
}

static void
expect_error(const char *text, const char *part)
{
	char error[400] = "";

	assert_null(mr_keys_read(text, strlen(text), error, sizeof(error)));
	if (strstr(error, part) == NULL)
		fail_msg("%s: %s", text, error);
}

static void
lines(void **state)
{
	MrKeys *keys = read_keys("# who may what\n\n  \nshop publish " ABC "\r\n");

	(void) state;
	assert_int_equal(keys->count, 1);
	assert_string_equal(keys->items[0].name, "shop");
	assert_int_equal(keys->items[0].scopes, MR_SCOPE_PUBLISH);
	mr_keys_free(keys);
	keys = read_keys("ops\t"
					 "read,publish,operate \t " ABC);
	assert_int_equal(keys->items[0].scopes, MR_SCOPE_READ | MR_SCOPE_PUBLISH | MR_SCOPE_OPERATE);
	mr_keys_free(keys);
	keys = read_keys("");
	assert_int_equal(keys->count, 0);
	mr_keys_free(keys);
	expect_error("a read", "line 1: it does not have three parts");
	expect_error("\na read " ABC " more", "line 2: it does not have three parts");
	expect_error("a write " ABC, "a scope is not known");
	expect_error("a read, " ABC, "a scope is not known");
	expect_error("a read abc", "64 hexadecimal digits");
	expect_error("a read " ABC "0", "64 hexadecimal digits");
	expect_error("a\"b read " ABC, "the name");
	expect_error("a read " ABC "\nb read " ABC "\n", "line 2: the key has a line before");
	expect_error("a23456789012345678901234567890123456789012 read " ABC, "the name");
}

static void
which_key(void **state)
{
	MrKeys *keys = read_keys("a read " ABC "\n");
	MrKeys *none = read_keys("");
	MrKeys *changed = read_keys("a publish " ABC "\n");
	const MrKey *key = mr_keys_find(keys, "Bearer abc");

	(void) state;
	assert_ptr_equal(key, &keys->items[0]);
	assert_ptr_equal(mr_keys_find(keys, "bearer  abc"), key);
	assert_null(mr_keys_find(keys, "Bearer abcd"));
	assert_null(mr_keys_find(keys, "Bearer ab"));
	assert_null(mr_keys_find(keys, "Bearer "));
	assert_null(mr_keys_find(keys, "Bearer"));
	assert_null(mr_keys_find(keys, "Basic abc"));
	assert_null(mr_keys_find(keys, "Bearer " ABC)); /* the hash is no key */
	assert_null(mr_keys_find(none, "Bearer abc"));
	assert_true(mr_keys_allow(keys, key, MR_SCOPE_READ));
	assert_false(mr_keys_allow(keys, key, MR_SCOPE_READ | MR_SCOPE_OPERATE));
	assert_false(mr_keys_allow(changed, key, MR_SCOPE_READ));
	assert_false(mr_keys_allow(none, key, MR_SCOPE_READ));
	assert_false(mr_keys_allow(NULL, key, MR_SCOPE_READ));
	mr_keys_free(keys);
	mr_keys_free(none);
	mr_keys_free(changed);
}

static void
new_keys(void **state)
{
	MrBuffer key = {0};
	MrBuffer other = {0};
	MrBuffer line = {0};
	MrKeys *keys;
	char authorization[120];

	(void) state;
	assert_true(mr_key_make(&key, &line, "ops:read,operate"));
	keys = read_keys(mr_buffer_string(&line));
	snprintf(authorization, sizeof(authorization), "Bearer %s", mr_buffer_string(&key));
	assert_string_equal(mr_keys_find(keys, authorization)->name, "ops");
	assert_int_equal(keys->items[0].scopes, MR_SCOPE_READ | MR_SCOPE_OPERATE);
	assert_int_equal(key.len, 3 + 48);
	mr_keys_free(keys);
	line.len = 0;
	assert_true(mr_key_make(&other, &line, "ops:read"));
	assert_string_not_equal(mr_buffer_string(&key), mr_buffer_string(&other));
	assert_false(mr_key_make(&other, &line, "ops"));
	assert_false(mr_key_make(&other, &line, ":read"));
	assert_false(mr_key_make(&other, &line, "a b:read"));
	assert_false(mr_key_make(&other, &line, "ops:all"));
	mr_buffer_free(&key);
	mr_buffer_free(&other);
	mr_buffer_free(&line);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(which_key),
		cmocka_unit_test(new_keys),
	};

	return cmocka_run_group_tests_name("control/keys", tests, NULL, NULL);
}
