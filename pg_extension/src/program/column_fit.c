/*
 * column_fit.c: see column_fit.h. By types only: PostgreSQL casts on assignment what these can lose, and raises an error, or
 * rounds in silence, when a value does.
 */
#include "program/column_fit.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "nodes/nodeFuncs.h"
#include "nodes/primnodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#define UNLIMITED      PG_INT32_MAX
#define FLOAT4_DIGITS  6 /* decimal digits that survive */
#define FLOAT8_DIGITS  15
#define NUMERIC_DIGITS 131072 /* before the point */

/* Of a type of numbers. */
typedef struct Digits
{
	int whole;    /* before the point */
	int fraction; /* behind it */
	int exact;    /* that survive, counted from the first; UNLIMITED: all */
} Digits;

static int text_limit(Node *node);
static int longest(List *nodes);
static void strip(Oid *type, int32 *typmod);
static bool text_misfit(Oid given, int32 given_typmod, Oid target, int32 typmod, MrMisfit *misfit);
static int text_width(Oid type, int32 typmod);
static bool digits_of(Oid type, int32 typmod, Digits *digits);
static bool number_misfit(const Digits *given, const Digits *held, MrMisfit *misfit);
static bool time_misfit(Oid given, int32 given_typmod, Oid target, int32 typmod, MrMisfit *misfit);

MrGiven
mr_given_of(Node *expression)
{
	MrGiven given = {.type_id = exprType(expression),
					 .typmod = exprTypmod(expression),
					 .is_constant = IsA(expression, Const)};
	int limit = given.type_id == TEXTOID ? text_limit(expression) : UNLIMITED;

	if (limit != UNLIMITED)
		given.typmod = limit + VARHDRSZ;
	return given;
}

bool
mr_column_misfit(const MrGiven *given, Oid target, int32 target_typmod, MrMisfit *misfit)
{
	Oid type = given->type_id;
	int32 typmod = given->typmod;
	Digits from;
	Digits to;

	strip(&type, &typmod);
	strip(&target, &target_typmod);
	if (target == VARCHAROID || target == BPCHAROID)
		return text_misfit(type, typmod, target, target_typmod, misfit);
	if (given->is_constant)
		return false;
	if (digits_of(type, typmod, &from) && digits_of(target, target_typmod, &to))
		return number_misfit(&from, &to, misfit);
	return time_misfit(type, typmod, target, target_typmod, misfit);
}

/* The most characters of a text, UNLIMITED when they cannot be seen from the expression. */
static int
text_limit(Node *node)
{
	if (node == NULL)
		return 0;
	if (IsA(node, Const))
	{
		Const *constant = (Const *) node;

		if (constant->constisnull)
			return 0;
		if (constant->consttype != TEXTOID && constant->consttype != VARCHAROID)
			return UNLIMITED;
		return pg_mbstrlen(TextDatumGetCString(constant->constvalue));
	}
	if (IsA(node, RelabelType))
		return text_limit((Node *) ((RelabelType *) node)->arg);
	if (IsA(node, CoalesceExpr))
		return longest(((CoalesceExpr *) node)->args);
	if (IsA(node, CaseExpr))
	{
		CaseExpr *choice = (CaseExpr *) node;
		int limit = text_limit((Node *) choice->defresult);
		ListCell *cell;

		foreach (cell, choice->args)
			limit = Max(limit, text_limit((Node *) lfirst_node(CaseWhen, cell)->result));
		return limit;
	}
	return text_width(exprType(node), exprTypmod(node));
}

static int
longest(List *nodes)
{
	int limit = 0;
	ListCell *cell;

	foreach (cell, nodes)
		limit = Max(limit, text_limit(lfirst(cell)));
	return limit;
}

/* A domain is as its base type, an array as its elements. */
static void
strip(Oid *type, int32 *typmod)
{
	Oid element;

	*type = getBaseTypeAndTypmod(*type, typmod);
	element = get_element_type(*type);
	if (OidIsValid(element))
		*type = getBaseTypeAndTypmod(element, typmod);
}

static bool
text_misfit(Oid given, int32 given_typmod, Oid target, int32 typmod, MrMisfit *misfit)
{
	int width = text_width(given, given_typmod);
	int room = typmod >= VARHDRSZ ? typmod - VARHDRSZ : UNLIMITED;

	if (width <= room)
		return false;
	*misfit = (MrMisfit){
		.severity = "warning",
		.code = "column_narrow",
		.problem = psprintf("may be longer than %s, of type %s",
							format_type_with_typemod(target, typmod), format_type_be(given)),
		.hint =
			"Make the column wider, or cut the value in the transform, as in left(x, n): a value "
			"that is too long makes its event a dead letter."};
	return true;
}

