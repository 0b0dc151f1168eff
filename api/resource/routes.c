#include "api/resource/routes.h"

#include "api/control/keys.h"
#include "api/resource/dead_letters.h"
#include "api/resource/dry_run.h"
#include "api/resource/event.h"
#include "api/resource/event_all.h"
#include "api/resource/event_list.h"
#include "api/resource/event_post.h"
#include "api/resource/event_status.h"
#include "api/resource/event_stream.h"
#include "api/resource/openapi.h"
#include "api/resource/page.h"
#include "api/resource/pipelines.h"
#include "api/resource/windows.h"

const MrRoute mr_routes[] = {
	{MR_METHOD_GET, "/events", mr_event_list_get, MR_SCOPE_READ},
	{MR_METHOD_POST, "/events", mr_event_post, MR_SCOPE_PUBLISH},
	{MR_METHOD_GET, "/events/all", mr_event_all_get, MR_SCOPE_READ},
	{MR_METHOD_GET, "/events/stream", mr_event_stream_get, MR_SCOPE_READ},
	{MR_METHOD_GET, "/events/{id}", mr_event_get, MR_SCOPE_READ},
	{MR_METHOD_GET, "/events/{id}/status", mr_event_status_get, MR_SCOPE_OPERATE},
	{MR_METHOD_GET, "/dead-letters", mr_dead_letters_get, MR_SCOPE_OPERATE},
	{MR_METHOD_POST, "/dead-letters/replay", mr_dead_letters_replay, MR_SCOPE_OPERATE},
	{MR_METHOD_POST, "/dead-letters/discard", mr_dead_letters_discard, MR_SCOPE_OPERATE},
	{MR_METHOD_GET, "/dead-letters/groups", mr_dead_letter_groups_get, MR_SCOPE_OPERATE},
	{MR_METHOD_GET, "/dead-letters/{id}", mr_dead_letter_get, MR_SCOPE_OPERATE},
	{MR_METHOD_GET, "/pipelines", mr_pipelines_get, MR_SCOPE_READ},
	{MR_METHOD_GET, "/pipelines/{name}", mr_pipeline_get, MR_SCOPE_READ},
	{MR_METHOD_GET, "/pipelines/{name}/state", mr_pipeline_state_get, MR_SCOPE_READ},
	{MR_METHOD_GET, "/pipelines/{name}/history", mr_pipeline_history_get, MR_SCOPE_READ},
	{MR_METHOD_POST, "/pipelines/{name}/pause", mr_pipeline_pause, MR_SCOPE_OPERATE},
	{MR_METHOD_POST, "/pipelines/{name}/resume", mr_pipeline_resume, MR_SCOPE_OPERATE},
	{MR_METHOD_POST, "/pipelines/{name}/dry-run", mr_pipeline_dry_run, MR_SCOPE_OPERATE},
	{MR_METHOD_GET, "/windows", mr_windows_get, MR_SCOPE_READ},
	{MR_METHOD_GET, "/windows/{name}", mr_window_get, MR_SCOPE_READ},
	{MR_METHOD_GET, "/doctor", mr_doctor_get, MR_SCOPE_READ},
	{MR_METHOD_GET, "/openapi.json", mr_openapi_get, 0},
	{MR_METHOD_GET, "/docs", mr_page_docs_get, 0},
	{MR_METHOD_GET, "/", mr_page_get, 0},
	{MR_METHOD_GET, "/page/{file}", mr_page_file_get, 0},
};

const int mr_route_count = sizeof(mr_routes) / sizeof(mr_routes[0]);
