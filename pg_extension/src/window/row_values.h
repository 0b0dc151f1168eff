/*
 * row_values.h: the values of expressions over the rows of a batch, each computed once for a row, whoever asks for it and
 * how often, and not at all where nobody does.
 *
 * Expressions are those of planned statements. Two that are equal are one: windows of a pipeline have the event time, its
 * range, what they are grouped by and the arguments of aggregates in common.
 */
#ifndef MR_WINDOW_ROW_VALUES_H
#define MR_WINDOW_ROW_VALUES_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "executor/executor.h"
#include "nodes/execnodes.h"
#include "nodes/primnodes.h"

typedef enum MrRowValueKind
{
	MR_ROW_COLUMN,     /* as the row has it */
	MR_ROW_CASE,       /* CASE WHEN condition THEN result END */
	MR_ROW_PANE,       /* the same, where the result is date_bin(step, time, origin) */
	MR_ROW_EXPRESSION, /* any other */
} MrRowValueKind;

typedef struct MrRowValue
{
	MrRowValueKind kind;
	int column; /* from 0 */
	int condition;
	int result;
	int time;
	TimestampTz origin;
	int64 step;
	ExprState *state;
	Expr *expression;
	int16 length; /* of its type */
	bool by_value;
	int64 row; /* it was computed for */
	Datum value;
	bool isnull;
} MrRowValue;

typedef struct MrRowValues
{
	ExprContext *context; /* its memory for a tuple has what values point to, until the next row */
	TupleTableSlot *slot; /* has the row */
	int64 row;            /* how many there were */
	int n;
	int max;
	MrRowValue *values;
} MrRowValues;

/* In the current memory context, of rows with these columns, until mr_row_values_free(). */
extern MrRowValues *mr_row_values_create(TupleDesc columns);
extern void mr_row_values_free(MrRowValues *values);

/*
 * The number of an expression over the relation of that range table index. `inputs`: TargetEntries that its OUTER_VARs are
 * references to. -1: it is none over the row alone.
 */
extern int mr_row_values_add(MrRowValues *values, Expr *expression, Index relation, List *inputs);

/* The values are those of the next row, which is to be put into the slot by mr_row_store_next(). */
static inline void
mr_row_values_next(MrRowValues *values)
{
	ResetExprContext(values->context);
	values->row++;
}

extern void mr_row_values_compute(MrRowValues *values, MrRowValue *value);

/* Raises whatever the expression raises. Called in the context's memory for a tuple. */
static inline Datum
mr_row_value(MrRowValues *values, int number, bool *isnull)
{
	MrRowValue *value = &values->values[number];

	if (value->kind == MR_ROW_COLUMN)
	{
		*isnull = values->slot->tts_isnull[value->column];
		return values->slot->tts_values[value->column];
	}
	if (value->row != values->row)
		mr_row_values_compute(values, value);
	*isnull = value->isnull;
	return value->value;
}

#endif /* MR_WINDOW_ROW_VALUES_H */
