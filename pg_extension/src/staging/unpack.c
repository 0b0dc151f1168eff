/*
 * unpack.c: packs of staged events for people. Runs in any backend.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "common/staging_format.h"

PG_FUNCTION_INFO_V1(mr_sql_unpack);

static Datum
bytes_datum(const MrPackedBytes *packed, bool *isnull)
{
	*isnull = packed->at == NULL;
	if (packed->at == NULL)
		return (Datum) 0;
	return PointerGetDatum(cstring_to_text_with_len(packed->at + 4, packed->length));
}

/*
 * millrace.unpack(pack bytea) RETURNS TABLE (partition integer, "offset" bigint, kafka_ts bigint, kind smallint,
 *   key bytea, headers bytea, payload bytea)
 */
Datum
mr_sql_unpack(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	bytea *pack = PG_GETARG_BYTEA_PP(0);
	MrPackReader reader = mr_pack_begin(VARDATA_ANY(pack), VARSIZE_ANY_EXHDR(pack));
	MrPackedEvent event;
	int n = 0;

	InitMaterializedSRF(fcinfo, 0);
	for (; mr_pack_next(&reader, &event); n++)
	{
		Datum values[7];
		bool nulls[7] = {false};

		CHECK_FOR_INTERRUPTS();
		values[0] = Int32GetDatum(event.partition);
		values[1] = Int64GetDatum(event.offset);
		values[2] = Int64GetDatum(event.kafka_ts);
		values[3] = Int16GetDatum(event.kind);
		values[4] = bytes_datum(&event.key, &nulls[4]);
		values[5] = bytes_datum(&event.headers, &nulls[5]);
		values[6] = bytes_datum(&event.payload, &nulls[6]);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	if (!mr_pack_is_whole(&reader))
		ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
						errmsg("the pack of staged events is broken behind event %d", n),
						errhint("Only the payload of a segment's row with kind 16 is a pack.")));
	return (Datum) 0;
}
