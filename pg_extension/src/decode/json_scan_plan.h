/*
 * json_scan_plan.h - the tree of wanted paths, inside
 *
 * Shared by json_scan_plan.c, which builds it, and json_scan.c, which walks it.
 */
#ifndef MR_JSON_SCAN_PLAN_H
#define MR_JSON_SCAN_PLAN_H

#include "decode/json_scan.h"

#define MR_JSON_GUESS_BYTES 40 /* of a key with its closing quote; longer ones are looked up */

/* A key seen at this place of the last object: its bytes up to and with the closing quote. */
typedef struct MrJsonGuess
{
	int16_t length; /* 0: nothing remembered */
	int child;      /* the key's node, -1: not wanted */
	uint64_t mask;  /* the bytes of the first word that are the key's */
	char text[MR_JSON_GUESS_BYTES];
} MrJsonGuess;

typedef struct MrJsonNode
{
	const char *key;
	int key_length;
	int index;
	int slot;             /* -1: only on the way to others */
	int next;             /* sibling, -1: last */
	int first_key;        /* children by key, in order of declaration; -1: none */
	int first_index;      /* children by array index, ascending; -1: none */
	uint32_t generation;  /* of the last document that had a value here */
	MrJsonGuess *guesses; /* the keys of the last object here, in their order */
	int guess_room;
	int *table; /* children by hash of their key, -1: free; at most half full */
	uint32_t table_mask;
} MrJsonNode;

struct MrJsonPlan
{
	MrJsonAlloc alloc;
	MrJsonNode *nodes;
	int node_count;
	int node_room;
	int slot_count;
	uint32_t generation;
};

/* The node of a raw key below a node, or -1. */
extern int mr_json_plan_find(const MrJsonPlan *plan, int node, const char *raw, int length,
							 bool escaped);

/*
 * Goes over a document that has been scanned, and reports each key that no path of the plan leads to or through: its path in the
 * form of fields_path.h without the leading $., what is there, and the argument. Keys inside of a value that is taken whole, or that
 * no path enters, are not looked at. A path of more than MR_JSON_PATH_MAX bytes is left out.
 */
extern void mr_json_plan_unread(const MrJsonPlan *plan, const char *bytes, int length,
								MrJsonReport report, void *argument);

/* Remembers that a key came at this place among its object's keys. */
extern void mr_json_plan_learn(MrJsonNode *node, int place, const char *raw, int length, int child);

/* A value comes again in the same document: forget what the first one gave. */
extern void mr_json_plan_forget(const MrJsonPlan *plan, int node, MrJsonSlot *slots);

#endif
