/* Which relays there are. */
#include "ingestor/relay/relay_set.h"

#include <stdlib.h>
#include <string.h>

#include "common/metrics.h"
#include "ingestor/control/catalogue.h"
#include "ingestor/relay/relay.h"

struct MrRelaySet
{
	const MrSettings *settings;
	MrControl *control;
	MrRelay **relays;
	int count;
	bool pending; /* the question is queued or under way */
	bool stopping;
};

static void on_list(void *owner, const PGresult *result, uint64_t tag);
static bool is_wanted(const MrRelaySet *set, const char *pipeline);
static MrRelay *find(const MrRelaySet *set, const char *pipeline);
static void free_ended(MrRelaySet *set);

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
		mr_relay_stop(set->relays[i]);
}

bool
mr_relay_set_has_ended(const MrRelaySet *set)
{
	for (int i = 0; i < set->count; i++)
		if (!mr_relay_has_ended(set->relays[i]))
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
		 "Whether this ingestor takes the pipeline's dead letters to Kafka."},
		{"millrace_ingestor_relay_failing", "gauge", "Whether the last attempt failed."},
		{"millrace_ingestor_relay_errors_total", "counter", "Attempts that failed."},
		{"millrace_ingestor_relay_published_total", "counter", "Dead letters published."},
		{"millrace_ingestor_relay_marked_total", "counter",
		 "Dead letters found in the topic and marked."},
		{"millrace_ingestor_relay_batches_total", "counter",
		 "Batches (transactions) of dead letters published."},
	};

	for (int k = 0; k < (int) (sizeof(families) / sizeof(families[0])); k++)
	{
		mr_metrics_family(out, families[k].name, families[k].type, families[k].help);
		for (int i = 0; i < set->count; i++)
		{
			const MrRelayCounters *c = mr_relay_counters(set->relays[i]);
			const double values[] = {
				atomic_load(&c->active),          atomic_load(&c->failing),
				(double) atomic_load(&c->errors), (double) atomic_load(&c->published),
				(double) atomic_load(&c->marked), (double) atomic_load(&c->batches),
			};

			mr_metrics_value(out, families[k].name, values[k], "pipeline",
							 mr_relay_pipeline(set->relays[i]), NULL);
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
	if (set->count > 0)
		return false;
	free(set->relays);
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
	/* What is asked for no longer, or otherwise, ends; its successor begins at the next poll. */
	for (int i = 0; i < set->count; i++)
	{
		bool fits = false;

		for (int j = 0; !fits && j < PQntuples(result); j++)
		{
			MrRelayRow row;

			mr_relay_row_read(result, j, &row);
			fits = strcmp(row.pipeline, mr_relay_pipeline(set->relays[i])) == 0 &&
				   is_wanted(set, row.pipeline) && mr_relay_fits(set->relays[i], &row);
		}
		if (!fits)
			mr_relay_stop(set->relays[i]);
	}
	for (int j = 0; j < PQntuples(result); j++)
	{
		MrRelayRow row;
		MrRelay *relay;

		mr_relay_row_read(result, j, &row);
		if (!is_wanted(set, row.pipeline) || find(set, row.pipeline) != NULL ||
			(relay = mr_relay_new(set->settings, &row)) == NULL)
			continue;
		set->relays = mr_realloc(set->relays, sizeof(MrRelay *) * (size_t) (set->count + 1));
		set->relays[set->count++] = relay;
	}
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

static MrRelay *
find(const MrRelaySet *set, const char *pipeline)
{
	for (int i = 0; i < set->count; i++)
		if (strcmp(mr_relay_pipeline(set->relays[i]), pipeline) == 0)
			return set->relays[i];
	return NULL;
}

static void
free_ended(MrRelaySet *set)
{
	for (int i = 0; i < set->count; i++)
	{
		if (!mr_relay_has_ended(set->relays[i]))
			continue;
		mr_relay_free(set->relays[i]);
		set->relays[i--] = set->relays[--set->count];
	}
}
