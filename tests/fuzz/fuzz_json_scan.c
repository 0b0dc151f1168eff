/*
 * fuzz_json_scan.c - libFuzzer harness for the JSON scanner
 *
 * Besides the sanitizers, it holds the scanner to its own word: with and without a plan, with a plan
 * that has learned and a fresh one, the answer is the same, and what it hands out lies in the document.
 */
#include "decode/json_scan.h"
#include "tests/fuzz/must.h"

#define SLOTS 6

static void *blocks[256];
static int block_count;

static void *
allocate(size_t size)
{
	void *block = calloc(1, size);

	if (block == NULL || block_count == 256)
		abort();
	return blocks[block_count++] = block;
}

static MrJsonPlan *
make_plan(void)
{
	MrJsonPlan *plan = mr_json_plan_create(allocate);
	int a = mr_json_plan_key(plan, 0, "a", 1);
	int b = mr_json_plan_key(plan, a, "b", 1);

	(void) mr_json_plan_take(plan, 0);
	(void) mr_json_plan_take(plan, a);
	(void) mr_json_plan_take(plan, mr_json_plan_key(plan, 0, "id", 2));
	(void) mr_json_plan_take(plan, mr_json_plan_index(plan, b, 1));
	(void) mr_json_plan_take(plan, mr_json_plan_key(plan, a, "d", 1));
	(void) mr_json_plan_take(plan, mr_json_plan_index(plan, 0, 2));
	must(mr_json_plan_slots(plan) == SLOTS);
	mr_json_plan_ready(plan);
	return plan;
}

static void
look_at(const MrJsonSlot *slot, const char *bytes, int length)
{
	char printed[MR_JSON_PRINT_SIZE(40)];
	MrJsonElements elements;
	MrJsonSlot element;
	char *out;

	if (slot->kind == MR_JSON_MISSING)
		return;
	must(slot->start >= bytes && slot->length >= 0 && slot->start + slot->length <= bytes + length);
	mr_json_print(slot->start, slot->length, 40, printed);
	if (slot->kind == MR_JSON_STRING)
	{
		out = malloc((size_t) slot->length + 1);
		must(mr_json_unescape(slot->start, slot->length, out) <= slot->length);
		free(out);
	}
	if (slot->kind == MR_JSON_ARRAY)
	{
		mr_json_elements(slot, &elements);
		while (mr_json_next(&elements, &element))
			look_at(&element, bytes, length);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* an own copy of exactly this size: reading one byte too far is found */
	char *bytes = malloc(size > 0 ? size : 1);
	MrJsonPlan *plan = make_plan();
	MrJsonSlot first[SLOTS], second[SLOTS], whole;
	MrJsonError error, error_plain, error_whole;
	bool good;

	memcpy(bytes, data, size);
	good = mr_json_scan(plan, bytes, (int) size, first, &error);
	must(good == mr_json_scan(NULL, bytes, (int) size, NULL, &error_plain));
	must(good == mr_json_scan_whole(bytes, (int) size, &whole, &error_whole));
	if (good)
	{
		must(mr_json_scan(plan, bytes, (int) size, second, &error)); /* now by what it learned */
		for (int i = 0; i < SLOTS; i++)
		{
			must(first[i].kind == second[i].kind);
			if (first[i].kind != MR_JSON_MISSING)
				must(first[i].start == second[i].start && first[i].length == second[i].length &&
					 first[i].flags == second[i].flags);
			look_at(&first[i], bytes, (int) size);
		}
		look_at(&whole, bytes, (int) size);
	}
	else
	{
		must(error.code == error_plain.code && error.offset == error_plain.offset);
		must(error.code == error_whole.code && error.offset == error_whole.offset);
		must(error.offset >= 0 && error.offset <= (int) size);
	}
	while (block_count > 0)
		free(blocks[--block_count]);
	free(bytes);
	return 0;
}
