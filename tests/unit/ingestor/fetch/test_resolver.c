/* The helper thread against librdkafka's mock cluster: starts, watermarks, answers on the main thread. */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/eventloop.h"
#include "ingestor/fetch/resolver.h"
#include "ingestor/fetch/start_at.h"

#define MANY 300 /* partitions */

static struct event_base *base;
static MrResolver *resolver;
static rd_kafka_t *rk;
static MrQuestion got;
static int64_t offsets[8];
static char listed[100];
static int answers;
static int requests;        /* calls of rd_kafka_offsets_for_times() */
static bool refuse_several; /* as when one partition of a request is in trouble */
static rd_kafka_resp_err_t refuse_all;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER; /* held: brokers take no request */

extern rd_kafka_resp_err_t __real_rd_kafka_offsets_for_times(rd_kafka_t *handle,
															 rd_kafka_topic_partition_list_t *list,
															 int timeout_ms);
extern rd_kafka_resp_err_t __wrap_rd_kafka_offsets_for_times(rd_kafka_t *handle,
															 rd_kafka_topic_partition_list_t *list,
															 int timeout_ms);

rd_kafka_resp_err_t
__wrap_rd_kafka_offsets_for_times(rd_kafka_t *handle, rd_kafka_topic_partition_list_t *list,
								  int timeout_ms)
{
	pthread_mutex_lock(&gate);
	requests++;
	pthread_mutex_unlock(&gate);
	if (refuse_all)
		return refuse_all;
	if (refuse_several && list->cnt > 1)
		return RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR;
	return __real_rd_kafka_offsets_for_times(handle, list, timeout_ms);
}

static void
on_answer(MrQuestion *question)
{
	got = *question;
	snprintf(listed, sizeof(listed), "%s", question->names ? question->names : "");
	for (int i = 0; question->offsets && i < question->count && i < 8; i++)
		offsets[i] = question->offsets[i];
	answers++;
}

static void
ask(MrQuestion question)
{
	int before = answers;

	question.rk = rk;
	question.answer = on_answer;
	mr_resolver_ask(resolver, &question);
	for (int i = 0; i < 15000 && answers == before; i++)
	{
		event_base_loop(base, EVLOOP_NONBLOCK);
		usleep(1000);
	}
	assert_int_equal(answers, before + 1);
}

static int
setup(void **state)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char error[512];

	(void) state;
	base = event_base_new();
	resolver = mr_resolver_new(base);
	rd_kafka_conf_set(conf, "test.mock.num.brokers", "1", error, sizeof(error));
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
	rd_kafka_mock_topic_create(rd_kafka_handle_mock_cluster(rk), "t", 3, 1);
	rd_kafka_mock_topic_create(rd_kafka_handle_mock_cluster(rk), "many", MANY, 1);
	for (int i = 0; i < 30; i++)
		rd_kafka_producev(rk, RD_KAFKA_V_TOPIC("t"), RD_KAFKA_V_PARTITION(i % 3),
						  RD_KAFKA_V_VALUE("x", 1), RD_KAFKA_V_END);
	return rd_kafka_flush(rk, 10000);
}

static int
teardown(void **state)
{
	(void) state;
	mr_resolver_free(resolver);
	rd_kafka_destroy(rk);
	event_base_free(base);
	return 0;
}

static void
starts_of_all_partitions(void **state)
{
	(void) state;
	ask((MrQuestion){.kind = MR_ASK_STARTS, .topic = (char[]){"t"}, .time = MR_START_LATEST});
	assert_true(got.ok);
	assert_int_equal(got.count, 3);
	assert_int_equal(offsets[0] + offsets[1] + offsets[2], 30);
	ask((MrQuestion){.kind = MR_ASK_STARTS, .topic = (char[]){"t"}, .time = MR_START_EARLIEST});
	assert_int_equal(offsets[0] + offsets[1] + offsets[2], 0);
}

/* Partitions that appear later begin at the earliest, whatever start_at says. */
static void
later_partitions_begin_at_the_earliest(void **state)
{
	(void) state;
	ask((MrQuestion){
		.kind = MR_ASK_STARTS, .topic = (char[]){"t"}, .first = 1, .time = MR_START_LATEST});
	assert_true(got.ok);
	assert_int_equal(got.count, 2);
	assert_int_equal(offsets[0] + offsets[1], 0);
	ask((MrQuestion){
		.kind = MR_ASK_STARTS, .topic = (char[]){"t"}, .first = 3, .time = MR_START_LATEST});
	assert_true(got.ok);
	assert_int_equal(got.count, 0);
}

static void
watermarks(void **state)
{
	(void) state;
	ask((MrQuestion){.kind = MR_ASK_WATERMARKS, .topic = (char[]){"t"}, .first = 2, .tag = 8});
	assert_true(got.ok);
	assert_int_equal(got.low, 0);
	assert_int_equal(got.high, 10);
	assert_int_equal(got.tag, 8);
}

static void
a_topic_that_is_there(void **state)
{
	(void) state;
	ask((MrQuestion){.kind = MR_ASK_TOPIC, .topic = (char[]){"t"}});
	assert_true(got.ok);
	ask((MrQuestion){.kind = MR_ASK_TOPIC, .topic = (char[]){"many,t"}});
	assert_true(got.ok);
}

static void
topics_that_there_are(void **state)
{
	(void) state;
	ask((MrQuestion){.kind = MR_ASK_TOPICS, .topic = (char[]){""}});
	assert_true(got.ok);
	assert_true(strcmp(listed, "many,t") == 0 || strcmp(listed, "t,many") == 0);
}

