#include "api/resource/statistics.h"

#include <stdlib.h>

#include "api/request/etag.h"
#include "common/buffer.h"
#include "common/eventloop.h"

struct MrStatisticsWait
{
	MrStatisticsDone done;
	void *owner;
	MrStatisticsWait **link; /* what points to it: it leaves whatever list it is in */
	MrStatisticsWait *next;
};

struct MrStatistics
{
	MrPool *pool;
	MrQuery *running; /* NULL: none */
	int64_t asked_ms; /* when the latest query began */
	MrBuffer text;
	int64_t text_ms; /* when the query of the text began: its age counts from there */
	char tag[MR_ETAG_SIZE];
	MrStatisticsWait *first;
};

/*
 * No time of rendering is in it: while nothing changes, neither does the entity tag. Bigints are text. Each view is read
 * once, not once for each pipeline.
 */
static const char sql[] =
	"WITH rates AS MATERIALIZED (SELECT * FROM millrace.rates), "
	"latency AS MATERIALIZED (SELECT * FROM millrace.latency), "
	"lag AS MATERIALIZED (SELECT * FROM millrace.lag), "
	"by_type AS MATERIALIZED (SELECT * FROM millrace.stats_by_type), "
	"windows AS MATERIALIZED (SELECT * FROM millrace.windows) "
	"SELECT json_build_object('pipelines', coalesce(json_agg(json_build_object("
	"'name', s.pipeline, 'totals', json_build_object('events', s.events::text, "
	"'written', s.written::text, 'filtered', s.filtered::text, "
	"'superseded', s.superseded::text, 'skipped', s.skipped::text, 'rows', s.rows::text, "
	"'bytes', s.bytes::text, 'failed', s.failed::text, 'settled_at', s.settled_at), "
	"'rates', (SELECT json_agg(json_build_object("
	"'over_s', extract(epoch FROM r.over)::integer, 'events_per_s', r.events_per_s, "
	"'rows_per_s', r.rows_per_s, 'bytes_per_s', r.bytes_per_s, "
	"'failures_per_s', r.failures_per_s, 'dead_letters_per_s', r.dead_letters_per_s, "
	"'retries_per_s', r.retries_per_s, 'batches_per_s', r.batches_per_s, "
	"'busy_workers', r.busy_workers, 'events_per_batch', r.events_per_batch) ORDER BY r.over) "
	"FROM rates AS r WHERE r.pipeline = s.pipeline), "
	"'latency', (SELECT coalesce(json_agg(json_build_object('stage', l.stage, "
	"'over_s', extract(epoch FROM l.over)::integer, 'events', l.events::text, "
	"'p50_ms', l.p50_ms, 'p95_ms', l.p95_ms, 'p99_ms', l.p99_ms, 'max_ms', l.max_ms) "
	"ORDER BY l.over, l.stage), '[]') FROM latency AS l WHERE l.pipeline = s.pipeline), "
	"'lag', json_build_object('records', s.lag::text, "
	"'seconds', (SELECT round(extract(epoch FROM max(g.behind)), 3) FROM lag AS g "
	"WHERE g.pipeline = s.pipeline), 'drained_per_s', s.drained_per_s, "
	"'drained_in_s', round(extract(epoch FROM s.drained_in), 3)), "
	"'staging', json_build_object('events', s.staged::text, 'bytes', s.staged_bytes::text, "
	"'waiting', s.staged_waiting::text, 'fill', s.staging_fill), "
	"'batches', json_build_object('events_per_batch', s.events_per_batch, "
	"'largest', s.largest_batch::text), "
	"'timestamps', json_build_object('missing', s.without_time::text, "
	"'future', s.from_future::text), "
	"'retries', json_build_object('waiting', s.retrying::text, 'parked', s.parked::text, "
	"'tries', s.retried::text, "
	"'next_at', CASE WHEN isfinite(s.next_retry_at) THEN s.next_retry_at END), "
	"'dead_letters', json_build_object('present', s.dead::text, "
	"'open', s.dead_letters_open::text, 'made', s.dead_lettered::text, "
	"'made_per_s', s.dead_letters_per_s, 'replayed', s.replayed::text), "
	"'types', (SELECT coalesce(json_agg(json_build_object('type', t.type, "
	"'events', t.events::text, 'bytes', t.bytes::text, 'written', t.written::text, "
	"'filtered', t.filtered::text, 'superseded', t.superseded::text, "
	"'skipped', t.skipped::text, 'failed', t.failed::text, 'retried', t.retried::text, "
	"'dead_lettered', t.dead_lettered::text, 'replayed', t.replayed::text) "
	"ORDER BY t.events DESC, t.type), '[]') FROM by_type AS t WHERE t.pipeline = s.pipeline), "
	"'windows', (SELECT coalesce(json_agg(json_build_object('name', w.name, 'kind', w.kind, "
	"'groups', w.groups::text, 'max_groups', w.max_groups::text, "
	"'watermark', w.watermark, 'held_topic', w.held_topic, 'held_by', w.held_by, "
	"'held_why', w.held_why, 'stalled_since', w.stalled_since, 'late', w.late::text, "
	"'skewed', w.skewed::text, 'outside', w.outside::text) ORDER BY w.name), '[]') "
	"FROM windows AS w WHERE w.pipeline = s.pipeline), "
	"'breaker', json_build_object('state', b.state, 'since', b.since, "
	"'sqlstate', b.sqlstate, 'opened', b.opened::text, 'next_probe_at', b.next_probe_at, "
	"'retries_state', b.retries_state, 'retries_since', b.retries_since, "
	"'retries_sqlstate', b.retries_sqlstate)) ORDER BY s.pipeline), '[]'))::text "
	"FROM millrace.stats AS s LEFT JOIN millrace.breakers AS b USING (pipeline)";

