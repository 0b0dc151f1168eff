/* The table of problems. docs/api.md explains each code. */
#include "api/control/problem.h"

#include <assert.h>
#include <string.h>

#include "api/control/json_text.h"

static void escape_markup(MrBuffer *out, size_t begin);

typedef struct ProblemKind
{
	const char *code;
	int status;
	const char *title;
	const char *hint;
} ProblemKind;

#define SEE_DOCS "GET /docs shows the parameters of each route, and their values."

static const ProblemKind kinds[MR_PROBLEM_COUNT] = {
	[MR_PROBLEM_REQUEST_LINE] = {"MR-101", 400, "The request line is not valid",
								 "Send METHOD, one space, a target, one space, HTTP/1.1 and CRLF."},
	[MR_PROBLEM_TARGET] = {"MR-102", 400, "The request target is not valid",
						   "Begin it with \"/\"; write other characters than those of RFC 3986 as "
						   "%XX, the bytes of UTF-8."},
	[MR_PROBLEM_FIELD] = {"MR-103", 400, "A header field is not valid",
						  "Send NAME: VALUE and CRLF, one line for each field, without control "
						  "characters."},
	[MR_PROBLEM_HOST] = {"MR-104", 400, "The Host header field is not valid",
						 "Send exactly one Host field, with the host the request is for."},
	[MR_PROBLEM_BODY_LENGTH] = {"MR-105", 400, "The length of the body is not clear",
								"Send either one Content-Length with a decimal number, or "
								"Transfer-Encoding: chunked."},
	[MR_PROBLEM_CHUNK] = {"MR-106", 400, "The chunked body is not valid",
						  "Send each chunk as its size in hexadecimal, CRLF, that many bytes and "
						  "CRLF, and end with 0, CRLF, CRLF."},
	[MR_PROBLEM_CODING] = {"MR-107", 501, "The transfer coding is not implemented",
						   "Use Transfer-Encoding: chunked, or Content-Length."},
	[MR_PROBLEM_VERSION] = {"MR-109", 505, "The version of HTTP is not supported", "Use HTTP/1.1."},
	[MR_PROBLEM_PARAMETER] = {"MR-110", 400, "A query parameter is not known", SEE_DOCS},
	[MR_PROBLEM_VALUE] = {"MR-111", 400, "The value of a parameter is not valid", SEE_DOCS},
	[MR_PROBLEM_CURSOR] = {"MR-112", 400, "The cursor is not valid",
						   "Take cursors from the Link header of an answer, with the same filters; "
						   "begin again without one."},
	[MR_PROBLEM_FILTER] = {"MR-113", 400, "No index serves this filter", SEE_DOCS},
	[MR_PROBLEM_ACCEPT] = {"MR-114", 406, "No representation is acceptable",
						   "Accept application/json, application/x-ndjson or text/csv."},
	[MR_PROBLEM_METHOD] = {"MR-115", 405, "The route does not have this method",
						   "The header field Allow lists the methods it has."},
	[MR_PROBLEM_MEDIA_TYPE] = {"MR-116", 415, "The media type of the body is not supported",
							   "Send application/json, application/x-ndjson, "
							   "application/x-www-form-urlencoded, or CloudEvents in "
							   "JSON (application/cloudevents+json, or ce- header fields)."},
	[MR_PROBLEM_EXPECT] = {"MR-117", 417, "The expectation cannot be met",
						   "Only Expect: 100-continue is understood."},
	[MR_PROBLEM_MISDIRECTED] = {"MR-118", 421, "The request is for another host",
								"Use localhost, or start millrace-api with --allow-host NAME."},
	[MR_PROBLEM_BODY] =
		{"MR-119", 400, "The event is not valid",
		 "Send an object with a type, such as {\"type\": \"Temperature\", \"data\": "
		 "\"30C\"}; several of them as application/x-ndjson, one a line."},
	[MR_PROBLEM_VERB] = {"MR-120", 400, "The request does not say what to do", SEE_DOCS},
	[MR_PROBLEM_STATE] = {"MR-121", 409, "It is not in the state for this",
						  "Look at it again: its state has changed, or was another one."},
	[MR_PROBLEM_IN_FLIGHT] = {"MR-122", 409, "A request with this Idempotency-Key is under way",
							  "Send it again after the time in Retry-After, with the same key: "
							  "you get its answer."},
	[MR_PROBLEM_OTHER_BODY] = {"MR-123", 422, "The Idempotency-Key has come with another request",
							   "Make a new key for each request, and use it again only to send "
							   "the same request again."},
	[MR_PROBLEM_CONTENT_CODING] = {"MR-124", 415, "The content coding of the body is not supported",
								   "Send the body as it is, or compressed once, with "
								   "Content-Encoding: gzip."},
	[MR_PROBLEM_CODED_BODY] = {"MR-125", 400, "The compressed body is not valid",
							   "Send all of what gzip makes of the body, or the body without "
							   "Content-Encoding."},
	[MR_PROBLEM_NO_LENGTH] =
		{"MR-126", 411, "The request has no body, and no length of one",
		 "Send a body with Content-Length, or with Transfer-Encoding: chunked."},
	[MR_PROBLEM_KEY] = {"MR-201", 401, "A key is needed", "Send Authorization: Bearer KEY."},
	[MR_PROBLEM_NO_OPERATE] = {"MR-202", 403, "This service does not operate pipelines",
							   "Start millrace-api with --operate-dsn, as a member of the "
							   "pipelines' owners."},
	[MR_PROBLEM_CROSS_SITE] = {"MR-203", 403, "The request comes from another site",
							   "Pages of other origins may not send requests that change "
							   "something."},
	[MR_PROBLEM_PRIVILEGE] = {"MR-204", 403, "The service may not do this", NULL},
	[MR_PROBLEM_SCOPE] = {"MR-205", 403, "The request may not do this",
						  "Use a key that has the scope."},
	[MR_PROBLEM_HEAD_LARGE] = {"MR-301", 431, "The header fields are too large",
							   "Send at most 64 fields and 16 KiB."},
	[MR_PROBLEM_TARGET_LONG] = {"MR-302", 414, "The request target is too long",
								"Use at most 8192 bytes."},
	[MR_PROBLEM_BODY_LARGE] = {"MR-303", 413, "The body is too large",
							   "Send it in several requests."},
	[MR_PROBLEM_SLOW] = {"MR-304", 408, "The request came too slowly", "Send it again."},
	[MR_PROBLEM_RATE] = {"MR-305", 429, "There are too many requests",
						 "Send the next after the time in Retry-After."},
	[MR_PROBLEM_WRONG_KEYS] = {"MR-306", 429, "Too many wrong keys have come from this address",
							   "Send a key of this service after the time in Retry-After."},
	[MR_PROBLEM_ROUTE] = {"MR-401", 404, "There is no such route", "GET /docs shows the routes."},
	[MR_PROBLEM_NO_EVENT] = {"MR-402", 404, "There is no such event",
							 "It may not be processed yet, or have no row: GET "
							 "/events/TOPIC:PARTITION:OFFSET/status says what has become of it."},
	[MR_PROBLEM_NO_PIPELINE] = {"MR-403", 404, "There is no such pipeline",
								"GET /pipelines lists them."},
	[MR_PROBLEM_NO_LETTER] = {"MR-404", 404, "There is no such dead letter, or pipeline",
							  "GET /dead-letters/groups shows what there is."},
	[MR_PROBLEM_NO_STREAM] = {"MR-405", 404, "The relation behind /events cannot be followed",
							  NULL},
	[MR_PROBLEM_GONE] = {"MR-406", 410, "The stream cannot be resumed",
						 "Read the list for what you may have missed, and begin without "
						 "Last-Event-ID."},
	[MR_PROBLEM_NO_WINDOW] = {"MR-407", 404, "There is no such window", "GET /windows lists them."},
	[MR_PROBLEM_DATABASE] = {"MR-501", 503, "The database cannot be reached",
							 "Try again after the time in Retry-After."},
	[MR_PROBLEM_TIMEOUT] = {"MR-502", 504, "The query took too long",
							"Ask for less: a shorter time range, a filter, a smaller limit."},
	[MR_PROBLEM_BUSY] = {"MR-503", 503, "The service is busy",
						 "Try again after the time in Retry-After."},
	[MR_PROBLEM_RELATION] = {"MR-504", 503, "The relation behind this route cannot be served",
							 "The log of millrace-api says what is missing."},
	[MR_PROBLEM_INTERNAL] = {"MR-505", 500, "The request failed",
							 "The log of millrace-api says why."},
	[MR_PROBLEM_KAFKA] = {"MR-506", 503, "The event could not be published",
						  "Try again after the time in Retry-After."},
	[MR_PROBLEM_UNKNOWN_OUTCOME] =
		{"MR-507", 504, "It is not known whether the event is published",
		 "Kafka did not acknowledge it in time. Sent again with the same "
		 "Idempotency-Key or id, the default pipeline keeps one of the two."},
	[MR_PROBLEM_KAFKA_END] =
		{"MR-508", 503, "It is not known whether there is such an event",
		 "Kafka cannot be reached, and only it knows. Try again after the time "
		 "in Retry-After."},
};

