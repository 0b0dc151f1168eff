/*
 * version.h: the version of this library. It serves catalogues of that version only (docs/decisions/0016-upgrades.md).
 */
#ifndef MR_VERSION_H
#define MR_VERSION_H

/* EXTVERSION of the makefile it was built by, as pg_extension.extversion has that of a database. */
extern const char *mr_library_version(void);

#endif /* MR_VERSION_H */
