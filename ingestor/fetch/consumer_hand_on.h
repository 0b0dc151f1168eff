/*
 * Messages that a consumer has taken, to its owner: each that is still of the fetch it was taken in, and what it says of an
 * error or an end.
 */
#ifndef MR_INGESTOR_CONSUMER_HAND_ON_H
#define MR_INGESTOR_CONSUMER_HAND_ON_H

#include <stdbool.h>

#include "ingestor/fetch/consumer.h"

/* Until there is none or the owner has blocked the consumer: false; or until it is others' turn: true. */
extern bool mr_consumer_hand_on(MrConsumer *consumer);

#endif
