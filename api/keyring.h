/* The file of keys, read at the start and again at each SIGHUP. On the main thread; the others only see the present list. */
#ifndef MR_API_KEYRING_H
#define MR_API_KEYRING_H

#include "api/control/keys.h"

typedef struct MrKeyring
{
	MrSharedKeys keys; /* those that hold now; NULL: none were read */
	MrKeys **all;      /* requests under way may have a key of an older list */
	int count;
} MrKeyring;

/* Reads the file. False: it cannot be read; the log says why, and those that held before hold on. */
extern bool mr_keyring_read(MrKeyring *keyring, const char *path);
/* After the threads. */
extern void mr_keyring_free(MrKeyring *keyring);

#endif
