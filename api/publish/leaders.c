#include "api/publish/leaders.h"

#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/eventloop.h"

#define AGAIN_MS   5000 /* when nobody has said */
#define TOPICS_MAX 64   /* the oldest leaves */
#define SILENT_MAX 64   /* brokers; of more it is forgotten that they are */

typedef struct Topic
{
	char *name; /* NULL: none */
	int32_t *leaders;
	int count; /* 0: nobody has said */
	int64_t asked_ms;
} Topic;

typedef struct Silent
{
	int32_t leader;
	int64_t found_ms;
} Silent;

struct MrLeaders
{
	MrProducer *producer;
	Topic topics[TOPICS_MAX];
	int oldest;
	Silent silent[SILENT_MAX];
	int silent_count;
};

static Topic *find(MrLeaders *leaders, const char *name);
static void ask(MrLeaders *leaders, Topic *topic);

MrLeaders *
mr_leaders_new(MrProducer *producer)
{
	MrLeaders *leaders = mr_calloc(1, sizeof(*leaders));

	leaders->producer = producer;
	return leaders;
}

void
mr_leaders_free(MrLeaders *leaders)
{
	for (int i = 0; i < TOPICS_MAX; i++)
	{
		free(leaders->topics[i].name);
		free(leaders->topics[i].leaders);
	}
	free(leaders);
}

int32_t
mr_leader_of(MrLeaders *leaders, const char *topic, int32_t partition)
{
	Topic *known = find(leaders, topic);

	if (known == NULL)
	{
		known = &leaders->topics[leaders->oldest];
		leaders->oldest = (leaders->oldest + 1) % TOPICS_MAX;
		free(known->name);
		known->name = mr_strdup(topic);
		known->count = 0;
		ask(leaders, known);
	}
	else if (known->count == 0 && mr_now_ms() - known->asked_ms >= AGAIN_MS)
		ask(leaders, known);
	return partition < known->count ? known->leaders[partition] : MR_LEADER_UNKNOWN;
}

void
mr_leaders_renew(MrLeaders *leaders, const char *topic)
{
	Topic *known = find(leaders, topic);

	if (known != NULL)
		ask(leaders, known);
}

int64_t
mr_leader_silent_ms(const MrLeaders *leaders, int32_t leader)
{
	for (int i = 0; i < leaders->silent_count; i++)
		if (leaders->silent[i].leader == leader)
			return leaders->silent[i].found_ms;
	return 0;
}

void
mr_leader_set_silent(MrLeaders *leaders, int32_t leader, bool is_silent)
{
	for (int i = 0; i < leaders->silent_count; i++)
		if (leaders->silent[i].leader == leader)
			leaders->silent[i] = leaders->silent[--leaders->silent_count];
	if (is_silent && leader != MR_LEADER_UNKNOWN && leaders->silent_count < SILENT_MAX)
		leaders->silent[leaders->silent_count++] = (Silent){leader, mr_now_ms()};
}

static Topic *
find(MrLeaders *leaders, const char *name)
{
	for (int i = 0; i < TOPICS_MAX; i++)
		if (leaders->topics[i].name != NULL && strcmp(leaders->topics[i].name, name) == 0)
			return &leaders->topics[i];
	return NULL;
}

/* When nobody says, what was said before is better than nothing. */
static void
ask(MrLeaders *leaders, Topic *topic)
{
	int32_t *found = NULL;
	int count = mr_producer_leaders_of(leaders->producer, topic->name, &found);

	topic->asked_ms = mr_now_ms();
	if (count == 0)
		return;
	free(topic->leaders);
	topic->leaders = found;
	topic->count = count;
}
