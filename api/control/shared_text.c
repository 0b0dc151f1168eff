#include "api/control/shared_text.h"

#include <stdatomic.h>
#include <stdlib.h>

struct MrSharedText
{
	MrBuffer bytes;
	atomic_int references;
};

MrSharedText *
mr_shared_text_new(MrBuffer *text)
{
	MrSharedText *shared = mr_calloc(1, sizeof(*shared));

	shared->bytes = *text;
	*text = (MrBuffer){0};
	atomic_init(&shared->references, 1);
	return shared;
}

MrSharedText *
mr_shared_text_hold(MrSharedText *text)
{
	atomic_fetch_add(&text->references, 1);
	return text;
}

void
mr_shared_text_release(MrSharedText *text)
{
	if (text == NULL || atomic_fetch_sub(&text->references, 1) > 1)
		return;
	mr_buffer_free(&text->bytes);
	free(text);
}

const char *
mr_shared_text_data(const MrSharedText *text)
{
	return text->bytes.data;
}

size_t
mr_shared_text_len(const MrSharedText *text)
{
	return text->bytes.len;
}