static bool is_fresh(const MrStatistics *statistics);
static MrStatisticsWait *await(MrStatistics *statistics, MrStatisticsDone done, void *owner);
static void on_rendered(void *owner, MrQueryFailure failure, const PGresult *result,
						const MrPgError *error);
static MrStatisticsAnswer answer_of(const MrStatistics *statistics, MrQueryFailure failure,
									const MrPgError *error);

MrStatistics *
mr_statistics_new(MrPool *pool)
{
	MrStatistics *statistics = mr_calloc(1, sizeof(*statistics));

	statistics->pool = pool;
	return statistics;
}

void
mr_statistics_free(MrStatistics *statistics)
{
	if (statistics == NULL)
		return;
	if (statistics->running != NULL)
		mr_query_abandon(statistics->running);
	mr_buffer_free(&statistics->text);
	free(statistics);
}

MrStatisticsWait *
mr_statistics_ask(MrStatistics *statistics, MrStatisticsDone done, void *owner)
{
	MrQueryFailure failure = MR_QUERY_OK;
	MrStatisticsAnswer answer;

	if (statistics->running == NULL && !is_fresh(statistics))
	{
		statistics->asked_ms = mr_now_ms();
		statistics->running = mr_pool_query(statistics->pool, "statistics", sql, 0, NULL,
											on_rendered, statistics, &failure);
	}
	if (statistics->running != NULL)
		return await(statistics, done, owner);
	answer = answer_of(statistics, failure, NULL);
	done(owner, &answer);
	return NULL;
}

void
mr_statistics_forget(MrStatisticsWait *wait)
{
	*wait->link = wait->next;
	if (wait->next != NULL)
		wait->next->link = wait->link;
	free(wait);
}

static bool
is_fresh(const MrStatistics *statistics)
{
	return statistics->text.len > 0 && mr_now_ms() - statistics->text_ms < MR_STATISTICS_FRESH_MS;
}

static MrStatisticsWait *
await(MrStatistics *statistics, MrStatisticsDone done, void *owner)
{
	MrStatisticsWait *wait = mr_calloc(1, sizeof(*wait));

	wait->done = done;
	wait->owner = owner;
	wait->link = &statistics->first;
	wait->next = statistics->first;
	if (wait->next != NULL)
		wait->next->link = &wait->next;
	statistics->first = wait;
	return wait;
}

/* The list is taken first: who comes while these are answered waits for the next query, not for this one. */
static void
on_rendered(void *owner, MrQueryFailure failure, const PGresult *result, const MrPgError *error)
{
	MrStatistics *statistics = owner;
	MrStatisticsWait *waiting = statistics->first;
	MrStatisticsAnswer answer;

	statistics->running = NULL;
	statistics->first = NULL;
	if (waiting != NULL)
		waiting->link = &waiting;
	if (failure == MR_QUERY_OK)
	{
		statistics->text.len = 0;
		statistics->text_ms = statistics->asked_ms;
		mr_buffer_append(&statistics->text, PQgetvalue(result, 0, 0),
						 (size_t) PQgetlength(result, 0, 0));
		mr_buffer_append(&statistics->text, "\n", 1);
		mr_etag_make(statistics->tag, statistics->text.data, statistics->text.len);
	}
	answer = answer_of(statistics, failure, error);
	while (waiting != NULL)
	{
		MrStatisticsWait *wait = waiting;
		MrStatisticsDone done = wait->done;
		void *who = wait->owner;

		waiting = wait->next;
		if (waiting != NULL)
			waiting->link = &waiting;
		free(wait);
		done(who, &answer);
	}
}

static MrStatisticsAnswer
answer_of(const MrStatistics *statistics, MrQueryFailure failure, const MrPgError *error)
{
	return (MrStatisticsAnswer){failure, error, statistics->text.data, statistics->text.len,
								statistics->tag};
}
