/* Options: the order of sources, units, lists, properties, secrets from files, reloading. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/options.h"

typedef struct Settings
{
	char *config;
	char *name;
	char *secret;
	int64_t rows;
	int64_t size;
	int64_t wait_ms;
	int64_t level;
	MrStrings names;
	MrStrings properties;
	bool help;
} Settings;

#define FIELD(name_) offsetof(Settings, name_)

static const MrOption options[] = {
	{"config", 'c', MR_OPTION_TEXT, FIELD(config), "FILE", NULL, 0, 0, NULL, false, "config"},
	{"name", 'n', MR_OPTION_TEXT, FIELD(name), "TEXT", "", 0, 0, NULL, true, "a name"},
	{"secret", 0, MR_OPTION_SECRET, FIELD(secret), "TEXT", "", 0, 0, NULL, false, "a secret"},
	{"rows", 0, MR_OPTION_INT, FIELD(rows), "N", "5", 1, 100, NULL, true, "rows"},
	{"size", 0, MR_OPTION_SIZE, FIELD(size), "SIZE", "1MB", 1, INT64_C(1) << 40, NULL, true,
	 "size"},
	{"wait", 0, MR_OPTION_MS, FIELD(wait_ms), "TIME", "2s", 0, 600000, NULL, false, "wait"},
	{"level", 'l', MR_OPTION_CHOICE, FIELD(level), "LEVEL", "b", 0, 0, "a|b|cc", true, "level"},
	{"names", 'p', MR_OPTION_LIST, FIELD(names), "NAME", "", 0, 0, NULL, true, "names"},
	{"property", 'X', MR_OPTION_PROPERTIES, FIELD(properties), "N=V", NULL, 0, 0, NULL, false, "p"},
	{"help", 'h', MR_OPTION_SWITCH, FIELD(help), NULL, NULL, 0, 0, NULL, false, "help"},
};

static const MrOptionTable table = {
	"prog", "Summary.", "MRTEST", options, (int) (sizeof(options) / sizeof(options[0])), 0};

static Settings settings;
static char message[512];

#define LOAD(...)                                                                                  \
	load((char *[]){"prog", ##__VA_ARGS__}, (int) (sizeof((char *[]){"prog", ##__VA_ARGS__}) / 8))

static bool
load(char **argv, int argc)
{
	mr_options_free(&table, &settings);
	settings = (Settings){0};
	message[0] = '\0';
	return mr_options_load(&table, argc, argv, &settings, message, sizeof(message));
}

static char *
write_file(const char *text)
{
	static char path[] = "/tmp/mr-options-XXXXXX";
	int fd;

	strcpy(path + sizeof(path) - 7, "XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t) strlen(text));
	close(fd);
	return path;
}

static int
clean(void **state)
{
	(void) state;
	mr_options_free(&table, &settings);
	settings = (Settings){0};
	unsetenv("MRTEST_NAME");
	unsetenv("MRTEST_NAMES");
	unsetenv("MRTEST_SECRET_FILE");
	unsetenv("MRTEST_KAFKA_SASL_PASSWORD_FILE");
	unsetenv("MRTEST_KAFKA_SASL_USERNAME");
	return 0;
}

static void
defaults(void **state)
{
	(void) state;
	assert_true(LOAD());
	assert_string_equal(settings.name, "");
	assert_int_equal(settings.rows, 5);
	assert_int_equal(settings.size, 1024 * 1024);
	assert_int_equal(settings.wait_ms, 2000);
	assert_int_equal(settings.level, 1);
	assert_int_equal(settings.names.count, 0);
}

static void
later_sources_win(void **state)
{
	char *file = write_file("# comment\n\nname = from file\nrows=7\nkafka.linger.ms = 3\n");

	(void) state;
	assert_true(LOAD("--config", file));
	assert_string_equal(settings.name, "from file");
	setenv("MRTEST_NAME", "from environment", 1);
	assert_true(LOAD("-c", file));
	assert_string_equal(settings.name, "from environment");
	assert_int_equal(settings.rows, 7);
	assert_string_equal(settings.properties.items[0], "linger.ms=3");
	assert_true(LOAD("-c", file, "--name=from flag", "--rows", "9", "-lcc", "-h"));
	assert_string_equal(settings.name, "from flag");
	assert_int_equal(settings.rows, 9);
	assert_int_equal(settings.level, 2);
	assert_true(settings.help);
	setenv("MRTEST_NAMES", "from environment", 1);
	assert_true(LOAD("-p", "from", "-p", "flags"));
	assert_int_equal(settings.names.count, 2);
	assert_string_equal(settings.names.items[0], "from");
	assert_string_equal(settings.names.items[1], "flags");
	unlink(file);
}

static void
lists_and_properties(void **state)
{
	(void) state;
	setenv("MRTEST_KAFKA_SASL_USERNAME", "me", 1);
	assert_true(LOAD("-p", "a,b", "-p", "c", "-X", "x.y=1", "-Xx.y=2", "-X", "z=a=b"));
	assert_int_equal(settings.names.count, 3);
	assert_string_equal(settings.names.items[2], "c");
	assert_int_equal(settings.properties.count, 3);
	assert_string_equal(settings.properties.items[0], "sasl.username=me");
	assert_string_equal(settings.properties.items[1], "x.y=2");
	assert_string_equal(settings.properties.items[2], "z=a=b");
}

static void
secrets_from_files(void **state)
{
	char *file = write_file("sesame\n");

	(void) state;
	setenv("MRTEST_SECRET_FILE", file, 1);
	setenv("MRTEST_KAFKA_SASL_PASSWORD_FILE", file, 1);
	assert_true(LOAD());
	assert_string_equal(settings.secret, "sesame");
	assert_string_equal(settings.properties.items[0], "sasl.password=sesame");
	unlink(file);
	assert_false(LOAD());
	assert_non_null(strstr(message, "could not open"));
	assert_null(strstr(message, "sesame"));
}

/* Never an empty or a shortened secret: it would only be refused elsewhere, for another reason. */
static void
secret_files_that_cannot_be_read(void **state)
{
	static char text[20001];
	char *file;

	(void) state;
	setenv("MRTEST_SECRET_FILE", "/tmp", 1);
	assert_false(LOAD());
	assert_non_null(strstr(message, "could not read file \"/tmp\" (MRTEST_SECRET_FILE)"));
	memset(text, 's', sizeof(text) - 1);
	file = write_file(text);
	setenv("MRTEST_SECRET_FILE", file, 1);
	assert_false(LOAD());
	assert_non_null(strstr(message, "is longer than 16383 bytes"));
	assert_null(strstr(message, "sss"));
	text[16383] = '\0';
	unlink(file);
	file = write_file(text);
	setenv("MRTEST_SECRET_FILE", file, 1);
	assert_true(LOAD());
	assert_int_equal(strlen(settings.secret), 16383);
	unlink(file);
}

