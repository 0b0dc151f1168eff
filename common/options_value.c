/* One option's value: text to field, comparison and copying for a reload. */
#include "common/options_value.h"

#include <errno.h>
#include <stdlib.h>

#include "common/buffer.h"

#define SECRET_MAX 16383 /* bytes of a file that holds one option's value */

static bool parse_number(MrOptionLoad *load, const MrOption *option, const char *value,
						 const char *where, int64_t *number);
static bool unit_factor(MrOptionType type, const char *unit, int64_t *factor);
static bool parse_choice(MrOptionLoad *load, const MrOption *option, const char *value,
						 const char *where, int64_t *number);
static bool is_first_flag(MrOptionLoad *load, const MrOption *option);
static void split_list(MrStrings *list, const char *value);
static char *read_secret(MrOptionLoad *load, const char *path, const char *where);
static bool same_value(const MrOption *option, const void *a, const void *b);
static size_t value_size(MrOptionType type);

bool
mr_option_set(MrOptionLoad *load, const MrOption *option, const char *value, const char *where)
{
	void *field = (char *) load->settings + option->field;
	const char *equals;
	char *name;
	bool ok;

	switch (option->type)
	{
		case MR_OPTION_TEXT:
		case MR_OPTION_SECRET:
			free(*(char **) field);
			*(char **) field = mr_strdup(value);
			return true;
		case MR_OPTION_INT:
		case MR_OPTION_SIZE:
		case MR_OPTION_MS:
			return parse_number(load, option, value, where, field);
		case MR_OPTION_CHOICE:
			return parse_choice(load, option, value, where, field);
		case MR_OPTION_LIST:
			if (where != NULL || is_first_flag(load, option))
				mr_strings_clear(field);
			split_list(field, value);
			return true;
		case MR_OPTION_PROPERTIES:
			equals = strchr(value, '=');
			if (equals == NULL || equals == value)
				return mr_option_fail(load, "option --%s: expected name=value", option->name);
			name = mr_strdup(value);
			name[equals - value] = '\0';
			ok = mr_option_set_property(load, option, name, equals + 1, where);
			free(name);
			return ok;
		case MR_OPTION_SWITCH:
			return mr_option_fail(load, "option --%s is a flag", option->name);
	}
	return false;
}

bool
mr_option_set_from_file(MrOptionLoad *load, const MrOption *option, const char *path,
						const char *where)
{
	char *value = read_secret(load, path, where);
	bool ok = value != NULL && mr_option_set(load, option, value, where);

	free(value);
	return ok;
}

/* A later value of the same property replaces the earlier one. */
bool
mr_option_set_property(MrOptionLoad *load, const MrOption *option, const char *name,
					   const char *value, const char *where)
{
	MrStrings *list = (MrStrings *) ((char *) load->settings + option->field);
	char *item = mr_asprintf("%s=%s", name, value);
	size_t len = strlen(name);

	(void) where;
	for (int i = 0; i < list->count; i++)
		if (strncmp(list->items[i], item, len + 1) == 0)
		{
			free(list->items[i]);
			list->items[i] = item;
			return true;
		}
	mr_strings_add(list, item);
	free(item);
	return true;
}

bool
mr_option_set_property_from_file(MrOptionLoad *load, const MrOption *option, const char *name,
								 const char *path, const char *where)
{
	char *value = read_secret(load, path, where);
	bool ok = value != NULL && mr_option_set_property(load, option, name, value, where);

	free(value);
	return ok;
}

const MrOption *
mr_option_properties(const MrOptionTable *table)
{
	for (int i = 0; i < table->count; i++)
		if (table->options[i].type == MR_OPTION_PROPERTIES)
			return &table->options[i];
	return NULL;
}

bool
mr_option_fail(MrOptionLoad *load, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(load->error, load->error_size, fmt, args);
	va_end(args);
	return false;
}

void
mr_options_free(const MrOptionTable *table, void *settings)
{
	for (int i = 0; i < table->count; i++)
	{
		void *field = (char *) settings + table->options[i].field;
		MrOptionType type = table->options[i].type;

		if (type == MR_OPTION_TEXT || type == MR_OPTION_SECRET)
		{
			free(*(char **) field);
			*(char **) field = NULL;
		}
		else if (type == MR_OPTION_LIST || type == MR_OPTION_PROPERTIES)
			mr_strings_clear(field);
	}
}

/* Values are swapped, so that each struct stays the owner of what it holds. */
void
mr_options_reload(const MrOptionTable *table, void *current, void *fresh,
				  void (*notice)(const MrOption *option, bool applied))
{
	for (int i = 0; i < table->count; i++)
	{
		const MrOption *option = &table->options[i];
		char *a = (char *) current + option->field;
		char *b = (char *) fresh + option->field;
		char keep[sizeof(MrStrings)];

		if (same_value(option, a, b))
			continue;
		if (option->reloadable)
		{
			size_t size = value_size(option->type);

			memcpy(keep, a, size);
			memcpy(a, b, size);
			memcpy(b, keep, size);
		}
		notice(option, option->reloadable);
	}
}

void
mr_strings_add(MrStrings *list, const char *item)
{
	list->items = mr_realloc(list->items, sizeof(char *) * (size_t) (list->count + 1));
	list->items[list->count++] = mr_strdup(item);
}

bool
mr_strings_has(const MrStrings *list, const char *item)
{
	for (int i = 0; i < list->count; i++)
		if (strcmp(list->items[i], item) == 0)
			return true;
	return false;
}

