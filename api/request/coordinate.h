/* Where an event is in Kafka, as text: topic:partition:offset; pure. */
#ifndef MR_API_COORDINATE_H
#define MR_API_COORDINATE_H

#include <stdbool.h>

#define MR_TOPIC_MAX 249 /* bytes of a topic's name, as Kafka has it */

typedef struct MrCoordinate
{
	char topic[MR_TOPIC_MAX + 1];
	char partition[12]; /* decimal, from 0 to 2^31 - 1 */
	char offset[24];    /* decimal, from 0 to 2^63 - 1 */
} MrCoordinate;

/* False: the text is no coordinate. */
extern bool mr_coordinate_read(MrCoordinate *coordinate, const char *text)
	__attribute__((warn_unused_result));

#endif
