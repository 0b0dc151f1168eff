/*
 * json_scan.c - the pass over a document: walking wanted paths, stepping over the rest
 *
 * Plain C, no PostgreSQL. Objects and arrays that hold wanted paths are walked by recursion, which is as
 * deep as the longest path; everything else is stepped over by a loop with a bit per level, so that the
 * stack never depends on the document. Positions are passed and returned; NULL is an error noted in the
 * scan.
 */
#include "decode/json_scan_lex.h"
#include "decode/json_scan_plan.h"

static const char *take_value(Scan *s, const char *p, int node_no);
static const char *take_plain(Scan *s, const char *p, MrJsonSlot *slot);
static const char *walk_object(Scan *s, const char *p, int node_no);
static const char *walk_array(Scan *s, const char *p, int node_no);
static const char *skip_value(Scan *s, const char *p);
static const char *skip_container(Scan *s, const char *p);

static bool
scan_document(Scan *s, const char *bytes, int length, MrJsonSlot *whole)
{
	const char *p;

	s->begin = bytes;
	s->end = bytes + length;
	s->error->code = MR_JSON_FINE;
	if (length >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0)
		return scan_fail(s, MR_JSON_BAD_BOM, bytes) != NULL;
	p = lex_space(s, bytes);
	if (p == s->end)
	{
		s->error->code = MR_JSON_BAD_EMPTY;
		s->error->offset = length;
		return false;
	}
	if (whole != NULL)
		p = take_plain(s, p, whole);
	else if (s->plan != NULL)
		p = take_value(s, p, 0);
	else
		p = skip_value(s, p);
	if (p == NULL)
		return false;
	p = lex_space(s, p);
	if (p < s->end)
		return scan_fail(s, MR_JSON_BAD_TRAILING, p) != NULL;
	return true;
}

bool
mr_json_scan(MrJsonPlan *plan, const char *bytes, int length, MrJsonSlot *slots, MrJsonError *error)
{
	Scan s = {.plan = plan, .slots = slots, .error = error};

	if (plan != NULL)
	{
		s.generation = ++plan->generation;
		for (int i = 0; i < plan->slot_count; i++)
			slots[i].kind = MR_JSON_MISSING;
	}
	return scan_document(&s, bytes, length, NULL);
}

bool
mr_json_scan_whole(const char *bytes, int length, MrJsonSlot *slot, MrJsonError *error)
{
	Scan s = {.error = error};

	return scan_document(&s, bytes, length, slot);
}

void
mr_json_elements(const MrJsonSlot *array, MrJsonElements *elements)
{
	elements->next = array->start + 1; /* behind the bracket */
	elements->end = array->start + array->length - 1;
}

bool
mr_json_next(MrJsonElements *elements, MrJsonSlot *slot)
{
	MrJsonError error;
	Scan s = {.begin = elements->next, .end = elements->end, .error = &error};
	const char *p = lex_space(&s, elements->next);

	if (p < s.end && *p == ',')
		p = lex_space(&s, p + 1);
	if (p >= s.end)
		return false;
	p = take_plain(&s, p, slot);
	if (p == NULL)
		return false; /* cannot be: the array has been validated */
	elements->next = p;
	return true;
}

bool
mr_json_next_member(MrJsonElements *members, MrJsonSlot *key, MrJsonSlot *slot)
{
	MrJsonError error;
	Scan s = {.begin = members->next, .end = members->end, .error = &error};
	MrJsonElements after = *members;
	const char *p;

	if (!mr_json_next(&after, key))
		return false;
	p = lex_space(&s, after.next);
	if (p >= s.end || *p != ':')
		return false; /* cannot be, either */
	after.next = p + 1;
	if (!mr_json_next(&after, slot))
		return false;
	*members = after;
	return true;
}

/* The value of a node of the plan: fills its slot and those below. */
static const char *
take_value(Scan *s, const char *p, int node_no)
{
	MrJsonNode *node = &s->plan->nodes[node_no];
	MrJsonSlot *slot = node->slot >= 0 ? &s->slots[node->slot] : NULL;
	const char *start = p;
	unsigned outer = s->flags;
	bool object;

	if (node->first_key < 0 && node->first_index < 0)
		return slot != NULL ? take_plain(s, p, slot) : skip_value(s, p);
	if (node->generation == s->generation)
		mr_json_plan_forget(s->plan, node_no, s->slots);
	node->generation = s->generation;
	object = *p == '{';
	if (!(object ? node->first_key >= 0 : *p == '[' && node->first_index >= 0))
		return slot != NULL ? take_plain(s, p, slot) : skip_value(s, p);

	if (++s->depth > MR_JSON_MAX_DEPTH)
		return scan_fail(s, MR_JSON_BAD_DEPTH, p);
	s->flags = s->depth > MR_JSON_DEEP ? MR_JSON_IS_DEEP : 0;
	p = object ? walk_object(s, p + 1, node_no) : walk_array(s, p + 1, node_no);
	s->depth--;
	if (p != NULL && slot != NULL)
	{
		slot->kind = object ? MR_JSON_OBJECT : MR_JSON_ARRAY;
		slot->flags = (uint8_t) s->flags;
		slot->start = start;
		slot->length = (int32_t) (p - start);
	}
	s->flags |= outer;
	return p;
}

