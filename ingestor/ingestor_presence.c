/* When to report, and the report. */
#include "ingestor/ingestor_presence.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/eventloop.h"
#include "common/json.h"
#include "ingestor/control/catalogue.h"
#include "ingestor/pipeline_trouble.h"

static void put_pipeline(MrBuffer *out, const MrPipeline *pl, int64_t now_ms);
static void put_text(MrBuffer *out, const char *key, const char *text);
static bool is_same(const MrBuffer *a, const MrBuffer *b);
static void on_reported(void *owner, const PGresult *result, uint64_t tag);

/* Version 4 of RFC 9562: random but for six bits. */
void
mr_presence_init(MrPresence *presence)
{
	uint64_t high = (mr_random64() & ~UINT64_C(0xf000)) | 0x4000;
	uint64_t low = (mr_random64() >> 2) | UINT64_C(1) << 63;

	*presence = (MrPresence){0};
	snprintf(presence->id, sizeof(presence->id),
			 "%08" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%012" PRIx64, high >> 32,
			 (high >> 16) & 0xffff, high & 0xffff, low >> 48, low & UINT64_C(0xffffffffffff));
}

/* While there is no connection nothing is reported: it would be old when it arrives. */
void
mr_presence_step(MrPresence *presence, MrControl *control, MrPipeline *const *pipelines, int count,
				 int64_t now_ms)
{
	MrBuffer serves = {0};
	uint64_t losses = mr_control_losses(control);

	if (presence->is_reporting || !mr_control_is_open(control))
		return;
	for (int i = 0; i < count; i++)
		if (!pipelines[i]->removed)
			put_pipeline(&serves, pipelines[i], now_ms);
	mr_buffer_append(&serves, serves.len > 0 ? "]" : "[]", serves.len > 0 ? 1 : 2);
	if (now_ms < presence->due_ms && losses == presence->losses &&
		is_same(&serves, &presence->sent))
	{
		mr_buffer_free(&serves);
		return;
	}
	mr_buffer_free(&presence->sent);
	presence->sent = serves;
	presence->losses = losses;
	presence->due_ms = now_ms + MR_PRESENCE_EVERY_MS;
	presence->is_reporting = true;
	mr_catalogue_presence(control, presence->id, mr_buffer_string(&presence->sent),
						  (MrReply){.answer = on_reported, .owner = presence});
}

void
mr_presence_free(MrPresence *presence)
{
	mr_buffer_free(&presence->sent);
}

static void
put_pipeline(MrBuffer *out, const MrPipeline *pl, int64_t now_ms)
{
	MrPipelineTrouble trouble;

	mr_pipeline_trouble(pl, now_ms, &trouble);
	mr_buffer_append(out, out->len > 0 ? ", " : "[", out->len > 0 ? 2 : 1);
	mr_buffer_append(out, "{\"pipeline\": ", 13);
	mr_json_put_string(out, pl->name);
	put_text(out, "kafka_error", trouble.kafka);
	put_text(out, "kafka_hint", trouble.kafka_hint);
	put_text(out, "lane_stuck", trouble.lane);
	mr_buffer_append(out, "}", 1);
}

/* "": nothing. */
static void
put_text(MrBuffer *out, const char *key, const char *text)
{
	if (*text == '\0')
		return;
	mr_buffer_printf(out, ", \"%s\": ", key);
	mr_json_put_string(out, text);
}

static bool
is_same(const MrBuffer *a, const MrBuffer *b)
{
	return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

/* If it failed, the next one is due soon enough. */
static void
on_reported(void *owner, const PGresult *result, uint64_t tag)
{
	(void) result;
	(void) tag;
	((MrPresence *) owner)->is_reporting = false;
}
