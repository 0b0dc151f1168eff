/* The pipelines: what they are and how they are, what is wrong, pause and resume. */
#ifndef MR_API_PIPELINES_H
#define MR_API_PIPELINES_H

#include "api/request/exchange.h"

extern void mr_pipelines_get(MrExchange *exchange);
extern void mr_pipeline_get(MrExchange *exchange);
extern void mr_pipeline_state_get(MrExchange *exchange);
extern void mr_pipeline_history_get(MrExchange *exchange);
extern void mr_pipeline_pause(MrExchange *exchange);
extern void mr_pipeline_resume(MrExchange *exchange);
extern void mr_doctor_get(MrExchange *exchange);

#endif