int
mr_problem_status(MrProblem problem)
{
	assert(problem > MR_PROBLEM_NONE && problem < MR_PROBLEM_COUNT);
	return kinds[problem].status;
}

const char *
mr_problem_code(MrProblem problem)
{
	assert(problem > MR_PROBLEM_NONE && problem < MR_PROBLEM_COUNT);
	return kinds[problem].code;
}

void
mr_problem_write(MrBuffer *out, const MrProblemReport *report)
{
	const ProblemKind *kind = &kinds[report->problem];
	const char *sqlstate = report->sqlstate;
	size_t begin = out->len;

	/* A tag URI (RFC 4151): it identifies the kind, and is no address that could be gone one day. */
	mr_buffer_printf(out, "{\"type\":\"tag:millrace,2026:%s\"", kind->code);
	mr_json_member(out, "title", kind->title);
	mr_buffer_printf(out, ",\"status\":%d", kind->status);
	mr_json_member(out, "code", kind->code);
	mr_json_member(out, "detail", report->detail);
	mr_json_member(out, "hint", report->hint != NULL ? report->hint : kind->hint);
	mr_json_member(out, "sqlstate", sqlstate != NULL && *sqlstate != '\0' ? sqlstate : NULL);
	mr_json_member(out, "instance", report->instance);
	mr_json_member(out, "trace_id", report->trace_id);
	mr_buffer_append(out, "}\n", 2);
	escape_markup(out, begin);
}

/*
 * What a client has sent may be in it, and a page that is made without care, or a browser that takes JSON for something else,
 * finds no markup there. Outside of its strings a document has none of these characters.
 */
static void
escape_markup(MrBuffer *out, size_t begin)
{
	MrBuffer escaped = {0};

	if (strpbrk(mr_buffer_string(out) + begin, "<>&") == NULL)
		return;
	for (const char *c = out->data + begin; c < out->data + out->len; c++)
		if (*c == '<' || *c == '>' || *c == '&')
			mr_buffer_printf(&escaped, "\\u%04x", *c);
		else
			mr_buffer_append(&escaped, c, 1);
	out->len = begin;
	mr_buffer_append(out, escaped.data, escaped.len);
	mr_buffer_free(&escaped);
}
