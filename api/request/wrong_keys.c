#include "api/request/wrong_keys.h"

#include <stdlib.h>

#include "api/request/limiter.h"
#include "common/buffer.h"
#include "common/log.h"

#define MINUTE_MS 60000
#define DAY_MS    (24 * 60 * MINUTE_MS)

struct MrWrongKeys
{
	MrLimiter *wrong;  /* what addresses may send */
	MrLimiter *logged; /* one a day of each */
};

MrWrongKeys *
mr_wrong_keys_new(int64_t per_minute)
{
	MrWrongKeys *keys;

	if (per_minute == 0)
		return NULL;
	keys = mr_calloc(1, sizeof(*keys));
	keys->wrong = mr_limiter_new(per_minute, MINUTE_MS, per_minute);
	keys->logged = mr_limiter_new(1, DAY_MS, 1);
	return keys;
}

int64_t
mr_wrong_keys_take(MrWrongKeys *keys, const char *client, int64_t now_us)
{
	int64_t wait_ms = keys != NULL ? mr_limiter_take(keys->wrong, client, now_us) : 0;

	if (wait_ms > 0 && mr_limiter_take(keys->logged, client, now_us) == 0)
		mr_log(MR_LOG_WARN, "an address sends wrong keys", MR_STR("from", client),
			   MR_STR("hint", "Its requests with a wrong key are refused for a while each time. A "
							  "proxy whose clients are meant is named with --trusted-proxy."));
	return wait_ms;
}

void
mr_wrong_keys_free(MrWrongKeys *keys)
{
	if (keys == NULL)
		return;
	mr_limiter_free(keys->wrong);
	mr_limiter_free(keys->logged);
	free(keys);
}
