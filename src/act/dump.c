#include "act/dump.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "act/dumpint.h"
#include "base/clock.h"
#include "base/mem.h"
#include "kern/kmsg.h"

enum {
    MOST = 50,
    MOST_BYTES = 256 << 20,
    RESERVE_US = 200000, /* of the time, for summary and index */
    INDEX_MAX = 4 << 20,
};

int dump_default_dir(char *out, size_t size) {
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n;

    if (geteuid() == 0)
        n = snprintf(out, size, "/var/log/plimsoll/dumps");
    else if (state && state[0] == '/')
        n = snprintf(out, size, "%s/plimsoll/dumps", state);
    else if (home && home[0] == '/')
        n = snprintf(out, size, "%s/.local/state/plimsoll/dumps", home);
    else
        return -ENOENT;
    return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

/* Our memory is charged to it, or to a group below. */
static bool are_inside(const struct grip *g) {
    char own[GRIP_PATH];
    size_t n = strlen(g->path);

    if (cgfs_own_path(g->host, g->fs, own, sizeof(own)) < 0)
        return false;
    return n > 1 && strncmp(own, g->path, n) == 0 && (own[n] == '/' || own[n] == '\0');
}

static int by_size(const void *a, const void *b) {
    const struct dump_row *x = a, *y = b;
    uint64_t p =
        (dump_has(x, DUMP_PSS) ? x->value[DUMP_PSS] : x->value[DUMP_RSS]) + x->value[DUMP_SWAP];
    uint64_t q =
        (dump_has(y, DUMP_PSS) ? y->value[DUMP_PSS] : y->value[DUMP_RSS]) + y->value[DUMP_SWAP];

    if (p != q)
        return p < q ? 1 : -1;
    return x->pid < y->pid ? -1 : x->pid > y->pid;
}

static int write_summary(struct dump *d, bool over) {
    struct buf text;
    int r;

    buf_init(&text, DUMP_SUMMARY_MAX);
    dump_add_summary(&text, d, over);
    r = text.n > 0 ? dumpstore_summary(&d->store, (struct str){text.p, text.n}) : buf_error(&text);
    buf_done(&text);
    return r;
}

/* The summary tells of a full disk, so it may have to be written twice. */
static int finish(struct dump *d) {
    struct buf text;
    bool full = d->store.full;
    int r;

    if (d->rows > 0)
        qsort(d->row, d->rows, sizeof(*d->row), by_size);
    r = write_summary(d, true);
    if (r == -ENOSPC || d->store.full != full)
        (void)write_summary(d, true);
    buf_init(&text, INDEX_MAX);
    if (r == 0)
        r = dump_add_index(&text, d);
    if (r == 0)
        r = dumpstore_index(&d->store, buf_str(&text));
    buf_done(&text);
    if (r == -ENOSPC && !full)
        (void)write_summary(d, true);
    return r;
}

static unsigned count_failures(const struct dump *d) {
    unsigned n = d->more_misses;

    for (unsigned i = 0; i < d->misses; i++)
        n += !d->miss[i].lacking;
    return n;
}

static int report(struct dump *d, int r, struct action_report *out) {
    unsigned failures = count_failures(d);
    char file[REPORT_FILE];
    const char *dir = d->terms->dir;
    bool slash = dir[strlen(dir) - 1] == '/';

    if (snprintf(file, sizeof(file), "%s%s%s", dir, slash ? "" : "/", d->store.name) >=
        (int)sizeof(file))
        file[0] = '\0';
    if (d->store.full)
        report_partly(out,
                      "the disk is full: what was had is there, %zu processes; see summary.txt",
                      d->rows);
    else if (r < 0)
        report_partly(out, "written, but without its index: %s", strerror(-r));
    else if (failures > 0)
        report_partly(out,
                      "%zu of %zu processes written down; %u part%s could not be had, the "
                      "summary says why",
                      d->rows, d->all, failures, failures == 1 ? "" : "s");
    else
        report_done(out, "%zu of %zu processes written down", d->rows, d->all);
    memcpy(out->file, file, sizeof(out->file));
    return 0;
}

static void collect(struct dump *d) {
    dump_group(d);
    dump_list(d);
    (void)write_summary(d, false);
    dump_quick(d);
    dump_slow(d);
    (void)write_summary(d, false);
    dump_log(d);
    dump_series(d);
    dump_runtimes(d);
    dump_answers(d);
}

static void clean(struct dump *d) {
    if (d->processes >= 0)
        close(d->processes);
    free(d->row);
    buf_done(&d->log);
    buf_done(&d->history);
    dumpstore_done(&d->store);
    free(d);
}

/* All of our own folder is made; the path of another may be mistyped. */
static int open_store(struct dump *d, struct err *err) {
    const char *dir = d->terms->dir, *name = d->g->name[0] ? d->g->name : d->g->path;
    char own[4096];

    if (dump_default_dir(own, sizeof(own)) == 0 && strcmp(own, dir) == 0)
        dumpstore_make_above(dir);
    return dumpstore_open(&d->store, dir, str_of(name), d->at_ms, err);
}

int dump_write(struct grip *g, const struct dump_terms *terms, struct action_report *out) {
    struct dump *d = calloc(1, sizeof(*d));
    struct err err;
    int r;

    *out = (struct action_report){.outcome = OUTCOME_NONE};
    if (!d)
        return report_failed(out, "", "no memory");
    *d = (struct dump){
        .g = g,
        .terms = terms,
        .store = {.top = -1, .dir = -1},
        .processes = -1,
        .began_us = clock_mono_us(),
        .at_ms = clock_wall_ms(),
        .end_us = terms->deadline_us - RESERVE_US,
    };
    buf_init(&d->log, 65536);
    buf_init(&d->history, 4096);
    if (terms->hung && are_inside(g))
        r = report_refused(out, "from outside of the group",
                           "we are in the group ourselves, and it hangs: we would hang with it");
    else if (open_store(d, &err) < 0)
        r = report_failed(out, "another folder for dumps", "%s", err.text);
    else {
        (void)write_summary(d, false);
        collect(d);
        r = report(d, finish(d), out);
        (void)dumpstore_prune(&d->store, terms->most ? terms->most : MOST,
                              terms->most_bytes ? terms->most_bytes : MOST_BYTES);
    }
    clean(d);
    return r;
}
