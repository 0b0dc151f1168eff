#include "api/request/draw.h"

#include <openssl/rand.h>
#include <stdlib.h>

#define DRAWS 64

const unsigned char *
mr_draw_random(void)
{
	static _Thread_local unsigned char bytes[DRAWS][MR_TRACE_RANDOM];
	static _Thread_local int left;

	if (left == 0)
	{
		if (RAND_bytes(bytes[0], sizeof(bytes)) != 1)
			abort(); /* ids would repeat */
		left = DRAWS;
	}
	return bytes[--left];
}
