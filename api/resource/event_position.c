#include "api/resource/event_position.h"

#include <stdlib.h>

#include "api/database/snapshot.h"
#include "api/request/params.h"

static bool take_part(const char **at, const char **part, size_t *len);
static char *snapshot_of(const char *packed, size_t len);
static char *text_or_null(const char *text);

/* "1.SYSTEM.SINCE" or "1.SYSTEM.SINCE.UNTIL.XID.ID"; the id is percent-encoded. */
void
mr_event_position_write(MrBuffer *out, const char *system, const MrEventPosition *position)
{
	mr_buffer_printf(out, "1.%s.", system);
	mr_snapshot_pack(out, position->since);
	if (position->until == NULL)
		return;
	mr_buffer_append(out, ".", 1);
	mr_snapshot_pack(out, position->until);
	mr_buffer_printf(out, ".%s.", position->xid);
	mr_percent_encode(out, position->id);
}

MrPositionRead
mr_event_position_read(MrEventPosition *position, const char *system, const char *text)
{
	const char *parts[5];
	size_t lens[5];
	int count = 0;

	*position = (MrEventPosition){0};
	if (strncmp(text, "1.", 2) != 0)
		return MR_POSITION_INVALID;
	text += 2;
	while (count < 4 && take_part(&text, &parts[count], &lens[count]))
		count++;
	/* an id may have dots */
	if (count == 4)
	{
		parts[count] = text;
		lens[count++] = strlen(text);
	}
	if (count != 2 && count != 5)
		return MR_POSITION_INVALID;
	position->since = snapshot_of(parts[1], lens[1]);
	if (position->since == NULL)
		return MR_POSITION_INVALID;
	if (count == 5)
	{
		position->until = snapshot_of(parts[2], lens[2]);
		position->xid = mr_percent_decode_unchecked(parts[3], lens[3]);
		position->id = mr_percent_decode_unchecked(parts[4], lens[4]);
		if (position->until == NULL || position->xid == NULL || position->id == NULL ||
			lens[3] == 0 || lens[3] > 19 || strspn(position->xid, "0123456789") != lens[3] ||
			*position->id == '\0' || mr_snapshot_compare(position->since, position->until) > 0)
			return MR_POSITION_INVALID;
	}
	return lens[0] == strlen(system) && memcmp(parts[0], system, lens[0]) == 0
			   ? MR_POSITION_OK
			   : MR_POSITION_ELSEWHERE;
}

void
mr_event_position_copy(MrEventPosition *to, const MrEventPosition *from)
{
	const MrEventPosition copy = {text_or_null(from->since), text_or_null(from->until),
								  text_or_null(from->xid), text_or_null(from->id)};

	mr_event_position_free(to);
	*to = copy;
}

void
mr_event_position_free(MrEventPosition *position)
{
	free(position->since);
	free(position->until);
	free(position->xid);
	free(position->id);
	*position = (MrEventPosition){0};
}

/* Up to the next dot, which is passed, or to the end; false: nothing is left. */
static bool
take_part(const char **at, const char **part, size_t *len)
{
	*part = *at;
	*len = strcspn(*at, ".");
	if (*len == 0)
		return false;
	*at += *len + ((*at)[*len] == '.');
	return true;
}

static char *
snapshot_of(const char *packed, size_t len)
{
	MrBuffer text = {0};
	char *copy = NULL;

	if (mr_snapshot_unpack(&text, packed, len))
		copy = mr_strdup(mr_buffer_string(&text));
	mr_buffer_free(&text);
	return copy;
}

static char *
text_or_null(const char *text)
{
	return text != NULL ? mr_strdup(text) : NULL;
}
