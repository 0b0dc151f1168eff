/*
 * The head of a request as RFC 9110 and 9112 have it, and nothing else: what two programs could read differently is
 * refused (request smuggling lives on that). Pure.
 */
#ifndef MR_API_HEAD_H
#define MR_API_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/control/problem.h"

typedef enum MrBodyKind
{
	MR_BODY_NONE,
	MR_BODY_LENGTH,
	MR_BODY_CHUNKED
} MrBodyKind;

typedef struct MrHead
{
	const char *method; /* not terminated; into the text that was checked, as all spans here */
	size_t method_len;
	bool is_known;      /* the method, to evhttp */
	const char *target; /* origin form: "/…"; of an absolute form what is behind the host */
	size_t target_len;
	size_t line_len; /* of the request line, its CRLF included */
	MrBodyKind body;
	uint64_t length; /* of MR_BODY_LENGTH */
	bool continues;  /* Expect: 100-continue */
	bool closes;     /* the client wants the connection closed after the answer */
	int minor;       /* of HTTP/1.x */
} MrHead;

typedef struct MrRefusal
{
	MrProblem problem; /* MR_PROBLEM_NONE: not refused */
	const char *why;   /* a constant sentence */
} MrRefusal;

/* The request line alone, without its CRLF: as soon as it is there. */
extern MrRefusal mr_request_line_check(const char *line, size_t len, MrHead *head);
/* The whole head: request line, fields, and the empty line at its end. body_max: bytes a body may have. */
extern MrRefusal mr_head_check(const char *text, size_t len, uint64_t body_max, MrHead *head);
/* Does a field line (without CRLF) have this name? */
extern bool mr_field_is(const char *line, size_t len, const char *name);

#endif
