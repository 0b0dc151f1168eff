/* Names, numbers, and the way from one to the other. */
#include "ingestor/fetch/topics.h"

#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"

static int find(MrTopics *topics, const char *name);
static int place_of(const MrTopics *topics, const char *name);
static int find_or_add(MrTopics *topics, const char *name);
static void number_partition(MrTopic *topic, int32_t partition, int32_t number);
static bool is_listed(const char *names, const char *name);

void
mr_topics_init(MrTopics *topics, const char *single)
{
	int at;

	*topics = (MrTopics){.several = single == NULL};
	if (single == NULL)
		return;
	at = find_or_add(topics, single);
	topics->items[at].subscribed = true;
}

void
mr_topics_free(MrTopics *topics)
{
	for (int i = 0; i < topics->count; i++)
	{
		free(topics->items[i].name);
		free(topics->items[i].numbers);
	}
	free(topics->items);
	free(topics->order);
	free(topics->places);
	*topics = (MrTopics){0};
}

bool
mr_topics_subscribe(MrTopics *topics, const char *names, const char *late)
{
	char *copy = mr_strdup(names);
	char *next = copy;
	bool changed = false;

	for (char *name; (name = strsep(&next, ",")) != NULL;)
		if (*name != '\0')
			(void) find_or_add(topics, name);
	free(copy);
	for (int i = 0; i < topics->count; i++)
	{
		MrTopic *topic = &topics->items[i];
		bool subscribed = is_listed(names, topic->name);

		changed = changed || subscribed != topic->subscribed;
		topic->subscribed = subscribed;
		topic->late = is_listed(late, topic->name);
	}
	return changed;
}

int
mr_topics_subscribed(const MrTopics *topics)
{
	int count = 0;

	for (int i = 0; i < topics->count; i++)
		count += topics->items[i].subscribed;
	return count;
}

char *
mr_topics_names(const MrTopics *topics)
{
	MrBuffer names = {0};
	char *copy;

	for (int i = 0; i < topics->count; i++)
		if (topics->items[i].subscribed)
			mr_buffer_printf(&names, "%s%s", names.len > 0 ? "," : "", topics->items[i].name);
	copy = mr_strdup(mr_buffer_string(&names));
	mr_buffer_free(&names);
	return copy;
}

const MrTopic *
mr_topics_find(MrTopics *topics, const char *name)
{
	int found = find(topics, name);

	return found < 0 ? NULL : &topics->items[found];
}

bool
mr_topics_number(MrTopics *topics, int32_t number, const char *topic, int32_t partition)
{
	int at = find_or_add(topics, topic);

	if (number < topics->place_count)
		return number >= 0 && topics->places[number].topic == at &&
			   topics->places[number].partition == partition;
	if (number > topics->place_count || partition < 0)
		return false;
	if (topics->place_count == topics->place_cap)
	{
		topics->place_cap = topics->place_cap ? topics->place_cap * 2 : 16;
		topics->places =
			mr_realloc(topics->places, sizeof(MrTopicPlace) * (size_t) topics->place_cap);
	}
	topics->places[topics->place_count++] = (MrTopicPlace){at, partition};
	number_partition(&topics->items[at], partition, number);
	return true;
}

int32_t
mr_topics_number_of(MrTopics *topics, const char *topic, int32_t partition)
{
	int at;

	if (!topics->several)
		return partition;
	at = find(topics, topic);
	if (at < 0 || partition < 0 || partition >= topics->items[at].cap)
		return -1;
	return topics->items[at].numbers[partition];
}

const char *
mr_topics_name_of(const MrTopics *topics, int32_t number)
{
	if (!topics->several)
		return topics->items[0].name;
	return number >= 0 && number < topics->place_count
			   ? topics->items[topics->places[number].topic].name
			   : "";
}

int32_t
mr_topics_partition_of(const MrTopics *topics, int32_t number)
{
	return topics->several && number >= 0 && number < topics->place_count
			   ? topics->places[number].partition
			   : number;
}

bool
mr_topics_is_read(const MrTopics *topics, int32_t number)
{
	return !topics->several || (number >= 0 && number < topics->place_count &&
								topics->items[topics->places[number].topic].subscribed);
}

/* Messages come many of a topic at a time. */
static int
find(MrTopics *topics, const char *name)
{
	int at;

	if (topics->last < topics->count && strcmp(topics->items[topics->last].name, name) == 0)
		return topics->last;
	at = place_of(topics, name);
	if (at == topics->count || strcmp(topics->items[topics->order[at]].name, name) != 0)
		return -1;
	return topics->last = topics->order[at];
}

/* The first in the order of names that is not before this one. */
static int
place_of(const MrTopics *topics, const char *name)
{
	int low = 0;
	int high = topics->count;

	while (low < high)
	{
		int middle = (low + high) / 2;

		if (strcmp(topics->items[topics->order[middle]].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int
find_or_add(MrTopics *topics, const char *name)
{
	int found = find(topics, name);
	int at = place_of(topics, name);

	if (found >= 0)
		return found;
	topics->items = mr_realloc(topics->items, sizeof(MrTopic) * (size_t) (topics->count + 1));
	topics->order = mr_realloc(topics->order, sizeof(int) * (size_t) (topics->count + 1));
	memmove(&topics->order[at + 1], &topics->order[at],
			sizeof(int) * (size_t) (topics->count - at));
	topics->order[at] = topics->count;
	topics->items[topics->count] = (MrTopic){.name = mr_strdup(name)};
	return topics->count++;
}

static void
number_partition(MrTopic *topic, int32_t partition, int32_t number)
{
	if (partition >= topic->cap)
	{
		int cap = topic->cap ? topic->cap : 4;

		while (cap <= partition)
			cap *= 2;
		topic->numbers = mr_realloc(topic->numbers, sizeof(int32_t) * (size_t) cap);
		for (; topic->cap < cap; topic->cap++)
			topic->numbers[topic->cap] = -1;
	}
	topic->numbers[partition] = number;
	topic->known++;
}

static bool
is_listed(const char *names, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = names; *at != '\0'; at += strcspn(at, ","), at += *at == ',')
		if (strncmp(at, name, len) == 0 && (at[len] == ',' || at[len] == '\0'))
			return true;
	return false;
}
