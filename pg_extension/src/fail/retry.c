/*
 * retry.c: see retry.h. Runs in workers; rows are read by worker 0 of a pipeline alone, written by all.
 */
#include "postgres.h"

#include "fail/retry.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "common/hashfn.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgroids.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "server/catalog.h"
#include "server/catalog_writer.h"

static bool
has_state(HeapTuple tuple, TupleDesc desc, const char *state)
{
	return strcmp(mr_catalog_text(tuple, MR_RETRY_STATE, desc), state) == 0;
}

bool
mr_retry_is_parked(HeapTuple tuple, TupleDesc desc)
{
	return has_state(tuple, desc, "parked");
}

bool
mr_retry_is_held(HeapTuple tuple, TupleDesc desc)
{
	return has_state(tuple, desc, "held");
}

bool
mr_retry_waits(HeapTuple tuple, TupleDesc desc)
{
	return mr_retry_is_parked(tuple, desc) &&
		   TIMESTAMP_IS_NOEND(mr_catalog_int8(tuple, MR_RETRY_NEXT_AT, desc, 0));
}

bool
mr_retry_order_key(const MrDefinition *definition, const MrEvent *event, int64 *key)
{
	if (!definition->order.by_key)
		return false;
	if (event->retry != NULL)
	{
		*key = event->retry->order_key;
		return event->retry->in_queue;
	}
	if (event->key == NULL)
		return false;
	*key = (int64) hash_bytes_extended((const unsigned char *) VARDATA_ANY(event->key),
									   (int) VARSIZE_ANY_EXHDR(event->key), 0);
	return true;
}

bool
mr_retry_failed_last_with(const MrEvent *event, int sqlstate)
{
	const char *code = unpack_sql_state(sqlstate);
	JsonbContainer *history = event->retry ? &event->retry->history->root : NULL;
	JsonbValue *last;
	JsonbValue *value;

	if (history == NULL || JsonContainerSize(history) == 0)
		return false;
	last = getIthJsonbValueFromContainer(history, JsonContainerSize(history) - 1);
	if (last == NULL || last->type != jbvBinary)
		return false;
	value =
		getKeyJsonValueFromContainer(last->val.binary.data, "sqlstate", strlen("sqlstate"), NULL);
	return value != NULL && value->type == jbvString &&
		   value->val.string.len == (int) strlen(code) &&
		   memcmp(value->val.string.val, code, strlen(code)) == 0;
}

/* NULL: left out */
static void
push_text(JsonbParseState **state, const char *key, const char *text)
{
	JsonbValue value = {.type = jbvString};

	if (text == NULL)
		return;
	value.val.string.val = unconstify(char *, key);
	value.val.string.len = (int) strlen(key);
	(void) pushJsonbValue(state, WJB_KEY, &value);
	value.val.string.val = unconstify(char *, text);
	value.val.string.len = (int) strlen(text);
	(void) pushJsonbValue(state, WJB_VALUE, &value);
}

Datum
mr_retry_history(const MrEvent *event, TimestampTz now)
{
	const MrFailure *failure = event->outcome.failure;
	JsonbParseState *state = NULL;
	Datum latest;
	char at[MAXDATELEN + 1];

	/* as to_jsonb() writes it, so that all times of a timeline look alike */
	(void) JsonEncodeDateTime(at, TimestampTzGetDatum(now), TIMESTAMPTZOID, NULL);
	(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_text(&state, "at", at);
	push_text(&state, "stage", mr_stage_name(failure->stage));
	push_text(&state, "sqlstate", unpack_sql_state(failure->sqlstate));
	push_text(&state, "message", failure->message);
	push_text(&state, "detail", failure->detail);
	push_text(&state, "constraint_name", failure->constraint_name);
	(void) pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	latest = JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL)));
	if (event->retry == NULL)
		return latest;
	return DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(event->retry->history), latest);
}

/* What a row records of the event's failures. */
typedef struct RowContent
{
	const char *state;
	TimestampTz next_at;
	TimestampTz since; /* first_failed_at */
	int attempts;
	int64 replay_of;
	Datum history;
} RowContent;

