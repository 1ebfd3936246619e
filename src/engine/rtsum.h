/* rtsum.h - what was found of processes, made into what is told of targets: which language, which
 * figures, how much was added to counters. Pure: no kernel, no clock.
 *
 * Processes are remembered between looks by pid, start and executable, so that nothing is
 * recognised twice, a process that becomes another program is, and counters grow by what was added
 * alone, also when a process ends, tells nothing for once, or is not looked at for a while.
 */
#pragma once
#include <sys/types.h>

#include "runtime/heaps.h"

enum { RTSUM_LANG = 64 };

/* A process as it was found; what goes through a pipe. */
struct rtfound {
    enum rtfound_kind {
        RTFOUND_BEGIN, /* this process is being looked at: should nothing follow, it is to blame */
        RTFOUND_PROCESS, /* found */
        RTFOUND_DONE,    /* all processes of the target were */
        RTFOUND_SKIPPED, /* the target has too many, or is gone */
    } kind;
    uint32_t uid; /* of the target */
    int32_t pid;
    uint64_t start_ticks, dev, inode; /* its executable's */
    uint64_t res_pages;
    struct rt_id id;
    struct rt_figures figures;
};

/* What is told of a target after a look. */
struct rtanswer {
    uint32_t uid;
    char lang[RTSUM_LANG];      /* of its largest process: "go 1.19.8"; "": not known */
    struct rt_figures now;      /* gauges; a bit is set when all that could tell did */
    uint64_t added[RT_FIGURES]; /* counters: since the look before */
};

struct rtsum;
int rtsum_new(struct rtsum **out);
void rtsum_free(struct rtsum *s);

/* What is known of a process: NULL when it is new, or is another program now. */
const struct rt_id *rtsum_recall(const struct rtsum *s, int32_t pid, uint64_t start_ticks,
                                 uint64_t dev, uint64_t inode);

/* Whether it hung a look before: it is passed over from then on. */
bool rtsum_is_bad(const struct rtsum *s, int32_t pid, uint64_t start_ticks);

/* Takes what a look has found, n records in their order, perhaps cut off anywhere. `targets` is how
 * many it should have looked at, `at_us` any clock that does not go back. *answers_out, valid until
 * the next call, has an answer for each target that it came to the end of. 0; -ENOMEM. */
int rtsum_take(struct rtsum *s, const struct rtfound *found, size_t n, size_t targets,
               int64_t at_us, const struct rtanswer **answers_out, size_t *n_out);

/* The process that was being looked at when the look was cut off; false: none. */
bool rtsum_blame(const struct rtfound *found, size_t n, int32_t *pid_out);

/* Runtimes that say something of their heaps without being asked. */
bool rtsum_tells(enum rt_kind kind);
