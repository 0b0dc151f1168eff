/*
 * format_extensions.c - see format_extensions.h. Only for transforms that name event.ce_extensions: it builds a jsonb of all of
 * a structured message.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "common/staging_format.h"
#include "decode/decode.h"
#include "decode/format_cloudevents.h"
#include "decode/format_extensions.h"
#include "server/scratch.h"

static MrFailure *of_payload(const bytea *payload, Datum *jsonb);
static MrFailure *of_headers(const bytea *headers, Datum *jsonb);
static bool is_extension(const MrHeader *header);

MrFailure *
mr_format_extensions(const bytea *payload, const bytea *headers, Datum *jsonb)
{
	MrScratch scratch = mr_scratch_enter();
	MrFailure *failure = payload != NULL ? of_payload(payload, jsonb) : of_headers(headers, jsonb);

	mr_scratch_leave(&scratch);
	if (failure != NULL)
		failure = mr_failure_copy(failure);
	else
	{
		void *built = DatumGetPointer(*jsonb);

		*jsonb = PointerGetDatum(memcpy(palloc(VARSIZE(built)), built, VARSIZE(built)));
	}
	mr_scratch_free(&scratch);
	return failure;
}

static MrFailure *
of_payload(const bytea *payload, Datum *jsonb)
{
	Datum names[MR_CE_PARTS];
	Datum whole;
	MrFailure *failure = mr_json_to_jsonb(VARDATA_ANY(payload), VARSIZE_ANY_EXHDR(payload), &whole);

	if (failure != NULL)
		return failure;
	for (int part = 0; part < MR_CE_PARTS; part++)
		names[part] = CStringGetTextDatum(mr_cloudevent_part_name(part));
	*jsonb = DirectFunctionCall2(jsonb_delete_array, whole,
								 PointerGetDatum(construct_array(names, MR_CE_PARTS, TEXTOID, -1,
																 false, TYPALIGN_INT)));
	return NULL;
}

static MrFailure *
of_headers(const bytea *headers, Datum *jsonb)
{
	MrHeaderReader reader = mr_headers_begin(headers != NULL ? VARDATA_ANY(headers) : NULL,
											 headers != NULL ? VARSIZE_ANY_EXHDR(headers) : 0);
	JsonbParseState *state = NULL;
	MrHeader header;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	while (mr_headers_next(&reader, &header))
	{
		JsonbValue name = {.type = jbvString};
		JsonbValue value = {.type = jbvString};

		if (!is_extension(&header))
			continue;
		if (!pg_verify_mbstr(PG_UTF8, header.name, header.name_length, true) ||
			!pg_verify_mbstr(PG_UTF8, header.value, header.value_length, true))
			return mr_failure_make(MR_STAGE_DECODE, ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
								   "an extension attribute of the CloudEvent is no text");
		name.val.string.val = pnstrdup(header.name + 3, header.name_length - 3);
		name.val.string.len = header.name_length - 3;
		value.val.string.val = pnstrdup(header.value, header.value_length);
		value.val.string.len = header.value_length;
		(void) pushJsonbValue(&state, WJB_KEY, &name);
		(void) pushJsonbValue(&state, WJB_VALUE, &value);
	}
	*jsonb = JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
	return NULL;
}

/* ce_ and a name that is none of the specification's. */
static bool
is_extension(const MrHeader *header)
{
	if (header->value_length < 0 || header->name_length < 4 || memcmp(header->name, "ce_", 3) != 0)
		return false;
	for (int part = 0; part < MR_CE_PARTS; part++)
	{
		const char *name = mr_cloudevent_part_name(part);

		if ((size_t) header->name_length == strlen(name) + 3 &&
			memcmp(header->name + 3, name, strlen(name)) == 0)
			return false;
	}
	return true;
}
