#include "api/resource/post_wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_time(const char *text, int64_t *ms);

bool
mr_post_wait_is_own(const char *name)
{
	return strcmp(name, "wait") == 0 || strcmp(name, "timeout") == 0;
}

bool
mr_post_wait_read(const MrParams *params, int64_t *wait_ms, char *detail, size_t detail_size)
{
	static const char *const allowed[] = {"processed"};
	const char *wait;
	const char *timeout = mr_params_get(params, "timeout");

	if (!mr_params_choose(params, "wait", allowed, 1, &wait, detail, detail_size))
		return false;
	*wait_ms = wait != NULL ? MR_WAIT_DEFAULT_MS : 0;
	if (wait == NULL && timeout != NULL)
		snprintf(detail, detail_size, "timeout comes without wait=processed.");
	else if (timeout != NULL && !read_time(timeout, wait_ms))
		snprintf(detail, detail_size, "timeout is \"%.40s\", expected 1ms to %ds, such as 5s.",
				 timeout, MR_WAIT_MAX_MS / 1000);
	else
		return true;
	return false;
}

void
mr_post_wait_add(MrBuffer *body, const char *pipelines)
{
	while (body->len > 0 && body->data[body->len - 1] != '}')
		body->len--;
	if (body->len > 0)
		body->len--;
	mr_buffer_printf(body, ",\"pipelines\":%s}\n", pipelines);
}

static bool
read_time(const char *text, int64_t *ms)
{
	char *end;
	long number = strtol(text, &end, 10);
	bool is_ms = strcmp(end, "ms") == 0;

	if (*text < '0' || *text > '9' || (!is_ms && *end != '\0' && strcmp(end, "s") != 0) ||
		number < 1 || number > (is_ms ? MR_WAIT_MAX_MS : MR_WAIT_MAX_MS / 1000))
		return false;
	*ms = is_ms ? number : 1000 * number;
	return true;
}
