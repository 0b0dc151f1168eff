/* Which error of the Kafka client is shown, until when; and what is advised. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ingestor/fetch/kafka_advice.h"
#include "ingestor/fetch/kafka_trouble.h"

#define REFUSED "kafka1: Connect failed: Connection refused"

static const char *
shown(const MrKafkaTrouble *trouble)
{
	const MrKafkaError *error = mr_kafka_trouble_shown(trouble);

	return error != NULL ? error->trouble.text : "";
}

static void
one_broker_of_several_is_a_suspicion(void **state)
{
	MrKafkaTrouble trouble = {0};

	(void) state;
	assert_false(mr_kafka_trouble_wants_answer(&trouble));
	assert_int_equal(mr_kafka_trouble_note(&trouble, RD_KAFKA_RESP_ERR__TRANSPORT, -1,
										   REFUSED " (after 0ms in state CONNECT)"),
					 MR_LOG_WARN);
	assert_string_equal(shown(&trouble), "");
	assert_true(mr_kafka_trouble_wants_answer(&trouble));
	assert_true(mr_kafka_trouble_doubts_brokers(&trouble));
	mr_kafka_trouble_asking(&trouble);
	mr_kafka_trouble_answered(&trouble);
	assert_false(mr_kafka_trouble_wants_answer(&trouble));
	/* the next silence has another cause */
	mr_kafka_trouble_unanswered(&trouble, RD_KAFKA_RESP_ERR__TIMED_OUT, "Local: Timed out");
	assert_string_equal(shown(&trouble), "Local: Timed out");
}

static void
the_cause_is_shown_when_no_broker_is_left(void **state)
{
	MrKafkaTrouble trouble = {0};

	(void) state;
	mr_kafka_trouble_note(&trouble, RD_KAFKA_RESP_ERR__TRANSPORT, -1, REFUSED " (after 0ms)");
	assert_int_equal(mr_kafka_trouble_note(&trouble, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, -1,
										   "1/1 are down"),
					 MR_LOG_DEBUG);
	assert_string_equal(shown(&trouble), REFUSED);
	assert_int_equal(mr_kafka_trouble_shown(&trouble)->err, RD_KAFKA_RESP_ERR__TRANSPORT);
	assert_int_equal(mr_kafka_trouble_note(&trouble, RD_KAFKA_RESP_ERR__TRANSPORT, -1, REFUSED),
					 MR_LOG_DEBUG);
	/* a question that is not answered says less */
	mr_kafka_trouble_unanswered(&trouble, RD_KAFKA_RESP_ERR__TRANSPORT, "Local: transport");
	assert_string_equal(shown(&trouble), REFUSED);
	/* another reason is shown as soon as it is known */
	mr_kafka_trouble_note(&trouble, RD_KAFKA_RESP_ERR__AUTHENTICATION, -1, "wrong password");
	assert_string_equal(shown(&trouble), "wrong password");
	assert_int_equal(mr_kafka_trouble_shown(&trouble)->err, RD_KAFKA_RESP_ERR__AUTHENTICATION);
	/* neither the group nor a partition refutes it: they may be of other brokers */
	mr_kafka_trouble_joined(&trouble);
	mr_kafka_trouble_heard(&trouble, 0);
	assert_string_equal(shown(&trouble), "wrong password");
	mr_kafka_trouble_asking(&trouble);
	mr_kafka_trouble_answered(&trouble);
	assert_string_equal(shown(&trouble), "");
}

static void
an_answer_to_an_older_question_refutes_nothing(void **state)
{
	MrKafkaTrouble trouble = {0};

	(void) state;
	mr_kafka_trouble_asking(&trouble);
	mr_kafka_trouble_note(&trouble, RD_KAFKA_RESP_ERR__TRANSPORT, -1, REFUSED);
	mr_kafka_trouble_note(&trouble, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, -1, "1/1 are down");
	mr_kafka_trouble_answered(&trouble);
	assert_string_equal(shown(&trouble), REFUSED);
	mr_kafka_trouble_asking(&trouble);
	mr_kafka_trouble_answered(&trouble);
	assert_string_equal(shown(&trouble), "");
}

