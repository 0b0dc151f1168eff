/*
 * transition.c: see transition.h. Lives as long as one run over the rows of a batch.
 */
#include "window/transition.h"

#include "access/htup_details.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_agg.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/expandeddatum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "server/compat.h"

bool
mr_transition_serves(const Aggref *aggregate)
{
	return aggregate->aggkind == AGGKIND_NORMAL && aggregate->aggorder == NIL &&
		   aggregate->aggdistinct == NIL && aggregate->aggdirectargs == NIL &&
		   !aggregate->aggvariadic && aggregate->aggsplit == AGGSPLIT_SIMPLE &&
		   aggregate->agglevelsup == 0;
}

AggState *
mr_transition_caller(ExprContext *states, ExprContext *scratch)
{
	AggState *caller = makeNode(AggState);

	caller->curaggcontext = states;
	caller->tmpcontext = scratch;
	return caller;
}

/* Numbers of the arguments and the filter; false: they are of more than the row. */
static bool
find_values(MrTransition *transition, MrRowValues *values, Index relation, List *inputs)
{
	const Aggref *aggregate = transition->aggregate;
	ListCell *cell;

	transition->filter = -1;
	if (aggregate->aggfilter != NULL)
	{
		transition->filter = mr_row_values_add(values, aggregate->aggfilter, relation, inputs);
		if (transition->filter < 0)
			return false;
	}
	transition->args = palloc(Max(list_length(aggregate->args), 1) * sizeof(int));
	foreach (cell, aggregate->args)
	{
		int number =
			mr_row_values_add(values, lfirst_node(TargetEntry, cell)->expr, relation, inputs);

		if (number < 0)
			return false;
		transition->args[transition->nargs++] = number;
	}
	return true;
}

static FunctionCallInfo
prepare_call(FmgrInfo *function, Oid id, Expr *expression, int nargs, Oid collation,
			 AggState *caller)
{
	FunctionCallInfo call = palloc0(SizeForFunctionCallInfo(nargs));

	fmgr_info(id, function);
	fmgr_info_set_expr((Node *) expression, function);
	InitFunctionCallInfoData(*call, function, nargs, collation, (Node *) caller, NULL);
	return call;
}

static void
prepare_transition(MrTransition *transition, Form_pg_aggregate form, Oid *types, int ntypes,
				   AggState *caller)
{
	const Aggref *aggregate = transition->aggregate;
	Expr *expression;

	build_aggregate_transfn_expr(types, ntypes, 0, false, aggregate->aggtranstype,
								 aggregate->inputcollid, form->aggtransfn, InvalidOid, &expression,
								 NULL);
	transition->call = prepare_call(&transition->function, form->aggtransfn, expression,
									transition->nargs + 1, aggregate->inputcollid, caller);
	get_typlenbyval(aggregate->aggtranstype, &transition->length, &transition->by_value);
}

static void
prepare_final(MrTransition *transition, Form_pg_aggregate form, Oid *types, int ntypes,
			  AggState *caller)
{
	const Aggref *aggregate = transition->aggregate;
	Expr *expression;

	transition->result_length = get_typlen(aggregate->aggtype);
	transition->has_final = OidIsValid(form->aggfinalfn);
	if (!transition->has_final)
		return;
	transition->private = form->aggfinalmodify == AGGMODIFY_READ_WRITE;
	transition->nfinal = form->aggfinalextra ? ntypes + 1 : 1;
	build_aggregate_finalfn_expr(types, transition->nfinal, aggregate->aggtranstype,
								 aggregate->aggtype, aggregate->inputcollid, form->aggfinalfn,
								 &expression);
	transition->final_call = prepare_call(&transition->final, form->aggfinalfn, expression,
										  transition->nfinal, aggregate->inputcollid, caller);
}

static void
read_initial(MrTransition *transition, HeapTuple tuple)
{
	Datum written = SysCacheGetAttr(AGGFNOID, tuple, Anum_pg_aggregate_agginitval,
									&transition->initial_is_null);
	Oid type = transition->aggregate->aggtranstype;
	Oid input;
	Oid element;

	if (transition->initial_is_null)
		return;
	getTypeInputInfo(type, &input, &element);
	transition->initial = OidInputFunctionCall(input, TextDatumGetCString(written), element, -1);
}

/* As the executor asks: the user may call the aggregate, and its owner the functions it is made of. */
static void
check_rights(Oid id, Form_pg_aggregate form)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(id));
	Oid owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", id);
	owner = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
	ReleaseSysCache(tuple);
	mr_check_may_call(id, GetUserId());
	mr_check_may_call(form->aggtransfn, owner);
	if (OidIsValid(form->aggfinalfn))
		mr_check_may_call(form->aggfinalfn, owner);
}

