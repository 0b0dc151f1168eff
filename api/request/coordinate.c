#include "api/request/coordinate.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static bool read_number(char *out, const char *text, size_t len, long long max);

bool
mr_coordinate_read(MrCoordinate *coordinate, const char *text)
{
	static const char topic_bytes[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t topic = strspn(text, topic_bytes);
	const char *partition = text + topic + 1;
	size_t len;

	if (topic == 0 || topic > MR_TOPIC_MAX || text[topic] != ':')
		return false;
	len = strcspn(partition, ":");
	if (partition[len] != ':')
		return false;
	memcpy(coordinate->topic, text, topic);
	coordinate->topic[topic] = '\0';
	return read_number(coordinate->partition, partition, len, INT32_MAX) &&
		   read_number(coordinate->offset, partition + len + 1, strlen(partition + len + 1),
					   INT64_MAX);
}

/* Without sign, spaces and leading zeros: an offset has one spelling. */
static bool
read_number(char *out, const char *text, size_t len, long long max)
{
	long long number;

	if (len == 0 || len > 19 || strspn(text, "0123456789") < len || (*text == '0' && len > 1))
		return false;
	memcpy(out, text, len > 11 && max == INT32_MAX ? 11 : len);
	out[len > 11 && max == INT32_MAX ? 11 : len] = '\0';
	errno = 0;
	number = strtoll(text, NULL, 10);
	return errno == 0 && number <= max;
}
