/*
 * outcome.c: what outcome.h needs of the server.
 */
#include "postgres.h"

#include "program/outcome.h"

void
mr_outcome_refuse(MrOutcomeState from, MrOutcomeState to)
{
	elog(ERROR, "an event cannot go from outcome \"%s\" to \"%s\"", mr_outcome_name(from),
		 mr_outcome_name(to));
}
