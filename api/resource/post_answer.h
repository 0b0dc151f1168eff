/* The answer to POST /events, from what became of each of its events. Pure. */
#ifndef MR_API_POST_ANSWER_H
#define MR_API_POST_ANSWER_H

#include "api/control/problem.h"
#include "api/publish/producer.h"
#include "api/resource/event_input.h"

/* What became of one event that is valid. */
typedef struct MrPostOutcome
{
	MrPublishFailure failure;
	int32_t partition;
	int64_t offset;
	char text[128]; /* what Kafka said of a failure */
} MrPostOutcome;

typedef struct MrPostAnswer
{
	MrProblem problem; /* MR_PROBLEM_NONE: it is 202 with what follows */
	bool is_final;     /* all events that are valid are published */
	char detail[320];  /* of the problem; "": none */
	char location[340];
	MrBuffer body;
} MrPostAnswer;

/* One outcome for each event. lists: the answer of a batch has the id of each event that is published, too. */
extern void mr_post_answer(MrPostAnswer *answer, const MrEventItems *events,
						   const MrPostOutcome *outcomes, const char *topic, bool lists);
extern void mr_post_answer_free(MrPostAnswer *answer);

#endif
