#include "api/request/wrong_keys.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/control/keys.h"
#include "api/request/client.h"
#include "api/request/limiter.h"
#include "common/buffer.h"
#include "common/log.h"

#define MINUTE_MS 60000
#define DAY_MS    (24 * 60 * MINUTE_MS)

struct MrWrongKeys
{
	MrLimiter *wrong; /* what addresses may send */
	MrLimiter *
		seen; /* one a day: is there one, it was seen. Right keys from addresses, and addresses that are in the log */
};

static bool is_known(MrWrongKeys *keys, const char *pair, int64_t now_us);
static void log_once(MrWrongKeys *keys, const char *client, int64_t now_us);

MrWrongKeys *
mr_wrong_keys_new(int64_t per_minute)
{
	MrWrongKeys *keys;

	if (per_minute == 0)
		return NULL;
	keys = mr_calloc(1, sizeof(*keys));
	keys->wrong = mr_limiter_new(per_minute, MINUTE_MS, per_minute);
	keys->seen = mr_limiter_new(1, DAY_MS, 1);
	return keys;
}

int64_t
mr_wrong_keys_look(MrWrongKeys *keys, const char *client, const char *name, int64_t now_us)
{
	char pair[MR_KEY_NAME_MAX + MR_CLIENT_SIZE + 8];
	int64_t wait_ms;

	if (keys == NULL)
		return 0;
	if (name == NULL)
	{
		wait_ms = mr_limiter_take(keys->wrong, client, now_us);
		if (wait_ms > 0)
			log_once(keys, client, now_us);
		return wait_ms;
	}
	snprintf(pair, sizeof(pair), "%s from %s", name, client);
	if (is_known(keys, pair, now_us))
		return 0;
	wait_ms = mr_limiter_wait(keys->wrong, client, now_us);
	if (wait_ms == 0)
		mr_limiter_take(keys->seen, pair, now_us);
	return wait_ms;
}

void
mr_wrong_keys_free(MrWrongKeys *keys)
{
	if (keys == NULL)
		return;
	mr_limiter_free(keys->wrong);
	mr_limiter_free(keys->seen);
	free(keys);
}

static bool
is_known(MrWrongKeys *keys, const char *pair, int64_t now_us)
{
	return mr_limiter_wait(keys->seen, pair, now_us) > 0;
}

static void
log_once(MrWrongKeys *keys, const char *client, int64_t now_us)
{
	char address[MR_CLIENT_SIZE + 8];

	snprintf(address, sizeof(address), "log %s", client);
	if (mr_limiter_take(keys->seen, address, now_us) == 0)
		mr_log(MR_LOG_WARN, "an address sends wrong keys", MR_STR("from", client),
			   MR_STR("hint", "Its requests with a key are refused for a while each time. A proxy "
							  "whose clients are meant is named with --trusted-proxy."));
}