void
mr_strings_clear(MrStrings *list)
{
	for (int i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (MrStrings){0};
}

static bool
parse_number(MrOptionLoad *load, const MrOption *option, const char *value, const char *where,
			 int64_t *number)
{
	char *end;
	long long parsed;
	int64_t factor;

	errno = 0;
	parsed = strtoll(value, &end, 10);
	while (*end == ' ')
		end++;
	if (errno != 0 || end == value || !unit_factor(option->type, end, &factor) ||
		parsed > INT64_MAX / factor || parsed < INT64_MIN / factor)
		return mr_option_fail(load, "option --%s (%s): \"%s\" is not a %s", option->name,
							  where ? where : "flag", value,
							  option->type == MR_OPTION_INT    ? "number"
							  : option->type == MR_OPTION_SIZE ? "size (such as 64MB)"
															   : "duration (such as 500ms or 2s)");
	parsed *= factor;
	if (parsed < option->min || parsed > option->max)
		return mr_option_fail(load, "option --%s (%s): %s is out of range (%lld to %lld)",
							  option->name, where ? where : "flag", value, (long long) option->min,
							  (long long) option->max);
	*number = parsed;
	return true;
}

static bool
unit_factor(MrOptionType type, const char *unit, int64_t *factor)
{
	static const struct
	{
		MrOptionType type;
		const char *unit;
		int64_t factor;
	} units[] = {
		{MR_OPTION_SIZE, "kB", 1024},
		{MR_OPTION_SIZE, "MB", 1024 * 1024},
		{MR_OPTION_SIZE, "GB", 1024 * 1024 * 1024},
		{MR_OPTION_MS, "ms", 1},
		{MR_OPTION_MS, "s", 1000},
		{MR_OPTION_MS, "min", 60000},
	};

	*factor = 1;
	if (*unit == '\0')
		return true;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (units[i].type == type && strcmp(units[i].unit, unit) == 0)
		{
			*factor = units[i].factor;
			return true;
		}
	return false;
}

static bool
parse_choice(MrOptionLoad *load, const MrOption *option, const char *value, const char *where,
			 int64_t *number)
{
	const char *choice = option->choices;

	for (int64_t i = 0;; i++)
	{
		size_t len = strcspn(choice, "|");

		if (strlen(value) == len && strncmp(choice, value, len) == 0)
		{
			*number = i;
			return true;
		}
		if (choice[len] == '\0')
			return mr_option_fail(load, "option --%s (%s): \"%s\" is none of %s", option->name,
								  where ? where : "flag", value, option->choices);
		choice += len + 1;
	}
}

static bool
is_first_flag(MrOptionLoad *load, const MrOption *option)
{
	uint64_t bit = (uint64_t) 1 << (option - load->table->options);
	bool first = (load->flagged & bit) == 0;

	load->flagged |= bit;
	return first;
}

static void
split_list(MrStrings *list, const char *value)
{
	while (*value != '\0')
	{
		size_t len = strcspn(value, ",");
		char *item = mr_strdup(value);

		item[len] = '\0';
		if (len > 0)
			mr_strings_add(list, item);
		free(item);
		value += len + (value[len] == ',');
	}
}

/* The file's content without the newlines at its end. NULL when it cannot be read whole: never empty or cut. */
static char *
read_secret(MrOptionLoad *load, const char *path, const char *where)
{
	int name = (int) strcspn(where, "=");
	FILE *file = fopen(path, "r");
	char text[SECRET_MAX + 1];
	size_t len;
	bool whole = false;

	if (file == NULL)
	{
		mr_option_fail(load, "could not open file \"%s\" (%.*s): %m", path, name, where);
		return NULL;
	}
	len = fread(text, 1, sizeof(text), file);
	if (ferror(file)) /* a directory, say: it can be opened */
		mr_option_fail(load, "could not read file \"%s\" (%.*s): %m", path, name, where);
	else if (len > SECRET_MAX)
		mr_option_fail(load, "file \"%s\" (%.*s) is longer than %d bytes", path, name, where,
					   SECRET_MAX);
	else if (memchr(text, '\0', len) != NULL)
		mr_option_fail(load, "file \"%s\" (%.*s) contains a NUL byte: expected text", path, name,
					   where);
	else
		whole = true;
	fclose(file);
	if (!whole)
		return NULL;
	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		len--;
	text[len] = '\0';
	return mr_strdup(text);
}

static bool
same_value(const MrOption *option, const void *a, const void *b)
{
	if (option->type == MR_OPTION_TEXT || option->type == MR_OPTION_SECRET)
	{
		const char *left = *(char *const *) a;
		const char *right = *(char *const *) b;

		return strcmp(left ? left : "", right ? right : "") == 0;
	}
	if (option->type == MR_OPTION_LIST || option->type == MR_OPTION_PROPERTIES)
	{
		const MrStrings *left = a;
		const MrStrings *right = b;

		if (left->count != right->count)
			return false;
		for (int i = 0; i < left->count; i++)
			if (strcmp(left->items[i], right->items[i]) != 0)
				return false;
		return true;
	}
	return memcmp(a, b, value_size(option->type)) == 0;
}

static size_t
value_size(MrOptionType type)
{
	switch (type)
	{
		case MR_OPTION_TEXT:
		case MR_OPTION_SECRET:
			return sizeof(char *);
		case MR_OPTION_INT:
		case MR_OPTION_SIZE:
		case MR_OPTION_MS:
		case MR_OPTION_CHOICE:
			return sizeof(int64_t);
		case MR_OPTION_LIST:
		case MR_OPTION_PROPERTIES:
			return sizeof(MrStrings);
		case MR_OPTION_SWITCH:
			return sizeof(bool);
	}
	return 0;
}
