/* procwatch.h - the largest processes of each target, now and then, within a budget.
 *
 * A look at a target costs about 40 us a process, so targets take turns: about every 5 s when they
 * are few, up to two minutes when they are a thousand; sooner for one whose memory has moved. PSS
 * and USS are read where a read is cheap (8 us a MB), and are unknown else. One target a call.
 */
#pragma once
#include "kern/cgfs.h"
#include "kern/host.h"
#include "sampler/procs.h"
#include "wire/wire.h"

struct procwatch {
    const struct cgfs *fs;
    struct procs procs;
    struct pidlist pids;
    uint32_t most; /* so many processes are told of each target */
    uint32_t *order;
    size_t room;
    bool have;
};

int procwatch_init(struct procwatch *p, const struct host *h, const struct cgfs *fs, uint32_t most);
void procwatch_done(struct procwatch *p);

/* How long a target rests between two looks. */
int64_t procwatch_rest_us(uint32_t targets);

/* Looks at the processes of the group and writes them into a message that was begun. 0; -ENODATA:
 * there are none, or the group is gone; -errno. */
int procwatch_look(struct procwatch *p, uint32_t uid, struct str path, int64_t at_ms,
                   struct wire_out *w);
