/*
 * window_text.h: one of the texts of SQL that a window is made of, analysed over the target.
 */
#ifndef MR_WINDOW_TEXT_H
#define MR_WINDOW_TEXT_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "server/compat.h"

typedef struct MrWindowText
{
	const char *argument; /* of create_window() */
	const char *text;     /* a list of expressions over columns of the target */
	bool with_aggregates;
} MrWindowText;

/*
 * The analysed list (of TargetEntry), as the current user and with the session's search_path. Raises what is wrong with it,
 * with the position in the text, and what would not depend on the row alone.
 */
extern List *mr_window_text_analyze(const MrWindowText *text, Oid target);

/* Raises that the text cannot have what the node of its list is. */
pg_noreturn extern void mr_window_text_refuse(const MrWindowText *text, Node *node,
											  const char *what, const char *hint);

#endif /* MR_WINDOW_TEXT_H */