/* A value into its slot, not looking inside. */
static const char *
take_plain(Scan *s, const char *p, MrJsonSlot *slot)
{
	const char *start = p;
	unsigned outer = s->flags;

	s->flags = 0;
	if (*p == '"')
	{
		start = p + 1;
		p = lex_string(s, start);
		if (p == NULL)
			return NULL;
		slot->kind = MR_JSON_STRING;
		slot->length = (int32_t) (p - start);
		p++;
	}
	else if (*p == '-' || (*p >= '0' && *p <= '9'))
	{
		p = lex_number(s, p, slot);
		s->flags |= outer;
		return p;
	}
	else
	{
		p = skip_value(s, p);
		if (p == NULL)
			return NULL;
		slot->kind = *start == '{'   ? MR_JSON_OBJECT
					 : *start == '[' ? MR_JSON_ARRAY
					 : *start == 't' ? MR_JSON_TRUE
					 : *start == 'f' ? MR_JSON_FALSE
									 : MR_JSON_NULL;
		slot->length = (int32_t) (p - start);
	}
	slot->start = start;
	slot->flags = (uint8_t) s->flags;
	s->flags |= outer;
	return p;
}

/* Nearly always the answer is yes and the key shorter than 16 bytes: two words, no call. */
static inline bool
guess_fits(const MrJsonGuess *guess, const char *p, const char *end)
{
	size_t n = (size_t) guess->length;
	uint64_t a, b;

	if (unlikely_(end - p < 8))
		return n != 0 && (size_t) (end - p) >= n && memcmp(guess->text, p, n) == 0;
	memcpy(&a, p, 8);
	memcpy(&b, guess->text, 8);
	if (((a ^ b) & guess->mask) != 0 || n == 0)
		return false;
	if (n <= 8)
		return true;
	if (n > 16 || (size_t) (end - p) < n)
		return (size_t) (end - p) >= n && memcmp(guess->text, p, n) == 0;
	memcpy(&a, p + n - 8, 8);
	memcpy(&b, guess->text + n - 8, 8);
	return a == b;
}

/* The key at p, behind its opening quote: sets the child (-1: unwanted) and the place of the next key. */
static inline const char *
take_key(Scan *s, const char *p, int node_no, int *place, int *child)
{
	MrJsonNode *node = &s->plan->nodes[node_no];
	const char *close;
	unsigned outer;

	/* as in the last object, or with one key left out */
	for (int i = *place; i < *place + 2 && i < node->guess_room; i++)
	{
		const MrJsonGuess *guess = &node->guesses[i];

		if (likely_(guess_fits(guess, p, s->end)))
		{
			*place = i + 1;
			*child = guess->child;
			return p + guess->length;
		}
	}
	outer = s->flags;
	s->flags = 0;
	close = lex_string(s, p);
	if (close == NULL)
		return NULL;
	*child = mr_json_plan_find(s->plan, node_no, p, (int) (close - p),
							   (s->flags & MR_JSON_ESCAPED) != 0);
	/* a remembered key must say nothing about its flags, so only those without are remembered */
	if (s->flags == 0)
		mr_json_plan_learn(node, *place, p, (int) (close - p), *child);
	++*place;
	s->flags |= outer;
	return close + 1;
}

/* p is behind the brace */
static const char *
walk_object(Scan *s, const char *p, int node_no)
{
	int place = 0;

	p = lex_space(s, p);
	if (p < s->end && *p == '}')
		return p + 1;
	for (;;)
	{
		int child;

		if (p >= s->end || *p != '"')
			return scan_fail(s, MR_JSON_BAD_KEY, p);
		p = take_key(s, p + 1, node_no, &place, &child);
		if (p == NULL)
			return NULL;
		p = lex_space(s, p);
		if (p >= s->end || *p != ':')
			return scan_fail(s, MR_JSON_BAD_COLON, p);
		p = lex_space(s, p + 1);
		if (p >= s->end)
			return scan_fail(s, MR_JSON_BAD_END, p);
		p = child >= 0 ? take_value(s, p, child) : skip_value(s, p);
		if (p == NULL)
			return NULL;
		p = lex_space(s, p);
		if (p >= s->end)
			return scan_fail(s, MR_JSON_BAD_END, p);
		if (*p == '}')
			return p + 1;
		if (*p != ',')
			return scan_fail(s, MR_JSON_BAD_OBJECT, p);
		p = lex_space(s, p + 1);
	}
}

