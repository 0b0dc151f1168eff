/*
 * json_scan_plan.c - building the tree of wanted paths, and finding keys in it
 *
 * Plain C, no PostgreSQL. Memory comes from the allocator given and is never freed here: a plan belongs
 * to its owner's arena. Growing leaves the old array behind, which sums up to less than the last one.
 */
#include <string.h>

#include "decode/json_scan_plan.h"

static int add_node(MrJsonPlan *plan);
static int append_key(MrJsonPlan *plan, int parent);
static void insert_index(MrJsonPlan *plan, int parent, int child);
static void make_room(MrJsonPlan *plan, MrJsonNode *node, int keys);
static uint32_t hash_key(const char *key, int length);
static inline bool is_key(const MrJsonNode *node, const char *key, int length);

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

void
mr_json_plan_ready(MrJsonPlan *plan)
{
	for (int i = 0; i < plan->node_count; i++)
	{
		MrJsonNode *node = &plan->nodes[i];
		int keys = 0;

		for (int child = node->first_key; child >= 0; child = plan->nodes[child].next)
			keys++;
		if (keys > 0)
			make_room(plan, node, keys);
	}
}

int
mr_json_plan_find(const MrJsonPlan *plan, int node, const char *raw, int length, bool escaped)
{
	const MrJsonNode *parent = &plan->nodes[node];
	int child;

	if (parent->table != NULL && !escaped)
	{
		uint32_t at = hash_key(raw, length);

		for (;; at++)
		{
			child = parent->table[at & parent->table_mask];
			if (child < 0 || is_key(&plan->nodes[child], raw, length))
				return child;
		}
	}
	for (child = parent->first_key; child >= 0; child = plan->nodes[child].next)
		if (escaped ? mr_json_same_key(raw, length, plan->nodes[child].key,
									   plan->nodes[child].key_length)
					: is_key(&plan->nodes[child], raw, length))
			return child;
	return -1;
}

void
mr_json_plan_learn(MrJsonNode *node, int place, const char *raw, int length, int child)
{
	MrJsonGuess *guess;

	if (place >= node->guess_room)
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

/* For objects with twice as many keys as are wanted, and a few more. */
static void
make_room(MrJsonPlan *plan, MrJsonNode *node, int keys)
{
	uint32_t size = 4;

	node->guess_room = 32 + 2 * keys;
	node->guesses = plan->alloc(sizeof(MrJsonGuess) * (size_t) node->guess_room);
	while (size < 2 * (uint32_t) keys)
		size *= 2;
	node->table_mask = size - 1;
	node->table = plan->alloc(sizeof(int) * size);
	memset(node->table, 0xff, sizeof(int) * size);
	for (int child = node->first_key; child >= 0; child = plan->nodes[child].next)
	{
		uint32_t at = hash_key(plan->nodes[child].key, plan->nodes[child].key_length);

		while (node->table[at & node->table_mask] >= 0)
			at++;
		node->table[at & node->table_mask] = child;
	}
}

/* The first and last eight bytes and the length: keys that differ in the middle only are rare. */
static uint32_t
hash_key(const char *key, int length)
{
	size_t n = length < 8 ? (size_t) length : 8;
	uint64_t first = 0;
	uint64_t last = 0;

	memcpy(&first, key, n);
	memcpy(&last, key + length - n, n);
	first = (first ^ (uint64_t) length) * UINT64_C(0x9e3779b97f4a7c15);
	last = (last ^ (first >> 32)) * UINT64_C(0xbf58476d1ce4e5b9);
	return (uint32_t) (last >> 32);
}

static inline bool
is_key(const MrJsonNode *node, const char *key, int length)
{
	return node->key_length == length && memcmp(node->key, key, (size_t) length) == 0;
}
