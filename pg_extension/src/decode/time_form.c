/*
 * time_form.c - see time_form.h
 *
 * One pass over the text, token by token: numbers, words, signs.
 */
#include "decode/time_form.h"

#include <string.h>

typedef enum Token
{
	NOTHING,
	DATE_NUMBER,
	TIME_NUMBER,
	ZONE_NUMBER,
	WORD
} Token;

typedef struct Scan
{
	const char *start;
	const char *p;
	const char *end;
	Token last;
	bool in_zone; /* behind the sign of an offset */
	MrTimeForm *form;
} Scan;

static bool is_digit(char c);
static bool is_letter(char c);
static bool is_number(const char *p, const char *end, MrTimeForm *form);
static void take_digits(Scan *s);
static void take_word(Scan *s);
static void take_other(Scan *s);

void
mr_time_form(const char *text, int length, MrTimeForm *form)
{
	Scan s = {.form = form};

	memset(form, 0, sizeof(*form));
	while (length > 0 && (*text == ' ' || *text == '\t'))
		text++, length--;
	while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t'))
		length--;
	if (is_number(text, text + length, form))
		return;
	s.start = s.p = text;
	s.end = text + length;
	while (s.p < s.end)
	{
		if (is_digit(*s.p))
			take_digits(&s);
		else if (is_letter(*s.p))
			take_word(&s);
		else
			take_other(&s);
	}
	if (length == 0)
		form->unknown = true;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char) c >= 0x80;
}

/* Sign, digits, point, exponent: as JSON has numbers, and a little more. */
static bool
is_number(const char *p, const char *end, MrTimeForm *form)
{
	const char *digits;
	int count = 0;

	if (p < end && (*p == '-' || *p == '+'))
		p++;
	digits = p;
	for (; p < end && is_digit(*p); p++)
		count++;
	if (p == end && count == 8)
	{
		int month = (digits[4] - '0') * 10 + digits[5] - '0';
		int day = (digits[6] - '0') * 10 + digits[7] - '0';

		form->compact = month >= 1 && month <= 12 && day >= 1 && day <= 31;
	}
	if (p < end && *p == '.')
		for (p++; p < end && is_digit(*p); p++)
			count++;
	if (count > 0 && p < end && (*p == 'e' || *p == 'E'))
	{
		p++;
		if (p < end && (*p == '-' || *p == '+'))
			p++;
		while (p < end && is_digit(*p))
			p++;
	}
	form->number = count > 0 && p == end;
	return form->number;
}

static void
take_digits(Scan *s)
{
	MrTimeForm *form = s->form;
	const char *start = s->p;
	char before = start > s->start ? start[-1] : '\0';
	int value = 0;

	for (; s->p < s->end && is_digit(*s->p); s->p++)
		value = s->p - start < 8 ? value * 10 + (*s->p - '0') : value;
	if (s->in_zone)
	{
		s->last = ZONE_NUMBER;
		return;
	}
	if ((s->p < s->end && *s->p == ':') || before == ':' ||
		((before == 't' || before == 'T') && form->numbers > 0))
	{
		form->has_time = true;
		s->last = TIME_NUMBER;
		/* a fraction */
		if (s->p + 1 < s->end && (*s->p == '.' || *s->p == ',') && is_digit(s->p[1]))
			for (s->p++; s->p < s->end && is_digit(*s->p); s->p++)
				;
		return;
	}
	if (form->numbers < 3)
	{
		form->digits[form->numbers] = (int) (s->p - start);
		form->values[form->numbers] = value;
		if (form->numbers > 0)
			form->separators[form->numbers - 1] = before;
	}
	form->numbers++;
	s->last = DATE_NUMBER;
}

static bool
is_one_of(const char *word, int length, const char *const *words)
{
	for (; *words != NULL; words++)
		if ((int) strlen(*words) == length)
		{
			int i = 0;

			while (i < length && (word[i] | 0x20) == (*words)[i])
				i++;
			if (i == length)
				return true;
		}
	return false;
}

static void
take_word(Scan *s)
{
	static const char *const relative[] = {"now",      "today", "tomorrow", "yesterday",
										   "allballs", "epoch", NULL};
	static const char *const infinite[] = {"infinity", "inf", NULL};
	static const char *const months[] = {"jan",       "feb",     "mar",      "apr",      "may",
										 "jun",       "jul",     "aug",      "sep",      "sept",
										 "oct",       "nov",     "dec",      "january",  "february",
										 "march",     "april",   "june",     "july",     "august",
										 "september", "october", "november", "december", NULL};
	static const char *const days[] = {"sun",    "sunday",  "mon",      "monday",   "tue",
									   "tues",   "tuesday", "wed",      "weds",     "wednesday",
									   "thu",    "thur",    "thurs",    "thursday", "fri",
									   "friday", "sat",     "saturday", NULL};
	static const char *const plain[] = {"am", "pm", "ad", "bc", "at", "on", NULL};
	static const char *const utc[] = {"z", "zulu", "utc", "ut", "gmt", NULL};
	MrTimeForm *form = s->form;
	const char *start = s->p;
	int length;

	while (s->p < s->end && is_letter(*s->p))
		s->p++;
	length = (int) (s->p - start);
	if (s->p < s->end && (*s->p == '/' || *s->p == '_'))
	{
		while (s->p < s->end &&
			   (is_letter(*s->p) || is_digit(*s->p) || strchr("/_+-", *s->p) != NULL))
			s->p++;
		form->has_zone = form->zone_is_name = true;
	}
	else if (is_one_of(start, length, relative))
		form->relative = true;
	else if (is_one_of(start, length, infinite))
		form->infinite = true;
	else if (is_one_of(start, length, months))
		form->month_name = true;
	else if (is_one_of(start, length, utc))
	{
		/* UTC+3 is east to some programs and west to others */
		form->has_zone = true;
		form->unknown |= s->p < s->end && (*s->p == '+' || *s->p == '-');
	}
	else if (length == 1 && (*start | 0x20) == 't')
		;
	else if (!is_one_of(start, length, days) && !is_one_of(start, length, plain))
		form->unknown = true;
	/* the time of 10:00 PM is not over yet */
	if (!(length == 2 && s->last == TIME_NUMBER))
		s->last = WORD;
	s->in_zone = false;
}

static void
take_other(Scan *s)
{
	char c = *s->p++;

	if ((c == '+' || c == '-') && s->last == TIME_NUMBER && s->p < s->end && is_digit(*s->p))
	{
		s->form->has_zone = true;
		s->in_zone = true;
	}
	else if (c == ' ' || c == '\t')
		s->in_zone = false;
	else if (strchr(c == '\0' ? "" : ",-+/.:", c) == NULL || c == '\0')
		s->form->unknown = true;
}
