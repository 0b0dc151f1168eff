#include "api/resource/event_stream.h"

#include <stdio.h>

#include "api/request/accept.h"
#include "api/request/sse.h"
#include "api/resource/context.h"
#include "api/resource/event_feed.h"

static void refuse_relation(MrExchange *exchange, const MrRelation *relation);

void
mr_event_stream_get(MrExchange *exchange)
{
	static const char *const types[] = {MR_SSE_TYPE};
	const MrContext *context = mr_context_of(exchange);
	const MrRelation *relation = atomic_load(context->relation);

	if (mr_accept_choose(mr_exchange_header(exchange, "Accept"), types, 1) < 0)
		mr_exchange_refuse(exchange, MR_PROBLEM_ACCEPT, NULL, "Accept text/event-stream.");
	else if (relation == NULL)
		mr_exchange_refuse(exchange, MR_PROBLEM_DATABASE, "The relation is not known yet.", NULL);
	else if (relation->xid < 0)
		refuse_relation(exchange, relation);
	else
		mr_event_feed_join(context->event_feed, exchange, relation);
}

static void
refuse_relation(MrExchange *exchange, const MrRelation *relation)
{
	char hint[500];

	snprintf(
		hint, sizeof(hint),
		"ALTER TABLE %s ADD xid xid8 NOT NULL DEFAULT pg_current_xact_id(); CREATE INDEX ON "
		"%s (xid, %s); then send SIGHUP to millrace-api. --xid-column names another column. Of a "
		"view it is for its table, and the view needs the column.",
		relation->ident, relation->ident, relation->columns[relation->id].ident);
	mr_exchange_refuse(exchange, MR_PROBLEM_NO_STREAM,
					   "It has no column with the transaction that wrote a row, or no index on it "
					   "and the id.",
					   hint);
}
