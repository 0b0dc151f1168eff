/*
 * restricted.h: SQL of an owner in a session that has become that owner by SET ROLE. The session's own role may be more than
 * the owner is: it may be a superuser, or the API's role, which is a member of every owner whose pipelines it operates.
 */
#ifndef MR_RESTRICTED_H
#define MR_RESTRICTED_H

#include "postgres.h"

#include "miscadmin.h"

/* What mr_restrict() replaced. */
typedef struct MrRestricted
{
	Oid user;
	int context;
} MrRestricted;

/*
 * From now on, in a session of another role, SQL cannot set the role, make a temporary table or prepare a statement: it
 * does not get back to the session's rights, and leaves nothing behind that the session would run with them later. Until
 * mr_unrestrict(), or until the (sub)transaction is rolled back.
 */
static inline MrRestricted
mr_restrict(void)
{
	MrRestricted before;

	GetUserIdAndSecContext(&before.user, &before.context);
	if (before.user != GetSessionUserId())
		SetUserIdAndSecContext(before.user, before.context | SECURITY_LOCAL_USERID_CHANGE |
												SECURITY_RESTRICTED_OPERATION);
	return before;
}

static inline void
mr_unrestrict(const MrRestricted *before)
{
	SetUserIdAndSecContext(before->user, before->context);
}

#endif /* MR_RESTRICTED_H */
