/*
 * reading.c - see reading.h
 *
 * A type's own input function gets the reading in the server's global variables, for that call alone (decode_input.c);
 * expressions of the transform get it in settings, once for a batch.
 */
#include "decode/reading.h"
#include "server/guc.h"

#include "utils/guc.h"

typedef struct Word
{
	const char *word;
	int value;
} Word;

typedef struct Option
{
	const char *name;
	const char *expected;
	size_t offset; /* of an enum of MrReading, when there are words */
	const Word *words;
} Option;

static const Word date_orders[] = {
	{"ISO", MR_DATE_ISO}, {"DMY", MR_DATE_DMY}, {"MDY", MR_DATE_MDY}, {"YMD", MR_DATE_YMD}, {NULL}};
static const Word other_zones[] = {{"error", MR_ZONE_ERROR},
								   {"convert", MR_ZONE_CONVERT},
								   {"drop", MR_ZONE_DROP},
								   {NULL}};
static const Word bytea_formats[] = {{"auto", MR_BYTEA_AUTO},
									 {"base64", MR_BYTEA_BASE64},
									 {"hex", MR_BYTEA_HEX},
									 {"text", MR_BYTEA_TEXT},
									 {NULL}};
static const Word epochs[] = {{"none", MR_EPOCH_NONE},
							  {"d", MR_EPOCH_DAYS},
							  {"s", MR_EPOCH_S},
							  {"ms", MR_EPOCH_MS},
							  {"us", MR_EPOCH_US},
							  {"ns", MR_EPOCH_NS},
							  {NULL}};
static const Word number_styles[] = {{"plain", MR_NUMBER_PLAIN},
									 {"point", MR_NUMBER_POINT},
									 {"comma", MR_NUMBER_COMMA},
									 {NULL}};
static const Word interval_styles[] = {{"postgres", MR_INTERVAL_POSTGRES},
									   {"sql_standard", MR_INTERVAL_SQL_STANDARD},
									   {NULL}};

static const Option options[] = {
	{"date_order", "ISO, DMY, MDY or YMD", offsetof(MrReading, date_order), date_orders},
	{"time_zone", "the name of a time zone, such as UTC or Europe/Berlin", 0, NULL},
	{"other_zone", "error, convert or drop", offsetof(MrReading, other_zone), other_zones},
	{"bytea_format", "auto, base64, hex or text", offsetof(MrReading, bytea_format), bytea_formats},
	{"epoch", "none, d, s, ms, us or ns", offsetof(MrReading, epoch), epochs},
	{"number_style", "plain, point or comma", offsetof(MrReading, number_style), number_styles},
	{"interval_style", "postgres or sql_standard", offsetof(MrReading, interval_style),
	 interval_styles},
};

static const Option *find_option(const char *name);
static bool set_zone(MrReading *reading, const char *name);
static void set_setting(const char *name, const char *value);

void
mr_reading_init(MrReading *reading)
{
	memset(reading, 0, sizeof(*reading));
	(void) set_zone(reading, "UTC");
}

bool
mr_reading_has(const char *option)
{
	return find_option(option) != NULL;
}

const char *
mr_reading_set(MrReading *reading, const char *name, const char *value)
{
	const Option *option = find_option(name);

	Assert(option != NULL);
	if (option->words == NULL)
		return set_zone(reading, value) ? NULL : option->expected;
	for (const Word *word = option->words; word->word != NULL; word++)
		if (pg_strcasecmp(word->word, value) == 0)
		{
			*(int *) ((char *) reading + option->offset) = word->value;
			return NULL;
		}
	return option->expected;
}

void
mr_reading_set_or_raise(MrReading *reading, const char *option, const char *value)
{
	const char *expected = mr_reading_set(reading, option, value);

	if (expected != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is \"%s\", expected %s", option, value, expected),
				 errhint("Pass %s => '%s', for example.", option, mr_reading_example(option))));
}

const char *
mr_reading_example(const char *name)
{
	const Option *option = find_option(name);

	return option->words != NULL ? option->words[1].word : "Europe/Berlin";
}

bool
mr_reading_setting(const MrReading *reading, int number, const char **name, const char **value)
{
	static const char *const date_styles[] = {"ISO, MDY", "ISO, DMY", "ISO, MDY", "ISO, YMD"};
	const char *const settings[][2] = {
		{"DateStyle", date_styles[reading->date_order]},
		{"TimeZone", reading->time_zone},
		{"IntervalStyle",
		 reading->interval_style == MR_INTERVAL_SQL_STANDARD ? "sql_standard" : "postgres"},
		{"timezone_abbreviations", "Default"},
		{"bytea_output", "hex"},
		{"extra_float_digits", "1"},
		{"lc_monetary", "C"},
		{"lc_numeric", "C"},
		{"lc_time", "C"},
		{"xmlbinary", "base64"},
		{"xmloption", "content"},
		{"array_nulls", "on"},
		{"transform_null_equals", "off"},
		{"standard_conforming_strings", "on"},
	};

	if (number >= lengthof(settings))
		return false;
	*name = settings[number][0];
	*value = settings[number][1];
	return true;
}

void
mr_reading_pin(const MrReading *reading)
{
	const char *name;
	const char *value;

	for (int i = 0; mr_reading_setting(reading, i, &name, &value); i++)
		set_setting(name, value);
}

static const Option *
find_option(const char *name)
{
	for (int i = 0; i < lengthof(options); i++)
		if (pg_strcasecmp(options[i].name, name) == 0)
			return &options[i];
	return NULL;
}

/*
 * A name of the time zone database. Not the machine's own zone, which another machine does not share, and not the POSIX
 * form, in which UTC+3 is west of Greenwich.
 */
static bool
set_zone(MrReading *reading, const char *name)
{
	static const char *const local[] = {"localtime", "posixrules", "default", "factory"};
	pg_tz *zone;

	for (int i = 0; i < lengthof(local); i++)
		if (pg_strcasecmp(name, local[i]) == 0)
			return false;
	if (strncmp(name, "Etc/", 4) != 0 && strpbrk(name, "0123456789+,<") != NULL &&
		pg_strcasecmp(name, "EST5EDT") != 0 && pg_strcasecmp(name, "CST6CDT") != 0 &&
		pg_strcasecmp(name, "MST7MDT") != 0 && pg_strcasecmp(name, "PST8PDT") != 0)
		return false;
	zone = pg_tzset(name);
	if (zone == NULL || !pg_tz_acceptable(zone))
		return false;
	reading->zone = zone;
	reading->time_zone = pg_get_timezone_name(zone);
	reading->utc = strcmp(reading->time_zone, "UTC") == 0;
	return true;
}

static void
set_setting(const char *name, const char *value)
{
	const char *present = GetConfigOption(name, true, false);

	if (present == NULL || strcmp(present, value) != 0)
		mr_guc_set(name, value);
}
