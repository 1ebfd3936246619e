/* watch.h - every target of the machine, sampled, and what changed of them told to the front.
 *
 * Joins discover, the sampler, the tally of OOM kills and the link; has no logic of its own but
 * when what is due: a round over all targets once a period, looks in between at those near their
 * limit, processes as the budget allows. A target that comes is sampled and told at once.
 */
#pragma once
#include "engine/guardfeed.h"
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
    uint32_t processes;      /* of each target */
    uint32_t *next_uid;      /* outlives the watch: numbers are never given twice */
    struct guardfeed *guard; /* is told what comes and goes too; NULL: there is none */
};

int watch_new(const struct watch_options *options, struct watch **out, struct err *err);
void watch_free(struct watch *w);

/* Tells everything: all targets and a KEY tick. After a HELLO that could not be resumed. */
void watch_tell_all(struct watch *w);

/* For the guard's feed: targets by slot, as they would be told to a front. */
uint32_t watch_slots(const struct watch *w);
bool watch_target(const struct watch *w, uint32_t slot, struct wire_target *out);

/* The number of the target that a record is about, known to the front from here on: `uid` when it
 * is not WIRE_UID_HOST, else that of the group at `path`. WIRE_UID_HOST: there is none. */
uint32_t watch_subject(struct watch *w, uint32_t uid, struct str path);

struct watch_figures {
    uint64_t rounds, round_us, late, samples, targets, fast, no_watches, denied, short_of_fds;
};

void watch_figures(const struct watch *w, struct watch_figures *out);
