#include "api/keyring.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"

#define FILE_MAX (1024 * 1024)

static bool read_file(const char *path, MrBuffer *text, char *error, size_t error_size);

bool
mr_keyring_read(MrKeyring *keyring, const char *path)
{
	MrBuffer text = {0};
	MrKeys *keys = NULL;
	char error[512];

	if (read_file(path, &text, error, sizeof(error)))
		keys = mr_keys_read(text.data, text.len, error, sizeof(error));
	mr_buffer_free(&text);
	if (keys == NULL)
	{
		mr_log(MR_LOG_ERROR, "could not read the keys", MR_STR("file", path),
			   MR_STR("error", error),
			   MR_STR("hint", keyring->count > 0
								  ? "The keys of before hold until the file is right and "
									"SIGHUP is sent again."
								  : ""));
		return false;
	}
	keyring->all = mr_realloc(keyring->all, sizeof(*keyring->all) * (size_t) (keyring->count + 1));
	keyring->all[keyring->count++] = keys;
	atomic_store(&keyring->keys, keys);
	mr_log(MR_LOG_INFO, "keys read", MR_STR("file", path), MR_INT("keys", keys->count));
	return true;
}

void
mr_keyring_free(MrKeyring *keyring)
{
	for (int i = 0; i < keyring->count; i++)
		mr_keys_free(keyring->all[i]);
	free(keyring->all);
}

static bool
read_file(const char *path, MrBuffer *text, char *error, size_t error_size)
{
	FILE *file = fopen(path, "re");
	bool ok;

	if (file == NULL)
	{
		snprintf(error, error_size, "%m");
		return false;
	}
	mr_buffer_reserve(text, FILE_MAX);
	text->len = fread(text->data, 1, FILE_MAX, file);
	ok = !ferror(file) && feof(file);
	if (!ok)
		snprintf(error, error_size, ferror(file) ? "it cannot be read" : "it is larger than 1 MB");
	fclose(file);
	return ok;
}
