/*
 * version.c: see version.h. A file of its own, so that the version is a text in the library and no compiler takes a
 * comparison with it apart: tests/lib/next_version.py makes the library of a next version by replacing that text.
 */
#include "server/version.h"

#ifdef __clang_analyzer__ /* reads the sources without the makefile */
#ifndef MR_EXTVERSION
#define MR_EXTVERSION ""
#endif
#endif

#define PREFIX "millrace library "

static const char text[] = PREFIX MR_EXTVERSION;

const char *
mr_library_version(void)
{
	return text + sizeof(PREFIX) - 1;
}
