/*
 * One table describes every option of a program: flag, environment variable, config file name,
 * type, default, help. --help is printed from it; values come, later wins, from the defaults, the
 * config file, the environment and the flags.
 *
 * Names: flag --batch-rows, environment <PREFIX>_BATCH_ROWS, file `batch-rows = 5000`. For any
 * option the environment variable <PREFIX>_<NAME>_FILE names a file that holds the value: the way
 * for secrets. `properties` lists (one per table) also take <PREFIX>_KAFKA_<A_B> and
 * <PREFIX>_KAFKA_<A_B>_FILE from the environment as a.b, and `kafka.a.b = value` from the file.
 */
#ifndef MR_COMMON_OPTIONS_H
#define MR_COMMON_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef enum MrOptionType
{
	MR_OPTION_TEXT,       /* char * */
	MR_OPTION_SECRET,     /* char *, never printed */
	MR_OPTION_INT,        /* int64_t, within min..max */
	MR_OPTION_SIZE,       /* int64_t bytes; kB, MB, GB (1024) are understood */
	MR_OPTION_MS,         /* int64_t milliseconds; ms, s, min are understood */
	MR_OPTION_CHOICE,     /* int64_t: which of `choices` */
	MR_OPTION_LIST,       /* MrStrings; flag repeatable, elsewhere comma-separated */
	MR_OPTION_PROPERTIES, /* MrStrings of name=value; flag repeatable */
	MR_OPTION_SWITCH      /* bool; flag only, without a value */
} MrOptionType;

typedef struct MrStrings
{
	char **items;
	int count;
} MrStrings;

typedef struct MrOption
{
	const char *name;
	char letter; /* 0: long form only */
	MrOptionType type;
	size_t field;         /* offset in the settings struct */
	const char *argument; /* shown in --help */
	const char *initial;  /* default, as text; NULL = none */
	int64_t min;
	int64_t max;
	const char *choices; /* "error|warn|info" */
	bool reloadable;     /* SIGHUP takes a new value */
	const char *help;
} MrOption;

typedef struct MrOptionTable
{
	const char *program;
	const char *summary; /* one or two lines above the list in --help */
	const char *prefix;  /* of environment variables: "MILLRACE" */
	const MrOption *options;
	int count;
	int config; /* index of the option that names the config file, -1 = none */
} MrOptionTable;

/*
 * Fills the zeroed struct at `settings`. On failure returns false, with a message that names the
 * option and where the value came from (never a secret value).
 */
extern bool mr_options_load(const MrOptionTable *table, int argc, char **argv, void *settings,
							char *error, size_t error_size) __attribute__((warn_unused_result));
extern void mr_options_free(const MrOptionTable *table, void *settings);

/*
 * Takes the reloadable values of `fresh` over into `current` and calls `notice` for every option
 * that differs, with whether it took effect.
 */
extern void mr_options_reload(const MrOptionTable *table, void *current, void *fresh,
							  void (*notice)(const MrOption *option, bool applied));

/* A notice for it: a line in the log. */
extern void mr_options_log_change(const MrOption *option, bool applied);

extern void mr_options_help(const MrOptionTable *table, FILE *out);

extern void mr_strings_add(MrStrings *list, const char *item);
/* Is it one of them? */
extern bool mr_strings_has(const MrStrings *list, const char *item);
extern void mr_strings_clear(MrStrings *list);

#endif
