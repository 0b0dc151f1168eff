/* A relay's session with Kafka: read, mark, publish, in this order. */
#include "ingestor/relay/relay_session.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/buffer.h"
#include "common/eventloop.h"
#include "common/log.h"
#include "ingestor/relay/relay_scan.h"

#define BATCH_ROWS 1000

struct MrRelaySession
{
	MrRelayTarget target;
	const char *pipeline;
	MrRelayCounters *counters;
	bool exactly_once;

	MrRelayDb *db;       /* of the step under way */
	MrRelayKafka *kafka; /* NULL: closed */
	int64_t *positions;  /* of the DLQ topic: read up to, and marked */
	int64_t *stored;     /* what the database has of them, -1 nothing */

	/* these outlive a failure */
	int one_by_one;       /* letters to be published one by one: one of them is too large */
	int64_t large_letter; /* number of the letter that is */
	MrLetterForm form;
};

static MrRelayStep next_step(MrRelaySession *session, const MrPositions *positions,
							 MrLetters *letters, char *error);
static bool open_kafka(MrRelaySession *session, char *error);
static bool is_up_to_date(const MrRelaySession *session, const MrPositions *positions);
static bool read_again(MrRelaySession *session, const MrPositions *positions, char *error);
static bool publish(MrRelaySession *session, MrLetters *letters, char *error);
static void shrink(MrRelaySession *session, const MrLetters *letters);
static bool mark_delivered(MrRelaySession *session, const MrLetters *letters, const MrPlace *places,
						   char *error);
static bool on_scanned(void *owner, const int64_t *positions, int count,
					   const MrSighting *sightings, int sighting_count, char *error);

MrRelaySession *
mr_relay_session_new(const MrRelayTarget *target, const char *pipeline, MrRelayCounters *counters)
{
	MrRelaySession *session = mr_calloc(1, sizeof(*session));

	session->target = *target;
	session->pipeline = pipeline;
	session->counters = counters;
	session->exactly_once = target->transactional_id != NULL;
	return session;
}

/* Kafka is not touched before there is a letter. */
MrRelayStep
mr_relay_session_step(MrRelaySession *session, MrRelayDb *db, char *error)
{
	int limit = session->kafka == NULL || session->one_by_one > 0 ? 1 : BATCH_ROWS;
	MrPositions positions = {0};
	MrLetters letters;
	MrRelayStep step = MR_RELAY_IDLE;

	session->db = db;
	if (!mr_relay_db_read(db, limit, session->exactly_once ? &positions : NULL, &letters, error))
		return MR_RELAY_FAILED;
	if (letters.count > 0)
		step = next_step(session, &positions, &letters, error);
	else
		session->one_by_one = 0;
	mr_positions_free(&positions);
	mr_letters_free(&letters);
	return step;
}

void
mr_relay_session_close(MrRelaySession *session)
{
	mr_relay_kafka_close(session->kafka);
	session->kafka = NULL;
	free(session->positions);
	free(session->stored);
	session->positions = session->stored = NULL;
}

void
mr_relay_session_free(MrRelaySession *session)
{
	if (session == NULL)
		return;
	mr_relay_session_close(session);
	free(session);
}

static MrRelayStep
next_step(MrRelaySession *session, const MrPositions *positions, MrLetters *letters, char *error)
{
	if (session->kafka == NULL)
	{
		if (!open_kafka(session, error))
			return MR_RELAY_FAILED;
		if (!session->exactly_once)
			return MR_RELAY_READ;
	}
	else if (!session->exactly_once || is_up_to_date(session, positions))
		return publish(session, letters, error) ? MR_RELAY_PUBLISHED : MR_RELAY_FAILED;
	return read_again(session, positions, error) ? MR_RELAY_READ : MR_RELAY_FAILED;
}

static bool
open_kafka(MrRelaySession *session, char *error)
{
	size_t count;

	session->kafka = mr_relay_kafka_open(&session->target, error);
	if (session->kafka == NULL)
		return false;
	count = (size_t) mr_relay_kafka_partitions(session->kafka);
	session->positions = mr_calloc(count, sizeof(int64_t));
	session->stored = mr_calloc(count, sizeof(int64_t));
	return true;
}

