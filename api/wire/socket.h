/* What is done with the socket of a connection itself, past evhttp and its buffers. Nothing here blocks. */
#ifndef MR_API_SOCKET_H
#define MR_API_SOCKET_H

#include <stdbool.h>

/* An answer is one write: waiting for more to send would only delay its end. */
extern void mr_socket_send_at_once(int fd);
/* How many bytes the kernel keeps that the client has not taken, about. */
extern void mr_socket_set_send_buffer(int fd, int bytes);
/* "100 Continue", for a client that waits for it; it sends its body after a while without it. */
extern void mr_socket_send_continue(int fd);
/* Has the client closed its side, with nothing before it that was not read? */
extern bool mr_socket_is_at_end(int fd);
/* Reads what is there, up to some 64 kB, and drops it. False: the client has closed, or the connection is broken. */
extern bool mr_socket_drop_input(int fd);

#endif
