/*
 * What is done with the socket of a connection itself, past evhttp and its buffers. Nothing here blocks. `ssl` is NULL for
 * a connection without TLS.
 */
#ifndef MR_API_SOCKET_H
#define MR_API_SOCKET_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An answer is one write: waiting for more to send would only delay its end. */
extern void mr_socket_send_at_once(int fd);
/* How many bytes the kernel keeps that the client has not taken, about. */
extern void mr_socket_set_send_buffer(int fd, int bytes);
/* "100 Continue", for a client that waits for it; it sends its body after a while without it. Nothing else may be unsent. */
extern void mr_socket_send_continue(int fd, SSL *ssl);
/*
 * Has the client closed its side, with nothing before it that was not read? With TLS, whatever was before it: what ends
 * the session looks like any other record, and a client that has closed can seldom read on.
 */
extern bool mr_socket_is_at_end(int fd, const SSL *ssl);
/* Ends the session, after all that was to be sent: without this the client cannot know that nothing is missing. */
extern void mr_socket_end_session(SSL *ssl);
/* How many bytes the kernel has taken of a session in all. */
extern uint64_t mr_socket_written(const SSL *ssl);
/* Reads what is there, up to some 1 MB, and drops it; *dropped: how many bytes. False: the client has closed, or the connection is broken. */
extern bool mr_socket_drop_input(int fd, size_t *dropped);

#endif
