/*
 * Preloaded into the ingestor under test: the Kafka client of the group whose id is in the file "fail" of the directory
 * SLOW_END has a fatal error, once; whoever ends that client waits as long as there is a file "hold". The file "ending" says
 * that somebody does.
 */
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

static _Atomic(rd_kafka_t *) failed;

static const char *
path(const char *name, char *out, size_t size)
{
	snprintf(out, size, "%s/%s", getenv("SLOW_END"), name);
	return out;
}

static int
is_meant(rd_kafka_t *rk)
{
	char name[512];
	char wanted[256] = "";
	char group[256] = "";
	size_t size = sizeof(group);
	FILE *file = fopen(path("fail", name, sizeof(name)), "r");

	if (file == NULL)
		return 0;
	(void) !fgets(wanted, sizeof(wanted), file);
	(void) fclose(file);
	return rd_kafka_conf_get(rd_kafka_conf(rk), "group.id", group, &size) == RD_KAFKA_CONF_OK &&
		   strcmp(wanted, group) == 0;
}

/* The ingestor asks this of each of its consumers every few seconds. */
rd_kafka_resp_err_t
rd_kafka_fatal_error(rd_kafka_t *rk, char *text, size_t size)
{
	rd_kafka_resp_err_t (*next)(rd_kafka_t *, char *, size_t) =
		(rd_kafka_resp_err_t(*)(rd_kafka_t *, char *, size_t)) dlsym(RTLD_NEXT,
																	 "rd_kafka_fatal_error");

	if (failed == NULL && is_meant(rk))
	{
		failed = rk;
		rd_kafka_test_fatal_error(rk, RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, "for a test");
	}
	return next(rk, text, size);
}

static void
hold(const rd_kafka_t *rk)
{
	char name[512];
	FILE *file;

	if (rk != failed)
		return;
	file = fopen(path("ending", name, sizeof(name)), "w");
	if (file != NULL)
		(void) fclose(file);
	while (access(path("hold", name, sizeof(name)), F_OK) == 0)
		usleep(10000);
}

void
rd_kafka_destroy(rd_kafka_t *rk)
{
	hold(rk);
	((void (*)(rd_kafka_t *)) dlsym(RTLD_NEXT, "rd_kafka_destroy"))(rk);
}

void
rd_kafka_destroy_flags(rd_kafka_t *rk, int flags)
{
	hold(rk);
	((void (*)(rd_kafka_t *, int)) dlsym(RTLD_NEXT, "rd_kafka_destroy_flags"))(rk, flags);
}

rd_kafka_resp_err_t
rd_kafka_consumer_close(rd_kafka_t *rk)
{
	hold(rk);
	return ((rd_kafka_resp_err_t(*)(rd_kafka_t *)) dlsym(RTLD_NEXT, "rd_kafka_consumer_close"))(rk);
}
