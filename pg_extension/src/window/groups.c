/*
 * groups.c: see groups.h. Lives as long as one run over the rows of a batch.
 */
#include "window/groups.h"

#include "common/hashfn.h"
#include "executor/executor.h"
#include "utils/datum.h"
#include "utils/memutils.h"

#define PLACES_MIN 1024      /* of the table; a power of 2 */
#define GROUPS_MAX (1 << 24) /* so that no array is greater than an allocation may be */
#define NO_GROUP   (-1)

typedef struct Place
{
	uint32 hash;
	int32 group; /* NO_GROUP: it is free */
} Place;

struct MrGroups
{
	MrRowValues *values;
	int nconditions;
	const int *conditions;
	int nkeys;
	const int *keys;
	NullableDatum *row_keys; /* of the row at hand */
	int ntransitions;
	MrTransition **transitions;
	ExprContext *states; /* its memory for a tuple has the groups */
	AggState *caller;
	MemoryContext context; /* of all else */
	int ngroups;
	int max_groups;
	MrGroup **groups;
	uint32 mask; /* places - 1 */
	Place *places;
};

static void
free_places(MrGroups *groups)
{
	for (uint32 i = 0; i <= groups->mask; i++)
		groups->places[i].group = NO_GROUP;
}

MrGroups *
mr_groups_create(MrRowValues *values, int nconditions, const int *conditions, int nkeys,
				 const int *keys)
{
	MrGroups *groups = palloc0(sizeof(MrGroups));

	groups->values = values;
	groups->nconditions = nconditions;
	groups->conditions = conditions;
	groups->nkeys = nkeys;
	groups->keys = keys;
	groups->row_keys = palloc0(nkeys * sizeof(NullableDatum));
	groups->states = CreateStandaloneExprContext();
	groups->caller = mr_transition_caller(groups->states, values->context);
	groups->context = CurrentMemoryContext;
	groups->mask = PLACES_MIN - 1;
	groups->places = palloc(PLACES_MIN * sizeof(Place));
	free_places(groups);
	return groups;
}

void
mr_groups_free(MrGroups *groups)
{
	FreeExprContext(groups->states, true);
}

bool
mr_groups_serve(const MrGroups *groups, int nconditions, const int *conditions, int nkeys,
				const int *keys)
{
	return groups->nconditions == nconditions && groups->nkeys == nkeys &&
		   memcmp(groups->conditions, conditions, nconditions * sizeof(int)) == 0 &&
		   memcmp(groups->keys, keys, nkeys * sizeof(int)) == 0;
}

int
mr_groups_add_aggregate(MrGroups *groups, Aggref *aggregate, Index relation, List *inputs)
{
	MrTransition *transition =
		mr_transition_create(aggregate, groups->values, relation, inputs, groups->caller);

	if (transition == NULL)
		return -1;
	for (int i = 0; i < groups->ntransitions; i++)
		if (mr_transition_is_same(groups->transitions[i], transition))
			return i;
	groups->transitions =
		groups->transitions == NULL
			? palloc(sizeof(MrTransition *))
			: repalloc(groups->transitions, (groups->ntransitions + 1) * sizeof(MrTransition *));
	groups->transitions[groups->ntransitions] = transition;
	return groups->ntransitions++;
}

static inline MrState *
states_of(const MrGroups *groups, const MrGroup *group)
{
	return (MrState *) &group->keys[groups->nkeys];
}

static inline uint32
hash_word(Datum value)
{
	return (uint32) (((uint64) value * UINT64CONST(0x9E3779B97F4A7C15)) >> 32);
}

static inline uint32
hash_content(Datum value, int16 length)
{
	const char *pointer = DatumGetPointer(value);

	if (length == -1)
		return hash_bytes((const unsigned char *) VARDATA_ANY(pointer), VARSIZE_ANY_EXHDR(pointer));
	return hash_bytes((const unsigned char *) pointer,
					  length > 0 ? length : (int) strlen(pointer) + 1);
}

static inline bool
same_content(Datum a, Datum b, int16 length)
{
	const char *left = DatumGetPointer(a);
	const char *right = DatumGetPointer(b);

	if (length == -1)
		return VARSIZE_ANY_EXHDR(left) == VARSIZE_ANY_EXHDR(right) &&
			   memcmp(VARDATA_ANY(left), VARDATA_ANY(right), VARSIZE_ANY_EXHDR(left)) == 0;
	return length > 0 ? memcmp(left, right, length) == 0 : strcmp(left, right) == 0;
}

static inline const MrRowValue *
value_of_key(const MrGroups *groups, int key)
{
	return &groups->values->values[groups->keys[key]];
}

/* The keys of the row at hand, and their hash. */
static uint32
read_keys(MrGroups *groups)
{
	uint32 hash = 0;

	for (int i = 0; i < groups->nkeys; i++)
	{
		const MrRowValue *value = value_of_key(groups, i);
		NullableDatum *key = &groups->row_keys[i];

		key->value = mr_row_value(groups->values, groups->keys[i], &key->isnull);
		if (key->isnull)
		{
			key->value = (Datum) 0;
			hash = hash_combine(hash, 1);
			continue;
		}
		if (value->length == -1)
			key->value = PointerGetDatum(PG_DETOAST_DATUM_PACKED(key->value));
		hash = hash_combine(hash, value->by_value ? hash_word(key->value)
												  : hash_content(key->value, value->length));
	}
	return hash;
}

