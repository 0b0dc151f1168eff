#include "api/request/limiter.h"

#include <arpa/inet.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"

#define SETS   8192 /* a power of two */
#define PLACES 8    /* of a set: 64 Ki clients within the time of a burst, 1 MB */

typedef struct Place
{
	uint64_t client; /* its hash */
	int64_t full_us; /* when its bucket is full; in the past: it is */
} Place;

struct MrLimiter
{
	pthread_mutex_t lock;
	int64_t each_us;  /* what a request takes out of the bucket */
	int64_t burst_us; /* what a bucket holds */
	uint64_t seed;
	Place places[SETS][PLACES];
};

static uint64_t hash(const MrLimiter *limiter, const char *client);
static uint64_t add_bytes(uint64_t hash, const void *bytes, size_t len);
static Place *place_of(MrLimiter *limiter, uint64_t client);

MrLimiter *
mr_limiter_new(int64_t number, int64_t per_ms, int64_t burst)
{
	MrLimiter *limiter;

	if (number == 0)
		return NULL;
	limiter = mr_calloc(1, sizeof(*limiter));
	pthread_mutex_init(&limiter->lock, NULL);
	limiter->each_us = per_ms * 1000 / number;
	limiter->burst_us = limiter->each_us * burst;
	if (RAND_bytes((unsigned char *) &limiter->seed, sizeof(limiter->seed)) != 1)
		abort(); /* anybody could find names that share a place */
	return limiter;
}

int64_t
mr_limiter_take(MrLimiter *limiter, const char *client, int64_t now_us)
{
	uint64_t name = hash(limiter, client);
	int64_t wait_us;
	Place *place;

	pthread_mutex_lock(&limiter->lock);
	place = place_of(limiter, name);
	if (place->client != name || place->full_us < now_us)
		*place = (Place){name, now_us};
	wait_us = place->full_us + limiter->each_us - now_us - limiter->burst_us;
	if (wait_us <= 0)
		place->full_us += limiter->each_us;
	pthread_mutex_unlock(&limiter->lock);
	return wait_us <= 0 ? 0 : (wait_us + 999) / 1000;
}

void
mr_limiter_free(MrLimiter *limiter)
{
	if (limiter == NULL)
		return;
	pthread_mutex_destroy(&limiter->lock);
	free(limiter);
}

static uint64_t
hash(const MrLimiter *limiter, const char *client)
{
	struct in6_addr address;
	struct in_addr v4;

	/* what an IPv4 client is at a socket of both is an address of IPv6, too */
	if (inet_pton(AF_INET6, client, &address) == 1)
		return IN6_IS_ADDR_V4MAPPED(&address)
				   ? add_bytes(limiter->seed, &address.s6_addr[12], sizeof(v4))
				   : add_bytes(limiter->seed, &address, 8);
	if (inet_pton(AF_INET, client, &v4) == 1)
		return add_bytes(limiter->seed, &v4, sizeof(v4));
	return add_bytes(limiter->seed, client, strlen(client));
}

/* FNV-1a, with the finish of MurmurHash3. */
static uint64_t
add_bytes(uint64_t hash, const void *bytes, size_t len)
{
	const unsigned char *at = bytes;

	hash ^= 14695981039346656037u;
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ at[i]) * 1099511628211u;
	hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccdu;
	hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53u;
	return hash ^ (hash >> 33);
}

/* The client's own place, or the one to take for it. */
static Place *
place_of(MrLimiter *limiter, uint64_t client)
{
	Place *set = limiter->places[client % SETS];
	Place *fullest = &set[0];

	for (int i = 0; i < PLACES; i++)
	{
		if (set[i].client == client)
			return &set[i];
		if (set[i].full_us < fullest->full_us)
			fullest = &set[i];
	}
	return fullest;
}
