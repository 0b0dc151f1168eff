/*
 * header_list.c: see header_list.h
 */
#include "program/header_list.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "catalog/namespace.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "common/staging_format.h"
#include "server/catalog.h"
#include "server/compat.h"

static Oid
header_type(void)
{
	Oid type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum("header"),
							   ObjectIdGetDatum(get_namespace_oid(MR_SCHEMA, false)));

	if (!OidIsValid(type))
		elog(ERROR, "type millrace.header does not exist");
	return type;
}

Oid
mr_header_list_type(void)
{
	return get_array_type(header_type());
}

static bytea *
bytes_of(const char *bytes, int length)
{
	bytea *copy = palloc(VARHDRSZ + length);

	SET_VARSIZE(copy, VARHDRSZ + length);
	memcpy(VARDATA(copy), bytes, length);
	return copy;
}

static Datum
name_of(const MrHeader *header)
{
	bytea *bytes = bytes_of(header->name, header->name_length);

	if (memchr(header->name, 0, header->name_length) == NULL &&
		pg_verify_mbstr(PG_UTF8, header->name, header->name_length, true))
		return PointerGetDatum(bytes); /* text and bytea are alike */
	return DirectFunctionCall2(binary_encode, PointerGetDatum(bytes),
							   CStringGetTextDatum("escape"));
}

Datum
mr_header_list(const bytea *packed)
{
	Oid type = header_type();
	TupleDesc desc = lookup_rowtype_tupdesc(type, -1);
	MrHeaderReader reader = packed == NULL
								? mr_headers_begin(NULL, 0)
								: mr_headers_begin(VARDATA_ANY(packed), VARSIZE_ANY_EXHDR(packed));
	MrHeader header;
	Datum *rows = palloc(8 * sizeof(Datum));
	int room = 8;
	int n = 0;

	while (mr_headers_next(&reader, &header))
	{
		bool isnull[2] = {false, header.value_length == MR_HEADER_NULL};
		Datum values[2] = {name_of(&header), (Datum) 0};

		if (!isnull[1])
			values[1] = PointerGetDatum(bytes_of(header.value, header.value_length));
		if (n == room)
			rows = repalloc(rows, (room *= 2) * sizeof(Datum));
		rows[n++] = HeapTupleGetDatum(heap_form_tuple(desc, values, isnull));
	}
	ReleaseTupleDesc(desc);
	return PointerGetDatum(construct_array(rows, n, type, -1, false, TYPALIGN_DOUBLE));
}

pg_noreturn static void
refuse(void)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		 errmsg("headers are neither an object nor an array of pairs of name and value"),
		 errhint(
			 "Pass headers => '{\"trace\": \"a\", \"seq\": \"\\\\x01\"}', or with names that come "
			 "again '[[\"tag\", \"one\"], [\"tag\", \"two\"]]'.")));
}

static void
pack_name(StringInfo out, const JsonbValue *name)
{
	if (name->type != jbvString)
		refuse();
	pq_sendint32(out, name->val.string.len);
	appendBinaryStringInfo(out, name->val.string.val, name->val.string.len);
}

static void
pack_value(StringInfo out, const JsonbValue *value)
{
	if (value->type == jbvNull)
		pq_sendint32(out, (uint32) MR_HEADER_NULL);
	else if (value->type == jbvString && value->val.string.len >= 2 &&
			 strncmp(value->val.string.val, "\\x", 2) == 0)
	{
		char *string = pnstrdup(value->val.string.val, value->val.string.len);
		bytea *bytes = DatumGetByteaPP(DirectFunctionCall1(byteain, CStringGetDatum(string)));

		pq_sendint32(out, VARSIZE_ANY_EXHDR(bytes));
		appendBinaryStringInfo(out, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	}
	else
		pack_name(out, value);
}

bytea *
mr_headers_pack(Jsonb *headers)
{
	JsonbIterator *iterator = JsonbIteratorInit(&headers->root);
	JsonbValue value;
	StringInfoData out;
	int in_pair = 0; /* of an array's pair: parts that have come */
	int n = 0;
	bool object = JB_ROOT_IS_OBJECT(headers);
	JsonbIteratorToken token;

	if (!object && (!JB_ROOT_IS_ARRAY(headers) || JB_ROOT_IS_SCALAR(headers)))
		refuse();
	initStringInfo(&out);
	pq_sendint32(&out, 0);
	while ((token = JsonbIteratorNext(&iterator, &value, in_pair > 0)) != WJB_DONE)
		switch (token)
		{
			case WJB_KEY:
				pack_name(&out, &value);
				n++;
				in_pair = 1; /* its value comes whole */
				break;
			case WJB_VALUE:
				pack_value(&out, &value);
				in_pair = 0;
				break;
			case WJB_BEGIN_ARRAY:
				if (iterator->parent != NULL &&
					(iterator->parent->parent != NULL || value.val.array.nElems != 2))
					refuse();
				n += iterator->parent != NULL ? 1 : 0;
				break;
			case WJB_ELEM:
				if (iterator->parent == NULL)
					refuse();
				if (in_pair++ == 0)
					pack_name(&out, &value);
				else
					pack_value(&out, &value);
				break;
			case WJB_END_ARRAY:
				in_pair = 0;
				break;
			case WJB_BEGIN_OBJECT:
				if (iterator->parent != NULL)
					refuse();
				break;
			default:
				break;
		}
	mr_put32(out.data, (uint32) n);
	return bytes_of(out.data, out.len);
}

PG_FUNCTION_INFO_V1(mr_header_list_sql);

/* millrace.header_list(packed bytea) RETURNS millrace.header[] */
Datum
mr_header_list_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(mr_header_list(PG_GETARG_BYTEA_PP(0)));
}

PG_FUNCTION_INFO_V1(mr_pack_headers_sql);

/* millrace.pack_headers(headers jsonb) RETURNS bytea */
Datum
mr_pack_headers_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P(mr_headers_pack(PG_GETARG_JSONB_P(0)));
}
