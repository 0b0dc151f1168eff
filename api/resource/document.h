/*
 * Routes whose answer is one JSON text that one statement gives: the state of the pipelines, what failed, and what is done
 * about it. Those that show or change what belongs to a pipeline's owner run as the role of --operate-dsn, and only when
 * that is given.
 */
#ifndef MR_API_DOCUMENT_H
#define MR_API_DOCUMENT_H

#include "api/request/exchange.h"

extern void mr_pipelines_get(MrExchange *exchange);
extern void mr_pipeline_get(MrExchange *exchange);
extern void mr_pipeline_pause(MrExchange *exchange);
extern void mr_pipeline_resume(MrExchange *exchange);
extern void mr_doctor_get(MrExchange *exchange);
extern void mr_event_status_get(MrExchange *exchange);
extern void mr_dead_letter_groups_get(MrExchange *exchange);
extern void mr_dead_letter_get(MrExchange *exchange);

#endif