/* The most characters of a value as text. */
static int
text_width(Oid type, int32 typmod)
{
	switch (type)
	{
		case BOOLOID:
			return 5;
		case INT2OID:
			return 6;
		case INT4OID:
			return 11;
		case INT8OID:
			return 20;
		case UUIDOID:
			return 36;
		case TEXTOID: /* with a typmod: see mr_given_of() */
		case VARCHAROID:
		case BPCHAROID:
			return typmod >= VARHDRSZ ? typmod - VARHDRSZ : UNLIMITED;
		default:
			return UNLIMITED;
	}
}

static bool
digits_of(Oid type, int32 typmod, Digits *digits)
{
	switch (type)
	{
		case INT2OID:
			*digits = (Digits){5, 0, UNLIMITED};
			return true;
		case INT4OID:
			*digits = (Digits){10, 0, UNLIMITED};
			return true;
		case INT8OID:
			*digits = (Digits){19, 0, UNLIMITED};
			return true;
		case FLOAT4OID:
			*digits = (Digits){38, UNLIMITED, FLOAT4_DIGITS};
			return true;
		case FLOAT8OID:
			*digits = (Digits){308, UNLIMITED, FLOAT8_DIGITS};
			return true;
		case NUMERICOID:
			*digits = (Digits){NUMERIC_DIGITS, UNLIMITED, UNLIMITED};
			if (typmod >= VARHDRSZ)
			{
				/* as numeric.c packs them: precision, and scale in 11 bits with a sign */
				int precision = ((typmod - VARHDRSZ) >> 16) & 0xffff;
				int scale = (((typmod - VARHDRSZ) & 0x7ff) ^ 1024) - 1024;

				*digits = (Digits){precision - scale, Max(scale, 0), UNLIMITED};
			}
			return true;
		default:
			return false;
	}
}

static bool
number_misfit(const Digits *given, const Digits *held, MrMisfit *misfit)
{
	int64 digits = (int64) given->whole + given->fraction;

	if (held->whole < given->whole)
		*misfit = (MrMisfit){
			.severity = "warning",
			.code = "column_overflow",
			.problem = psprintf("may have more than the %d digits that its type holds before the "
								"point",
								held->whole),
			.hint =
				"Give the column a larger type: a number that is out of range makes its event a "
				"dead letter."};
	else if (held->fraction < given->fraction)
		*misfit = (MrMisfit){
			.severity = "warning",
			.code = "column_rounds",
			.problem = psprintf("is rounded to %d digits behind the point", held->fraction),
			.hint = "Give the column the type of the value, or round() in the transform to show "
					"that it is meant."};
	else if (held->exact < Min(given->exact, digits))
		*misfit =
			(MrMisfit){.severity = "info",
					   .code = "column_inexact",
					   .problem = psprintf("keeps about %d digits", held->exact),
					   .hint = "Give the column the type of the value where each digit matters."};
	else
		return false;
	/* an overflow is not all: a fraction is lost in silence */
	if (held->whole < given->whole && held->fraction < given->fraction)
		misfit->problem =
			psprintf("%s, and is rounded to %d behind it", misfit->problem, held->fraction);
	return true;
}

static bool
time_misfit(Oid given, int32 given_typmod, Oid target, int32 typmod, MrMisfit *misfit)
{
	bool given_clock = given == TIMESTAMPTZOID || given == TIMESTAMPOID;
	bool held_clock = target == TIMESTAMPTZOID || target == TIMESTAMPOID;
	int precision = given_typmod >= 0 ? given_typmod : MAX_TIMESTAMP_PRECISION;

	if (given_clock && target == DATEOID)
		*misfit =
			(MrMisfit){.severity = "warning",
					   .code = "column_cut",
					   .problem = "loses its time of day",
					   .hint = "Cast it to date in the transform if that is meant, with AT TIME "
							   "ZONE to say of which place the date is."};
	else if ((given == TIMESTAMPTZOID && target == TIMESTAMPOID) ||
			 ((given == TIMESTAMPOID || given == DATEOID) && target == TIMESTAMPTZOID))
		*misfit =
			(MrMisfit){.severity = "warning",
					   .code = "column_zone",
					   .problem =
						   psprintf("is turned from %s into %s by the time zone of the pipeline",
									format_type_be(given), format_type_be(target)),
					   .hint = "Say which zone is meant in the transform: x AT TIME ZONE 'UTC'."};
	else if (given_clock && held_clock && typmod >= 0 && typmod < precision)
		*misfit = (MrMisfit){.severity = "info",
							 .code = "column_rounds",
							 .problem = psprintf("is rounded to %d digits of a second", typmod),
							 .hint = "Give the column the type of the value where they matter."};
	else
		return false;
	return true;
}
