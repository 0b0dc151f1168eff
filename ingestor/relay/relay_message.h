/*
 * A letter, which is a dead letter or a value of a window, as a message of its topic. Pure: from the row to headers and their bytes.
 *
 * The original headers come first, ours behind them: of several headers of one name the last
 * counts, also for a letter that was in a DLQ topic before. A value of a window has ours alone.
 */
#ifndef MR_INGESTOR_RELAY_MESSAGE_H
#define MR_INGESTOR_RELAY_MESSAGE_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

#define MR_HEADER_ID "millrace-id"

/* Texts are NULL where there is none; key, headers and payload are NULL when null. */
typedef struct MrLetter
{
	int64_t number;
	const char *id;
	const char *pipeline;
	const char *topic;
	int32_t partition;
	int64_t offset;
	int64_t kafka_ts; /* ms since 1970, -1 none */
	const void *key;
	size_t key_len;
	const void *headers; /* packed, as staged */
	size_t headers_len;
	const void *payload;
	size_t payload_len;
	int32_t version;
	const char *stage;
	const char *sqlstate;
	const char *condition;
	const char *message;
	const char *detail;
	const char *hint;
	const char *constraint_name;
	const char *column_name;
	const char *ended;
	int32_t attempts;
	int32_t document; /* its number in the message; 0: it is the message */
	const char *fingerprint;
	const char *
		window; /* NULL: a dead letter; otherwise id, key, payload and partition are all it has, and this: */
	int32_t revision;
} MrLetter;

/* What is left out of a letter that is larger than the topic takes. */
typedef enum MrLetterForm
{
	MR_LETTER_WHOLE,
	MR_LETTER_NO_PAYLOAD, /* said by a header, with the size */
	MR_LETTER_BARE        /* no key and no original headers either, texts cut short */
} MrLetterForm;

/* The caller destroys them, or gives them to a message. */
extern rd_kafka_headers_t *mr_letter_headers(const MrLetter *letter, MrLetterForm form)
	__attribute__((warn_unused_result));

/* Which letter is this message of the topic? NULL: none of ours. Ends with a zero. */
extern const char *mr_letter_id(const rd_kafka_headers_t *headers, char *buffer, size_t size);

#endif
