/* The version of the client programs; printed by --version and in the metrics. */
#ifndef MR_COMMON_VERSION_H
#define MR_COMMON_VERSION_H

#define MR_VERSION "0.1.0"

#endif
