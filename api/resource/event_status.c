#include "api/resource/event_status.h"

#include "api/request/coordinate.h"
#include "api/resource/document.h"

/* No pipeline of the role's reads the topic: nothing is known of the event. */
static const MrDocument event_status = {
	"event_status", "SELECT nullif(millrace.event_trace($1, $2::integer, $3::bigint), '[]')::text",
	true, MR_PROBLEM_NO_EVENT};

void
mr_event_status_get(MrExchange *exchange)
{
	MrCoordinate coordinate;
	const char *values[3];

	if (!mr_document_has_no_params(exchange))
		return;
	if (!mr_coordinate_read(&coordinate, exchange->match.captures[0]))
	{
		mr_exchange_refuse(exchange, MR_PROBLEM_VALUE, "The id is not a Kafka coordinate.",
						   "Use topic:partition:offset, such as events:0:17.");
		return;
	}
	values[0] = coordinate.topic;
	values[1] = coordinate.partition;
	values[2] = coordinate.offset;
	mr_document_ask(exchange, &event_status, 3, values);
}
