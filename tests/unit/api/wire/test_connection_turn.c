/* What a request costs in turns of the event loop and calls of epoll_ctl(): a real server on a socket of this machine. */
#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/wire/server.h"

#define REQUEST     "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
#define LARGE_BYTES (8 * 1024 * 1024) /* more than the kernel takes at once */
#define TURNS       50

typedef struct World
{
	struct event_base *base;
	MrBudget budget;
	MrServer *server;
	int port;
	int client;
	struct evhttp_request *held; /* whose answer waits for answer() */
	MrConnection *connection;
	size_t body;
	int requests;
	int ended;
} World;

static int changes; /* calls of epoll_ctl() */
static int events;  /* that epoll_wait() has reported */

/* In place of the C library's, for libevent, too. */
int
epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	changes++;
	return (int) syscall(SYS_epoll_ctl, epfd, op, fd, event);
}

int
epoll_wait(int epfd, struct epoll_event *list, int max, int timeout)
{
	int count = (int) syscall(SYS_epoll_pwait, epfd, list, max, timeout, NULL, 0);

	events += count > 0 ? count : 0;
	return count;
}

static void
send_reply(World *world)
{
	struct evbuffer *body = evbuffer_new();
	struct evhttp_request *request = world->held;
	char *bytes = calloc(1, world->body + 1);

	memset(bytes, 'x', world->body);
	evbuffer_add(body, bytes, world->body);
	free(bytes);
	world->held = NULL;
	evhttp_send_reply(request, 200, "OK", body);
	evbuffer_free(body);
	mr_connection_send(world->connection);
}

static void
on_request(void *owner, MrConnection *connection, struct evhttp_request *request,
		   const MrRefusal *refusal)
{
	World *world = owner;

	assert_null(refusal);
	mr_connection_set_exchange(connection, world);
	world->connection = connection;
	world->held = request;
	world->requests++;
}

static void
on_ended(void *owner, void *exchange, bool sent)
{
	World *world = owner;

	assert_ptr_equal(exchange, world);
	world->ended += sent;
}

static void
on_left(void *owner, void *exchange)
{
	(void) owner, (void) exchange;
}

static void
turn(World *world)
{
	event_base_loop(world->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static void
on_answer(evutil_socket_t fd, short what, void *arg)
{
	(void) fd, (void) what;
	send_reply(arg);
}

/* In a turn of the loop, as when the database has answered. */
static void
answer(World *world)
{
	event_base_once(world->base, -1, EV_TIMEOUT, on_answer, world, NULL);
	turn(world);
}

static bool
has_come(const World *world)
{
	struct pollfd poll_fd = {.fd = world->client, .events = POLLIN};

	return poll(&poll_fd, 1, 0) == 1;
}

/* Sends it, and turns until it is with the owner. */
static void
ask(World *world, const char *requests)
{
	int before = world->requests;

	assert_int_equal(send(world->client, requests, strlen(requests), 0), strlen(requests));
	while (world->requests == before)
		event_base_loop(world->base, EVLOOP_ONCE);
}

static size_t
take(const World *world)
{
	static char bytes[65536];
	ssize_t len = recv(world->client, bytes, sizeof(bytes), MSG_DONTWAIT);

	return len > 0 ? (size_t) len : 0;
}

static int
set_up(void **state)
{
	static const MrConnectionEvents own = {on_request, on_ended, on_left};
	World *world = calloc(1, sizeof(*world));
	MrListen listen = {.inherited = -1, .address = "127.0.0.1"};
	MrWireLimits limits = {.body_bytes = 1000,
						   .head_ms = 60000,
						   .idle_ms = 60000,
						   .body_bytes_s = 1,
						   .body_grace_ms = 60000,
						   .connections = 10,
						   .budget = &world->budget};
	struct event_config *config = event_config_new();
	struct sockaddr_in address = {.sin_family = AF_INET};
	char error[200] = "";

	event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST); /* as worker.c has it */
	world->base = event_base_new_with_config(config);
	event_config_free(config);
	world->budget.limit = 1 << 30;
	world->server = mr_server_new(world->base, &listen, &limits, &own, world, error, sizeof(error));
	assert_string_equal(error, "");
	address.sin_port = htons((uint16_t) listen.port);
	inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
	world->client = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(world->client, (struct sockaddr *) &address, sizeof(address)), 0);
	*state = world;
	return 0;
}

