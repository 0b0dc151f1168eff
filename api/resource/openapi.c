#include "api/resource/openapi.h"

#include "api/request/accept.h"
#include "api/request/etag.h"
#include "api/resource/document.h"

/* The assembler reads the file; api/Makefile says where it is, and that this file depends on it. */
__asm__(".section .rodata\n"
		".balign 8\n"
		"mr_openapi_begin:\n"
		".incbin \"api/resource/openapi.json\"\n"
		"mr_openapi_end:\n"
		".byte 0\n"
		".previous\n");

extern const char mr_openapi_begin[];
extern const char mr_openapi_end[];

void
mr_openapi_get(MrExchange *exchange)
{
	static const char *const types[] = {"application/json"};
	size_t len = (size_t) (mr_openapi_end - mr_openapi_begin);
	MrBuffer body = {0};
	char tag[MR_ETAG_SIZE];

	if (mr_accept_choose(mr_exchange_header(exchange, "Accept"), types, 1) < 0)
	{
		mr_exchange_refuse(exchange, MR_PROBLEM_ACCEPT, NULL, "Accept application/json.");
		return;
	}
	if (!mr_document_has_no_params(exchange))
		return;
	mr_etag_make(tag, mr_openapi_begin, len);
	mr_buffer_append(&body, mr_openapi_begin, len);
	mr_document_answer(exchange, "application/json", &body, tag);
}
