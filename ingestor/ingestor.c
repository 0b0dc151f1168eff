/* The process: which pipelines there are, the clock, signals, and the way out. */
#include "ingestor/ingestor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "ingestor/fetch/handle_end.h"
#include "ingestor/ingestor_metrics.h"

#define EVERY_MS         250
#define EVERY_LEAVING_MS 20
#define LEAVE_MS         600 /* for the consumers to leave their groups */
#define HANDLES_MS       300 /* for their handles to end */

static void on_terminate(void *owner);
static void on_reload(void *owner);
static void on_connected(void *owner);
static void on_poll(evutil_socket_t fd, short what, void *arg);
static void on_every(evutil_socket_t fd, short what, void *arg);
static void ask_list(MrIngestor *ingestor);
static void on_list(void *owner, const PGresult *result, uint64_t tag);
static void take_in(MrIngestor *ingestor, const MrServedRow *row);
static bool is_wanted(const MrIngestor *ingestor, const char *name);
static void free_removed(MrIngestor *ingestor);
static void begin_drain(MrIngestor *ingestor);
static void leave_step(MrIngestor *ingestor);
static bool all(const MrIngestor *ingestor, bool (*test)(const MrPipeline *pl));

MrIngestor *
mr_ingestor_new(MrSettings *settings, int argc, char **argv)
{
	static const MrSignals signals = {on_terminate, on_reload};
	static const MrAdminCallbacks admin = {mr_ingestor_metrics, mr_ingestor_ready};
	MrIngestor *ingestor = mr_calloc(1, sizeof(*ingestor));
	struct event_base *base;

	ingestor->settings = *settings;
	*settings = (MrSettings){0};
	ingestor->budget.bytes = ingestor->settings.fetch_buffer_bytes;
	ingestor->argc = argc;
	ingestor->argv = argv;
	ingestor->loop = mr_loop_new(&signals, ingestor);
	if (ingestor->loop == NULL)
	{
		mr_log(MR_LOG_ERROR, "could not set up the event loop");
		mr_ingestor_free(ingestor);
		return NULL;
	}
	base = mr_loop_base(ingestor->loop);
	ingestor->resolver = mr_resolver_new(base);
	ingestor->poll = evtimer_new(base, on_poll, ingestor);
	ingestor->every = evtimer_new(base, on_every, ingestor);
	if (ingestor->resolver == NULL || !mr_admin_http_open(base, ingestor->settings.admin_listen,
														  &admin, ingestor, &ingestor->admin))
	{
		mr_ingestor_free(ingestor);
		return NULL;
	}
	ingestor->control = mr_control_new(base, ingestor->settings.dsn, on_connected, ingestor);
	ingestor->relays = mr_relay_set_new(&ingestor->settings, ingestor->control);
	mr_presence_init(&ingestor->presence);
	mr_timer_set(ingestor->every, EVERY_MS);
	return ingestor;
}

bool
mr_ingestor_run(MrIngestor *ingestor)
{
	mr_loop_run(ingestor->loop);
	return ingestor->phase == MR_PHASE_DONE;
}

bool
mr_ingestor_free(MrIngestor *ingestor)
{
	if (ingestor == NULL)
		return true;
	if (!mr_relay_set_free(ingestor->relays) ||
		(ingestor->resolver != NULL && mr_resolver_is_busy(ingestor->resolver)))
		return false;
	mr_control_free(ingestor->control);
	mr_presence_free(&ingestor->presence);
	mr_resolver_free(ingestor->resolver);
	for (int i = 0; i < ingestor->pipeline_count; i++)
		mr_pipeline_free(ingestor->pipelines[i]);
	free(ingestor->pipelines);
	mr_admin_http_free(ingestor->admin);
	if (ingestor->poll != NULL)
		event_free(ingestor->poll);
	if (ingestor->every != NULL)
		event_free(ingestor->every);
	mr_loop_free(ingestor->loop);
	mr_options_free(&mr_settings_table, &ingestor->settings);
	free(ingestor);
	return mr_handles_have_ended(HANDLES_MS);
}

