/* The head of a request, checked strictly. */
#include "api/wire/head.h"

#include <string.h>
#include <strings.h>

#include "api/wire/limits.h"
#include "api/wire/target.h"

#define OK                                                                                         \
	(MrRefusal)                                                                                    \
	{                                                                                              \
		MR_PROBLEM_NONE, NULL                                                                      \
	}
#define REFUSED(problem_, why_)                                                                    \
	(MrRefusal)                                                                                    \
	{                                                                                              \
		(problem_), (why_)                                                                         \
	}

/* What the fields of a head say, while they are read. */
typedef struct Fields
{
	int count;
	int hosts;
	int lengths;
	int codings;
	uint64_t length;
	bool length_is_large; /* more than 19 digits: beyond any limit */
	bool keeps_alive;
	unsigned seen; /* of those that may come once, a bit each */
	const char *host;
	size_t host_len;
} Fields;

static bool is_token_byte(char c);
static bool is_token(const char *text, size_t len);
static bool is_known_method(const MrHead *head);
static MrRefusal check_version(const char *version, size_t len, MrHead *head);
static MrRefusal check_target(const char *target, size_t len, MrHead *head);
static MrRefusal check_field(const char *line, size_t len, Fields *fields, MrHead *head);
static MrRefusal check_value(const char *line, size_t name_len, const char *value, size_t len,
							 Fields *fields, MrHead *head);
static MrRefusal check_once(const char *line, size_t line_len, Fields *fields);
static MrRefusal check_length(const char *value, size_t len, Fields *fields);
static MrRefusal check_body(const Fields *fields, uint64_t body_max, MrHead *head);
static MrRefusal check_host(const Fields *fields, const MrHead *head, const char *text);
static bool is_host(const char *host, size_t len);
static bool has_element(const char *value, size_t len, const char *element);

MrRefusal
mr_request_line_check(const char *line, size_t len, MrHead *head)
{
	const char *end = line + len;
	const char *space = memchr(line, ' ', len);
	const char *last;
	MrRefusal refusal;

	if (space == NULL)
		return REFUSED(MR_PROBLEM_REQUEST_LINE, "The request line has no space.");
	head->method = line;
	head->method_len = (size_t) (space - line);
	if (!is_token(line, head->method_len))
		return REFUSED(MR_PROBLEM_REQUEST_LINE, "The method is not a token.");
	last = memrchr(space, ' ', (size_t) (end - space));
	if (last == space)
		return REFUSED(MR_PROBLEM_REQUEST_LINE,
					   "The request line has no version: HTTP/0.9 is not served.");
	if (memchr(space + 1, ' ', (size_t) (last - space - 1)) != NULL || last == space + 1)
		return REFUSED(MR_PROBLEM_REQUEST_LINE,
					   "The request line has more than two spaces, or an empty target.");
	refusal = check_version(last + 1, (size_t) (end - last - 1), head);
	head->is_known = is_known_method(head);
	if (refusal.problem == MR_PROBLEM_NONE)
		refusal = check_target(space + 1, (size_t) (last - space - 1), head);
	return refusal;
}

MrRefusal
mr_head_check(const char *text, size_t len, uint64_t body_max, MrHead *head)
{
	Fields fields = {0};
	const char *at = text;
	const char *end = text + len - 2; /* the empty line */
	MrRefusal refusal;

	*head = (MrHead){0};
	for (bool first = true; at < end; first = false)
	{
		const char *newline = memmem(at, (size_t) (end + 2 - at), "\r\n", 2);
		size_t line_len = (size_t) (newline - at);

		refusal = first ? mr_request_line_check(at, line_len, head)
						: check_field(at, line_len, &fields, head);
		if (refusal.problem != MR_PROBLEM_NONE)
			return refusal;
		if (first)
			head->line_len = line_len + 2;
		at = newline + 2;
	}
	refusal = check_host(&fields, head, text);
	if (refusal.problem == MR_PROBLEM_NONE)
		refusal = check_body(&fields, body_max, head);
	if (head->minor == 0 && !fields.keeps_alive)
		head->closes = true;
	return refusal;
}

bool
mr_field_is(const char *line, size_t len, const char *name)
{
	size_t name_len = strlen(name);

	return len > name_len && line[name_len] == ':' && strncasecmp(line, name, name_len) == 0;
}

static bool
is_token_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		   (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool
is_token(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!is_token_byte(text[i]))
			return false;
	return len > 0;
}

/* Those that evhttp can hand to a handler. */
static bool
is_known_method(const MrHead *head)
{
	static const char *const methods[] = {"GET",    "HEAD",  "POST",   "PUT",
										  "DELETE", "PATCH", "OPTIONS"};

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (strlen(methods[i]) == head->method_len &&
			memcmp(methods[i], head->method, head->method_len) == 0)
			return true;
	return false;
}

