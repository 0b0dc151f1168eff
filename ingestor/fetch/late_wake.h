/*
 * A thread whose timed waits end a millisecond later than they are asked to. For the main threads of librdkafka before 2.4:
 * they cut what is left until their next timer down to whole milliseconds, and go round until that timer is due, which for
 * forty idle consumers took a fourth of the ingestor's processor time. A slack of the kernel's timers does not help where other
 * timers wake the processor in between.
 */
#ifndef MR_INGESTOR_LATE_WAKE_H
#define MR_INGESTOR_LATE_WAKE_H

/* From now on, of the thread that calls it. */
extern void mr_late_wake_begin(void);

#endif
