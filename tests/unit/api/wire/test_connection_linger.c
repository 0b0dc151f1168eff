/* How long a connection is read from that evhttp has done with. */
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/wire/connection_linger.h"

typedef struct World
{
	struct event_base *base;
	MrConnection connection;
	int client;
} World;

static int
set_up(void **state)
{
	World *world = calloc(1, sizeof(*world));
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	world->base = event_base_new();
	world->connection.fd = fds[0];
	world->connection.bev = bufferevent_socket_new(world->base, -1, 0);
	world->client = fds[1];
	*state = world;
	return 0;
}

static int
tear_down(void **state)
{
	World *world = *state;

	bufferevent_free(world->connection.bev);
	event_base_free(world->base);
	close(world->connection.fd);
	if (world->client >= 0)
		close(world->client);
	free(world);
	return 0;
}

static bool
lingers(World *world, int64_t now)
{
	return mr_connection_lingers(&world->connection, now);
}

static void
a_client_that_sends_on_can_read_its_answer(void **state)
{
	World *world = *state;
	int64_t now;

	for (now = 1; now <= 10000; now += 900)
	{
		assert_true(lingers(world, now));
		assert_int_equal(send(world->client, "a", 1, 0), 1);
	}
	assert_false(lingers(world, now)); /* not for ever */
}

static void
one_that_is_silent_is_closed_after_a_second(void **state)
{
	World *world = *state;

	assert_true(lingers(world, 1));
	assert_int_equal(send(world->client, "a", 1, 0), 1);
	assert_true(lingers(world, 900));
	assert_true(lingers(world, 1899));
	assert_false(lingers(world, 1900));
}

static void
one_that_closes_is_closed(void **state)
{
	World *world = *state;

	assert_true(lingers(world, 1));
	close(world->client);
	world->client = -1;
	assert_false(lingers(world, 2));
}

static void
all_that_waits_is_dropped_at_once(void **state)
{
	static char bytes[65536];
	World *world = *state;
	int left = 0;

	while (send(world->client, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	assert_int_equal(ioctl(world->connection.fd, FIONREAD, &left), 0);
	assert_true(left > (int) sizeof(bytes));
	assert_true(lingers(world, 1));
	assert_int_equal(ioctl(world->connection.fd, FIONREAD, &left), 0);
	assert_int_equal(left, 0);
}

static void
one_that_never_sent_a_byte_is_closed(void **state)
{
	World *world = *state;
	int fd = world->connection.fd;

	world->connection.fd = -1;
	assert_false(lingers(world, 1));
	world->connection.fd = fd;
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_client_that_sends_on_can_read_its_answer),
		TEST(one_that_is_silent_is_closed_after_a_second),
		TEST(one_that_closes_is_closed),
		TEST(all_that_waits_is_dropped_at_once),
		TEST(one_that_never_sent_a_byte_is_closed),
	};

	return cmocka_run_group_tests_name("api/wire/connection_linger", tests, NULL, NULL);
}
