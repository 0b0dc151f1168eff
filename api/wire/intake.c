/* Bytes to requests. */
#include "api/wire/intake.h"

#include "api/wire/limits.h"

static size_t take_head(MrIntake *intake, const char *data, size_t len);
static bool take_head_byte(MrIntake *intake, char c);
static void end_line(MrIntake *intake);
static void end_head(MrIntake *intake);
static void rewrite_head(MrIntake *intake, const MrHead *head);
static size_t take_chunks(MrIntake *intake, const char *data, size_t len);
static void refuse(MrIntake *intake, MrRefusal refusal);

void
mr_intake_init(MrIntake *intake, uint64_t body_max)
{
	*intake = (MrIntake){.body_max = body_max};
}

void
mr_intake_free(MrIntake *intake)
{
	mr_buffer_free(&intake->text);
	mr_buffer_free(&intake->body);
}

size_t
mr_intake_take(MrIntake *intake, const char *data, size_t len)
{
	size_t at = 0;

	while (at < len && intake->state < MR_INTAKE_READY)
	{
		if (intake->state == MR_INTAKE_HEAD)
			at += take_head(intake, data + at, len - at);
		else if (intake->state == MR_INTAKE_CHUNKS)
			at += take_chunks(intake, data + at, len - at);
		else
		{
			size_t n = len - at < intake->left ? len - at : (size_t) intake->left;

			mr_buffer_append(&intake->text, data + at, n);
			intake->left -= n;
			at += n;
			if (intake->left == 0)
				intake->state = MR_INTAKE_READY;
		}
	}
	return at;
}

bool
mr_intake_has_begun(const MrIntake *intake)
{
	return intake->state < MR_INTAKE_READY && intake->text.len > 0;
}

void
mr_intake_next(MrIntake *intake)
{
	/* ten thousand connections may be idle: each keeps nothing */
	mr_intake_free(intake);
	mr_intake_init(intake, intake->body_max);
}

bool
mr_intake_is_in_time(MrIntake *intake, const MrWireLimits *limits, int64_t took_ms)
{
	int64_t came = (int64_t) (intake->text.len + intake->body.len);
	bool turns = took_ms - intake->window_ms >= limits->body_grace_ms;

	if (intake->state == MR_INTAKE_REFUSED)
		return false;
	if (intake->state == MR_INTAKE_HEAD && took_ms > limits->head_ms)
		mr_intake_refuse(intake, MR_PROBLEM_SLOW, "The head of the request did not come in time.");
	else if (intake->state != MR_INTAKE_HEAD && turns &&
			 came - intake->window_came < limits->body_grace_ms * limits->body_bytes_s / 1000)
		mr_intake_refuse(intake, MR_PROBLEM_SLOW, "The body came more slowly than 1 KiB/s.");
	else
	{
		if (turns)
		{
			intake->window_ms = took_ms;
			intake->window_came = came;
		}
		return true;
	}
	return false;
}

void
mr_intake_refuse(MrIntake *intake, MrProblem problem, const char *why)
{
	refuse(intake, (MrRefusal){problem, why});
}

static size_t
take_head(MrIntake *intake, const char *data, size_t len)
{
	size_t at = 0;

	mr_buffer_reserve(&intake->text, len);
	while (at < len && intake->state == MR_INTAKE_HEAD)
		if (!take_head_byte(intake, data[at++]))
			break;
	return at;
}

/*
 * Control characters are looked for as they come: without a CRLF the end of the head would never be found. One empty
 * line before the request is left out, as RFC 9112, section 2.2, asks for. False: the head has ended, well or not.
 */
static bool
take_head_byte(MrIntake *intake, char c)
{
	MrBuffer *text = &intake->text;
	char last = text->len > 0 ? text->data[text->len - 1] : '\0';

	if (last == '\r' && c != '\n')
		refuse(intake, (MrRefusal){MR_PROBLEM_FIELD, "A CR is not followed by LF."});
	else if (c == '\n' && last != '\r')
		refuse(intake, (MrRefusal){MR_PROBLEM_FIELD, "A line ends with LF alone: expected CRLF."});
	else if (((unsigned char) c < 0x20 && c != '\r' && c != '\n' && c != '\t') || c == 0x7f)
		refuse(intake, (MrRefusal){MR_PROBLEM_FIELD, "The head contains a control character."});
	if (intake->state == MR_INTAKE_REFUSED)
		return false;
	mr_buffer_append(text, &c, 1);
	if (c == '\n')
		end_line(intake);
	else if (intake->line_end == 0 && text->len > MR_TARGET_MAX + 64)
		refuse(intake, (MrRefusal){MR_PROBLEM_TARGET_LONG, "The request line has no end."});
	else if (intake->line_end > 0 && text->len - intake->line_end > MR_HEAD_MAX)
		refuse(intake,
			   (MrRefusal){MR_PROBLEM_HEAD_LARGE, "The header fields have more than 16 KiB."});
	return intake->state == MR_INTAKE_HEAD;
}

