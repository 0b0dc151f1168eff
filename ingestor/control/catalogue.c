/* Typed calls as SQL and texts. */
#include "ingestor/control/catalogue.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/buffer.h"

#define NUMBER_CHARS 24

static void call(MrControl *control, const char *sql, int count, const char *const *values,
				 MrReply reply);
static const char *print(char *out, int64_t number);
static const char *print_array(MrBuffer *out, const int64_t *items, int count);

void
mr_catalogue_pipelines(MrControl *control, MrReply reply)
{
	call(control, "SELECT * FROM millrace.ingestor_pipelines()", 0, NULL, reply);
}

void
mr_catalogue_relays(MrControl *control, MrReply reply)
{
	call(control, "SELECT * FROM millrace.relay_pipelines()", 0, NULL, reply);
}

void
mr_catalogue_add_partitions(MrControl *control, const char *pipeline, int first,
							const int64_t *starts, int count, MrReply reply)
{
	char known[NUMBER_CHARS];
	MrBuffer array = {0};
	const char *const values[] = {pipeline, print(known, first),
								  print_array(&array, starts, count)};

	call(control, "SELECT millrace.add_partitions($1, $2, $3)", 3, values, reply);
	mr_buffer_free(&array);
}

void
mr_catalogue_add_topic_partitions(MrControl *control, const char *pipeline, const char *topic,
								  int first, const int64_t *starts, int count, MrReply reply)
{
	char known[NUMBER_CHARS];
	MrBuffer array = {0};
	const char *const values[] = {pipeline, topic, print(known, first),
								  print_array(&array, starts, count)};

	call(control, "SELECT millrace.add_topic_partitions($1, $2, $3, $4)", 4, values, reply);
	mr_buffer_free(&array);
}

void
mr_catalogue_numbers(MrControl *control, const char *pipeline, int first, MrReply reply)
{
	char number[NUMBER_CHARS];
	const char *const values[] = {pipeline, print(number, first)};

	call(control, "SELECT * FROM millrace.topic_partitions($1, $2)", 2, values, reply);
}

void
mr_catalogue_report_topics(MrControl *control, const char *pipeline, const char *names,
						   MrReply reply)
{
	const char *const values[] = {pipeline, names};

	call(control, "SELECT millrace.report_topics($1, string_to_array($2, ','))", 2, values, reply);
}

void
mr_catalogue_positions(MrControl *control, const char *pipeline, MrReply reply)
{
	call(control, "SELECT * FROM millrace.positions($1)", 1, &pipeline, reply);
}

void
mr_catalogue_set_position(MrControl *control, const char *pipeline, int32_t partition,
						  int64_t epoch, int64_t offset, MrReply reply)
{
	char numbers[3][NUMBER_CHARS];
	const char *const values[] = {pipeline, print(numbers[0], partition), print(numbers[1], epoch),
								  print(numbers[2], offset)};

	call(control, "SELECT millrace.set_position($1, $2, $3, $4)", 4, values, reply);
}

void
mr_catalogue_stop_partition(MrControl *control, const char *pipeline, int32_t partition,
							int64_t epoch, const char *error, const char *hint, MrReply reply)
{
	char numbers[2][NUMBER_CHARS];
	const char *const values[] = {pipeline, print(numbers[0], partition), print(numbers[1], epoch),
								  error, hint};

	call(control, "SELECT millrace.stop_partition($1, $2, $3, $4, $5)", 5, values, reply);
}

void
mr_catalogue_report_ends(MrControl *control, const char *pipeline, const int64_t *partitions,
						 const int64_t *highs, const int64_t *lows, int count, bool reads,
						 MrReply reply)
{
	MrBuffer arrays[3] = {{0}};
	const char *const values[] = {pipeline, print_array(&arrays[0], partitions, count),
								  print_array(&arrays[1], highs, count),
								  print_array(&arrays[2], lows, count), reads ? "t" : "f"};

	call(control, "SELECT millrace.report_watermarks($1, $2, $3, $4, $5)", 5, values, reply);
	for (int i = 0; i < 3; i++)
		mr_buffer_free(&arrays[i]);
}

void
mr_catalogue_report(MrControl *control, const char *pipeline, const char *about, MrReply reply)
{
	const char *const values[] = {pipeline, about};

	call(control, "SELECT millrace.report($1, $2)", 2, values, reply);
}

void
mr_catalogue_presence(MrControl *control, const char *ingestor, const char *serves, MrReply reply)
{
	const char *const values[] = {ingestor, serves};

	call(control, "SELECT millrace.report_presence($1, $2)", 2, values, reply);
}

int64_t
mr_catalogue_number(const PGresult *result, int64_t when_none)
{
	if (result == NULL || PQntuples(result) != 1)
		return when_none;
	return strtoll(PQgetvalue(result, 0, 0), NULL, 10);
}

static void
call(MrControl *control, const char *sql, int count, const char *const *values, MrReply reply)
{
	mr_control_call(control, sql, count, values, reply.answer, reply.owner, reply.tag);
}

static const char *
print(char *out, int64_t number)
{
	snprintf(out, NUMBER_CHARS, "%" PRId64, number);
	return out;
}

/* As the text of a PostgreSQL array. Offsets are not negative: a negative one is not known. */
static const char *
print_array(MrBuffer *out, const int64_t *items, int count)
{
	mr_buffer_append(out, "{", 1);
	for (int i = 0; i < count; i++)
	{
		if (i > 0)
			mr_buffer_append(out, ",", 1);
		if (items[i] < 0)
			mr_buffer_printf(out, "NULL");
		else
			mr_buffer_printf(out, "%" PRId64, items[i]);
	}
	mr_buffer_append(out, "}", 1);
	return mr_buffer_string(out);
}
