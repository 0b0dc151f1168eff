#include "api/wire/chunked.h"

#define SIZE_DIGITS 15 /* more than any limit, less than an overflow */

static MrRefusal take_size(MrChunked *chunked, char c);
static MrRefusal take_expected(MrChunked *chunked, char c, char expected, MrChunkState next);

MrRefusal
mr_chunked_take(MrChunked *chunked, const char *data, size_t len, MrBuffer *body, uint64_t body_max,
				size_t *used)
{
	MrRefusal refusal = {MR_PROBLEM_NONE, NULL};
	size_t at = 0;

	while (at < len && refusal.problem == MR_PROBLEM_NONE && chunked->state != MR_CHUNK_DONE)
	{
		char c = data[at];

		if (chunked->state == MR_CHUNK_DATA)
		{
			size_t n = len - at < chunked->left ? len - at : (size_t) chunked->left;

			mr_buffer_append(body, data + at, n);
			chunked->left -= n;
			at += n;
			if (chunked->left == 0)
				chunked->state = MR_CHUNK_DATA_CR;
			continue;
		}
		at++;
		switch (chunked->state)
		{
			case MR_CHUNK_SIZE:
				refusal = take_size(chunked, c);
				break;
			case MR_CHUNK_SIZE_LF:
				refusal = take_expected(chunked, c, '\n',
										chunked->left > 0 ? MR_CHUNK_DATA : MR_CHUNK_END_CR);
				if (body->len + chunked->left > body_max)
					refusal = (MrRefusal){MR_PROBLEM_BODY_LARGE,
										  "The chunks exceed the limit of a body."};
				break;
			case MR_CHUNK_DATA_CR:
				refusal = take_expected(chunked, c, '\r', MR_CHUNK_DATA_LF);
				break;
			case MR_CHUNK_DATA_LF:
				refusal = take_expected(chunked, c, '\n', MR_CHUNK_SIZE);
				chunked->digits = 0;
				break;
			case MR_CHUNK_END_CR:
				refusal = take_expected(chunked, c, '\r', MR_CHUNK_END_LF);
				break;
			case MR_CHUNK_END_LF:
				refusal = take_expected(chunked, c, '\n', MR_CHUNK_DONE);
				break;
			case MR_CHUNK_DATA:
			case MR_CHUNK_DONE:
				break;
		}
	}
	*used = at;
	return refusal;
}

static MrRefusal
take_size(MrChunked *chunked, char c)
{
	int digit = c >= '0' && c <= '9'   ? c - '0'
				: c >= 'a' && c <= 'f' ? c - 'a' + 10
				: c >= 'A' && c <= 'F' ? c - 'A' + 10
									   : -1;

	if (c == '\r' && chunked->digits > 0)
		chunked->state = MR_CHUNK_SIZE_LF;
	else if (c == ';' && chunked->digits > 0)
		return (MrRefusal){MR_PROBLEM_CHUNK, "Chunk extensions are not taken."};
	else if (digit < 0)
		return (MrRefusal){MR_PROBLEM_CHUNK, "The size of a chunk is not a hexadecimal number."};
	else if (chunked->digits == SIZE_DIGITS)
		return (MrRefusal){MR_PROBLEM_CHUNK, "The size of a chunk has more than 15 digits."};
	else
	{
		chunked->left = (chunked->digits++ > 0 ? chunked->left : 0) * 16 + (uint64_t) digit;
	}
	return (MrRefusal){MR_PROBLEM_NONE, NULL};
}

static MrRefusal
take_expected(MrChunked *chunked, char c, char expected, MrChunkState next)
{
	if (c != expected)
		return (MrRefusal){MR_PROBLEM_CHUNK,
						   chunked->state == MR_CHUNK_END_CR
							   ? "Trailer fields are not taken."
							   : "A chunk does not end where its size says, or without CRLF."};
	chunked->state = next;
	return (MrRefusal){MR_PROBLEM_NONE, NULL};
}
