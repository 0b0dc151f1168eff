/*
 * Stands in for libFuzzer, so that any compiler can run a harness on the inputs that are kept: each file of the directories
 * that are named is given to it once.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* From a block of just this size: a byte read behind it is found. */
static int
run_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data;
	long len;

	if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (len = ftell(file)) < 0)
	{
		perror(path);
		exit(2);
	}
	rewind(file);
	data = malloc(len > 0 ? (size_t) len : 1);
	if (data == NULL || fread(data, 1, (size_t) len, file) != (size_t) len)
	{
		perror(path);
		exit(2);
	}
	fclose(file);
	fprintf(stderr, "%s\n", path); /* the last line before an abort says of which input it is */
	LLVMFuzzerTestOneInput(data, (size_t) len);
	free(data);
	return 1;
}

int
main(int argc, char **argv)
{
	int count = 0;

	for (int i = 1; i < argc; i++)
	{
		DIR *directory = opendir(argv[i]);
		struct dirent *entry;
		char path[4096];

		if (directory == NULL)
		{
			perror(argv[i]);
			return 2;
		}
		while ((entry = readdir(directory)) != NULL)
		{
			snprintf(path, sizeof(path), "%s/%s", argv[i], entry->d_name);
			if (entry->d_name[0] != '.')
				count += run_file(path);
		}
		closedir(directory);
	}
	printf("%d inputs\n", count);
	return count > 0 ? 0 : 2;
}
