/*
 * transition.h: an aggregate over rows, step by step: its transition function and its final function are called as the
 * executor calls them, without a plan around them.
 *
 * A function of an aggregate asks for the memory that its state is in, and for the expression it is called by; both are
 * provided (AggCheckCallContext(), get_fn_expr_argtype()). Aggregates that need their input sorted or distinct are not served.
 */
#ifndef MR_WINDOW_TRANSITION_H
#define MR_WINDOW_TRANSITION_H

#include "postgres.h"

#include "fmgr.h"
#include "nodes/execnodes.h"

#include "window/row_values.h"

/* Of one group. */
typedef struct MrState
{
	Datum value;
	bool isnull;
	bool awaits_first; /* the first argument that is not null becomes the value */
} MrState;

typedef struct MrTransition
{
	Aggref *aggregate; /* its arguments and its filter are those of the plan it is from */
	bool counts_rows;  /* count(*) */
	bool private;      /* its final function changes the state */
	int filter;        /* number of a row value, -1: none */
	int nargs;
	int *args; /* numbers of row values */
	FmgrInfo function;
	FunctionCallInfo call;
	int16 length; /* of the state's type */
	bool by_value;
	Datum initial;
	bool initial_is_null;
	bool has_final;
	FmgrInfo final;
	FunctionCallInfo final_call;
	int nfinal; /* arguments of the final function */
	int16 result_length;
} MrTransition;

/* Whether it can be had. */
extern bool mr_transition_serves(const Aggref *aggregate);

/*
 * In the current memory context. The states are in the memory of `caller`, which the functions find as their aggregate
 * (mr_transition_caller()). NULL: the arguments or the filter are of more than the row. Raises insufficient_privilege.
 */
extern MrTransition *mr_transition_create(Aggref *aggregate, MrRowValues *values, Index relation,
										  List *inputs, AggState *caller);

/* What functions of aggregates find; states are in `states`, what else they make is in `scratch`. */
extern AggState *mr_transition_caller(ExprContext *states, ExprContext *scratch);

/* Whether a state of one is a state of the other. */
extern bool mr_transition_is_same(const MrTransition *a, const MrTransition *b);

extern void mr_transition_begin(const MrTransition *transition, MrState *state,
								MemoryContext context);

/* Adds the row at hand. */
extern void mr_transition_step(MrTransition *transition, MrState *state, MrRowValues *values,
							   MemoryContext context);

/* What the aggregate gives; it is there as long as the state, or the current memory context. */
extern Datum mr_transition_result(MrTransition *transition, const MrState *state, bool *isnull);

#endif /* MR_WINDOW_TRANSITION_H */
