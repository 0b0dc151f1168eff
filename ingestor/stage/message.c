/* From a Kafka message to a row: timestamp type, headers, over-size. */
#include "ingestor/stage/message.h"

#include <string.h>

#include "ingestor/stage/batch.h"

/* Of an over-size message key and headers are kept when they are together no larger than this. */
#define OVERSIZE_KEEP_BYTES 16384
/* Memory for headers that one giant message made larger than this is given back. */
#define KEEP_BYTES ((size_t) 1 << 20)

static void pack_headers_of(const rd_kafka_message_t *message, MrCopyRow *row);
static void leave_payload_out(const rd_kafka_message_t *message, MrCopyRow *row);

bool
mr_message_row(const rd_kafka_message_t *message, int64_t max_bytes, MrCopyRow *row,
			   uint32_t *full_crc)
{
	rd_kafka_timestamp_type_t type;

	*row = (MrCopyRow){
		.offset = message->offset,
		.kafka_ts = rd_kafka_message_timestamp(message, &type),
		.partition = message->partition,
		.key = message->key,
		.key_len = message->key_len,
		.payload = message->payload,
		.payload_len = message->len,
	};
	if (type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME)
		row->kind |= MR_KIND_LOG_APPEND_TIME;
	pack_headers_of(message, row);
	if ((int64_t) (row->key_len + row->headers_len + row->payload_len) <= max_bytes)
		return false;
	*full_crc = mr_message_crc(message->key, message->key_len, message->payload, message->len);
	leave_payload_out(message, row);
	return true;
}

void
mr_headers_pack(const rd_kafka_headers_t *headers, MrBuffer *out)
{
	size_t count = rd_kafka_header_cnt(headers);
	const char *name;
	const void *value;
	size_t len;

	mr_buffer_reserve(out, 4);
	mr_put32(out->data + out->len, (uint32_t) count);
	out->len += 4;
	for (size_t i = 0; i < count && !rd_kafka_header_get_all(headers, i, &name, &value, &len); i++)
	{
		size_t name_len = strlen(name);
		char *at;

		mr_buffer_reserve(out, 8 + name_len + (value ? len : 0));
		at = mr_put32(out->data + out->len, (uint32_t) name_len);
		memcpy(at, name, name_len);
		at = mr_put32(at + name_len, value ? (uint32_t) len : (uint32_t) MR_HEADER_NULL);
		if (value != NULL && len > 0)
			memcpy(at, value, len);
		out->len = (size_t) (at - out->data) + (value ? len : 0);
	}
}

static void
pack_headers_of(const rd_kafka_message_t *message, MrCopyRow *row)
{
	static MrBuffer headers; /* kept from message to message */
	rd_kafka_headers_t *list;
	rd_kafka_resp_err_t err = rd_kafka_message_headers(message, &list);

	if (headers.cap > KEEP_BYTES)
		mr_buffer_free(&headers);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR && err != RD_KAFKA_RESP_ERR__NOENT)
		row->kind |= MR_KIND_BAD_HEADERS;
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return;
	headers.len = 0;
	mr_headers_pack(list, &headers);
	row->headers = headers.data;
	row->headers_len = headers.len;
}

/* It takes part in the chain all the same: a hole would be a lost event. */
static void
leave_payload_out(const rd_kafka_message_t *message, MrCopyRow *row)
{
	static char size[MR_OVERSIZE_BYTES];

	mr_put64(size, message->len);
	row->kind |= MR_KIND_OVERSIZE;
	row->payload = size;
	row->payload_len = sizeof(size);
	if (row->key_len + row->headers_len > OVERSIZE_KEEP_BYTES)
	{
		row->key = row->headers = NULL;
		row->key_len = row->headers_len = 0;
	}
}
