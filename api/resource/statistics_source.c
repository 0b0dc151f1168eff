#include "api/resource/statistics_source.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "api/control/settings.h"
#include "common/buffer.h"
#include "common/eventloop.h"
#include "common/wakeup.h"

#define TICK_MS 50

struct MrStatisticsReader
{
	int fd;     /* the thread's eventfd */
	bool wants; /* under the source's lock, as the rest */
	bool has;   /* a rendering that is not taken yet: */
	MrStatisticsRendering got;
};

struct MrStatisticsSource
{
	/* the main thread's */
	MrPool *pool;
	struct event *tick;
	struct event *wanted;
	MrQuery *running; /* NULL: none */
	int64_t asked_ms; /* when the latest query began */

	int fd; /* an eventfd: a reader wants a rendering */
	atomic_bool is_connected;
	atomic_bool is_in_trouble;

	pthread_mutex_t lock;
	MrStatisticsRendering latest; /* that did not fail */
	MrStatisticsReader *readers[MR_THREADS_MAX];
	int reader_count;
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

static void on_tick(evutil_socket_t fd, short what, void *arg);
static void on_wanted(evutil_socket_t fd, short what, void *arg);
static void on_rendered(void *owner, MrQueryFailure failure, const PGresult *result,
						const MrPgError *error);
static void hand_out(MrStatisticsSource *source, const MrStatisticsRendering *rendering);
static void copy(MrStatisticsRendering *to, const MrStatisticsRendering *from);

MrStatisticsSource *
mr_statistics_source_new(const MrPoolSetup *pool)
{
	MrStatisticsSource *source = mr_calloc(1, sizeof(*source));

	source->pool = mr_pool_new(pool);
	pthread_mutex_init(&source->lock, NULL);
	source->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	source->wanted = event_new(pool->base, source->fd, EV_READ | EV_PERSIST, on_wanted, source);
	event_add(source->wanted, NULL);
	source->tick = evtimer_new(pool->base, on_tick, source);
	mr_timer_set(source->tick, 0);
	return source;
}

void
mr_statistics_source_free(MrStatisticsSource *source)
{
	if (source == NULL)
		return;
	if (source->running != NULL)
		mr_query_abandon(source->running);
	mr_pool_free(source->pool);
	event_free(source->tick);
	event_free(source->wanted);
	close(source->fd);
	mr_shared_text_release(source->latest.text);
	pthread_mutex_destroy(&source->lock);
	free(source);
}

bool
mr_statistics_source_is_connected(MrStatisticsSource *source)
{
	return atomic_load(&source->is_connected);
}

bool
mr_statistics_source_is_in_trouble(MrStatisticsSource *source)
{
	return atomic_load(&source->is_in_trouble);
}

MrStatisticsReader *
mr_statistics_source_attach(MrStatisticsSource *source, int fd)
{
	MrStatisticsReader *reader = mr_calloc(1, sizeof(*reader));

	reader->fd = fd;
	pthread_mutex_lock(&source->lock);
	source->readers[source->reader_count++] = reader;
	pthread_mutex_unlock(&source->lock);
	return reader;
}

void
mr_statistics_source_detach(MrStatisticsSource *source, MrStatisticsReader *reader)
{
	pthread_mutex_lock(&source->lock);
	for (int i = 0; i < source->reader_count; i++)
		if (source->readers[i] == reader)
			source->readers[i] = source->readers[--source->reader_count];
	pthread_mutex_unlock(&source->lock);
	mr_shared_text_release(reader->got.text);
	free(reader);
}

bool
mr_statistics_source_ask(MrStatisticsSource *source, MrStatisticsReader *reader,
						 MrStatisticsRendering *rendering)
{
	bool is_fresh;

	pthread_mutex_lock(&source->lock);
	is_fresh = mr_statistics_are_fresh(&source->latest);
	if (is_fresh)
		copy(rendering, &source->latest);
	else
		reader->wants = true;
	pthread_mutex_unlock(&source->lock);
	if (!is_fresh)
		mr_wake(source->fd);
	return is_fresh;
}

bool
mr_statistics_source_take(MrStatisticsSource *source, MrStatisticsReader *reader,
						  MrStatisticsRendering *rendering)
{
	bool has;

	pthread_mutex_lock(&source->lock);
	has = reader->has;
	if (has)
	{
		*rendering = reader->got;
		reader->got = (MrStatisticsRendering){0};
		reader->has = false;
	}
	pthread_mutex_unlock(&source->lock);
	return has;
}

bool
mr_statistics_are_fresh(const MrStatisticsRendering *rendering)
{
	return rendering->text != NULL && mr_now_ms() - rendering->begun_ms < MR_STATISTICS_FRESH_MS;
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	MrStatisticsSource *source = arg;

	(void) fd;
	(void) what;
	mr_pool_tick(source->pool);
	atomic_store(&source->is_connected, mr_pool_is_connected(source->pool));
	atomic_store(&source->is_in_trouble, mr_pool_is_in_trouble(source->pool));
	mr_timer_set(source->tick, TICK_MS);
}

/* Who comes while it is rendered waits for the same query. What another has asked for meanwhile may still be fresh. */
static void
on_wanted(evutil_socket_t fd, short what, void *arg)
{
	MrStatisticsSource *source = arg;
	MrStatisticsRendering refused = {0};

	(void) what;
	mr_woken(fd);
	if (source->running != NULL)
		return;
	if (mr_statistics_are_fresh(&source->latest)) /* no other thread writes it */
	{
		hand_out(source, &source->latest);
		return;
	}
	source->asked_ms = mr_now_ms();
	source->running = mr_pool_query(source->pool, "statistics", sql, 0, NULL, on_rendered, source,
									&refused.failure);
	if (source->running == NULL)
		hand_out(source, &refused);
}

static void
on_rendered(void *owner, MrQueryFailure failure, const PGresult *result, const MrPgError *error)
{
	MrStatisticsSource *source = owner;
	MrStatisticsRendering rendering = {.failure = failure, .begun_ms = source->asked_ms};
	MrBuffer text = {0};

	source->running = NULL;
	if (error != NULL)
	{
		rendering.has_error = true;
		rendering.error = *error;
	}
	if (failure == MR_QUERY_OK)
	{
		mr_buffer_append(&text, PQgetvalue(result, 0, 0), (size_t) PQgetlength(result, 0, 0));
		mr_buffer_append(&text, "\n", 1);
		mr_etag_make(rendering.tag, text.data, text.len);
		rendering.text = mr_shared_text_new(&text);
		pthread_mutex_lock(&source->lock);
		mr_shared_text_release(source->latest.text);
		copy(&source->latest, &rendering);
		pthread_mutex_unlock(&source->lock);
	}
	hand_out(source, &rendering);
	mr_shared_text_release(rendering.text);
}

/* To all that want one. A reader whose thread has ended is not there any more. */
static void
hand_out(MrStatisticsSource *source, const MrStatisticsRendering *rendering)
{
	pthread_mutex_lock(&source->lock);
	for (int i = 0; i < source->reader_count; i++)
	{
		MrStatisticsReader *reader = source->readers[i];

		if (!reader->wants)
			continue;
		mr_shared_text_release(reader->got.text);
		copy(&reader->got, rendering);
		reader->has = true;
		reader->wants = false;
		mr_wake(reader->fd);
	}
	pthread_mutex_unlock(&source->lock);
}

/* With a reference of its own. */
static void
copy(MrStatisticsRendering *to, const MrStatisticsRendering *from)
{
	*to = *from;
	if (to->text != NULL)
		mr_shared_text_hold(to->text);
}
