/* Between the API and its clients: proxies, pages of other origins, traces, compression. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "api/request/client.h"
#include "api/request/draw.h"
#include "api/request/gzip.h"
#include "api/request/limiter.h"
#include "api/request/trace.h"

static void
expect_client(const char *peer, const char *forwarded, const char *client)
{
	static MrNetwork items[3];
	const MrNetworks proxies = {items, 3};
	char found[MR_CLIENT_SIZE];

	assert_true(mr_network_read(&items[0], "10.0.0.0/8"));
	assert_true(mr_network_read(&items[1], "192.0.2.7"));
	assert_true(mr_network_read(&items[2], "2001:db8::/33"));
	mr_client_address(found, peer, forwarded, &proxies);
	assert_string_equal(found, client);
}

static void
clients(void **state)
{
	(void) state;
	expect_client("203.0.113.1", NULL, "203.0.113.1");
	expect_client("203.0.113.1", "1.2.3.4", "203.0.113.1"); /* it is no proxy of ours */
	expect_client("10.1.2.3", NULL, "10.1.2.3");
	expect_client("10.1.2.3", "1.2.3.4", "1.2.3.4");
	expect_client("10.1.2.3", "1.2.3.4, 5.6.7.8",
				  "5.6.7.8"); /* the first is the client's own word */
	expect_client("10.1.2.3", "1.2.3.4 ,\t192.0.2.7, 10.255.0.1", "1.2.3.4");
	expect_client("10.1.2.3", "10.0.0.1,10.0.0.2", "10.0.0.1");
	expect_client("10.1.2.3", "1.2.3.4, unknown, 10.0.0.2", "10.0.0.2");
	expect_client("10.1.2.3", "1.2.3.4,,", "10.1.2.3");
	expect_client("11.0.0.1", "1.2.3.4", "11.0.0.1");
	expect_client("192.0.2.8", "1.2.3.4", "192.0.2.8");
	expect_client("2001:db8:7fff::1", "2001:db8:8000::1, 192.0.2.7", "2001:db8:8000::1");
	expect_client("2001:db8:8000::1", "1.2.3.4", "2001:db8:8000::1");
	expect_client("::ffff:10.0.0.1", "1.2.3.4", "1.2.3.4");
	expect_client("10.1.2.3", "1.2.3.4:99999999999999999999999999999999999999999999999999999999999",
				  "10.1.2.3");
}

static void
networks(void **state)
{
	static const char *const wrong[] = {"",
										"a",
										"10.0.0.0/33",
										"10.0.0.0/",
										"10.0.0/8",
										"::1/129",
										"10.0.0.0/-1",
										"10.0.0.0/8x",
										"10.0.0.1 ",
										"/8",
										"10.0.0.0/+8",
										"1111111111111111111111111111111111111111111111111/8"};
	MrNetwork network;

	(void) state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (mr_network_read(&network, wrong[i]))
			fail_msg("%s", wrong[i]);
	assert_true(mr_network_read(&network, "0.0.0.0/0"));
	assert_true(mr_networks_have(&(MrNetworks){&network, 1}, "8.8.8.8"));
	assert_false(mr_networks_have(&(MrNetworks){&network, 1}, "::1"));
	assert_false(mr_networks_have(&(MrNetworks){&network, 1}, "x"));
}

/* No id comes twice, also from one draw to the next. */
static void
random_ids(void **state)
{
	static unsigned char all[300][MR_TRACE_RANDOM];

	(void) state;
	for (int i = 0; i < 300; i++)
	{
		memcpy(all[i], mr_draw_random(), MR_TRACE_RANDOM);
		for (int other = 0; other < i; other++)
		{
			assert_memory_not_equal(all[i], all[other], 16);
			assert_memory_not_equal(all[i] + 16, all[other] + 16, 8);
		}
	}
}

