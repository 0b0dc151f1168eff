/*
 * json_scan_plan.c - building the tree of wanted paths, and finding keys in it
 *
 * Plain C, no PostgreSQL. Memory comes from the allocator given and is never freed here: a plan belongs
 * to its owner's arena. Growing leaves the old array behind, which sums up to less than the last one.
 */
#include <string.h>

#include "json_scan_plan.h"

static int add_node(MrJsonPlan *plan);
static int append_key(MrJsonPlan *plan, int parent);
static void insert_index(MrJsonPlan *plan, int parent, int child);

MrJsonPlan *
mr_json_plan_create(MrJsonAlloc alloc)
{
	MrJsonPlan *plan = alloc(sizeof(MrJsonPlan));

	plan->alloc = alloc;
	plan->node_room = 16;
	plan->nodes = alloc(sizeof(MrJsonNode) * (size_t) plan->node_room);
	(void) add_node(plan);
	return plan;
}

int
mr_json_plan_key(MrJsonPlan *plan, int node, const char *key, int length)
{
	MrJsonNode *child;
	char *copy;
	int found = mr_json_plan_find(plan, node, key, length, false);

	if (found >= 0)
		return found;
	found = append_key(plan, node);
	child = &plan->nodes[found];
	copy = plan->alloc((size_t) length + 1);
	memcpy(copy, key, (size_t) length);
	child->key = copy;
	child->key_length = length;
	if (plan->nodes[node].guesses == NULL)
		plan->nodes[node].guesses = plan->alloc(sizeof(MrJsonGuess) * MR_JSON_GUESSES);
	return found;
}

int
mr_json_plan_index(MrJsonPlan *plan, int node, int index)
{
	int child;

	for (child = plan->nodes[node].first_index; child >= 0; child = plan->nodes[child].next)
		if (plan->nodes[child].index == index)
			return child;
	child = add_node(plan);
	plan->nodes[child].index = index;
	insert_index(plan, node, child);
	return child;
}

int
mr_json_plan_take(MrJsonPlan *plan, int node)
{
	if (plan->nodes[node].slot < 0)
		plan->nodes[node].slot = plan->slot_count++;
	return plan->nodes[node].slot;
}

int
mr_json_plan_slots(const MrJsonPlan *plan)
{
	return plan->slot_count;
}

int
mr_json_plan_find(const MrJsonPlan *plan, int node, const char *raw, int length, bool escaped)
{
	int child;

	for (child = plan->nodes[node].first_key; child >= 0; child = plan->nodes[child].next)
	{
		const MrJsonNode *candidate = &plan->nodes[child];

		if (escaped ? mr_json_same_key(raw, length, candidate->key, candidate->key_length)
					: candidate->key_length == length &&
						  memcmp(candidate->key, raw, (size_t) length) == 0)
			return child;
	}
	return -1;
}

void
mr_json_plan_learn(MrJsonNode *node, int place, const char *raw, int length, int child)
{
	MrJsonGuess *guess;

	if (place >= MR_JSON_GUESSES)
		return;
	guess = &node->guesses[place];
	if (length >= MR_JSON_GUESS_BYTES)
	{
		guess->length = 0;
		return;
	}
	guess->length = (int16_t) (length + 1);
	guess->child = child;
	memcpy(guess->text, raw, (size_t) length);
	guess->text[length] = '"';
	guess->mask = 0;
	memset(&guess->mask, 0xff, length + 1 < 8 ? (size_t) length + 1 : 8);
}

void
mr_json_plan_forget(const MrJsonPlan *plan, int node, MrJsonSlot *slots)
{
	const MrJsonNode *parent = &plan->nodes[node];
	int child;

	if (parent->slot >= 0)
		slots[parent->slot].kind = MR_JSON_MISSING;
	/* recursion as deep as the longest path wanted */
	for (child = parent->first_key; child >= 0; child = plan->nodes[child].next)
		mr_json_plan_forget(plan, child, slots);
	for (child = parent->first_index; child >= 0; child = plan->nodes[child].next)
		mr_json_plan_forget(plan, child, slots);
}

static int
add_node(MrJsonPlan *plan)
{
	MrJsonNode *node;

	if (plan->node_count == plan->node_room)
	{
		MrJsonNode *larger = plan->alloc(sizeof(MrJsonNode) * (size_t) plan->node_room * 2);

		memcpy(larger, plan->nodes, sizeof(MrJsonNode) * (size_t) plan->node_room);
		plan->nodes = larger;
		plan->node_room *= 2;
	}
	node = &plan->nodes[plan->node_count];
	node->slot = -1;
	node->next = -1;
	node->first_key = -1;
	node->first_index = -1;
	return plan->node_count++;
}

static int
append_key(MrJsonPlan *plan, int parent)
{
	int child = add_node(plan);
	int *link = &plan->nodes[parent].first_key;

	while (*link >= 0)
		link = &plan->nodes[*link].next;
	*link = child;
	return child;
}

static void
insert_index(MrJsonPlan *plan, int parent, int child)
{
	int *link = &plan->nodes[parent].first_index;

	while (*link >= 0 && plan->nodes[*link].index < plan->nodes[child].index)
		link = &plan->nodes[*link].next;
	plan->nodes[child].next = *link;
	*link = child;
}
