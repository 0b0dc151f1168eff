/*
 * topics.c: see topics.h. Runs in workers and in backends.
 */
#include "pipeline/topics.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "utils/builtins.h"

#include "server/catalog.h"

MrTopics *
mr_topics_load(int32 pipeline_id)
{
	Relation rel = mr_catalog_open("pipeline", AccessShareLock);
	TupleDesc desc = RelationGetDescr(rel);
	MrTopics *topics;
	ScanKeyData key;
	HeapTuple tuple;

	mr_key_int4(&key, MR_PIPELINE_ID, pipeline_id);
	tuple = mr_catalog_fetch(rel, "pipeline_pkey", 1, &key, false);
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "pipeline %d does not exist", pipeline_id);
	topics = mr_topics_single(mr_catalog_text(tuple, MR_PIPELINE_TOPIC, desc));
	topics->pipeline_id = pipeline_id;
	topics->several = strcmp(mr_catalog_text(tuple, MR_PIPELINE_TOPIC_KIND, desc), "one") != 0;
	table_close(rel, AccessShareLock);
	if (topics->several)
		mr_topics_refresh(topics);
	return topics;
}

MrTopics *
mr_topics_single(const char *topic)
{
	MrTopics *topics = palloc0(sizeof(MrTopics));

	topics->context = CurrentMemoryContext;
	topics->source = CStringGetTextDatum(topic);
	return topics;
}

/* Neighbours are of one topic as a rule: they share its text. */
static void
add(MrTopics *topics, HeapTuple tuple, TupleDesc desc)
{
	const char *name = mr_catalog_text(tuple, MR_TOPIC_PARTITION_TOPIC, desc);
	MrPlace *place;

	if (topics->count == topics->max_places)
	{
		topics->max_places = Max(16, 2 * topics->max_places);
		topics->places = topics->places == NULL
							 ? palloc(topics->max_places * sizeof(MrPlace))
							 : repalloc(topics->places, topics->max_places * sizeof(MrPlace));
	}
	place = &topics->places[topics->count++];
	place->partition = mr_catalog_int4(tuple, MR_TOPIC_PARTITION_TOPIC_PARTITION, desc);
	if (topics->count > 1 && strcmp(TextDatumGetCString(place[-1].topic), name) == 0)
		place->topic = place[-1].topic;
	else
		place->topic = CStringGetTextDatum(name);
}

void
mr_topics_refresh(MrTopics *topics)
{
	MemoryContext old = MemoryContextSwitchTo(topics->context);
	MrCatalogReader reader;
	ScanKeyData keys[2];
	HeapTuple tuple;

	mr_key_int4(&keys[0], MR_TOPIC_PARTITION_PIPELINE_ID, topics->pipeline_id);
	mr_key_int4(&keys[1], MR_TOPIC_PARTITION_PARTITION, topics->count);
	mr_catalog_reader_open(&reader, "topic_partition", "topic_partition_pkey", 2, keys, false);
	while (HeapTupleIsValid(tuple = mr_catalog_reader_fetch(&reader, keys)))
	{
		add(topics, tuple, RelationGetDescr(reader.rel));
		keys[1].sk_argument = Int32GetDatum(topics->count);
	}
	mr_catalog_reader_close(&reader);
	MemoryContextSwitchTo(old);
}

const char *
mr_topics_text(const MrTopics *topics, int32 number)
{
	if (!topics->several || number < 0 || number >= topics->count)
		return psprintf("%d", number);
	return psprintf("%d of topic \"%s\"", topics->places[number].partition,
					TextDatumGetCString(topics->places[number].topic));
}

const char *
mr_partition_text(int32 pipeline_id, int32 number)
{
	Relation rel = mr_catalog_open("topic_partition", AccessShareLock);
	TupleDesc desc = RelationGetDescr(rel);
	const char *text = psprintf("%d", number);
	ScanKeyData keys[2];
	HeapTuple tuple;

	mr_key_int4(&keys[0], MR_TOPIC_PARTITION_PIPELINE_ID, pipeline_id);
	mr_key_int4(&keys[1], MR_TOPIC_PARTITION_PARTITION, number);
	tuple = mr_catalog_fetch(rel, "topic_partition_pkey", 2, keys, false);
	if (HeapTupleIsValid(tuple))
		text = psprintf("%d of topic \"%s\"",
						mr_catalog_int4(tuple, MR_TOPIC_PARTITION_TOPIC_PARTITION, desc),
						mr_catalog_text(tuple, MR_TOPIC_PARTITION_TOPIC, desc));
	table_close(rel, AccessShareLock);
	return text;
}
