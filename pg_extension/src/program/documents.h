/*
 * documents.h: messages of several documents (format ndjson) are taken apart, so that each document has an outcome of its own.
 *
 * A message stays one event of Kafka: one coordinate, one position, admitted as a whole. Between admission and decode each of
 * its documents becomes an event of the batch, with the coordinate of the message and its number in it (from 1). From there
 * on, a document is what fails, waits to be tried again, becomes a dead letter and is counted. The documents of a message are
 * settled in one commit; the way of a message whose documents are too many failures for that is engine.h's.
 */
#ifndef MR_DOCUMENTS_H
#define MR_DOCUMENTS_H

#include "decode/format.h"
#include "program/batch.h"

/* A message with more is not taken apart, but fails as a whole: a batch has no more events either. */
#define MR_DOCUMENTS_MAX 100000

/* How many events an event is to be: 1 unless the format has messages of several documents (NULL: json). */
extern int mr_documents_of(const MrFormat *format, const MrEvent *event);

/* Shortens a batch of millrace.retry, where messages may wait as a whole, to `limit` documents; its first message fits. */
extern void mr_documents_cut(const MrFormat *format, MrBatch *batch, int limit);

/*
 * Takes the messages of a batch apart, in place of their events; with other formats it does nothing. A message without a
 * document is skipped, one with too many fails. One that comes from millrace.retry as a whole leaves its row to its first
 * document; the others are new events.
 */
extern void mr_documents_take_apart(const MrFormat *format, MrBatch *batch);

/* Whether the events of a batch are the documents of one message that was taken apart in it, and there are several. */
extern bool mr_documents_of_one_message(const MrBatch *batch);

#endif /* MR_DOCUMENTS_H */