MrTransition *
mr_transition_create(Aggref *aggregate, MrRowValues *values, Index relation, List *inputs,
					 AggState *caller)
{
	MrTransition *transition = palloc0(sizeof(MrTransition));
	Oid types[FUNC_MAX_ARGS];
	int ntypes = get_aggregate_argtypes(aggregate, types);
	HeapTuple tuple;
	Form_pg_aggregate form;

	transition->aggregate = aggregate;
	transition->counts_rows = aggregate->aggfnoid == F_COUNT_ && FLOAT8PASSBYVAL;
	if (!find_values(transition, values, relation, inputs))
		return NULL;
	tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggregate->aggfnoid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for aggregate %u", aggregate->aggfnoid);
	form = (Form_pg_aggregate) GETSTRUCT(tuple);
	check_rights(aggregate->aggfnoid, form);
	prepare_transition(transition, form, types, ntypes, caller);
	prepare_final(transition, form, types, ntypes, caller);
	read_initial(transition, tuple);
	ReleaseSysCache(tuple);
	return transition;
}

bool
mr_transition_is_same(const MrTransition *a, const MrTransition *b)
{
	return a->aggregate->aggfnoid == b->aggregate->aggfnoid &&
		   a->aggregate->aggtranstype == b->aggregate->aggtranstype &&
		   a->aggregate->aggtype == b->aggregate->aggtype &&
		   a->aggregate->inputcollid == b->aggregate->inputcollid && a->filter == b->filter &&
		   a->nargs == b->nargs && memcmp(a->args, b->args, a->nargs * sizeof(int)) == 0 &&
		   !a->private && !b->private;
}

void
mr_transition_begin(const MrTransition *transition, MrState *state, MemoryContext context)
{
	state->isnull = transition->initial_is_null;
	state->awaits_first = transition->initial_is_null;
	state->value = transition->initial;
	if (!state->isnull && !transition->by_value)
	{
		MemoryContext old = MemoryContextSwitchTo(context);

		state->value = datumCopy(transition->initial, false, transition->length);
		MemoryContextSwitchTo(old);
	}
}

/* A new state of a type that is passed by reference takes the place of the old one. */
static void
replace(const MrTransition *transition, MrState *state, Datum value, bool isnull,
		MemoryContext context)
{
	Datum former = state->value;
	bool had = !state->isnull;
	MemoryContext old = MemoryContextSwitchTo(context);

	state->isnull = isnull;
	state->value = (Datum) 0;
	if (!isnull && DatumIsReadWriteExpandedObject(value, false, transition->length) &&
		MemoryContextGetParent(DatumGetEOHP(value)->eoh_context) == context)
		state->value = value; /* it is there already */
	else if (!isnull)
		state->value = datumCopy(value, false, transition->length);
	if (had && DatumIsReadWriteExpandedObject(former, false, transition->length))
		DeleteExpandedObject(former);
	else if (had)
		pfree(DatumGetPointer(former));
	MemoryContextSwitchTo(old);
}

/* False: the function is strict, and not called for this row. */
static bool
goes_on(const MrTransition *transition, MrState *state, MemoryContext context)
{
	const NullableDatum *args = transition->call->args;

	for (int i = 1; i <= transition->nargs; i++)
		if (args[i].isnull)
			return false;
	if (state->awaits_first)
	{
		MemoryContext old = MemoryContextSwitchTo(context);

		state->value = datumCopy(args[1].value, transition->by_value, transition->length);
		state->isnull = state->awaits_first = false;
		MemoryContextSwitchTo(old);
		return false;
	}
	return !state->isnull;
}

void
mr_transition_step(MrTransition *transition, MrState *state, MrRowValues *values,
				   MemoryContext context)
{
	FunctionCallInfo call = transition->call;
	Datum value;

	if (transition->filter >= 0)
	{
		bool isnull;
		Datum counts = mr_row_value(values, transition->filter, &isnull);

		if (isnull || !DatumGetBool(counts))
			return;
	}
	if (transition->counts_rows)
	{
		state->value = Int64GetDatum(DatumGetInt64(state->value) + 1);
		return;
	}
	for (int i = 0; i < transition->nargs; i++)
		call->args[i + 1].value =
			mr_row_value(values, transition->args[i], &call->args[i + 1].isnull);
	if (transition->function.fn_strict && !goes_on(transition, state, context))
		return;
	call->args[0].value = state->value;
	call->args[0].isnull = state->isnull;
	call->isnull = false;
	value = FunctionCallInvoke(call);
	if (!transition->by_value && DatumGetPointer(value) != DatumGetPointer(state->value))
		replace(transition, state, value, call->isnull, context);
	else
	{
		state->value = value;
		state->isnull = call->isnull;
	}
	state->awaits_first = false;
}

Datum
mr_transition_result(MrTransition *transition, const MrState *state, bool *isnull)
{
	FunctionCallInfo call = transition->final_call;
	Datum result = MakeExpandedObjectReadOnly(state->value, state->isnull, transition->length);

	*isnull = state->isnull;
	if (!transition->has_final)
		return result;
	if (transition->final.fn_strict && (state->isnull || transition->nfinal > 1))
	{
		*isnull = true;
		return (Datum) 0;
	}
	call->args[0].value = result;
	call->args[0].isnull = state->isnull;
	for (int i = 1; i < transition->nfinal; i++)
		call->args[i] = (NullableDatum){.isnull = true};
	call->isnull = false;
	result = FunctionCallInvoke(call);
	*isnull = call->isnull;
	return MakeExpandedObjectReadOnly(result, call->isnull, transition->result_length);
}
