#include "api/request/gzip.h"

#include <stdlib.h>
#include <zlib.h>

#define LEVEL                                                                                      \
	1 /* rows as JSON shrink to a fifth; higher levels take twice the time for a tenth less */
#define WINDOW     31 /* zlib's largest, and 16 for gzip's head and tail instead of its own */
#define STEP_BYTES 65536

static MrGunzip inflate_step(z_stream *stream, MrBuffer *out, size_t room);

void
mr_gzip(MrBuffer *text)
{
	z_stream stream = {0};
	MrBuffer out = {0};

	if (deflateInit2(&stream, LEVEL, Z_DEFLATED, WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		abort(); /* memory is out */
	mr_buffer_reserve(&out, deflateBound(&stream, text->len));
	stream.next_in = (Bytef *) text->data;
	stream.avail_in = (uInt) text->len;
	stream.next_out = (Bytef *) out.data;
	stream.avail_out = (uInt) deflateBound(&stream, text->len);
	if (deflate(&stream, Z_FINISH) != Z_STREAM_END)
		abort(); /* there was room for all of it */
	out.len = stream.total_out;
	deflateEnd(&stream);
	mr_buffer_free(text);
	*text = out;
}

MrGunzip
mr_gunzip(MrBuffer *out, const char *data, size_t len, size_t max,
		  bool (*has_room)(void *owner, size_t bytes), void *owner)
{
	z_stream stream = {.next_in = (Bytef *) data, .avail_in = (uInt) len};
	MrGunzip outcome = MR_GUNZIP_SHORT;

	if (inflateInit2(&stream, WINDOW) != Z_OK)
		abort(); /* memory is out */
	/* all of the input may be taken while some of the text still is in zlib */
	while (outcome == MR_GUNZIP_SHORT && (stream.avail_in > 0 || stream.avail_out == 0))
	{
		/* one byte more than it may have shows that it has more */
		size_t room = max + 1 - out->len < STEP_BYTES ? max + 1 - out->len : STEP_BYTES;

		if (!has_room(owner, out->len + room))
			outcome = MR_GUNZIP_NO_ROOM;
		else
			outcome = inflate_step(&stream, out, room);
		if (outcome <= MR_GUNZIP_SHORT && out->len > max)
			outcome = MR_GUNZIP_LARGE;
	}
	inflateEnd(&stream);
	return outcome;
}

/* SHORT: there is more to do. */
static MrGunzip
inflate_step(z_stream *stream, MrBuffer *out, size_t room)
{
	int status;

	mr_buffer_reserve(out, room);
	stream->next_out = (Bytef *) out->data + out->len;
	stream->avail_out = (uInt) room;
	status = inflate(stream, Z_NO_FLUSH);
	out->len += room - stream->avail_out;
	if (status == Z_STREAM_END && stream->avail_in == 0)
		return MR_GUNZIP_OK;
	/* another member follows */
	if (status == Z_STREAM_END)
		return inflateReset(stream) == Z_OK ? MR_GUNZIP_SHORT : MR_GUNZIP_INVALID;
	return status == Z_OK || status == Z_BUF_ERROR ? MR_GUNZIP_SHORT : MR_GUNZIP_INVALID;
}
