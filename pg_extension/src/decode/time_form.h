/*
 * time_form.h - the form of a string that is to be a date or a time, before anything reads it
 *
 * PostgreSQL's input functions accept more than a payload should say: words for the present moment, dates whose order
 * depends on a setting, abbreviations of zones. This looks at the form only; what it means, and whether it is accepted, is
 * for decode_time_text.c to say. Plain C without PostgreSQL.
 */
#ifndef MR_TIME_FORM_H
#define MR_TIME_FORM_H

#include <stdbool.h>

typedef struct MrTimeForm
{
	bool number;  /* nothing but a number; of the rest only compact is set then */
	bool compact; /* eight digits that can be YYYYMMDD */
	bool
		relative; /* a word whose meaning depends on when it is read, or that no other program knows */
	bool infinite;     /* infinity */
	bool unknown;      /* something that belongs to no date or time */
	bool month_name;   /* a month by name */
	bool has_time;     /* of the day */
	bool has_zone;     /* an offset, Z, UTC or GMT, or a name such as Europe/Berlin */
	bool zone_is_name; /* the last of these */
	int numbers;       /* of the date: 3 in 2026-03-01, 2 in 1 March 2026, 0 in 10:00 */
	int digits[3];     /* of each of the first three */
	int values[3];     /* each, while it has up to 8 digits */
	char separators[2];
} MrTimeForm;

extern void mr_time_form(const char *text, int length, MrTimeForm *form);

#endif
