/*
 * type_names.h: the names of a pipeline's types with their numbers, as one process knows them. Pure.
 *
 * Asked once for each event. Names are short, mostly of less than 16 bytes: such a one is its length and two words, so that it is
 * hashed and compared without a look at its bytes one by one. There are so few that names which were chosen to collide cost no more
 * than some dozen comparisons.
 */
#ifndef MR_TYPE_NAMES_H
#define MR_TYPE_NAMES_H

#include <stdint.h>

#define MR_TYPES_NAMED     50  /* the first that appear; all later ones are counted together */
#define MR_TYPE_NAME_BYTES 200 /* longer ones are no names, and are counted with those */
#define MR_TYPE_NAMES_MAX  (MR_TYPES_NAMED + 2) /* with what those without a name are called */

typedef struct MrTypeName
{
	uint64_t head; /* of its bytes the first and the last ones, as words */
	uint64_t tail;
	int length;
	int number;
	char text[MR_TYPE_NAME_BYTES];
} MrTypeName;

/* Zeroed: none. */
typedef struct MrTypeNames
{
	int count;
	uint8_t places[128]; /* by hash: of the names, from 1; 0: free */
	MrTypeName names[MR_TYPE_NAMES_MAX];
} MrTypeNames;

/* The number of a name, -1 when it is not known. */
extern int mr_type_names_find(const MrTypeNames *names, const char *text, int length);

/* A name that is not known, of MR_TYPE_NAME_BYTES at most; there is room for it. */
extern void mr_type_names_add(MrTypeNames *names, const char *text, int length, int number);

#endif /* MR_TYPE_NAMES_H */
