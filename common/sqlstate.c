/* SQLSTATE to class, longest prefix first. */
#include "common/sqlstate.h"

#include <string.h>

static const struct
{
	const char *prefix;
	MrSqlClass class;
} classes[] = {
	{"MR001", MR_SQL_FENCED}, {"MR002", MR_SQL_LANE_LOST}, {"08", MR_SQL_GONE},
	{"57P", MR_SQL_GONE},     {"25P03", MR_SQL_GONE},      {"28", MR_SQL_SETUP},
	{"3D", MR_SQL_SETUP},     {"3F", MR_SQL_SETUP},        {"42", MR_SQL_SETUP},
	{"0A", MR_SQL_SETUP},     {"55000", MR_SQL_SETUP},     {"53", MR_SQL_BUSY},
	{"40", MR_SQL_BUSY},      {"55P03", MR_SQL_BUSY},      {"57014", MR_SQL_BUSY},
	{"58", MR_SQL_BUSY},
};

MrSqlClass
mr_sqlstate_class(const char *state)
{
	if (state == NULL || *state == '\0')
		return MR_SQL_GONE;
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		if (strncmp(state, classes[i].prefix, strlen(classes[i].prefix)) == 0)
			return classes[i].class;
	return MR_SQL_OTHER;
}
