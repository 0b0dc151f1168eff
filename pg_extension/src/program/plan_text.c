/*
 * plan_text.c: errors in a user's text that is analysed as a part of a statement. See plan.h.
 */
#include "program/plan.h"

#include "mb/pg_wchar.h"

static void
point_into_text(void *arg)
{
	const MrPlanText *text = arg;
	int position = geterrposition() - text->before;

	if (position > 0 && position <= text->length + 1) /* behind its end is of it, too */
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(text->sql);
	}
}

void
mr_plan_text_begin(MrPlanText *text, const char *sql, int before)
{
	text->sql = sql;
	text->before = before;
	text->length = pg_mbstrlen(sql);
	text->callback = (ErrorContextCallback){.previous = error_context_stack,
											.callback = point_into_text,
											.arg = text};
	error_context_stack = &text->callback;
}

void
mr_plan_text_end(MrPlanText *text)
{
	error_context_stack = text->callback.previous;
}
