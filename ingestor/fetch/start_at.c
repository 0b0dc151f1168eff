/* earliest, latest, milliseconds since 1970, or a time as PostgreSQL prints a timestamptz (ISO). */
#include "ingestor/fetch/start_at.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool parse_fraction(const char **rest, int *ms);
static bool parse_zone(const char *text, int *seconds);

bool
mr_start_at_parse(const char *text, int64_t *start)
{
	struct tm parts = {0};
	int used = 0;
	int ms = 0;
	int zone = 0;

	if (strcmp(text, "earliest") == 0 || strcmp(text, "latest") == 0)
	{
		*start = *text == 'e' ? MR_START_EARLIEST : MR_START_LATEST;
		return true;
	}
	if (strspn(text, "0123456789") == strlen(text) && *text != '\0')
	{
		*start = strtoll(text, NULL, 10);
		return true;
	}
	if (sscanf(text, "%4d-%2d-%2d%n", &parts.tm_year, &parts.tm_mon, &parts.tm_mday, &used) != 3)
		return false;
	text += used;
	if (*text == ' ' || *text == 'T')
	{
		if (sscanf(text + 1, "%2d:%2d%n", &parts.tm_hour, &parts.tm_min, &used) != 2)
			return false;
		text += 1 + used;
		if (*text == ':')
		{
			if (sscanf(text + 1, "%2d%n", &parts.tm_sec, &used) != 1)
				return false;
			text += 1 + used;
		}
		if (!parse_fraction(&text, &ms))
			return false;
	}
	if (parts.tm_mon < 1 || parts.tm_mon > 12 || parts.tm_mday < 1 || parts.tm_mday > 31 ||
		parts.tm_hour > 24 || parts.tm_min > 59 || parts.tm_sec > 60 || !parse_zone(text, &zone))
		return false;
	parts.tm_year -= 1900;
	parts.tm_mon -= 1;
	*start = ((int64_t) timegm(&parts) - zone) * 1000 + ms;
	return true;
}

static bool
parse_fraction(const char **rest, int *ms)
{
	int scale = 100;

	if (**rest != '.')
		return true;
	(*rest)++;
	if (!isdigit((unsigned char) **rest))
		return false;
	for (; isdigit((unsigned char) **rest); (*rest)++, scale /= 10)
		*ms += (**rest - '0') * scale;
	return true;
}

/* "", "Z", "+02", "+02:00", "-0330" */
static bool
parse_zone(const char *text, int *seconds)
{
	int hours = 0;
	int minutes = 0;
	int sign = *text == '-' ? -1 : 1;
	int used = 0;

	*seconds = 0;
	while (*text == ' ')
		text++;
	if (*text == '\0' || strcmp(text, "Z") == 0 || strcmp(text, "UTC") == 0)
		return true;
	if ((*text != '+' && *text != '-') || sscanf(text + 1, "%2d%n", &hours, &used) != 1)
		return false;
	text += 1 + used;
	if (*text == ':')
		text++;
	if (*text != '\0')
	{
		if (sscanf(text, "%2d%n", &minutes, &used) != 1 || text[used] != '\0')
			return false;
	}
	*seconds = sign * (hours * 3600 + minutes * 60);
	return true;
}
