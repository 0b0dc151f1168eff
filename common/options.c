/* Options: where values come from (defaults, file, environment, flags) and --help. */
#include "common/options.h"

#include <ctype.h>
#include <stdlib.h>

#include "common/buffer.h"
#include "common/log.h"
#include "common/options_value.h"

extern char **environ;

static bool load_file(MrOptionLoad *load, const char *path);
static bool load_file_line(MrOptionLoad *load, char *line, const char *path, int number);
static bool load_environment(MrOptionLoad *load, const MrOption *option);
static bool load_environment_properties(MrOptionLoad *load, const MrOption *option);
static bool load_flags(MrOptionLoad *load, int argc, char **argv, bool only_config);
static bool load_flag(MrOptionLoad *load, int argc, char **argv, int *index, bool only_config);
static const MrOption *find_option(const MrOptionTable *table, const char *name, size_t len);
static char *environment_name(const MrOptionTable *table, const MrOption *option);
static char *trim(char *text);

bool
mr_options_load(const MrOptionTable *table, int argc, char **argv, void *settings, char *error,
				size_t error_size)
{
	MrOptionLoad load = {table, settings, error, error_size, 0};
	const char *config = NULL;

	for (int i = 0; i < table->count; i++)
		if (table->options[i].initial != NULL &&
			!mr_option_set(&load, &table->options[i], table->options[i].initial, "default"))
			return false;
	if (table->config >= 0)
	{
		const MrOption *option = &table->options[table->config];

		if (!load_environment(&load, option) || !load_flags(&load, argc, argv, true))
			return false;
		config = *(char **) ((char *) settings + option->field);
	}
	if (config != NULL && *config != '\0' && !load_file(&load, config))
		return false;
	for (int i = 0; i < table->count; i++)
		if (!load_environment(&load, &table->options[i]))
			return false;
	return load_flags(&load, argc, argv, false);
}

void
mr_options_log_change(const MrOption *option, bool applied)
{
	mr_log(applied ? MR_LOG_INFO : MR_LOG_WARN,
		   applied ? "option changed" : "option takes effect after a restart",
		   MR_STR("option", option->name));
}

void
mr_options_help(const MrOptionTable *table, FILE *out)
{
	fprintf(out, "Usage: %s [options]\n\n%s\n\nOptions:\n", table->program, table->summary);
	for (int i = 0; i < table->count; i++)
	{
		const MrOption *option = &table->options[i];
		char *env = environment_name(table, option);
		char flag[80];

		snprintf(flag, sizeof(flag), "%c%c%s--%s%s%s", option->letter ? '-' : ' ',
				 option->letter ? option->letter : ' ', option->letter ? ", " : "  ", option->name,
				 option->argument ? " " : "", option->argument ? option->argument : "");
		fprintf(out, "  %-34s %s", flag, option->help);
		if (option->choices != NULL)
			fprintf(out, " (%s)", option->choices);
		if (option->initial != NULL && *option->initial != '\0')
			fprintf(out, " [%s]", option->initial);
		if (option->type != MR_OPTION_SWITCH)
			fprintf(out, "\n  %-34s %s%s", "", env,
					option->reloadable ? ", taken up by SIGHUP" : "");
		fputc('\n', out);
		free(env);
	}
	fprintf(out,
			"\nThe line below an option is its environment variable; the same with _FILE behind it "
			"names a\nfile that holds the value. In the config file the long name is used: "
			"\"name = value\".\n");
}

static bool
load_file(MrOptionLoad *load, const char *path)
{
	FILE *file = fopen(path, "r");
	char *line = NULL;
	size_t size = 0;
	bool ok = true;

	if (file == NULL)
		return mr_option_fail(load, "could not open config file \"%s\": %m", path);
	for (int number = 1; ok && getline(&line, &size, file) >= 0; number++)
		ok = load_file_line(load, line, path, number);
	free(line);
	fclose(file);
	return ok;
}

static bool
load_file_line(MrOptionLoad *load, char *line, const char *path, int number)
{
	char *name = trim(line);
	char *value = strchr(name, '=');
	char where[300];
	const MrOption *option;

	snprintf(where, sizeof(where), "%s line %d", path, number);
	if (*name == '\0' || *name == '#')
		return true;
	if (value == NULL)
		return mr_option_fail(load, "%s: expected \"name = value\"", where);
	*value++ = '\0';
	name = trim(name);
	value = trim(value);
	if (strncmp(name, "kafka.", 6) == 0)
	{
		option = mr_option_properties(load->table);
		if (option != NULL)
			return mr_option_set_property(load, option, name + 6, value, where);
	}
	option = find_option(load->table, name, strlen(name));
	if (option == NULL || option->type == MR_OPTION_SWITCH)
		return mr_option_fail(load, "%s: there is no option \"%s\"", where, name);
	return mr_option_set(load, option, value, where);
}

