/* See socket.h. */
#include "api/wire/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/types.h>

#define DROP_MAX 1048576

static bool has_event(int fd, short event);

void
mr_socket_send_at_once(int fd)
{
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

void
mr_socket_set_send_buffer(int fd, int bytes)
{
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

/*
 * A record that the kernel takes a part of only would have to be sent on before anything else: where there is no room,
 * nothing is sent, and where there was none in spite of that nothing more may be.
 */
void
mr_socket_send_continue(int fd, SSL *ssl)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

	if (ssl == NULL)
	{
		if (send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			return;
	}
	else if (has_event(fd, POLLOUT) && SSL_write(ssl, text, sizeof(text) - 1) <= 0)
	{
		ERR_clear_error();
		shutdown(fd, SHUT_RDWR);
	}
}

bool
mr_socket_is_at_end(int fd, const SSL *ssl)
{
	char byte;

	if (ssl != NULL)
		return has_event(fd, POLLRDHUP);
	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

void
mr_socket_end_session(SSL *ssl)
{
	if (SSL_is_init_finished(ssl))
		(void) SSL_shutdown(ssl);
	ERR_clear_error();
}

uint64_t
mr_socket_written(const SSL *ssl)
{
	BIO *bio = SSL_get_wbio(ssl);

	return bio != NULL ? BIO_number_written(bio) : 0;
}

bool
mr_socket_drop_input(int fd, size_t *dropped)
{
	char bytes[65536];
	ssize_t n;

	*dropped = 0;
	do
	{
		n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		*dropped += n > 0 ? (size_t) n : 0;
	} while (n > 0 && *dropped < DROP_MAX);
	/* an error other than "nothing there" is an end, too */
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR));
}

static bool
has_event(int fd, short event)
{
	struct pollfd look = {.fd = fd, .events = event};

	return poll(&look, 1, 0) == 1 && (look.revents & event) != 0;
}