static MrRefusal
check_version(const char *version, size_t len, MrHead *head)
{
	if (len != 8 || memcmp(version, "HTTP/", 5) != 0 || version[5] < '0' || version[5] > '9' ||
		version[6] != '.' || version[7] < '0' || version[7] > '9')
		return REFUSED(MR_PROBLEM_REQUEST_LINE, "The version is not HTTP/1.1.");
	if (version[5] != '1' || version[7] > '1')
		return REFUSED(MR_PROBLEM_VERSION, "Only HTTP/1.1 and HTTP/1.0 are served.");
	head->minor = version[7] - '0';
	return OK;
}

/* Origin form, or absolute form of a URI with scheme http or https; its host is compared in check_host(). */
static MrRefusal
check_target(const char *target, size_t len, MrHead *head)
{
	const char *why;

	if (len > MR_TARGET_MAX)
		return REFUSED(MR_PROBLEM_TARGET_LONG, "The target has more than 8192 bytes.");
	if (len == 1 && target[0] == '*')
		return REFUSED(MR_PROBLEM_TARGET, "The target * is not served.");
	head->target = target;
	head->target_len = len;
	if (target[0] != '/')
	{
		size_t scheme = len > 7 && strncasecmp(target, "http://", 7) == 0    ? 7
						: len > 8 && strncasecmp(target, "https://", 8) == 0 ? 8
																			 : 0;
		const char *slash = scheme > 0 ? memchr(target + scheme, '/', len - scheme) : NULL;

		if (slash == NULL)
			return REFUSED(MR_PROBLEM_TARGET,
						   "The target is neither a path nor an http URI with a path.");
		head->target = slash;
		head->target_len = len - (size_t) (slash - target);
	}
	if (!mr_target_check(head->target, head->target_len, &why))
		return REFUSED(MR_PROBLEM_TARGET, why);
	return OK;
}

static MrRefusal
check_field(const char *line, size_t len, Fields *fields, MrHead *head)
{
	const char *colon = memchr(line, ':', len);
	size_t name_len;
	const char *value;
	size_t value_len;

	if (++fields->count > MR_FIELDS_MAX)
		return REFUSED(MR_PROBLEM_HEAD_LARGE, "The request has more than 64 header fields.");
	if (line[0] == ' ' || line[0] == '\t')
		return REFUSED(MR_PROBLEM_FIELD,
					   "A header line begins with white space: folded lines are obsolete.");
	if (colon == NULL)
		return REFUSED(MR_PROBLEM_FIELD, "A header line has no colon.");
	name_len = (size_t) (colon - line);
	if (!is_token(line, name_len))
		return REFUSED(MR_PROBLEM_FIELD,
					   "The name of a header field is not a token, or white space is before its "
					   "colon.");
	value = colon + 1;
	value_len = len - name_len - 1;
	while (value_len > 0 && (*value == ' ' || *value == '\t'))
	{
		value++;
		value_len--;
	}
	while (value_len > 0 && (value[value_len - 1] == ' ' || value[value_len - 1] == '\t'))
		value_len--;
	return check_value(line, name_len, value, value_len, fields, head);
}

/* The fields that decide where the request ends and for whom it is. */
static MrRefusal
check_value(const char *line, size_t name_len, const char *value, size_t len, Fields *fields,
			MrHead *head)
{
	size_t line_len = name_len + 1;

	if (mr_field_is(line, line_len, "Host"))
	{
		fields->hosts++;
		fields->host = value;
		fields->host_len = len;
	}
	else if (mr_field_is(line, line_len, "Content-Length"))
		return check_length(value, len, fields);
	else if (mr_field_is(line, line_len, "Transfer-Encoding"))
	{
		fields->codings++;
		if (len != 7 || strncasecmp(value, "chunked", 7) != 0)
			return REFUSED(MR_PROBLEM_CODING, "Only the transfer coding chunked is implemented.");
	}
	else if (mr_field_is(line, line_len, "Expect"))
	{
		if (len != 12 || strncasecmp(value, "100-continue", 12) != 0)
			return REFUSED(MR_PROBLEM_EXPECT, "The Expect field is not 100-continue.");
		head->continues = true;
	}
	else if (mr_field_is(line, line_len, "Connection"))
	{
		head->closes = head->closes || has_element(value, len, "close");
		fields->keeps_alive = fields->keeps_alive || has_element(value, len, "keep-alive");
	}
	else
		return check_once(line, line_len, fields);
	return OK;
}

/* What decides who asks and what comes: of two, a program on the way may have read the other one. */
static MrRefusal
check_once(const char *line, size_t line_len, Fields *fields)
{
	static const char *const names[] = {"Authorization", "Content-Type", "Origin",
										"Sec-Fetch-Site"};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		if (!mr_field_is(line, line_len, names[i]))
			continue;
		if (fields->seen & 1u << i)
			return REFUSED(MR_PROBLEM_FIELD,
						   "Authorization, Content-Type, Origin or Sec-Fetch-Site comes twice.");
		fields->seen |= 1u << i;
		break;
	}
	return OK;
}

