/* Which relays there are. */
#include "ingestor/relay/relay_set.h"

#include <stdlib.h>
#include <string.h>

#include "common/metrics.h"
#include "ingestor/control/catalogue.h"
#include "ingestor/relay/relay.h"

/* A pipeline whose dead letters go to Kafka, or a window that does. */
typedef struct Outlet
{
	char *pipeline;
	char *window; /* "" the dead letters */
	MrRelayCounters counters;
	MrRelay *relay; /* NULL: nothing to do */
	bool listed;    /* by the listing that is being read */
} Outlet;

struct MrRelaySet
{
	const MrSettings *settings;
	MrControl *control;
	Outlet **outlets;
	int count;
	bool pending; /* the question is queued or under way */
	bool stopping;
};

static void on_list(void *owner, const PGresult *result, uint64_t tag);
static bool is_wanted(const MrRelaySet *set, const char *pipeline);
static void take_in(MrRelaySet *set, const MrRelayRow *row);
static Outlet *outlet_of(MrRelaySet *set, const MrRelayRow *row);
static void free_ended(MrRelaySet *set);
static void forget_unlisted(MrRelaySet *set);

MrRelaySet *
mr_relay_set_new(const MrSettings *settings, MrControl *control)
{
	MrRelaySet *set = mr_calloc(1, sizeof(*set));

	set->settings = settings;
	set->control = control;
	return set;
}

void
mr_relay_set_poll(MrRelaySet *set)
{
	free_ended(set);
	if (set->pending || set->stopping)
		return;
	set->pending = true;
	mr_catalogue_relays(set->control, (MrReply){.answer = on_list, .owner = set});
}

void
mr_relay_set_stop(MrRelaySet *set)
{
	set->stopping = true;
	for (int i = 0; i < set->count; i++)
		if (set->outlets[i]->relay != NULL)
			mr_relay_stop(set->outlets[i]->relay);
}

bool
mr_relay_set_has_ended(const MrRelaySet *set)
{
	for (int i = 0; i < set->count; i++)
		if (set->outlets[i]->relay != NULL && !mr_relay_has_ended(set->outlets[i]->relay))
			return false;
	return true;
}

void
mr_relay_set_metrics(const MrRelaySet *set, MrBuffer *out)
{
	static const struct
	{
		const char *name;
		const char *type;
		const char *help;
	} families[] = {
		{"millrace_ingestor_relay_active", "gauge",
		 "Whether this ingestor takes the pipeline's dead letters, or the window, to Kafka."},
		{"millrace_ingestor_relay_failing", "gauge", "Whether the last attempt failed."},
		{"millrace_ingestor_relay_errors_total", "counter", "Attempts that failed."},
		{"millrace_ingestor_relay_published_total", "counter",
		 "Dead letters, or values of the window, published."},
		{"millrace_ingestor_relay_marked_total", "counter",
		 "Dead letters, or values of the window, found in the topic and marked."},
		{"millrace_ingestor_relay_batches_total", "counter",
		 "Batches (transactions) of these published."},
	};

	for (int k = 0; k < (int) (sizeof(families) / sizeof(families[0])); k++)
	{
		mr_metrics_family(out, families[k].name, families[k].type, families[k].help);
		for (int i = 0; i < set->count; i++)
		{
			const MrRelayCounters *c = &set->outlets[i]->counters;
			const double values[] = {
				atomic_load(&c->active),          atomic_load(&c->failing),
				(double) atomic_load(&c->errors), (double) atomic_load(&c->published),
				(double) atomic_load(&c->marked), (double) atomic_load(&c->batches),
			};

			mr_metrics_value(out, families[k].name, values[k], "pipeline",
							 set->outlets[i]->pipeline, *set->outlets[i]->window ? "window" : NULL,
							 set->outlets[i]->window, NULL);
		}
	}
}

bool
mr_relay_set_free(MrRelaySet *set)
{
	if (set == NULL)
		return true;
	mr_relay_set_stop(set);
	free_ended(set);
	if (!mr_relay_set_has_ended(set))
		return false;
	for (int i = 0; i < set->count; i++)
		set->outlets[i]->listed = false;
	forget_unlisted(set);
	free(set->outlets);
	free(set);
	return true;
}

static void
on_list(void *owner, const PGresult *result, uint64_t tag)
{
	MrRelaySet *set = owner;

	(void) tag;
	set->pending = false;
	if (result == NULL || set->stopping)
		return;
	free_ended(set);
	for (int i = 0; i < set->count; i++)
		set->outlets[i]->listed = false;
	for (int i = 0; i < PQntuples(result); i++)
	{
		MrRelayRow row;

		mr_relay_row_read(result, i, &row);
		if (is_wanted(set, row.pipeline))
			take_in(set, &row);
	}
	forget_unlisted(set);
}

/* What is asked for otherwise ends; its successor begins at a later poll. */
static void
take_in(MrRelaySet *set, const MrRelayRow *row)
{
	Outlet *outlet = outlet_of(set, row);

	outlet->listed = true;
	if (outlet->relay != NULL && !mr_relay_fits(outlet->relay, row))
		mr_relay_stop(outlet->relay);
	else if (outlet->relay == NULL && row->due)
		outlet->relay = mr_relay_new(set->settings, row, &outlet->counters);
}

/* The same pipelines that this ingestor reads. */
static bool
is_wanted(const MrRelaySet *set, const char *pipeline)
{
	const MrStrings *names = &set->settings->pipelines;

	for (int i = 0; i < names->count; i++)
		if (strcmp(names->items[i], pipeline) == 0)
			return true;
	return names->count == 0;
}

/* Made when there is none. */
static Outlet *
outlet_of(MrRelaySet *set, const MrRelayRow *row)
{
	Outlet *outlet;

	for (int i = 0; i < set->count; i++)
		if (strcmp(set->outlets[i]->pipeline, row->pipeline) == 0 &&
			strcmp(set->outlets[i]->window, row->window) == 0)
			return set->outlets[i];
	outlet = mr_calloc(1, sizeof(*outlet));
	outlet->pipeline = mr_strdup(row->pipeline);
	outlet->window = mr_strdup(row->window);
	set->outlets = mr_realloc(set->outlets, sizeof(Outlet *) * (size_t) (set->count + 1));
	set->outlets[set->count++] = outlet;
	return outlet;
}

static void
free_ended(MrRelaySet *set)
{
	for (int i = 0; i < set->count; i++)
	{
		Outlet *outlet = set->outlets[i];

		if (outlet->relay == NULL || !mr_relay_has_ended(outlet->relay))
			continue;
		mr_relay_free(outlet->relay);
		outlet->relay = NULL;
	}
}

/* A relay whose pipeline is gone ends first. */
static void
forget_unlisted(MrRelaySet *set)
{
	for (int i = 0; i < set->count; i++)
	{
		Outlet *outlet = set->outlets[i];

		if (outlet->listed)
			continue;
		if (outlet->relay != NULL)
		{
			mr_relay_stop(outlet->relay);
			continue;
		}
		free(outlet->pipeline);
		free(outlet->window);
		free(outlet);
		set->outlets[i--] = set->outlets[--set->count];
	}
}
