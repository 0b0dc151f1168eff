/*
 * launcher.h: the one process per server that starts a supervisor in each database with the extension.
 */
#ifndef MR_LAUNCHER_H
#define MR_LAUNCHER_H

/* Registers the launcher; called while the server's libraries are preloaded. */
extern void mr_launcher_register(void);

#endif /* MR_LAUNCHER_H */
