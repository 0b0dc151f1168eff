#include "api/request/gzip.h"

#include <stdlib.h>
#include <zlib.h>

#define LEVEL                                                                                      \
	1 /* rows as JSON shrink to a fifth; higher levels take twice the time for a tenth less */
#define WINDOW 31 /* zlib's largest, and 16 for gzip's head and tail instead of its own */

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
