/* Prometheus text exposition. */
#include "common/metrics.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static void put_label(MrBuffer *out, bool first, const char *name, const char *value);
static void put_number(MrBuffer *out, double value);
static double resident_bytes(void);
static double open_fds(void);

void
mr_metrics_family(MrBuffer *out, const char *name, const char *type, const char *help)
{
	mr_buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void
mr_metrics_value(MrBuffer *out, const char *name, double value, ...)
{
	va_list args;
	const char *label;
	bool first = true;

	mr_buffer_append(out, name, strlen(name));
	va_start(args, value);
	while ((label = va_arg(args, const char *)) != NULL)
	{
		put_label(out, first, label, va_arg(args, const char *));
		first = false;
	}
	va_end(args);
	if (!first)
		mr_buffer_append(out, "}", 1);
	put_number(out, value);
}

void
mr_metrics_histogram(MrBuffer *out, const char *name, const MrHistogram *histogram,
					 const char *label, const char *label_value)
{
	char *bucket = mr_asprintf("%s_bucket", name);
	char *sum = mr_asprintf("%s_sum", name);
	char *count = mr_asprintf("%s_count", name);
	uint64_t total = 0;
	double bound = 0.0005;

	for (int i = 0; i < MR_HISTOGRAM_BUCKETS; i++, bound *= 2)
	{
		char le[32];

		snprintf(le, sizeof(le), "%g", bound);
		total += histogram->buckets[i];
		mr_metrics_value(out, bucket, (double) total, label, label_value, "le", le, NULL);
	}
	mr_metrics_value(out, bucket, (double) histogram->count, label, label_value, "le", "+Inf",
					 NULL);
	mr_metrics_value(out, sum, histogram->sum, label, label_value, NULL);
	mr_metrics_value(out, count, (double) histogram->count, label, label_value, NULL);
	free(bucket);
	free(sum);
	free(count);
}

void
mr_histogram_add(MrHistogram *histogram, double seconds)
{
	double bound = 0.0005;

	for (int i = 0; i < MR_HISTOGRAM_BUCKETS; i++, bound *= 2)
		if (seconds <= bound)
		{
			histogram->buckets[i]++;
			break;
		}
	histogram->count++;
	histogram->sum += seconds;
}

void
mr_metrics_process(MrBuffer *out)
{
	static time_t started;
	struct rusage usage;

	if (started == 0)
		started = time(NULL);
	getrusage(RUSAGE_SELF, &usage);
	mr_metrics_family(out, "process_cpu_seconds_total", "counter",
					  "User and system CPU time, in seconds.");
	mr_metrics_value(out, "process_cpu_seconds_total",
					 (double) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
						 (double) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6,
					 NULL);
	mr_metrics_family(out, "process_resident_memory_bytes", "gauge", "Resident memory.");
	mr_metrics_value(out, "process_resident_memory_bytes", resident_bytes(), NULL);
	mr_metrics_family(out, "process_open_fds", "gauge", "Open file descriptors.");
	mr_metrics_value(out, "process_open_fds", open_fds(), NULL);
	mr_metrics_family(out, "process_start_time_seconds", "gauge",
					  "Start of the process, in seconds since 1970.");
	mr_metrics_value(out, "process_start_time_seconds", (double) started, NULL);
}

static void
put_label(MrBuffer *out, bool first, const char *name, const char *value)
{
	mr_buffer_printf(out, "%s%s=\"", first ? "{" : ",", name);
	for (; *value != '\0'; value++)
	{
		if (*value == '\\' || *value == '"')
			mr_buffer_append(out, "\\", 1);
		if (*value == '\n')
			mr_buffer_append(out, "\\n", 2);
		else
			mr_buffer_append(out, value, 1);
	}
	mr_buffer_append(out, "\"", 1);
}

static void
put_number(MrBuffer *out, double value)
{
	if (value == (double) (int64_t) value && value < 9e15 && value > -9e15)
		mr_buffer_printf(out, " %lld\n", (long long) value);
	else
		mr_buffer_printf(out, " %.9g\n", value);
}

static double
resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;

	if (file == NULL)
		return 0;
	if (fscanf(file, "%*u %lu", &pages) != 1)
		pages = 0;
	fclose(file);
	return (double) pages * (double) sysconf(_SC_PAGESIZE);
}

static double
open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	if (dir == NULL)
		return 0;
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count - 3; /* ".", ".." and the directory itself */
}
