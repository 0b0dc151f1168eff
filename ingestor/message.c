/* From a Kafka message to a row: timestamp type, headers, over-size. */
#include "ingestor/message.h"

#include "ingestor/ingestor.h"

/* Of an over-size message key and headers are kept when they are together no larger than this. */
#define OVERSIZE_KEEP_BYTES 16384

static void stage_oversize(MrPipeline *pl, MrPartition *part, const rd_kafka_message_t *message,
						   MrRow *row);

void
mr_message_stage(MrPipeline *pl, MrPartition *part, const rd_kafka_message_t *message)
{
	static MrBuffer headers; /* kept from message to message; the main thread only */
	rd_kafka_headers_t *list;
	rd_kafka_timestamp_type_t type;
	MrRow row = {
		.offset = message->offset,
		.kafka_ts = rd_kafka_message_timestamp(message, &type),
		.partition = message->partition,
		.key = message->key,
		.key_len = message->key_len,
		.payload = message->payload,
		.payload_len = message->len,
	};

	if (type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME)
		row.kind |= MR_KIND_LOG_APPEND_TIME;
	if (rd_kafka_message_headers(message, &list) == RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		headers.len = 0;
		mr_headers_pack(list, &headers);
		row.headers = headers.data;
		row.headers_len = headers.len;
	}
	if ((int64_t) (row.key_len + row.headers_len + row.payload_len) >
		pl->ingestor->settings.max_message_bytes)
		stage_oversize(pl, part, message, &row);
	else
		mr_lane_add(part->lane, part, &row, NULL);
	if (headers.cap > (1 << 20))
		mr_buffer_free(&headers);
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

/* It takes part in the chain all the same: a hole would be a lost event. */
static void
stage_oversize(MrPipeline *pl, MrPartition *part, const rd_kafka_message_t *message, MrRow *row)
{
	char size[MR_OVERSIZE_BYTES];
	uint32_t crc = mr_message_crc(message->key, message->key_len, message->payload, message->len);

	mr_put64(size, message->len);
	row->kind |= MR_KIND_OVERSIZE;
	row->payload = size;
	row->payload_len = sizeof(size);
	if (row->key_len + row->headers_len > OVERSIZE_KEEP_BYTES)
	{
		row->key = row->headers = NULL;
		row->key_len = row->headers_len = 0;
	}
	pl->oversize++;
	mr_lane_add(part->lane, part, row, &crc);
}