/* The first drains, the second stops at once. */
static void
on_terminate(void *owner)
{
	MrIngestor *ingestor = owner;

	if (++ingestor->terminations > 1)
	{
		mr_log(MR_LOG_WARN, "stopping at once");
		mr_loop_stop(ingestor->loop);
		return;
	}
	mr_log(MR_LOG_INFO, "draining");
	begin_drain(ingestor);
}

static void
on_reload(void *owner)
{
	MrIngestor *ingestor = owner;
	MrSettings fresh = {0};
	char error[512];

	if (mr_options_load(&mr_settings_table, ingestor->argc, ingestor->argv, &fresh, error,
						sizeof(error)))
	{
		mr_options_reload(&mr_settings_table, &ingestor->settings, &fresh, mr_options_log_change);
		mr_log_setup(mr_settings_table.program, (MrLogLevel) ingestor->settings.log_level,
					 (MrLogFormat) ingestor->settings.log_format);
		mr_log(MR_LOG_INFO, "options reloaded");
		ask_list(ingestor);
		for (int i = 0; i < ingestor->pipeline_count; i++)
			mr_pipeline_reload(ingestor->pipelines[i]);
	}
	else
		mr_log(MR_LOG_ERROR, "options not reloaded", MR_STR("error", error));
	mr_options_free(&mr_settings_table, &fresh);
}

static void
on_connected(void *owner)
{
	MrIngestor *ingestor = owner;

	mr_timer_set(ingestor->poll, 0);
}

static void
on_poll(evutil_socket_t fd, short what, void *arg)
{
	MrIngestor *ingestor = arg;

	(void) fd;
	(void) what;
	ask_list(ingestor);
	mr_relay_set_poll(ingestor->relays);
	if (ingestor->phase == MR_PHASE_RUNNING)
		for (int i = 0; i < ingestor->pipeline_count; i++)
			mr_pipeline_poll(ingestor->pipelines[i]);
	mr_timer_set(ingestor->poll, ingestor->settings.poll_ms);
}

static void
on_every(evutil_socket_t fd, short what, void *arg)
{
	MrIngestor *ingestor = arg;
	bool leaving = ingestor->phase != MR_PHASE_RUNNING;

	(void) fd;
	(void) what;
	for (int i = 0; i < ingestor->pipeline_count; i++)
		mr_pipeline_every(ingestor->pipelines[i]);
	if (leaving)
		leave_step(ingestor);
	else
	{
		free_removed(ingestor);
		if (ingestor->listed)
			mr_presence_step(&ingestor->presence, ingestor->control, ingestor->pipelines,
							 ingestor->pipeline_count, mr_now_ms());
	}
	mr_timer_set(ingestor->every, leaving ? EVERY_LEAVING_MS : EVERY_MS);
}

/* Which pipelines are there? */
static void
ask_list(MrIngestor *ingestor)
{
	if (ingestor->listing_pending || ingestor->phase != MR_PHASE_RUNNING)
		return;
	ingestor->listing_pending = true;
	mr_catalogue_pipelines(ingestor->control, (MrReply){.answer = on_list, .owner = ingestor});
}

static void
on_list(void *owner, const PGresult *result, uint64_t tag)
{
	MrIngestor *ingestor = owner;

	(void) tag;
	ingestor->listing_pending = false;
	ingestor->listed = result != NULL;
	if (result == NULL || ingestor->phase != MR_PHASE_RUNNING)
		return;
	ingestor->budget.planned = 0;
	for (int i = 0; i < PQntuples(result); i++)
	{
		MrServedRow row;

		mr_served_row_read(result, i, &row);
		ingestor->budget.planned += is_wanted(ingestor, row.pipeline);
	}
	for (int i = 0; i < ingestor->pipeline_count; i++)
		ingestor->pipelines[i]->listed = false;
	for (int i = 0; i < PQntuples(result); i++)
	{
		MrServedRow row;

		mr_served_row_read(result, i, &row);
		if (is_wanted(ingestor, row.pipeline))
			take_in(ingestor, &row);
	}
	for (int i = 0; i < ingestor->pipeline_count; i++)
		if (!ingestor->pipelines[i]->listed)
			mr_pipeline_remove(ingestor->pipelines[i]);
}

