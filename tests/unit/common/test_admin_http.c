/* The admin port by a plain socket: routes, methods, limits, garbage. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/admin_http.h"
#include "common/log.h"

static struct event_base *base;
static MrAdminHttp *admin;
static bool ready;
static char answer[65536];

static void
metrics(void *owner, MrBuffer *out)
{
	(void) owner;
	mr_buffer_printf(out, "m 1\n");
}

static bool
is_ready(void *owner, MrBuffer *out)
{
	(void) owner;
	if (!ready)
		mr_buffer_printf(out, "because\n");
	return ready;
}

static int
connect_to_admin(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
								  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
								  .sin_port = htons((uint16_t) mr_admin_http_port(admin))};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (struct sockaddr *) &address, sizeof(address)), 0);
	return fd;
}

/* Sends the text and turns the loop until the server closes or has answered. */
static const char *
ask(const char *request)
{
	int fd = connect_to_admin();
	size_t len = 0;

	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t) strlen(request));
	for (int i = 0; i < 500; i++)
	{
		ssize_t got;

		event_base_loop(base, EVLOOP_NONBLOCK);
		got = recv(fd, answer + len, sizeof(answer) - 1 - len, MSG_DONTWAIT);
		if (got == 0)
			break;
		if (got > 0)
			len += (size_t) got;
		else
			usleep(1000);
	}
	answer[len] = '\0';
	close(fd);
	event_base_loop(base, EVLOOP_NONBLOCK);
	return answer;
}

static int
setup(void **state)
{
	static const MrAdminCallbacks callbacks = {metrics, is_ready};
	char error[256];

	(void) state;
	mr_log_setup("test", MR_LOG_WARN, MR_LOG_LOGFMT);
	base = event_base_new();
	admin = mr_admin_http_new(base, "127.0.0.1:0", &callbacks, NULL, error, sizeof(error));
	return admin == NULL;
}

static int
teardown(void **state)
{
	(void) state;
	mr_admin_http_free(admin);
	event_base_free(base);
	return 0;
}

#define CLOSE "Connection: close\r\n\r\n"

static void
routes(void **state)
{
	(void) state;
	assert_non_null(strstr(ask("GET /metrics HTTP/1.1\r\nHost: x\r\n" CLOSE), "\r\n\r\nm 1\n"));
	assert_non_null(strstr(answer, "text/plain; version=0.0.4"));
	assert_non_null(strstr(ask("GET /livez HTTP/1.1\r\nHost: x\r\n" CLOSE), "200 OK"));
	assert_non_null(strstr(ask("GET /readyz HTTP/1.1\r\nHost: x\r\n" CLOSE), "503"));
	assert_non_null(strstr(answer, "because"));
	ready = true;
	assert_non_null(strstr(ask("GET /readyz HTTP/1.1\r\nHost: x\r\n" CLOSE), "200 OK"));
	assert_non_null(strstr(ask("GET /other HTTP/1.1\r\nHost: x\r\n" CLOSE), "404"));
}

static void
head_has_no_body(void **state)
{
	(void) state;
	assert_non_null(strstr(ask("HEAD /metrics HTTP/1.1\r\nHost: x\r\n" CLOSE), "200 OK"));
	assert_null(strstr(answer, "m 1"));
}

static void
other_methods_and_bodies_are_refused(void **state)
{
	(void) state;
	assert_null(strstr(ask("POST /metrics HTTP/1.1\r\nHost: x\r\n" CLOSE), "200 OK"));
	assert_null(strstr(ask("DELETE /metrics HTTP/1.1\r\nHost: x\r\n" CLOSE), "200 OK"));
	ask("GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n" CLOSE);
	assert_null(strstr(answer, "200 OK"));
}

static void
large_headers_are_refused(void **state)
{
	static char request[20000];

	(void) state;
	memset(request, 'a', sizeof(request) - 1);
	memcpy(request, "GET /metrics HTTP/1.1\r\nX: ", 26);
	memcpy(request + sizeof(request) - 30, "\r\n" CLOSE, 23);
	assert_null(strstr(ask(request), "200 OK"));
}