static void
traces(void **state)
{
	static const char *const wrong[] = {
		"",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
		"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		"0-4bf92f3577b34da6a3ce929d0e0e47366-00f067aa0ba902b7-01",
		"00-4bf92f3577b34da6a3ce929d0e0e473-000f067aa0ba902b7-01",
		"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x"};
	unsigned char random[MR_TRACE_RANDOM];
	MrTrace trace;

	(void) state;
	memset(random, 0xab, sizeof(random));
	mr_trace_take(&trace, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", "a=b", random);
	assert_string_equal(trace.parent, "00-4bf92f3577b34da6a3ce929d0e0e4736-abababababababab-00");
	assert_string_equal(trace.id, "4bf92f3577b34da6a3ce929d0e0e4736");
	assert_string_equal(trace.state, "a=b");
	mr_trace_take(&trace, "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", NULL,
				  random);
	assert_string_equal(trace.parent, "00-4bf92f3577b34da6a3ce929d0e0e4736-abababababababab-01");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
	{
		mr_trace_take(&trace, wrong[i], "a=b", random);
		assert_string_equal(trace.parent,
							"00-abababababababababababababababab-abababababababab-01");
		assert_null(trace.state);
	}
	mr_trace_take(&trace, NULL, NULL, random);
	assert_string_equal(trace.id, "abababababababababababababababab");
}

/* What comes out is what another reader of gzip makes the text of; also of text that cannot be compressed. */
static void
compressed(void **state)
{
	(void) state;
	for (size_t len = 0; len <= 300000; len = len * 3 + 1)
		for (int kind = 0; kind < 2; kind++)
		{
			MrBuffer text = {0};
			unsigned char *wanted = malloc(len + 1);
			unsigned char *found = malloc(len + 1);
			z_stream stream = {0};

			for (size_t i = 0; i < len; i++)
				wanted[i] = (unsigned char) (kind == 0 ? 'a' + i % 7 : (i * i * 2654435761u) >> 13);
			mr_buffer_append(&text, wanted, len);
			mr_gzip(&text);
			assert_true(kind == 1 || len < 100 || text.len < len / 2);
			stream.next_in = (Bytef *) text.data;
			stream.avail_in = (uInt) text.len;
			stream.next_out = found;
			stream.avail_out = (uInt) len + 1;
			assert_int_equal(inflateInit2(&stream, 16 + MAX_WBITS), Z_OK);
			assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
			assert_int_equal(stream.total_out, len);
			assert_memory_equal(found, wanted, len);
			inflateEnd(&stream);
			free(wanted);
			free(found);
			mr_buffer_free(&text);
		}
}

static bool
bytes_up_to(void *owner, size_t bytes)
{
	return bytes <= *(size_t *) owner;
}

/* All lengths up to some steps, each cut and each too long by one byte; several members are one text. */
static void
decompressed(void **state)
{
	size_t all = SIZE_MAX;

	(void) state;
	for (size_t len = 1; len <= 300000; len = len * 3 + 1)
	{
		MrBuffer text = {0};
		MrBuffer out = {0};
		MrBuffer twice = {0};
		size_t less = len / 2;

		for (size_t i = 0; i < len; i++)
			mr_buffer_append(&text, i % 5 < 2 ? "a" : "b", 1);
		mr_gzip(&text);
		assert_int_equal(mr_gunzip(&out, text.data, text.len, len, bytes_up_to, &all),
						 MR_GUNZIP_OK);
		assert_int_equal(out.len, len);
		for (size_t i = 0; i < len; i++)
			assert_int_equal(out.data[i], i % 5 < 2 ? 'a' : 'b');
		out.len = 0;
		assert_int_equal(mr_gunzip(&out, text.data, text.len, len - 1, bytes_up_to, &all),
						 MR_GUNZIP_LARGE);
		for (size_t cut = text.len < 200 ? 0 : text.len - 200; cut < text.len; cut++)
		{
			out.len = 0;
			assert_int_equal(mr_gunzip(&out, text.data, cut, len, bytes_up_to, &all),
							 MR_GUNZIP_SHORT);
		}
		out.len = 0;
		assert_int_equal(mr_gunzip(&out, text.data, text.len, len, bytes_up_to, &less),
						 MR_GUNZIP_NO_ROOM);
		mr_buffer_append(&twice, text.data, text.len);
		mr_buffer_append(&twice, text.data, text.len);
		out.len = 0;
		assert_int_equal(mr_gunzip(&out, twice.data, twice.len, 2 * len, bytes_up_to, &all),
						 MR_GUNZIP_OK);
		assert_int_equal(out.len, 2 * len);
		twice.data[text.len] = 'x';
		out.len = 0;
		assert_int_equal(mr_gunzip(&out, twice.data, twice.len, 2 * len, bytes_up_to, &all),
						 MR_GUNZIP_INVALID);
		text.data[text.len - 8]++; /* of its check */
		out.len = 0;
		assert_int_equal(mr_gunzip(&out, text.data, text.len, len, bytes_up_to, &all),
						 MR_GUNZIP_INVALID);
		mr_buffer_free(&text);
		mr_buffer_free(&out);
		mr_buffer_free(&twice);
	}
}

/* A thousandfold: what is kept of it is no more than what may be. */
static void
a_bomb(void **state)
{
	MrBuffer bomb = {0};
	MrBuffer out = {0};
	size_t all = SIZE_MAX;

	(void) state;
	mr_buffer_reserve(&bomb, 20000000);
	memset(bomb.data, ' ', 20000000);
	bomb.len = 20000000;
	mr_gzip(&bomb);
	assert_in_range(bomb.len, 1, 200000);
	assert_int_equal(mr_gunzip(&out, bomb.data, bomb.len, 1000000, bytes_up_to, &all),
					 MR_GUNZIP_LARGE);
	assert_int_equal(out.len, 1000001);
	assert_in_range(out.cap, 1000001, 4000000);
	mr_buffer_free(&bomb);
	mr_buffer_free(&out);
}

/* Three at once, then one per 100 ms; each client for itself. */
static void
limits(void **state)
{
	MrLimiter *limiter = mr_limiter_new(10, 1000, 3);
	char client[32];

	(void) state;
	assert_null(mr_limiter_new(0, 1000, 3));
	for (int i = 0; i < 3; i++)
		assert_int_equal(mr_limiter_take(limiter, "key a", 1000000), 0);
	assert_int_equal(mr_limiter_take(limiter, "key a", 1000000), 100);
	assert_int_equal(mr_limiter_take(limiter, "key a", 1099000), 1);
	assert_int_equal(mr_limiter_take(limiter, "key b", 1099000), 0);
	assert_int_equal(mr_limiter_take(limiter, "key a", 1100000), 0);
	assert_int_equal(mr_limiter_take(limiter, "key a", 1100001), 100);
	for (int i = 0; i < 3; i++)
		assert_int_equal(mr_limiter_take(limiter, "key a", 9000000), 0);
	assert_int_not_equal(mr_limiter_take(limiter, "key a", 9000000), 0);
	/* IPv6 by network, IPv4 by address */
	for (int i = 0; i < 3; i++)
	{
		snprintf(client, sizeof(client), "2001:db8::%d", i);
		assert_int_equal(mr_limiter_take(limiter, client, 9000000), 0);
		snprintf(client, sizeof(client), "192.0.2.%d", i);
		assert_int_equal(mr_limiter_take(limiter, client, 9000000), 0);
	}
	assert_int_not_equal(mr_limiter_take(limiter, "2001:db8::ffff", 9000000), 0);
	assert_int_equal(mr_limiter_take(limiter, "2001:db8:0:1::1", 9000000), 0);
	assert_int_equal(mr_limiter_take(limiter, "192.0.2.0", 9000000), 0);
	/* IPv4 at a socket of both: no network of all of them */
	for (int i = 0; i < 8; i++)
	{
		snprintf(client, sizeof(client), "::ffff:203.0.113.%d", i);
		assert_int_equal(mr_limiter_take(limiter, client, 9000000), 0);
	}
	/* one client, however it is written */
	for (int i = 0; i < 3; i++)
		assert_int_equal(mr_limiter_take(limiter, i == 1 ? "198.51.100.1" : "::ffff:198.51.100.1",
										 9000000),
						 0);
	assert_int_not_equal(mr_limiter_take(limiter, "198.51.100.1", 9000000), 0);
	/* more clients than there are places: memory is what it was */
	for (int i = 0; i < 300000; i++)
	{
		snprintf(client, sizeof(client), "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
		assert_int_equal(mr_limiter_take(limiter, client, 10000000), 0);
	}
	mr_limiter_free(limiter);
	mr_limiter_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clients),    cmocka_unit_test(networks),   cmocka_unit_test(traces),
		cmocka_unit_test(random_ids), cmocka_unit_test(compressed), cmocka_unit_test(decompressed),
		cmocka_unit_test(a_bomb),     cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests_name("request/edge", tests, NULL, NULL);
}