static HeapTuple
form(const MrDefinition *definition, const MrEvent *event, const RowContent *content,
	 TupleDesc desc)
{
	const MrRetryRow *row = event->retry;
	Datum values[MR_RETRY_NATTS];
	bool nulls[MR_RETRY_NATTS] = {false};
	int64 order_key = 0;

	values[MR_RETRY_ID - 1] = Int64GetDatum(
		row ? row->retry_id : nextval_internal(mr_catalog_oid("retry_id_seq"), false));
	values[MR_RETRY_PIPELINE_ID - 1] = Int32GetDatum(definition->pipeline_id);
	values[MR_RETRY_VERSION - 1] = Int32GetDatum(definition->version);
	values[MR_RETRY_TOPIC - 1] = mr_topics_place(definition->topics, event->partition).topic;
	values[MR_RETRY_PARTITION - 1] = Int32GetDatum(event->partition);
	values[MR_RETRY_OFFSET - 1] = Int64GetDatum(event->offset);
	values[MR_RETRY_KAFKA_TS - 1] = Int64GetDatum(event->kafka_ts);
	values[MR_RETRY_KIND - 1] = Int16GetDatum(event->kind);
	values[MR_RETRY_ATTEMPTS - 1] = Int32GetDatum(content->attempts);
	values[MR_RETRY_NEXT_AT - 1] = TimestampTzGetDatum(content->next_at);
	values[MR_RETRY_FIRST_FAILED_AT - 1] = TimestampTzGetDatum(content->since);
	nulls[MR_RETRY_REPLAY_OF - 1] = content->replay_of == 0;
	values[MR_RETRY_REPLAY_OF - 1] = Int64GetDatum(content->replay_of);
	mr_catalog_set_bytes(values, nulls, MR_RETRY_KEY, event->key);
	mr_catalog_set_bytes(values, nulls, MR_RETRY_HEADERS, event->headers);
	mr_catalog_set_bytes(values, nulls, MR_RETRY_PAYLOAD, event->payload);
	values[MR_RETRY_HISTORY - 1] = content->history;
	values[MR_RETRY_STATE - 1] = CStringGetTextDatum(content->state);
	nulls[MR_RETRY_ORDER_KEY - 1] = !mr_retry_order_key(definition, event, &order_key);
	values[MR_RETRY_ORDER_KEY - 1] = Int64GetDatum(order_key);
	nulls[MR_RETRY_DOCUMENT - 1] = event->document == 0;
	values[MR_RETRY_DOCUMENT - 1] = Int32GetDatum(event->document);
	values[MR_RETRY_ENTERED_AT - 1] =
		TimestampTzGetDatum(row != NULL ? row->entered_at : content->since);
	return heap_form_tuple(desc, values, nulls);
}

static void
put(const MrDefinition *definition, const MrEvent *event, const RowContent *content)
{
	Relation rel = mr_catalog_open("retry", RowExclusiveLock);
	HeapTuple tuple = form(definition, event, content, RelationGetDescr(rel));

	if (event->retry == NULL)
		mr_catalog_insert(rel, tuple);
	else
	{
		ItemPointerData tid = event->retry->tid;

		mr_catalog_update(rel, &tid, tuple);
	}
	heap_freetuple(tuple);
	table_close(rel, NoLock);
}

void
mr_retry_put(const MrDefinition *definition, const MrEvent *event, TimestampTz now,
			 TimestampTz next_at)
{
	const MrRetryRow *row = event->retry;
	RowContent content = {.state = row != NULL && row->replay_of != 0 ? "replaying" : "retrying",
						  .next_at = next_at,
						  .since = row != NULL && !row->parked ? row->first_failed_at : now,
						  .attempts = (row != NULL ? row->attempts : 0) + 1,
						  .replay_of = row != NULL ? row->replay_of : 0,
						  .history = mr_retry_history(event, now)};

	put(definition, event, &content);
}

static Datum
empty_history(void)
{
	return DirectFunctionCall1(jsonb_in, CStringGetDatum("[]"));
}

void
mr_retry_park(const MrDefinition *definition, const MrEvent *event)
{
	const MrRetryRow *row = event->retry;
	TimestampTz now = GetCurrentTimestamp();
	RowContent content = {.state = "parked", .next_at = DT_NOEND, .since = now};
	int64 order_key;

	if (row != NULL && TIMESTAMP_IS_NOEND(row->next_at) && row->document == event->document)
		return; /* waits as before */
	if (!mr_retry_order_key(definition, event, &order_key))
		content.next_at = now; /* a document that waits for nothing (engine.h) */
	if (row != NULL)
	{
		content.since = row->first_failed_at;
		content.attempts = row->attempts;
		content.replay_of = row->replay_of;
	}
	content.history = row != NULL ? JsonbPGetDatum(row->history) : empty_history();
	put(definition, event, &content);
}

void
mr_retry_hold(const MrDefinition *definition, const MrEvent *event, int64 dead_letter_id)
{
	RowContent content = {.state = "held",
						  .next_at = DT_NOEND,
						  .since = GetCurrentTimestamp(),
						  .replay_of = dead_letter_id,
						  .history = empty_history()}; /* the letter has it */

	put(definition, event, &content);
}

void
mr_retry_release_first(int32 pipeline_id, int32 partition, int64 order_key)
{
	Relation rel = mr_catalog_open("retry", RowExclusiveLock);
	TupleDesc desc = RelationGetDescr(rel);
	Datum values[MR_RETRY_NATTS] = {0};
	bool nulls[MR_RETRY_NATTS] = {false};
	bool replace[MR_RETRY_NATTS] = {false};
	ScanKeyData keys[3];
	HeapTuple tuple;

	mr_key_int4(&keys[0], MR_RETRY_PIPELINE_ID, pipeline_id);
	mr_key_int4(&keys[1], MR_RETRY_PARTITION, partition);
	ScanKeyInit(&keys[2], MR_RETRY_ORDER_KEY, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(order_key));
	tuple = mr_catalog_fetch(rel, "retry_queue_idx", lengthof(keys), keys, false);
	if (HeapTupleIsValid(tuple) && mr_retry_waits(tuple, desc))
	{
		values[MR_RETRY_NEXT_AT - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
		replace[MR_RETRY_NEXT_AT - 1] = true;
		mr_catalog_update(rel, &tuple->t_self,
						  heap_modify_tuple(tuple, desc, values, nulls, replace));
	}
	table_close(rel, NoLock);
}

void
mr_retry_remove(const MrEvent *event)
{
	Relation rel = mr_catalog_open("retry", RowExclusiveLock);
	ItemPointerData tid = event->retry->tid;

	CatalogTupleDelete(rel, &tid);
	table_close(rel, NoLock);
}
