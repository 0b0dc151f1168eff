/*
 * insert_direct.c: see insert_direct.h. Runs in workers, inside a subtransaction of the write.
 */
#include "run/insert_direct.h"

#include "access/tableam.h"

#include "run/direct_rows.h"

static void
insert_rows(MrDirectRows *direct, int *at)
{
	table_multi_insert(direct->target, direct->program->slots, direct->n, direct->command, 0,
					   direct->bulk);
	for (int i = 0; i < direct->n; i++)
	{
		*at = direct->at_of[i];
		mr_index_entries_add(&direct->entries, direct->program->slots[i]);
	}
}

void
mr_insert_direct(MrProgram *program, MrBatch *batch, MrWindows *windows, const int *numbers,
				 int from, int to, int *at)
{
	MrDirectRows direct = {.program = program, .batch = batch, .windows = windows};

	mr_direct_begin(&direct, false);
	mr_direct_run(&direct, numbers, from, to, insert_rows, at);
	mr_direct_end(&direct);
}
