#include "engine/procwatch.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "kern/smaps.h"

enum {
    REST_LEAST_US = 5 * 1000000,
    REST_MOST_US = 120 * 1000000,
    REST_PER_TARGET_US = 120 * 1000, /* 40 us of work in 120 ms: a third of a thousandth of a CPU */
    PSS_MOST = 64 << 20,             /* resident sizes up to here are read for PSS: 0.5 ms */
    COMMAND = 256,
};

#define WANT                                                                                       \
    (PROC_BIT(PROC_PPID) | PROC_BIT(PROC_UID) | PROC_BIT(PROC_COMM) | PROC_BIT(PROC_STATE) |       \
     PROC_BIT(PROC_THREADS) | PROC_BIT(PROC_FDS) | PROC_BIT(PROC_VIRT) | PROC_BIT(PROC_RES) |      \
     PROC_BIT(PROC_SHR) | PROC_BIT(PROC_DATA) | PROC_BIT(PROC_CODE) | PROC_BIT(PROC_SWAP) |        \
     PROC_BIT(PROC_ANON) | PROC_BIT(PROC_FILE) | PROC_BIT(PROC_SHMEM) | PROC_BIT(PROC_START) |     \
     PROC_BIT(PROC_COMMAND))

int procwatch_init(struct procwatch *p, const struct host *h, const struct cgfs *fs,
                   uint32_t most) {
    const struct procs_options options = {
        .proc = h->proc, .live = h->live, .want = WANT, .pss = PROCS_PSS_NONE};
    int r;

    *p = (struct procwatch){.fs = fs, .most = most};
    r = procs_init(&p->procs, &options);
    p->have = r == 0;
    return r;
}

void procwatch_done(struct procwatch *p) {
    if (p->have)
        procs_done(&p->procs);
    pidlist_done(&p->pids);
    free(p->order);
    *p = (struct procwatch){0};
}

int64_t procwatch_rest_us(uint32_t targets) {
    int64_t rest = (int64_t)targets * REST_PER_TARGET_US;

    return rest < REST_LEAST_US ? REST_LEAST_US : rest > REST_MOST_US ? REST_MOST_US : rest;
}

static uint64_t weight(const struct proc_row *row) {
    return proc_has(row, PROC_ANON)  ? row->anon + row->shmem
           : proc_has(row, PROC_RES) ? row->res
                                     : 0;
}

/* The `n` heaviest to the front, heaviest first: n is small. */
static void choose(struct procwatch *p, size_t n) {
    const struct proc_row *row = p->procs.row;

    for (size_t i = 0; i < p->procs.n; i++)
        p->order[i] = (uint32_t)i;
    for (size_t i = 0; i < n; i++) {
        size_t best = i;
        uint32_t at;

        for (size_t k = i + 1; k < p->procs.n; k++)
            if (weight(&row[p->order[k]]) > weight(&row[p->order[best]]))
                best = k;
        at = p->order[best];
        p->order[best] = p->order[i];
        p->order[i] = at;
    }
}

static void add_pss(const struct procwatch *p, const struct proc_row *row, struct wire_proc *out) {
    struct smaps s;
    uint64_t uss;

    if (!proc_has(row, PROC_RES) || row->res > PSS_MOST ||
        smaps_read_rollup(p->procs.options.proc, row->pid, &s) < 0 || !smaps_have(&s, SMAPS_PSS) ||
        !smaps_uss(&s, &uss))
        return;
    out->value[PROC_PSS] = s.value[SMAPS_PSS];
    out->value[PROC_USS] = uss;
    out->have |= PROC_BIT(PROC_PSS) | PROC_BIT(PROC_USS);
}

static void fill(const struct procwatch *p, const struct proc_row *row, struct wire_proc *out) {
    *out = (struct wire_proc){.pid = row->pid, .have = row->have & WANT};
    out->value[PROC_PPID] = (uint32_t)row->ppid;
    out->value[PROC_UID] = row->uid;
    out->value[PROC_STATE] = (uint8_t)row->state;
    out->value[PROC_START] = (uint64_t)row->start_ms;
    for (size_t i = 0; i < PROC_NUMBERS; i++)
        (void)proc_value(row, proc_numbers[i].field, &out->value[proc_numbers[i].field]);
    out->comm = procs_comm(row);
    out->command = str_head(procs_text(&p->procs, row->command), COMMAND);
    add_pss(p, row, out);
}

static int collect(struct procwatch *p, struct str path) {
    auto_close int dir = cgfs_open_dir(p->fs, CG_MEMORY, path);
    int r;

    if (dir < 0)
        return dir == -ENOENT ? -ENODATA : dir;
    pidlist_clear(&p->pids);
    r = procs_of_group(dir, &p->pids);
    if (r == 0)
        r = procs_collect(&p->procs, &p->pids);
    if (r < 0)
        return r == -ENODEV || r == -ENOENT ? -ENODATA : r;
    return p->procs.n == 0 ? -ENODATA : 0;
}

int procwatch_look(struct procwatch *p, uint32_t uid, struct str path, int64_t at_ms,
                   struct wire_out *w) {
    int r = collect(p, path);
    size_t n;

    if (r < 0)
        return r;
    if (p->procs.n > p->room) {
        uint32_t *order = reallocarray(p->order, p->procs.n, sizeof(*order));

        if (!order)
            return -ENOMEM;
        p->order = order;
        p->room = p->procs.n;
    }
    n = p->procs.n < p->most ? p->procs.n : p->most;
    choose(p, n);
    wire_add_procs(w, &(struct wire_procs){uid, at_ms, p->procs.n});
    for (size_t i = 0; i < n; i++) {
        struct wire_proc proc;

        fill(p, &p->procs.row[p->order[i]], &proc);
        if (!wire_add_proc(w, &proc))
            break;
    }
    return 0;
}
