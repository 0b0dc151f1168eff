/*
 * TLS of the listening socket: the certificate that connections are begun with, which may be replaced while the threads
 * run. Connections under way keep the one they began with. What is done with the socket of such a connection is in
 * socket.h.
 */
#ifndef MR_API_TLS_H
#define MR_API_TLS_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct MrTls MrTls;

typedef struct MrTlsFiles
{
	const char *certificate; /* PEM: the certificate, then those that signed it; "": no TLS */
	const char *key;         /* PEM, not encrypted */
	int minimum;             /* MrTlsMinimum */
} MrTlsFiles;

/* Values of the option --tls-minimum, in the order of its choices. */
typedef enum MrTlsMinimum
{
	MR_TLS_1_2,
	MR_TLS_1_3
} MrTlsMinimum;

typedef struct MrTlsState
{
	int64_t expires_s; /* when the certificate does, in seconds since 1970 */
	int64_t refused;   /* connections whose handshake failed or took too long */
} MrTlsState;

/*
 * Whether the files are as they must be: both or none are named, and a certificate can be served with them. False, and a
 * message that names the option, when not.
 */
extern bool mr_tls_check(const MrTlsFiles *files, char *error, size_t error_size);
/* Reads the files. NULL, and a message, when they cannot be used. The names are copied. */
extern MrTls *mr_tls_new(const MrTlsFiles *files, char *error, size_t error_size)
	__attribute__((warn_unused_result));
/* Reads the same files again, for connections from here on. False, and a message: the certificate of before stays. */
extern bool mr_tls_read(MrTls *tls, char *error, size_t error_size);
/* Of any thread: what a new connection speaks with; it belongs to the caller. NULL: memory is out. */
extern SSL *mr_tls_begin(MrTls *tls) __attribute__((warn_unused_result));
/* Of any thread: a connection has ended that had no handshake. */
extern void mr_tls_count_refused(MrTls *tls);
extern void mr_tls_state(MrTls *tls, MrTlsState *state);
/* After the threads. */
extern void mr_tls_free(MrTls *tls);

#endif
