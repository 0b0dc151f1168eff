/*
 * type_names.c: see type_names.h. Runs in workers.
 */
#include "pipeline/type_names.h"

#include <string.h>

#define PLACES   128 /* a power of 2, more than twice the names */
#define WORD     8
#define MULTIPLY UINT64_C(0x9E3779B97F4A7C15)

static uint64_t
word(const char *bytes)
{
	uint64_t w;

	memcpy(&w, bytes, WORD);
	return w;
}

static uint64_t
half(const char *bytes)
{
	uint32_t w;

	memcpy(&w, bytes, WORD / 2);
	return w;
}

/* Two words that have all bytes of a name of up to 16, and are equal for no other one of this length. They overlap where it is shorter. */
static void
words_of(const char *text, int length, uint64_t *head, uint64_t *tail)
{
	*tail = 0;
	if (length >= WORD)
	{
		*head = word(text);
		*tail = word(text + length - WORD);
	}
	else if (length >= WORD / 2)
		*head = half(text) | half(text + length - WORD / 2) << 32;
	else if (length > 0)
		*head = (uint64_t) (unsigned char) text[0] |
				(uint64_t) (unsigned char) text[length / 2] << 8 |
				(uint64_t) (unsigned char) text[length - 1] << 16;
	else
		*head = 0;
}

static unsigned
first_place(uint64_t head, uint64_t tail, int length)
{
	uint64_t mixed = (head ^ (tail << 32 | tail >> 32) ^ (uint64_t) length) * MULTIPLY;

	return (unsigned) (mixed >> 57);
}

int
mr_type_names_find(const MrTypeNames *names, const char *text, int length)
{
	uint64_t head;
	uint64_t tail;

	words_of(text, length, &head, &tail);
	for (unsigned place = first_place(head, tail, length);; place = (place + 1) % PLACES)
	{
		const MrTypeName *name;

		if (names->places[place] == 0)
			return -1;
		name = &names->names[names->places[place] - 1];
		if (name->head == head && name->tail == tail && name->length == length &&
			(length <= 2 * WORD || memcmp(name->text, text, (size_t) length) == 0))
			return name->number;
	}
}

void
mr_type_names_add(MrTypeNames *names, const char *text, int length, int number)
{
	MrTypeName *name = &names->names[names->count];
	unsigned place;

	words_of(text, length, &name->head, &name->tail);
	name->length = length;
	name->number = number;
	memcpy(name->text, text, (size_t) length);
	place = first_place(name->head, name->tail, length);
	while (names->places[place] != 0)
		place = (place + 1) % PLACES;
	names->places[place] = (uint8_t) ++names->count;
}
