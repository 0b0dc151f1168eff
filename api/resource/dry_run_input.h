/* The body of POST /pipelines/{name}/dry-run: whether it is what the statement takes apart. Pure. */
#ifndef MR_API_DRY_RUN_INPUT_H
#define MR_API_DRY_RUN_INPUT_H

#include <stdbool.h>
#include <stddef.h>

#define MR_SAMPLES_MAX 1000
#define MR_STAGED_MAX  1000

/* len 0: no body, which takes staged events. False: error says what was found, and what was expected. */
extern bool mr_dry_run_input_check(const char *body, size_t len, char *error, size_t error_size)
	__attribute__((warn_unused_result));

#endif
