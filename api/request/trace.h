/*
 * Which trace a request belongs to, as W3C Trace Context has it (traceparent of version 00: version, trace id, id of the
 * caller's span, flags). Nothing is recorded here but in the log: the trace is carried on. Pure, but for the random ids,
 * which are a parameter.
 */
#ifndef MR_API_TRACE_H
#define MR_API_TRACE_H

#define MR_TRACE_RANDOM 24 /* bytes: 16 of a trace id, 8 of a span id */

typedef struct MrTrace
{
	char parent[56];   /* to send on: the caller's trace id and flags, and a span id of ours */
	char id[33];       /* the trace id alone */
	const char *state; /* tracestate, the caller's text; NULL: none */
} MrTrace;

/* parent and state as they came (NULL: not sent). One that is not valid is as none: a new trace begins. */
extern void mr_trace_take(MrTrace *trace, const char *parent, const char *state,
						  const unsigned char random[MR_TRACE_RANDOM]);

#endif