/* Those who ask after one that had no answer do not wait as long, but for one that is in trouble already. */
static void
silence_is_noticed_by_all(void **state)
{
	int64_t begin;

	(void) state;
	rd_kafka_mock_broker_set_rtt(rd_kafka_handle_mock_cluster(rk), 1, 3000);
	ask((MrQuestion){.kind = MR_ASK_TOPIC, .topic = (char[]){"t"}, .is_first = true});
	assert_false(got.ok);
	assert_true(got.err < 0);
	begin = mr_now_ms();
	ask((MrQuestion){.kind = MR_ASK_TOPIC, .topic = (char[]){"t"}, .is_first = true});
	assert_false(got.ok);
	assert_true(mr_now_ms() - begin < 1500);
	begin = mr_now_ms();
	ask((MrQuestion){.kind = MR_ASK_TOPIC, .topic = (char[]){"t"}, .is_first = false});
	assert_false(got.ok);
	assert_true(mr_now_ms() - begin >= 1500);
	rd_kafka_mock_broker_set_rtt(rd_kafka_handle_mock_cluster(rk), 1, 0);
	for (int i = 0; i < 10 && !got.ok; i++)
		ask((MrQuestion){.kind = MR_ASK_TOPIC, .topic = (char[]){"t"}});
	assert_true(got.ok);
}

static void
unknown_partition_is_no_answer(void **state)
{
	(void) state;
	ask((MrQuestion){.kind = MR_ASK_WATERMARKS, .topic = (char[]){"t"}, .first = 9});
	assert_false(got.ok);
	assert_true(got.error[0] != '\0');
}

static int good;

static void
on_one_of_many(MrQuestion *question)
{
	answers++;
	good += question->ok && question->low == 0 && question->high == 0 ? 1 : 0;
	if (!question->ok)
		assert_true(question->error[0] != '\0');
}

/* Every partition of the topic, and one that it has not, the second before the first is answered. */
static void
ask_for_many(void)
{
	int before = answers;

	requests = good = 0;
	pthread_mutex_lock(&gate);
	for (int i = MANY; i >= 0; i--)
		mr_resolver_ask(resolver, &(MrQuestion){.kind = MR_ASK_WATERMARKS,
												.rk = rk,
												.topic = (char[]){"many"},
												.first = i,
												.answer = on_one_of_many});
	pthread_mutex_unlock(&gate);
	for (int i = 0; i < 15000 && answers < before + MANY + 1; i++)
	{
		event_base_loop(base, EVLOOP_NONBLOCK);
		usleep(1000);
	}
	assert_int_equal(answers, before + MANY + 1);
}

/* Two requests for those that were asked for while an earlier question was under way. */
static void
many_partitions_are_asked_for_together(void **state)
{
	(void) state;
	ask_for_many();
	assert_int_equal(good, MANY);
	assert_in_range(requests, 2, 20); /* one by one: 602 */
}

static void
trouble_of_one_partition_is_not_that_of_others(void **state)
{
	(void) state;
	refuse_several = true;
	ask_for_many();
	refuse_several = false;
	assert_int_equal(good, MANY);
}

/* A broker that does not answer is not waited for once per partition. */
static void
silence_is_waited_for_once(void **state)
{
	(void) state;
	refuse_all = RD_KAFKA_RESP_ERR__TIMED_OUT;
	ask_for_many();
	refuse_all = RD_KAFKA_RESP_ERR_NO_ERROR;
	assert_int_equal(good, 0);
	assert_in_range(requests, 2, 20);
}

static void
different_times_are_different_questions(void **state)
{
	static const int64_t times[] = {MR_START_EARLIEST, MR_START_LATEST, MR_START_EARLIEST};
	int64_t expected[] = {0, 10, 0};

	(void) state;
	for (int i = 0; i < 3; i++)
	{
		ask((
			MrQuestion){.kind = MR_ASK_TIME, .topic = (char[]){"t"}, .first = i, .time = times[i]});
		assert_true(got.ok);
		assert_int_equal(got.low, expected[i]);
	}
	assert_false(mr_broker_joins(
		&(MrQuestion){.kind = MR_ASK_TIME, .rk = rk, .topic = (char[]){"t"}, .time = 1},
		&(MrQuestion){.kind = MR_ASK_TIME, .rk = rk, .topic = (char[]){"t"}, .time = 2}));
	assert_true(mr_broker_joins(
		&(MrQuestion){.kind = MR_ASK_TIME, .rk = rk, .topic = (char[]){"t"}, .time = 1},
		&(MrQuestion){
			.kind = MR_ASK_TIME, .rk = rk, .topic = (char[]){"t"}, .first = 2, .time = 1}));
}

/* The mock cluster does not know the request, as an old or a strict one would not: an answer all the same. */
static void
retention_may_be_refused(void **state)
{
	(void) state;
	ask((MrQuestion){.kind = MR_ASK_RETENTION, .topic = (char[]){"t"}});
	assert_false(got.ok);
	assert_true(got.error[0] != '\0');
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_of_all_partitions),
		cmocka_unit_test(later_partitions_begin_at_the_earliest),
		cmocka_unit_test(watermarks),
		cmocka_unit_test(unknown_partition_is_no_answer),
		cmocka_unit_test(a_topic_that_is_there),
		cmocka_unit_test(topics_that_there_are),
		cmocka_unit_test(silence_is_noticed_by_all),
		cmocka_unit_test(many_partitions_are_asked_for_together),
		cmocka_unit_test(trouble_of_one_partition_is_not_that_of_others),
		cmocka_unit_test(silence_is_waited_for_once),
		cmocka_unit_test(different_times_are_different_questions),
		cmocka_unit_test(retention_may_be_refused),
	};

	return cmocka_run_group_tests_name("ingestor/resolver", tests, setup, teardown);
}