static void
end_line(MrIntake *intake)
{
	MrBuffer *text = &intake->text;

	if (text->len == 2)
	{
		/* the second empty line is a request line without a method */
		if (intake->left++ > 0)
			refuse(intake, (MrRefusal){MR_PROBLEM_REQUEST_LINE, "The request line is empty."});
		text->len = 0;
	}
	else if (intake->line_end == 0)
	{
		MrHead head = {0};
		MrRefusal refusal = mr_request_line_check(text->data, text->len - 2, &head);

		intake->line_end = text->len;
		if (refusal.problem != MR_PROBLEM_NONE)
			refuse(intake, refusal);
	}
	else if (memcmp(text->data + text->len - 4, "\r\n\r\n", 4) == 0)
		end_head(intake);
}

static void
end_head(MrIntake *intake)
{
	MrHead head;
	MrRefusal refusal = mr_head_check(intake->text.data, intake->text.len, intake->body_max, &head);

	if (refusal.problem != MR_PROBLEM_NONE)
	{
		refuse(intake, refusal);
		return;
	}
	intake->closes = head.closes;
	intake->wants_continue = head.continues && head.body != MR_BODY_NONE;
	intake->left = head.length;
	rewrite_head(intake, &head);
	intake->state = head.body == MR_BODY_NONE      ? MR_INTAKE_READY
					: head.body == MR_BODY_CHUNKED ? MR_INTAKE_CHUNKS
												   : MR_INTAKE_BODY;
}

/* What was for the guard alone is left out; the empty line of a chunked request comes with its length. */
static void
rewrite_head(MrIntake *intake, const MrHead *head)
{
	MrBuffer out = {0};
	const char *at = intake->text.data + head->line_len;
	const char *end = intake->text.data + intake->text.len - 2;

	/* evhttp knows some methods only; of another one it needs one that no route has either, and the answer is 405 */
	if (head->is_known)
		mr_buffer_append(&out, head->method, head->method_len + 1);
	else
		mr_buffer_append(&out, "PATCH ", 6);
	mr_buffer_append(&out, head->target, head->target_len);
	mr_buffer_append(&out, head->minor > 0 ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n", 11);
	while (at < end)
	{
		const char *newline = memmem(at, (size_t) (end - at), "\r\n", 2);
		size_t len = (size_t) (newline - at);

		if (!mr_field_is(at, len, "Transfer-Encoding") && !mr_field_is(at, len, "Expect"))
			mr_buffer_append(&out, at, len + 2);
		at = newline + 2;
	}
	if (head->body != MR_BODY_CHUNKED)
		mr_buffer_append(&out, "\r\n", 2);
	mr_buffer_free(&intake->text);
	intake->text = out;
}

static size_t
take_chunks(MrIntake *intake, const char *data, size_t len)
{
	size_t used;
	MrRefusal refusal =
		mr_chunked_take(&intake->chunked, data, len, &intake->body, intake->body_max, &used);

	if (refusal.problem != MR_PROBLEM_NONE)
		refuse(intake, refusal);
	else if (intake->chunked.state == MR_CHUNK_DONE)
	{
		mr_buffer_printf(&intake->text, "Content-Length: %zu\r\n\r\n", intake->body.len);
		mr_buffer_append(&intake->text, intake->body.data, intake->body.len);
		intake->state = MR_INTAKE_READY;
	}
	return used;
}

static void
refuse(MrIntake *intake, MrRefusal refusal)
{
	intake->refusal = refusal;
	intake->state = MR_INTAKE_REFUSED;
	mr_buffer_free(&intake->text);
	mr_buffer_free(&intake->body);
}