/* p is behind the bracket */
static const char *
walk_array(Scan *s, const char *p, int node_no)
{
	int wanted = s->plan->nodes[node_no].first_index;

	p = lex_space(s, p);
	if (p < s->end && *p == ']')
		return p + 1;
	for (int i = 0;; i++)
	{
		if (p >= s->end)
			return scan_fail(s, MR_JSON_BAD_END, p);
		if (wanted >= 0 && s->plan->nodes[wanted].index == i)
		{
			p = take_value(s, p, wanted);
			wanted = s->plan->nodes[wanted].next;
		}
		else
			p = skip_value(s, p);
		if (p == NULL)
			return NULL;
		p = lex_space(s, p);
		if (p >= s->end)
			return scan_fail(s, MR_JSON_BAD_END, p);
		if (*p == ']')
			return p + 1;
		if (*p != ',')
			return scan_fail(s, MR_JSON_BAD_ARRAY, p);
		p = lex_space(s, p + 1);
	}
}

/* Any value but an object or array. p is before the end. */
static inline const char *
skip_scalar(Scan *s, const char *p)
{
	switch (*p)
	{
		case '"':
			p = lex_string(s, p + 1);
			return p == NULL ? NULL : p + 1;
		case 't':
			return lex_literal(s, p, "true", 4);
		case 'f':
			return lex_literal(s, p, "false", 5);
		case 'n':
			return lex_literal(s, p, "null", 4);
		default:
			if (*p == '-' || (*p >= '0' && *p <= '9'))
				return lex_number(s, p, NULL);
			return scan_fail(s, MR_JSON_BAD_TOKEN, p);
	}
}

static const char *
skip_value(Scan *s, const char *p)
{
	if (*p == '{' || *p == '[')
		return skip_container(s, p);
	return skip_scalar(s, p);
}

/* Steps over the key at p, its colon and the space after it. */
static inline const char *
skip_key(Scan *s, const char *p)
{
	if (p >= s->end || *p != '"')
		return scan_fail(s, MR_JSON_BAD_KEY, p);
	p = lex_string(s, p + 1);
	if (p == NULL)
		return NULL;
	p = lex_space(s, p + 1);
	if (p >= s->end || *p != ':')
		return scan_fail(s, MR_JSON_BAD_COLON, p);
	return lex_space(s, p + 1);
}

/* An object or array, however deep up to the limit, without recursion. */
static const char *
skip_container(Scan *s, const char *p)
{
	uint64_t objects[MR_JSON_MAX_DEPTH / 64 + 1] = {0}; /* bit per level: object, not array */
	int base = s->depth;
	bool object;
	bool opened;

	do
	{
		/* p is at an opening bracket */
		if (++s->depth > MR_JSON_MAX_DEPTH)
			return scan_fail(s, MR_JSON_BAD_DEPTH, p);
		if (s->depth > MR_JSON_DEEP)
			s->flags |= MR_JSON_IS_DEEP;
		object = *p == '{';
		if (object)
			objects[s->depth / 64] |= UINT64_C(1) << (s->depth % 64);
		else
			objects[s->depth / 64] &= ~(UINT64_C(1) << (s->depth % 64));
		p = lex_space(s, p + 1);
		opened = true;

		/* values until one of them opens a level, or the first level is closed */
		while (s->depth > base)
		{
			object = (objects[s->depth / 64] >> (s->depth % 64) & 1) != 0;
			if (p >= s->end)
				return scan_fail(s, MR_JSON_BAD_END, p);
			if (*p == (object ? '}' : ']'))
			{
				s->depth--;
				opened = false;
				p = s->depth > base ? lex_space(s, p + 1) : p + 1;
				continue;
			}
			if (!opened)
			{
				if (*p != ',')
					return scan_fail(s, object ? MR_JSON_BAD_OBJECT : MR_JSON_BAD_ARRAY, p);
				p = lex_space(s, p + 1);
			}
			if (object && (p = skip_key(s, p)) == NULL)
				return NULL;
			if (p >= s->end)
				return scan_fail(s, MR_JSON_BAD_END, p);
			if (*p == '{' || *p == '[')
				break;
			p = skip_scalar(s, p);
			if (p == NULL)
				return NULL;
			p = lex_space(s, p);
			opened = false;
		}
	} while (s->depth > base);
	return p;
}
