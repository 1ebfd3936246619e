/* watch.h - every target of the machine, sampled, and what changed of them told to the front.
 *
 * Joins discover, the sampler, the tally of OOM kills and the link; has no logic of its own but
 * when what is due: a round over all targets once a period, looks in between at those near their
 * limit, processes as the budget allows. A target that comes is sampled and told at once.
 */
#pragma once
#include "engine/link.h"
#include "kern/cgfs.h"
#include "kern/host.h"
#include "net/loop.h"

struct watch;

struct watch_options {
    const struct host *host;
    const struct cgfs *fs;
    struct loop *loop;
    struct link *link;
    int64_t interval_us, fastest_us;
    bool adaptive;
    enum wire_targets targets;
    uint32_t processes; /* of each target */
    uint32_t *next_uid; /* outlives the watch: numbers are never given twice */
};

int watch_new(const struct watch_options *options, struct watch **out, struct err *err);
void watch_free(struct watch *w);

/* Tells everything: all targets and a KEY tick. After a HELLO that could not be resumed. */
void watch_tell_all(struct watch *w);

struct watch_figures {
    uint64_t rounds, round_us, late, samples, targets, fast, no_watches, denied, short_of_fds;
};

void watch_figures(const struct watch *w, struct watch_figures *out);