static bool
load_environment(MrOptionLoad *load, const MrOption *option)
{
	char *name;
	char *file_name;
	const char *value;
	bool ok = true;

	if (option->type == MR_OPTION_SWITCH)
		return true;
	if (option->type == MR_OPTION_PROPERTIES)
		return load_environment_properties(load, option);
	name = environment_name(load->table, option);
	file_name = mr_asprintf("%s_FILE", name);
	value = getenv(name);
	if (value != NULL)
		ok = mr_option_set(load, option, value, name);
	value = getenv(file_name);
	if (ok && value != NULL)
		ok = mr_option_set_from_file(load, option, value, file_name);
	free(name);
	free(file_name);
	return ok;
}

/* <PREFIX>_KAFKA_SASL_PASSWORD[_FILE] is the property sasl.password. */
static bool
load_environment_properties(MrOptionLoad *load, const MrOption *option)
{
	char *prefix = mr_asprintf("%s_KAFKA_", load->table->prefix);
	bool ok = true;

	for (char **entry = environ; ok && *entry != NULL; entry++)
	{
		char *equals = strchr(*entry, '=');
		char *name;
		size_t len;

		if (equals == NULL || strncmp(*entry, prefix, strlen(prefix)) != 0)
			continue;
		name = mr_strdup(*entry + strlen(prefix));
		len = (size_t) (equals - *entry) - strlen(prefix);
		name[len] = '\0';
		for (size_t i = 0; i < len; i++)
			name[i] = name[i] == '_' ? '.' : (char) tolower((unsigned char) name[i]);
		if (len > 5 && strcmp(name + len - 5, ".file") == 0)
		{
			name[len - 5] = '\0';
			ok = mr_option_set_property_from_file(load, option, name, equals + 1, *entry);
		}
		else
			ok = mr_option_set_property(load, option, name, equals + 1, "environment");
		free(name);
	}
	free(prefix);
	return ok;
}

static bool
load_flags(MrOptionLoad *load, int argc, char **argv, bool only_config)
{
	for (int i = 1; i < argc; i++)
		if (!load_flag(load, argc, argv, &i, only_config))
			return false;
	return true;
}

/* One flag: --name value, --name=value, -n value, -nvalue. */
static bool
load_flag(MrOptionLoad *load, int argc, char **argv, int *index, bool only_config)
{
	const char *flag = argv[*index];
	const MrOption *option = NULL;
	const char *value = NULL;

	if (strncmp(flag, "--", 2) == 0)
	{
		size_t len = strcspn(flag + 2, "=");

		option = find_option(load->table, flag + 2, len);
		if (flag[2 + len] == '=')
			value = flag + 3 + len;
	}
	else if (flag[0] == '-' && flag[1] != '\0')
	{
		for (int i = 0; i < load->table->count; i++)
			if (load->table->options[i].letter == flag[1])
				option = &load->table->options[i];
		if (flag[2] != '\0')
			value = flag + 2;
	}
	if (option == NULL)
		return mr_option_fail(load, "there is no option \"%s\" (--help lists them)", flag);
	if (option->type == MR_OPTION_SWITCH)
	{
		if (value != NULL)
			return mr_option_fail(load, "option \"%s\" takes no value", flag);
		*(bool *) ((char *) load->settings + option->field) = true;
		return true;
	}
	if (value == NULL)
	{
		if (*index + 1 >= argc)
			return mr_option_fail(load, "option \"%s\" needs a value", flag);
		value = argv[++*index];
	}
	if (only_config && option != &load->table->options[load->table->config])
		return true;
	return mr_option_set(load, option, value, NULL);
}

static const MrOption *
find_option(const MrOptionTable *table, const char *name, size_t len)
{
	for (int i = 0; i < table->count; i++)
		if (strlen(table->options[i].name) == len &&
			strncmp(table->options[i].name, name, len) == 0)
			return &table->options[i];
	return NULL;
}

static char *
environment_name(const MrOptionTable *table, const MrOption *option)
{
	char *name = option->type == MR_OPTION_PROPERTIES
					 ? mr_asprintf("%s_KAFKA_<NAME>", table->prefix)
					 : mr_asprintf("%s_%s", table->prefix, option->name);

	for (char *c = name + strlen(table->prefix); *c != '\0'; c++)
		*c = *c == '-' ? '_' : (char) toupper((unsigned char) *c);
	return name;
}

static char *
trim(char *text)
{
	size_t len;

	while (isspace((unsigned char) *text))
		text++;
	len = strlen(text);
	while (len > 0 && isspace((unsigned char) text[len - 1]))
		text[--len] = '\0';
	return text;
}