static void
take_in(MrIngestor *ingestor, const MrServedRow *row)
{
	const MrPipelineSetup setup = {.base = mr_loop_base(ingestor->loop),
								   .settings = &ingestor->settings,
								   .control = ingestor->control,
								   .resolver = ingestor->resolver,
								   .budget = &ingestor->budget};
	MrPipeline *pl;

	for (int i = 0; i < ingestor->pipeline_count; i++)
	{
		pl = ingestor->pipelines[i];
		if (strcmp(pl->name, row->pipeline) != 0)
			continue;
		/* One that has to be replaced goes first; its successor begins at the next listing. */
		pl->listed = !pl->removed && mr_pipeline_update(pl, row);
		return;
	}
	pl = mr_pipeline_new(&setup, row);
	pl->listed = true;
	ingestor->pipelines =
		mr_realloc(ingestor->pipelines,
				   sizeof(MrPipeline *) * (size_t) (ingestor->pipeline_count + 1));
	ingestor->pipelines[ingestor->pipeline_count++] = pl;
}

static bool
is_wanted(const MrIngestor *ingestor, const char *name)
{
	const MrStrings *names = &ingestor->settings.pipelines;

	for (int i = 0; i < names->count; i++)
		if (strcmp(names->items[i], name) == 0)
			return true;
	return names->count == 0;
}

static void
free_removed(MrIngestor *ingestor)
{
	for (int i = 0; i < ingestor->pipeline_count; i++)
	{
		if (!mr_pipeline_may_free(ingestor->pipelines[i]))
			continue;
		mr_pipeline_free(ingestor->pipelines[i]);
		ingestor->pipelines[i--] = ingestor->pipelines[--ingestor->pipeline_count];
	}
}

static void
begin_drain(MrIngestor *ingestor)
{
	ingestor->phase = MR_PHASE_DRAINING;
	ingestor->phase_deadline_ms = mr_now_ms() + ingestor->settings.drain_ms;
	mr_relay_set_stop(ingestor->relays);
	for (int i = 0; i < ingestor->pipeline_count; i++)
		mr_pipeline_drain(ingestor->pipelines[i]);
	mr_timer_set(ingestor->every, 0);
}

/* One look at how far draining and leaving have come. */
static void
leave_step(MrIngestor *ingestor)
{
	int64_t now = mr_now_ms();

	if (ingestor->phase == MR_PHASE_DRAINING)
	{
		bool flushed = all(ingestor, mr_pipeline_is_flushed);

		if (!(flushed && all(ingestor, mr_pipeline_is_settled)) &&
			now < ingestor->phase_deadline_ms)
		{
			for (int i = 0; flushed && i < ingestor->pipeline_count; i++)
				mr_pipeline_ask_positions(ingestor->pipelines[i]);
			return;
		}
		ingestor->phase = MR_PHASE_LEAVING;
		ingestor->phase_deadline_ms = now + LEAVE_MS;
		for (int i = 0; i < ingestor->pipeline_count; i++)
			mr_pipeline_leave(ingestor->pipelines[i]);
	}
	else if ((all(ingestor, mr_pipeline_has_left) && mr_relay_set_has_ended(ingestor->relays)) ||
			 now >= ingestor->phase_deadline_ms)
	{
		ingestor->phase = MR_PHASE_DONE;
		mr_loop_stop(ingestor->loop);
	}
}

static bool
all(const MrIngestor *ingestor, bool (*test)(const MrPipeline *pl))
{
	for (int i = 0; i < ingestor->pipeline_count; i++)
		if (!test(ingestor->pipelines[i]))
			return false;
	return true;
}