static bool
has_keys(const MrGroups *groups, const MrGroup *group)
{
	for (int i = 0; i < groups->nkeys; i++)
	{
		const MrRowValue *value = value_of_key(groups, i);
		const NullableDatum *a = &group->keys[i];
		const NullableDatum *b = &groups->row_keys[i];

		if (a->isnull != b->isnull)
			return false;
		if (a->value != b->value && /* of a null it is 0 */
			(value->by_value || !same_content(a->value, b->value, value->length)))
			return false;
	}
	return true;
}

/* Twice as many places. */
static void
spread(MrGroups *groups)
{
	uint32 places = (groups->mask + 1) * 2;

	groups->places = repalloc(groups->places, places * sizeof(Place));
	groups->mask = places - 1;
	free_places(groups);
	for (int i = 0; i < groups->ngroups; i++)
	{
		uint32 at = groups->groups[i]->hash & groups->mask;

		while (groups->places[at].group != NO_GROUP)
			at = (at + 1) & groups->mask;
		groups->places[at] = (Place){groups->groups[i]->hash, i};
	}
}

static MrGroup *
add_group(MrGroups *groups, uint32 hash)
{
	MemoryContext context = groups->states->ecxt_per_tuple_memory;
	MemoryContext old = MemoryContextSwitchTo(context);
	MrGroup *group = palloc(offsetof(MrGroup, keys) + groups->nkeys * sizeof(NullableDatum) +
							groups->ntransitions * sizeof(MrState));

	group->hash = hash;
	for (int i = 0; i < groups->nkeys; i++)
	{
		const MrRowValue *value = value_of_key(groups, i);

		group->keys[i] = groups->row_keys[i];
		if (!group->keys[i].isnull)
			group->keys[i].value = datumCopy(group->keys[i].value, value->by_value, value->length);
	}
	for (int i = 0; i < groups->ntransitions; i++)
		mr_transition_begin(groups->transitions[i], &states_of(groups, group)[i], context);
	MemoryContextSwitchTo(groups->context);
	if (groups->ngroups == groups->max_groups)
	{
		groups->max_groups = Max(PLACES_MIN / 2, groups->max_groups * 2);
		groups->groups = groups->groups == NULL
							 ? palloc(groups->max_groups * sizeof(MrGroup *))
							 : repalloc(groups->groups, groups->max_groups * sizeof(MrGroup *));
	}
	groups->groups[groups->ngroups++] = group;
	MemoryContextSwitchTo(old);
	return group;
}

static MrGroup *
group_of_row(MrGroups *groups)
{
	uint32 hash = read_keys(groups);
	uint32 at = hash & groups->mask;

	while (groups->places[at].group != NO_GROUP)
	{
		MrGroup *group = groups->groups[groups->places[at].group];

		if (groups->places[at].hash == hash && has_keys(groups, group))
			return group;
		at = (at + 1) & groups->mask;
	}
	groups->places[at] = (Place){hash, groups->ngroups};
	(void) add_group(groups, hash);
	if ((uint32) groups->ngroups > groups->mask / 2)
		spread(groups);
	return groups->groups[groups->ngroups - 1];
}

void
mr_groups_add_row(MrGroups *groups)
{
	MrState *states;

	for (int i = 0; i < groups->nconditions; i++)
	{
		bool isnull;
		Datum holds = mr_row_value(groups->values, groups->conditions[i], &isnull);

		if (isnull || !DatumGetBool(holds))
			return;
	}
	states = states_of(groups, group_of_row(groups));
	for (int i = 0; i < groups->ntransitions; i++)
		mr_transition_step(groups->transitions[i], &states[i], groups->values,
						   groups->states->ecxt_per_tuple_memory);
}

Size
mr_groups_memory(const MrGroups *groups)
{
	/* of each group a pointer, and two to four places */
	return groups->ngroups >= GROUPS_MAX
			   ? SIZE_MAX
			   : MemoryContextMemAllocated(groups->states->ecxt_per_tuple_memory, true) +
					 groups->ngroups * (sizeof(MrGroup *) + 4 * sizeof(Place));
}

int
mr_groups_count(const MrGroups *groups)
{
	return groups->ngroups;
}

const MrGroup *
mr_groups_at(const MrGroups *groups, int i)
{
	return groups->groups[i];
}

Datum
mr_groups_result(MrGroups *groups, const MrGroup *group, int aggregate, bool *isnull)
{
	return mr_transition_result(groups->transitions[aggregate],
								&states_of(groups, group)[aggregate], isnull);
}

void
mr_groups_clear(MrGroups *groups)
{
	ReScanExprContext(groups->states);
	groups->ngroups = 0;
	free_places(groups);
}
