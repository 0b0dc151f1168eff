/*
 * errcode.h: the SQLSTATEs the ingestor acts upon, see docs/architecture.md.
 */
#ifndef MR_ERRCODE_H
#define MR_ERRCODE_H

#define MR_ERRCODE_STALE_EPOCH       MAKE_SQLSTATE('M', 'R', '0', '0', '1')
#define MR_ERRCODE_STALE_LANE        MAKE_SQLSTATE('M', 'R', '0', '0', '2')
#define MR_ERRCODE_UNKNOWN_PARTITION MAKE_SQLSTATE('M', 'R', '0', '0', '3')

#endif /* MR_ERRCODE_H */