static void
each_kind_ends_with_what_works_again(void **state)
{
	MrKafkaTrouble trouble = {0};

	(void) state;
	mr_kafka_trouble_unanswered(&trouble, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, "no topic");
	mr_kafka_trouble_joined(&trouble);
	assert_string_equal(shown(&trouble), "no topic");
	assert_true(mr_kafka_trouble_wants_answer(&trouble));
	assert_false(mr_kafka_trouble_doubts_brokers(&trouble)); /* which may be asked for others */
	mr_kafka_trouble_asking(&trouble);
	mr_kafka_trouble_answered(&trouble);
	assert_string_equal(shown(&trouble), "");

	mr_kafka_trouble_note(&trouble, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, -1, "no group");
	assert_false(mr_kafka_trouble_wants_answer(&trouble));
	mr_kafka_trouble_asking(&trouble);
	mr_kafka_trouble_answered(&trouble);
	assert_string_equal(shown(&trouble), "no group");
	/* a broker that is away in between: then the group refuses as before, which the client does not repeat */
	mr_kafka_trouble_unanswered(&trouble, RD_KAFKA_RESP_ERR__TIMED_OUT, "Local: Timed out");
	assert_string_equal(shown(&trouble), "Local: Timed out");
	mr_kafka_trouble_asking(&trouble);
	mr_kafka_trouble_answered(&trouble);
	assert_string_equal(shown(&trouble), "no group");
	mr_kafka_trouble_joined(&trouble);
	assert_string_equal(shown(&trouble), "");

	mr_kafka_trouble_note(&trouble, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, 3, "no read");
	mr_kafka_trouble_asking(&trouble);
	mr_kafka_trouble_answered(&trouble);
	mr_kafka_trouble_heard(&trouble, 2);
	mr_kafka_trouble_revoked(&trouble, 2);
	assert_string_equal(shown(&trouble), "no read");
	mr_kafka_trouble_heard(&trouble, 3);
	assert_string_equal(shown(&trouble), "");
	mr_kafka_trouble_note(&trouble, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, 3, "no read");
	mr_kafka_trouble_revoked(&trouble, 3);
	assert_string_equal(shown(&trouble), "");
}

static const char *
advice(rd_kafka_resp_err_t err, const MrSettings *settings)
{
	static char text[768];

	mr_kafka_advice(err, "events", "millrace.x.p", settings, text, sizeof(text));
	return text;
}

static void
advice_names_the_option_and_no_secret(void **state)
{
	char *properties[] = {(char[]){"sasl.password=secret"}};
	MrSettings settings = {.brokers = (char[]){"kafka1:9092,kafka2:9092"}};

	(void) state;
	assert_string_equal(
		advice(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, &settings),
		"millrace-ingestor --brokers 'kafka1:9092,kafka2:9092' --create-topic events:6");
	settings.properties = (MrStrings){.items = properties, .count = 1};
	assert_non_null(strstr(advice(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, &settings), ":6 # "));
	assert_null(strstr(advice(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, &settings), "secret"));
	assert_non_null(
		strstr(advice(RD_KAFKA_RESP_ERR__TRANSPORT, &settings), "kafka1:9092,kafka2:9092"));
	assert_non_null(strstr(advice(RD_KAFKA_RESP_ERR__SSL, &settings), "ssl.ca.location"));
	assert_non_null(strstr(advice(RD_KAFKA_RESP_ERR__AUTHENTICATION, &settings), "sasl.password"));
	assert_non_null(
		strstr(advice(RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, &settings), "millrace.x.p"));
	assert_non_null(
		strstr(advice(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, &settings), "\"events\""));
	assert_string_equal(advice(RD_KAFKA_RESP_ERR_UNKNOWN, &settings), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_broker_of_several_is_a_suspicion),
		cmocka_unit_test(the_cause_is_shown_when_no_broker_is_left),
		cmocka_unit_test(an_answer_to_an_older_question_refutes_nothing),
		cmocka_unit_test(each_kind_ends_with_what_works_again),
		cmocka_unit_test(advice_names_the_option_and_no_secret),
	};

	return cmocka_run_group_tests_name("ingestor/kafka_trouble", tests, NULL, NULL);
}