static void
wrong_values_are_reported(void **state)
{
	char *file;

	(void) state;
	assert_false(LOAD("--nonsense"));
	assert_non_null(strstr(message, "nonsense"));
	assert_false(LOAD("--rows", "many"));
	assert_non_null(strstr(message, "rows"));
	assert_non_null(strstr(message, "many"));
	assert_false(LOAD("--rows", "101"));
	assert_non_null(strstr(message, "out of range"));
	assert_false(LOAD("--size", "5 bananas"));
	assert_false(LOAD("--size", "9223372036854775807GB"));
	assert_false(LOAD("--rows"));
	assert_non_null(strstr(message, "needs a value"));
	assert_false(LOAD("--level", "c"));
	assert_non_null(strstr(message, "a|b|cc"));
	assert_false(LOAD("-X", "novalue"));
	assert_false(LOAD("--help=yes"));
	file = write_file("name = x\nunknown = y\n");
	assert_false(LOAD("-c", file));
	assert_non_null(strstr(message, "line 2"));
	unlink(file);
	assert_false(LOAD("-c", "/nonexistent/file"));
}

static void
units(void **state)
{
	(void) state;
	assert_true(LOAD("--size", "2kB", "--wait", "3min"));
	assert_int_equal(settings.size, 2048);
	assert_int_equal(settings.wait_ms, 180000);
	assert_true(LOAD("--size", "7", "--wait", "250ms"));
	assert_int_equal(settings.size, 7);
	assert_int_equal(settings.wait_ms, 250);
}

static int applied_count, refused_count;

static void
notice(const MrOption *option, bool applied)
{
	(void) option;
	applied_count += applied;
	refused_count += !applied;
}

static void
reload_takes_what_it_may(void **state)
{
	Settings fresh = {0};
	char *argv[] = {"prog", "--rows", "8", "--wait", "9s", "--name", "new", "-p", "q"};

	(void) state;
	assert_true(LOAD("--name", "old"));
	assert_true(mr_options_load(&table, 9, argv, &fresh, message, sizeof(message)));
	mr_options_reload(&table, &settings, &fresh, notice);
	assert_int_equal(settings.rows, 8);
	assert_string_equal(settings.name, "new");
	assert_int_equal(settings.names.count, 1);
	assert_int_equal(settings.wait_ms, 2000);
	assert_int_equal(applied_count, 3);
	assert_int_equal(refused_count, 1);
	mr_options_free(&table, &fresh);
}

static void
help_lists_every_option(void **state)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	(void) state;
	mr_options_help(&table, out);
	fclose(out);
	for (int i = 0; i < table.count; i++)
		assert_non_null(strstr(text, options[i].name));
	assert_non_null(strstr(text, "MRTEST_ROWS"));
	assert_non_null(strstr(text, "[5]"));
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(defaults, clean),
		cmocka_unit_test_teardown(later_sources_win, clean),
		cmocka_unit_test_teardown(lists_and_properties, clean),
		cmocka_unit_test_teardown(secrets_from_files, clean),
		cmocka_unit_test_teardown(secret_files_that_cannot_be_read, clean),
		cmocka_unit_test_teardown(wrong_values_are_reported, clean),
		cmocka_unit_test_teardown(units, clean),
		cmocka_unit_test_teardown(reload_takes_what_it_may, clean),
		cmocka_unit_test_teardown(help_lists_every_option, clean),
	};

	return cmocka_run_group_tests_name("common/options", tests, NULL, NULL);
}
