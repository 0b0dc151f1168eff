#include "api/control/json_text.h"

#include "common/json.h"

void
mr_json_string(MrBuffer *out, const char *text, size_t len)
{
	mr_json_put_text(out, text, len, "\xef\xbf\xbd");
}

void
mr_json_member(MrBuffer *out, const char *name, const char *value)
{
	if (value == NULL)
		return;
	if (out->len > 0 && out->data[out->len - 1] != '{')
		mr_buffer_append(out, ",", 1);
	mr_json_string(out, name, strlen(name));
	mr_buffer_append(out, ":", 1);
	mr_json_string(out, value, strlen(value));
}
