/* Cells of CSV (RFC 4180); pure. */
#ifndef MR_API_CSV_H
#define MR_API_CSV_H

#include <stdbool.h>

#include "common/buffer.h"

/*
 * Appends a cell, quoted where it must be. Unless raw, a text that a spreadsheet would take for a formula (it begins
 * with = + - @, tab or CR) gets a ' before it. A number of a column of numbers is no formula and keeps its sign. NULL is an empty
 * cell.
 */
extern void mr_csv_cell(MrBuffer *out, const char *text, bool of_numbers, bool raw);

#endif
