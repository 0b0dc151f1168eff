#include "api/resource/page.h"

#include <string.h>

#include "api/request/etag.h"
#include "api/resource/document.h"

/*
 * Only what is served from here runs or is loaded, and no page may frame this one. uPlot sets styles by script, which
 * style-src does not restrict.
 */
#define POLICY                                                                                     \
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src "        \
	"'self'; "                                                                                     \
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/* The assembler reads the files; api/Makefile says where they are, and that this file depends on them. */
#define LINK(symbol, file)                                                                         \
	__asm__(".section .rodata\n"                                                                   \
			"mr_page_" #symbol "_begin:\n"                                                         \
			".incbin \"api/page/" file "\"\n"                                                      \
			"mr_page_" #symbol "_end:\n"                                                           \
			".previous\n");                                                                        \
	extern const char mr_page_##symbol##_begin[];                                                  \
	extern const char mr_page_##symbol##_end[]

LINK(index, "index.html");
LINK(docs, "docs.html");
LINK(icon, "icon.svg");
LINK(css, "page.css");
LINK(dom, "dom.js");
LINK(docs_js, "docs.js");
LINK(dialog, "dialog.js");
LINK(server, "server.js");
LINK(charts, "charts.js");
LINK(overview, "overview.js");
LINK(pipeline, "pipeline.js");
LINK(letters, "letters.js");
LINK(lookup, "lookup.js");
LINK(main, "main.js");
LINK(uplot, "vendor/uPlot.iife.min.js");
LINK(uplot_css, "vendor/uPlot.min.css");

#define HTML       "text/html; charset=utf-8"
#define CSS        "text/css; charset=utf-8"
#define JAVASCRIPT "text/javascript; charset=utf-8"
#define FILE(symbol, name, type)                                                                   \
	{                                                                                              \
		name, type, mr_page_##symbol##_begin, mr_page_##symbol##_end                               \
	}

/* The first two are the pages themselves, which have no name here. */
static const struct
{
	const char *name;
	const char *type;
	const char *begin;
	const char *end;
} files[] = {
	FILE(index, "", HTML),
	FILE(docs, "", HTML),
	FILE(icon, "icon.svg", "image/svg+xml"),
	FILE(css, "page.css", CSS),
	FILE(dom, "dom.js", JAVASCRIPT),
	FILE(docs_js, "docs.js", JAVASCRIPT),
	FILE(dialog, "dialog.js", JAVASCRIPT),
	FILE(server, "server.js", JAVASCRIPT),
	FILE(charts, "charts.js", JAVASCRIPT),
	FILE(overview, "overview.js", JAVASCRIPT),
	FILE(pipeline, "pipeline.js", JAVASCRIPT),
	FILE(letters, "letters.js", JAVASCRIPT),
	FILE(lookup, "lookup.js", JAVASCRIPT),
	FILE(main, "main.js", JAVASCRIPT),
	FILE(uplot, "uPlot.iife.min.js", JAVASCRIPT),
	FILE(uplot_css, "uPlot.min.css", CSS),
};

static void serve(MrExchange *exchange, int file);

void
mr_page_get(MrExchange *exchange)
{
	serve(exchange, 0);
}

void
mr_page_docs_get(MrExchange *exchange)
{
	serve(exchange, 1);
}

void
mr_page_file_get(MrExchange *exchange)
{
	for (int i = 2; i < (int) (sizeof(files) / sizeof(files[0])); i++)
		if (strcmp(files[i].name, exchange->match.captures[0]) == 0)
		{
			serve(exchange, i);
			return;
		}
	mr_exchange_refuse(exchange, MR_PROBLEM_ROUTE, NULL, NULL);
}

static void
serve(MrExchange *exchange, int file)
{
	size_t len = (size_t) (files[file].end - files[file].begin);
	MrBuffer body = {0};
	char tag[MR_ETAG_SIZE];

	if (!mr_document_has_no_params(exchange))
		return;
	mr_etag_make(tag, files[file].begin, len);
	mr_exchange_set_header(exchange, "Content-Security-Policy", POLICY);
	mr_exchange_set_header(exchange, "Referrer-Policy", "no-referrer");
	mr_buffer_append(&body, files[file].begin, len);
	mr_document_answer(exchange, files[file].type, &body, tag);
}
