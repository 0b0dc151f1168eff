/*
 * engine_program.c: what the engine runs, made ready: the program of the pipeline's current version, the settings its SQL
 * was checked with, and what is remembered of it for when it works no longer.
 */
#include "engine/engine.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "server/catalog.h"
#include "server/xact.h"
#include "program/remedy.h"
#include "program/remembered.h"

static void remember(MrEngine *engine);

/* Makes the program of the pipeline's current version unless it exists and is still valid. */
void
mr_engine_prepare(MrEngine *engine, const MrPipelineRow *pipeline)
{
	int32 version = pipeline->version;
	MemoryContext old;
	MrDefinition *definition;

	if (engine->program != NULL && engine->program_version == version &&
		engine->program_windows == pipeline->windows && mr_program_is_valid(engine->program))
	{
		mr_definition_pin(engine->program->definition);
		return;
	}
	if (engine->program != NULL && engine->program_version != version)
		ResetTempTableNamespace(); /* temporary tables of the old version's SQL */
	mr_engine_forget_program(engine);
	engine->program_context =
		AllocSetContextCreate(engine->context, "millrace definition", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(engine->program_context);
	PushActiveSnapshot(GetTransactionSnapshot());
	engine->extension = mr_extension_oid();
	definition = mr_definition_load(engine->pipeline_id, version);
	mr_definition_pin(definition);
	engine->program = mr_program_create(definition);
	PopActiveSnapshot();
	engine->program_version = version;
	engine->program_windows = pipeline->windows;
	engine->fold.known = true;
	engine->fold.windows = definition->windows != NIL;
	if (engine->fold.windows)
		engine->fold.unfolded++; /* what a worker before this one has left */
	MemoryContextSwitchTo(old);
	remember(engine);
}

void
mr_engine_forget_program(MrEngine *engine)
{
	engine->program = NULL;
	if (engine->program_context != NULL)
		MemoryContextDelete(engine->program_context);
	engine->program_context = NULL;
}

char *
mr_engine_remedy(MrEngine *engine, const ErrorData *error)
{
	MemoryContext old = CurrentMemoryContext;
	char *command;

	if (!mr_remedy_is_possible(error->sqlerrcode) || !mr_xact_begin("looking for a remedy"))
		return NULL;
	command = mr_remedy(engine->remembered, engine->pipeline_id, error);
	if (command != NULL)
		command = MemoryContextStrdup(old, command);
	mr_xact_commit();
	MemoryContextSwitchTo(old);
	return command;
}

/* The program is gone when it is to be compared with. */
static void
remember(MrEngine *engine)
{
	MemoryContext context =
		AllocSetContextCreate(engine->context, "millrace remembered", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	engine->remembered = mr_remember(engine->program);
	MemoryContextSwitchTo(old);
	if (engine->remembered_context != NULL)
		MemoryContextDelete(engine->remembered_context);
	engine->remembered_context = context;
}