static int
tear_down(void **state)
{
	World *world = *state;

	close(world->client);
	mr_server_free(world->server);
	event_base_free(world->base);
	free(world);
	return 0;
}

static void
an_answer_is_sent_in_the_turn_that_makes_it(void **state)
{
	World *world = *state;

	world->body = 10;
	ask(world, REQUEST);
	assert_false(has_come(world));
	answer(world);
	assert_true(has_come(world));
	assert_int_equal(world->ended, 1);
}

static void
a_request_changes_nothing_in_epoll(void **state)
{
	World *world = *state;

	world->body = 10;
	for (int i = 0; i < 20; i++)
	{
		ask(world, REQUEST);
		turn(world);
		if (i == 1)
			changes = 0;
		answer(world);
		assert_true(take(world) > 0);
	}
	assert_int_equal(world->ended, 20);
	assert_int_equal(changes, 0);
}

static void
what_waits_behind_a_request_does_not_turn_the_loop(void **state)
{
	World *world = *state;

	world->body = 10;
	ask(world, REQUEST);
	turn(world);
	assert_int_equal(send(world->client, REQUEST, strlen(REQUEST), 0), strlen(REQUEST));
	for (events = 0; events == 0;)
		turn(world);
	for (int i = 0; i < TURNS; i++)
		turn(world);
	assert_in_range(events, 1, 2);
	assert_int_equal(world->requests, 1);
	answer(world);
	while (world->requests == 1)
		event_base_loop(world->base, EVLOOP_ONCE);
	answer(world);
	assert_int_equal(world->ended, 2);

	ask(world, REQUEST); /* and the interest is there again */
	answer(world);
	changes = 0;
	ask(world, REQUEST);
	answer(world);
	assert_int_equal(changes, 0);
	assert_int_equal(world->ended, 4);
}

static void
a_client_that_leaves_does_not_turn_the_loop(void **state)
{
	World *world = *state;

	world->body = 10;
	ask(world, REQUEST);
	turn(world);
	shutdown(world->client, SHUT_WR);
	for (events = 0; events == 0;)
		turn(world);
	for (int i = 0; i < TURNS; i++)
		turn(world);
	assert_in_range(events, 1, 2);
	answer(world);
	assert_true(take(world) > 0); /* it has closed one side only */
}

static void
what_the_socket_does_not_take_is_sent_later(void **state)
{
	World *world = *state;
	size_t got = 0;

	world->body = LARGE_BYTES;
	ask(world, REQUEST);
	answer(world);
	assert_int_equal(world->ended, 0);
	while (world->ended == 0)
	{
		event_base_loop(world->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		got += take(world);
	}
	for (size_t more = 1; more > 0; got += more)
		more = take(world);
	assert_true(got > LARGE_BYTES);
	assert_true(got < LARGE_BYTES + 1000);
}

static void
a_connection_may_end_with_an_answer_unsent(void **state)
{
	World *world = *state;

	world->body = 10;
	ask(world, REQUEST);
	send_reply(world);
	mr_connection_abort(world->connection);
	shutdown(world->client, SHUT_RDWR);
	while (mr_connections_count(mr_server_connections(world->server)) > 0)
		mr_connections_tick(mr_server_connections(world->server));
	turn(world);
	assert_int_equal(world->ended, 0);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(an_answer_is_sent_in_the_turn_that_makes_it),
		TEST(a_request_changes_nothing_in_epoll),
		TEST(what_waits_behind_a_request_does_not_turn_the_loop),
		TEST(a_client_that_leaves_does_not_turn_the_loop),
		TEST(what_the_socket_does_not_take_is_sent_later),
		TEST(a_connection_may_end_with_an_answer_unsent),
	};

	return cmocka_run_group_tests_name("api/wire/connection_turn", tests, NULL, NULL);
}