static void
garbage_does_no_harm(void **state)
{
	(void) state;
	ask("\x16\x03\x01\x02\r\n\r\n");
	ask("GET\r\n\r\n");
	ask("GET /livez HTTP/9.9\r\n\r\n");
	assert_non_null(strstr(ask("GET /livez HTTP/1.1\r\nHost: x\r\n" CLOSE), "200 OK"));
}

static void
addresses(void **state)
{
	static const MrAdminCallbacks callbacks = {metrics, is_ready};
	const char *const wrong[] = {"",           "nonsense",        "127.0.0.1",
								 "127.0.0.1:", "127.0.0.1:70000", "127.0.0.1:12x",
								 ":80"};
	char error[256];
	MrAdminHttp *second;

	(void) state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
	{
		second = mr_admin_http_new(base, wrong[i], &callbacks, NULL, error, sizeof(error));
		assert_null(second);
	}
	second = mr_admin_http_new(base, "[::1]:0", &callbacks, NULL, error, sizeof(error));
	if (second != NULL) /* a machine without IPv6 is no failure */
		assert_true(mr_admin_http_port(second) > 0);
	mr_admin_http_free(second);
}

/* Turns the loop until something comes from the socket, for two seconds at most. */
static bool
is_answered(int fd)
{
	char byte;

	for (int i = 0; i < 2000; i++)
	{
		event_base_loop(base, EVLOOP_NONBLOCK);
		if (recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 1)
			return true;
		usleep(1000);
	}
	return false;
}

static void
connections_are_capped(void **state)
{
	static const char request[] = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";
	enum
	{
		MANY = 100,
		CAP = 32
	};
	int fds[MANY];
	int answered = 0;

	(void) state;
	for (int i = 0; i < MANY; i++)
	{
		fds[i] = connect_to_admin();
		assert_int_equal(send(fds[i], request, strlen(request), MSG_NOSIGNAL),
						 (ssize_t) strlen(request));
	}
	assert_true(is_answered(fds[CAP - 1]));
	for (int i = 0; i < MANY; i++)
		answered += recv(fds[i], answer, sizeof(answer), MSG_DONTWAIT) > 0;
	assert_int_equal(answered, CAP);
	close(fds[0]);
	assert_true(is_answered(fds[CAP])); /* the next in the queue takes the free place */
	for (int i = 1; i < MANY; i++)
		close(fds[i]);
	assert_non_null(strstr(ask("GET /livez HTTP/1.1\r\nHost: x\r\n" CLOSE), "200 OK"));
}

static void
too_many_open_files(void **state)
{
	static const char request[] = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";
	struct rlimit limit;
	struct rlimit none;
	int fd = connect_to_admin();
	int keep = dup(STDERR_FILENO);
	FILE *log = tmpfile();
	int lines = 0;

	(void) state;
	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t) strlen(request));
	dup2(fileno(log), STDERR_FILENO);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (int i = 0; i < 1000; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	dup2(keep, STDERR_FILENO);
	rewind(log);
	for (int c; (c = fgetc(log)) != EOF;)
		lines += c == '\n';
	assert_in_range(lines, 1, 2); /* says so, and does not spin */
	assert_true(is_answered(fd));
	fclose(log);
	close(keep);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(routes),
		cmocka_unit_test(head_has_no_body),
		cmocka_unit_test(other_methods_and_bodies_are_refused),
		cmocka_unit_test(large_headers_are_refused),
		cmocka_unit_test(garbage_does_no_harm),
		cmocka_unit_test(addresses),
		cmocka_unit_test(connections_are_capped),
		cmocka_unit_test(too_many_open_files),
	};

	return cmocka_run_group_tests_name("common/admin_http", tests, setup, teardown);
}
