/* The helper thread. `lock` guards the two lists, `resolving` and `stopping`. */
#include "ingestor/fetch/resolver.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/buffer.h"

struct MrResolver
{
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t asked;
	MrQuestion *questions; /* oldest first */
	MrQuestion **last;     /* where the next one goes */
	MrQuestion *answers;
	bool resolving; /* a question is under way */
	bool stopping;
	bool silent; /* the last question for a topic was not answered; the helper thread's own */
	int wake_fd;
	struct event *answered;
};

static void *run(void *arg);
static void answer(MrResolver *resolver, MrQuestion *questions);
static MrQuestion *take(MrResolver *resolver);
static void append(MrQuestion **list, MrQuestion *question);
static void on_answered(evutil_socket_t fd, short what, void *arg);
static void free_question(MrQuestion *question);

MrResolver *
mr_resolver_new(struct event_base *base)
{
	MrResolver *resolver = mr_calloc(1, sizeof(*resolver));

	resolver->last = &resolver->questions;
	pthread_mutex_init(&resolver->lock, NULL);
	pthread_cond_init(&resolver->asked, NULL);
	resolver->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	resolver->answered =
		event_new(base, resolver->wake_fd, EV_READ | EV_PERSIST, on_answered, resolver);
	event_add(resolver->answered, NULL);
	if (pthread_create(&resolver->thread, NULL, run, resolver) != 0)
	{
		event_free(resolver->answered);
		free(resolver);
		return NULL;
	}
	return resolver;
}

void
mr_resolver_ask(MrResolver *resolver, const MrQuestion *question)
{
	MrQuestion *copy = mr_malloc(sizeof(*copy));

	*copy = *question;
	copy->topic = mr_strdup(question->topic);
	copy->next = NULL;
	pthread_mutex_lock(&resolver->lock);
	*resolver->last = copy;
	resolver->last = &copy->next;
	pthread_cond_signal(&resolver->asked);
	pthread_mutex_unlock(&resolver->lock);
}

bool
mr_resolver_is_busy(MrResolver *resolver)
{
	bool busy;

	pthread_mutex_lock(&resolver->lock);
	busy = resolver->resolving || resolver->questions != NULL;
	pthread_mutex_unlock(&resolver->lock);
	return busy;
}

void
mr_resolver_free(MrResolver *resolver)
{
	if (resolver == NULL)
		return;
	pthread_mutex_lock(&resolver->lock);
	resolver->stopping = true;
	pthread_cond_signal(&resolver->asked);
	pthread_mutex_unlock(&resolver->lock);
	pthread_join(resolver->thread, NULL);
	event_free(resolver->answered);
	close(resolver->wake_fd);
	for (MrQuestion *q = resolver->questions, *next; q != NULL; q = next)
	{
		next = q->next;
		free_question(q);
	}
	for (MrQuestion *q = resolver->answers, *next; q != NULL; q = next)
	{
		next = q->next;
		free_question(q);
	}
	pthread_cond_destroy(&resolver->asked);
	pthread_mutex_destroy(&resolver->lock);
	free(resolver);
}

static void *
run(void *arg)
{
	static const uint64_t one = 1;
	MrResolver *resolver = arg;

	pthread_mutex_lock(&resolver->lock);
	while (!resolver->stopping)
	{
		MrQuestion *questions;

		if (resolver->questions == NULL)
		{
			pthread_cond_wait(&resolver->asked, &resolver->lock);
			continue;
		}
		questions = take(resolver);
		resolver->resolving = true;
		pthread_mutex_unlock(&resolver->lock);
		answer(resolver, questions);
		pthread_mutex_lock(&resolver->lock);
		resolver->resolving = false;
		append(&resolver->answers, questions);
		if (write(resolver->wake_fd, &one, sizeof(one)) < 0)
			continue; /* the counter is full: the main thread is awake anyway */
	}
	pthread_mutex_unlock(&resolver->lock);
	return NULL;
}

/*
 * Pipelines have the same brokers: when those are silent, all are to hear of it within seconds. One that is in trouble
 * already is asked with all patience, so that a slow broker is not taken for a silent one for long.
 */
static void
answer(MrResolver *resolver, MrQuestion *questions)
{
	questions->hurry = resolver->silent && questions->is_first;
	mr_broker_answer(questions);
	if (questions->kind == MR_ASK_TOPIC)
		resolver->silent = !questions->ok && questions->err < 0;
}

/* The oldest, and all that are answered by the same request. */
static MrQuestion *
take(MrResolver *resolver)
{
	MrQuestion *first = resolver->questions;
	MrQuestion **taken = &first->next;
	MrQuestion **left = &resolver->questions;

	for (MrQuestion *q = first->next, *next; q != NULL; q = next)
	{
		next = q->next;
		if (mr_broker_joins(first, q))
		{
			*taken = q;
			taken = &q->next;
		}
		else
		{
			*left = q;
			left = &q->next;
		}
	}
	*taken = *left = NULL;
	resolver->last = left;
	return first;
}

static void
append(MrQuestion **list, MrQuestion *question)
{
	while (*list != NULL)
		list = &(*list)->next;
	*list = question;
}

static void
on_answered(evutil_socket_t fd, short what, void *arg)
{
	MrResolver *resolver = arg;
	MrQuestion *answers;
	uint64_t count;

	(void) what;
	if (read(fd, &count, sizeof(count)) < 0)
		return;
	pthread_mutex_lock(&resolver->lock);
	answers = resolver->answers;
	resolver->answers = NULL;
	pthread_mutex_unlock(&resolver->lock);
	while (answers != NULL)
	{
		MrQuestion *question = answers;

		answers = question->next;
		question->answer(question);
		free_question(question);
	}
}

static void
free_question(MrQuestion *question)
{
	free(question->topic);
	free(question->offsets);
	free(question->names);
	free(question);
}