/* Has nobody else moved the positions, and has the database not gone back in time? */
static bool
is_up_to_date(const MrRelaySession *session, const MrPositions *positions)
{
	for (int i = 0; i < mr_relay_kafka_partitions(session->kafka); i++)
		if (session->stored[i] != (i < positions->count ? positions->items[i] : -1))
			return false;
	return true;
}

/* Everything from the database's positions to the end; what is there gets marked. */
static bool
read_again(MrRelaySession *session, const MrPositions *positions, char *error)
{
	for (int i = 0; i < mr_relay_kafka_partitions(session->kafka); i++)
		session->positions[i] = session->stored[i] =
			i < positions->count ? positions->items[i] : -1;
	return mr_relay_scan(session->kafka, session->positions, on_scanned, session, error);
}

static bool
publish(MrRelaySession *session, MrLetters *letters, char *error)
{
	MrPlace *places = mr_calloc((size_t) letters->count, sizeof(MrPlace));
	bool too_large = false;
	bool ok;

	if (letters->items[0].number != session->large_letter)
		session->form = MR_LETTER_WHOLE;
	ok = mr_relay_kafka_publish(session->kafka, letters, session->form,
								session->exactly_once ? session->positions : NULL, places,
								&too_large, error);
	if (ok)
	{
		atomic_fetch_add(&session->counters->published, (uint64_t) letters->count);
		atomic_fetch_add(&session->counters->batches, 1);
		if (session->one_by_one > 0)
			session->one_by_one--;
	}
	else if (too_large)
		shrink(session, letters);
	if (!session->exactly_once)
		ok = mark_delivered(session, letters, places, error) && ok;
	else if (ok)
		ok =
			mr_relay_scan_published(session->kafka, session->positions, on_scanned, session, error);
	/* Its delivery reports write to places. */
	if (!ok)
		mr_relay_session_close(session);
	free(places);
	return ok;
}

/*
 * The headers of a letter come on top of what the source topic took. First the batch one by one, then the
 * one that does not fit without its payload, then bare: it may not hold up the others for ever.
 */
static void
shrink(MrRelaySession *session, const MrLetters *letters)
{
	if (letters->count > 1)
	{
		session->one_by_one = letters->count;
		return;
	}
	session->one_by_one += session->one_by_one == 0;
	session->large_letter = letters->items[0].number;
	if (session->form < MR_LETTER_BARE)
		session->form++;
	mr_log(MR_LOG_WARN, "a letter is too large for its topic, and is shortened",
		   MR_STR("pipeline", session->pipeline), MR_STR("id", letters->items[0].id));
}

static bool
mark_delivered(MrRelaySession *session, const MrLetters *letters, const MrPlace *places,
			   char *error)
{
	MrSighting *sightings = mr_calloc((size_t) letters->count, sizeof(MrSighting));
	char reason[MR_RELAY_ERROR];
	int64_t marked = 0;
	int count = 0;
	bool ok;

	for (int i = 0; i < letters->count; i++)
		if (places[i].offset >= 0)
			sightings[count++] = (MrSighting){(char *) (uintptr_t) letters->items[i].id,
											  places[i].partition, places[i].offset};
	ok = count == 0 || mr_relay_db_mark(session->db, -1, 0, sightings, count, &marked, reason);
	if (!ok)
		snprintf(error, MR_RELAY_ERROR, "%s", reason);
	atomic_fetch_add(&session->counters->marked, (uint64_t) marked);
	free(sightings);
	return ok;
}

/* A transaction for each partition that moved: its marks and its position. */
static bool
on_scanned(void *owner, const int64_t *positions, int count, const MrSighting *sightings,
		   int sighting_count, char *error)
{
	MrRelaySession *session = owner;
	int64_t marked = 0;
	bool ok = true;

	for (int i = 0; ok && i < count; i++)
	{
		if (positions[i] == session->stored[i])
			continue;
		ok = mr_relay_db_mark(session->db, i, positions[i], sightings, sighting_count, &marked,
							  error);
		if (ok)
			session->stored[i] = positions[i];
	}
	atomic_fetch_add(&session->counters->marked, (uint64_t) marked);
	return ok;
}