static MrRefusal
check_length(const char *value, size_t len, Fields *fields)
{
	if (++fields->lengths > 1)
		return REFUSED(MR_PROBLEM_BODY_LENGTH, "The request has more than one Content-Length.");
	if (len == 0)
		return REFUSED(MR_PROBLEM_BODY_LENGTH, "The Content-Length is empty.");
	for (size_t i = 0; i < len; i++)
		if (value[i] < '0' || value[i] > '9')
			return REFUSED(MR_PROBLEM_BODY_LENGTH, "The Content-Length is not a decimal number.");
	fields->length_is_large = len > 19;
	for (size_t i = 0; i < len && !fields->length_is_large; i++)
		fields->length = fields->length * 10 + (uint64_t) (value[i] - '0');
	return OK;
}

static MrRefusal
check_body(const Fields *fields, uint64_t body_max, MrHead *head)
{
	if (fields->lengths > 0 && fields->codings > 0)
		return REFUSED(MR_PROBLEM_BODY_LENGTH,
					   "The request has both Content-Length and Transfer-Encoding.");
	if (fields->codings > 1)
		return REFUSED(MR_PROBLEM_BODY_LENGTH, "The request has more than one Transfer-Encoding.");
	if (fields->codings > 0 && head->minor == 0)
		return REFUSED(MR_PROBLEM_BODY_LENGTH, "HTTP/1.0 has no Transfer-Encoding.");
	if (fields->length_is_large || fields->length > body_max)
		return REFUSED(MR_PROBLEM_BODY_LARGE, "The Content-Length exceeds the limit of a body.");
	head->body = fields->codings > 0  ? MR_BODY_CHUNKED
				 : fields->length > 0 ? MR_BODY_LENGTH
									  : MR_BODY_NONE;
	head->length = fields->length;
	/* evhttp does not read it: it would be taken for the next request */
	if (head->body != MR_BODY_NONE && memcmp(head->method, "HEAD ", 5) == 0)
		return REFUSED(MR_PROBLEM_BODY_LENGTH, "A HEAD request has no body.");
	return OK;
}

/* The authority of an absolute form must be the Host field, as RFC 9112, section 3.2.2, has it. */
static MrRefusal
check_host(const Fields *fields, const MrHead *head, const char *text)
{
	const char *target = text + head->method_len + 1;

	if (fields->hosts > 1)
		return REFUSED(MR_PROBLEM_HOST, "The request has more than one Host field.");
	if (fields->hosts == 0 && head->minor > 0)
		return REFUSED(MR_PROBLEM_HOST, "The request has no Host field.");
	if (fields->hosts > 0 && !is_host(fields->host, fields->host_len))
		return REFUSED(MR_PROBLEM_HOST, "The Host field is not a host with an optional port.");
	if (head->target != target)
	{
		const char *authority = (const char *) memchr(target, ':', 6) + 3;
		size_t len = (size_t) (head->target - authority);

		if (fields->hosts == 0 || len != fields->host_len ||
			strncasecmp(authority, fields->host, len) != 0)
			return REFUSED(MR_PROBLEM_HOST,
						   "The target is an absolute URI of another host than the Host field.");
	}
	return OK;
}

/* Name or address, and a port; an IPv6 address is in brackets. */
static bool
is_host(const char *host, size_t len)
{
	size_t at = 0;
	size_t digits = 0;

	if (len > 0 && host[0] == '[')
	{
		for (at = 1; at < len && (strchr("0123456789abcdefABCDEF:.", host[at]) != NULL); at++)
			;
		if (at < 4 || at >= len || host[at] != ']')
			return false;
		at++;
	}
	else
		while (at < len &&
			   ((host[at] >= 'a' && host[at] <= 'z') || (host[at] >= 'A' && host[at] <= 'Z') ||
				(host[at] >= '0' && host[at] <= '9') ||
				(host[at] != '\0' && strchr("-._~", host[at]) != NULL)))
			at++;
	if (at == 0 || at > 255)
		return false;
	if (at == len)
		return true;
	if (host[at++] != ':')
		return false;
	for (; at < len && host[at] >= '0' && host[at] <= '9'; at++)
		digits++;
	return at == len && digits > 0 && digits <= 5;
}

/* Of a list separated by commas, whatever its case. */
static bool
has_element(const char *value, size_t len, const char *element)
{
	size_t want = strlen(element);

	while (len > 0)
	{
		const char *comma = memchr(value, ',', len);
		size_t n = comma != NULL ? (size_t) (comma - value) : len;
		const char *item = value;
		size_t item_len = n;

		while (item_len > 0 && (*item == ' ' || *item == '\t'))
		{
			item++;
			item_len--;
		}
		while (item_len > 0 && (item[item_len - 1] == ' ' || item[item_len - 1] == '\t'))
			item_len--;
		if (item_len == want && strncasecmp(item, element, want) == 0)
			return true;
		n += comma != NULL;
		value += n;
		len -= n;
	}
	return false;
}
