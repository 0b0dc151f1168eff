/*
 * tombstone.c: see tombstone.h. Runs in workers.
 */
#include "program/tombstone.h"

#include "server/compat.h"
#include "program/message_key.h"

/* values: the conflict key, then that of newer_by, which is known when it is a column of Kafka's. */
MrFailure *
mr_tombstone_read(MrProgram *program, MrEvent *event)
{
	int n = program->nkeys;
	Datum *values = palloc0(n * sizeof(Datum));
	bool *isnull = palloc0(n * sizeof(bool));
	MrFailure *failure = mr_message_key_read(program->message_key, event->key, values);

	if (failure != NULL)
		return failure;
	if (program->newer_column >= 0)
	{
		isnull[n - 1] = program->newer_from == 0;
		if (program->newer_from != 0)
		{
			mr_event_relation_coordinates(program->event, event);
			values[n - 1] = event->values[program->newer_from - 1];
			isnull[n - 1] = event->isnull[program->newer_from - 1];
		}
	}
	event->values = values;
	event->isnull = isnull;
	event->deletes = true;
	return NULL;
}

void
mr_tombstone_add_row(MrProgram *program, MrBatch *batch, int event)
{
	int natts = program->row_full->natts;
	Datum *values = palloc0(natts * sizeof(Datum));
	bool *isnull = palloc(natts * sizeof(bool));

	memset(isnull, true, natts * sizeof(bool));
	for (int i = 0; i < program->nkeys; i++)
	{
		values[program->keys[i].column] = batch->events[event].values[i];
		isnull[program->keys[i].column] = batch->events[event].isnull[i];
	}
	values[natts - 1] = Int32GetDatum(0); /* its number, when it is written */
	isnull[natts - 1] = false;
	mr_batch_add_row(batch, event, mr_form_minimal_tuple(program->row_full, values, isnull));
	batch->rows[batch->nrows - 1].deletes = true;
	pfree(values);
	pfree(isnull);
}
