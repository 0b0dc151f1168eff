/*
 * The end of librdkafka handles. rd_kafka_destroy waits for the handle's threads, which may wait for a broker that hangs:
 * 8 s were seen. So it runs in a thread of its own for each handle.
 *
 * The main thread only.
 */
#ifndef MR_INGESTOR_HANDLE_END_H
#define MR_INGESTOR_HANDLE_END_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>

/*
 * Destroys a consumer's handle without closing the consumer; returns at once. Its queues have been destroyed, and none of
 * its callbacks is called any more.
 */
extern void mr_handle_end(rd_kafka_t *rk);
/* Waits until all have ended, for so long at most. False: the process can only _exit. */
extern bool mr_handles_have_ended(int wait_ms);

#endif
