/* The present trouble of something that is tried again and again. */
#include "common/trouble.h"

#include <stdio.h>
#include <string.h>

MrLogLevel
mr_trouble_set(MrTrouble *trouble, const char *text)
{
	char line[sizeof(trouble->text)];
	size_t len;

	snprintf(line, sizeof(line), "%s", text != NULL && *text != '\0' ? text : "unknown error");
	/* libpq's messages have several lines, and end with a newline */
	for (len = strlen(line); len > 0 && strchr(" \t\r\n", line[len - 1]) != NULL; len--)
		line[len - 1] = '\0';
	for (char *c = line; *c != '\0'; c++)
		if (*c == '\n' || *c == '\r' || *c == '\t')
			*c = ' ';
	if (strcmp(line, trouble->text) == 0)
		return MR_LOG_DEBUG;
	snprintf(trouble->text, sizeof(trouble->text), "%s", line);
	return MR_LOG_WARN;
}

void
mr_trouble_clear(MrTrouble *trouble)
{
	trouble->text[0] = '\0';
}

bool
mr_trouble_is_set(const MrTrouble *trouble)
{
	return trouble->text[0] != '\0';
}
