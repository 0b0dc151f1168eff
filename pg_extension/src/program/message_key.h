/*
 * message_key.h: the conflict key of a row, read from the key of a message: which row a tombstone deletes.
 *
 * The key of a message is one of
 *   a JSON object    its members are read as the field list says: by default each column of the conflict key from the
 *                    member of its name
 *   anything else    the value of a conflict key of one column: a JSON string without its quotes, other bytes as they are,
 *                    for a bytea; for other types the text that the type's input takes
 * With format connect or debezium it may be in an envelope beside its schema, with confluent-json behind the prefix; with a
 * field list it is taken as it is.
 */
#ifndef MR_MESSAGE_KEY_H
#define MR_MESSAGE_KEY_H

#include "postgres.h"

#include "decode/fields.h"
#include "server/failure.h"

typedef struct MrMessageKey MrMessageKey;

/*
 * Made in the current memory context. `fields`: a field list, NULL for the default; its columns must be those of `columns`,
 * which are the conflict key's `n` columns in the target (`format`: of the pipeline): name, type_id, typmod, collation and reading are read. `reading`: of the
 * pipeline. An error with a
 * hint when they differ.
 */
extern MrMessageKey *mr_message_key_create(const char *fields, const char *format,
										   const MrReading *reading, const MrField *columns, int n);

/*
 * Reads a key (NULL: the message has none) into values[], one for each column, in the current memory context. Returns NULL, or
 * why it cannot be read.
 */
extern MrFailure *mr_message_key_read(MrMessageKey *reader, bytea *key, Datum *values);

#endif /* MR_MESSAGE_KEY_H */
