/* cmd_free.c - `free`, for a container: this one when run inside, any other as TARGET.
 *
 * Free(1) reads /proc/meminfo, which inside a container is the machine's. This one reads the group:
 * total is the limit that counts, used is what reclaim cannot take, available is the smallest room
 * under any limit of the chain.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/table.h"
#include "base/text.h"
#include "cmd/opt.h"
#include "cmd/session.h"
#include "kern/meminfo.h"
#include "model/highmark.h"

enum { SETTLE_MS = 700 };

struct options {
    bool bytes;
};

static int set_bytes(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct options *)into)->bytes = true;
    return 0;
}

enum column { TOTAL, USED, FREE, SHARED, CACHE, AVAILABLE, COLUMNS };

static const char *const column_keys[COLUMNS] = {"total",  "used",  "free",
                                                 "shared", "cache", "available"};

/* A line of the table. */
struct line {
    uint64_t value[COLUMNS];
    unsigned have; /* bit (1 << column) */
    bool is_swap;  /* has the first three columns only */
};

static void put(struct line *l, enum column c, bool have, uint64_t value) {
    if (!have)
        return;
    l->value[c] = value;
    l->have |= 1u << c;
}

static uint64_t less(uint64_t a, uint64_t b) {
    return a > b ? a - b : 0;
}

/* What of the group's memory the kernel can take back. */
static uint64_t reclaimable(const struct sample *s) {
    uint64_t slab = sample_has(s, METRIC_SLAB_RECLAIMABLE) ? s->value[METRIC_SLAB_RECLAIMABLE] : 0;

    return s->value[METRIC_ACTIVE_FILE] + s->value[METRIC_INACTIVE_FILE] + slab;
}

static struct line group_line(const struct sample *s) {
    struct line l = {.have = 0};
    bool have_limit = sample_has(s, METRIC_LIMIT), have_usage = sample_has(s, METRIC_USAGE);

    put(&l, TOTAL, have_limit, s->value[METRIC_LIMIT]);
    put(&l, USED, sample_has(s, METRIC_USED), s->value[METRIC_USED]);
    put(&l, FREE, have_limit && have_usage, less(s->value[METRIC_LIMIT], s->value[METRIC_USAGE]));
    put(&l, SHARED, sample_has(s, METRIC_SHMEM), s->value[METRIC_SHMEM]);
    put(&l, CACHE, sample_has(s, METRIC_INACTIVE_FILE), reclaimable(s));
    put(&l, AVAILABLE, sample_has(s, METRIC_HEADROOM), s->value[METRIC_HEADROOM]);
    return l;
}

/* A group's swap: its limit, none meaning all the machine has. */
static struct line group_swap_line(const struct sample *s, const struct tick_host *host) {
    struct line l = {.is_swap = true};
    bool have_swap = sample_has(s, METRIC_SWAP), have_total = host->have_swap;
    uint64_t total = host->swap_total;

    if (sample_has(s, METRIC_SWAP_LIMIT) && s->value[METRIC_SWAP_LIMIT] != SAMPLE_NONE &&
        (!have_total || s->value[METRIC_SWAP_LIMIT] < total)) {
        total = s->value[METRIC_SWAP_LIMIT];
        have_total = true;
    }
    put(&l, TOTAL, have_total, total);
    put(&l, USED, have_swap, s->value[METRIC_SWAP]);
    put(&l, FREE, have_swap && have_total, less(total, s->value[METRIC_SWAP]));
    return l;
}

/* As free(1) counts since procps 4: used is what is not available. */
static struct line host_line(const struct meminfo *m) {
    struct line l = {.have = 0};
    bool have_total = meminfo_has(m, MEMINFO_TOTAL);
    bool have_available = meminfo_has(m, MEMINFO_AVAILABLE);

    put(&l, TOTAL, have_total, m->value[MEMINFO_TOTAL]);
    put(&l, USED, have_total && have_available,
        less(m->value[MEMINFO_TOTAL], m->value[MEMINFO_AVAILABLE]));
    put(&l, FREE, meminfo_has(m, MEMINFO_FREE), m->value[MEMINFO_FREE]);
    put(&l, SHARED, meminfo_has(m, MEMINFO_SHMEM), m->value[MEMINFO_SHMEM]);
    put(&l, CACHE, meminfo_has(m, MEMINFO_CACHED),
        m->value[MEMINFO_BUFFERS] + m->value[MEMINFO_CACHED] + m->value[MEMINFO_SLAB_RECLAIMABLE]);
    put(&l, AVAILABLE, have_available, m->value[MEMINFO_AVAILABLE]);
    return l;
}

static struct line host_swap_line(const struct meminfo *m) {
    struct line l = {.is_swap = true};
    bool have = meminfo_has(m, MEMINFO_SWAP_TOTAL) && meminfo_has(m, MEMINFO_SWAP_FREE);

    put(&l, TOTAL, have, m->value[MEMINFO_SWAP_TOTAL]);
    put(&l, USED, have, less(m->value[MEMINFO_SWAP_TOTAL], m->value[MEMINFO_SWAP_FREE]));
    put(&l, FREE, have, m->value[MEMINFO_SWAP_FREE]);
    return l;
}

/* Everything the answer is made of. */
struct answer {
    const struct session *session;
    const struct target *target; /* NULL: the machine alone */
    const struct sample *sample;
    struct tick_limit limit;
    struct line group, group_swap, host, host_swap;
    bool bytes, plain, ascii;
};

static void add_row(struct table *t, struct str label, const struct line *l,
                    const struct answer *a) {
    text_add_visible(table_cell(t), label, a->ascii);
    table_next(t);
    for (unsigned c = 0; c < COLUMNS; c++) {
        if (!(l->have >> c & 1)) {
            if (!a->plain && c > FREE && l->is_swap)
                table_next(t); /* swap has no such thing, which is not the same as unknown */
            else
                table_unknown(t);
            continue;
        }
        if (a->bytes)
            buf_add_u64(table_cell(t), l->value[c]);
        else
            num_add_iec(table_cell(t), l->value[c]);
        table_next(t);
    }
}

/* A line below the table on whose limit it is: the question that follows. */
static void add_note(struct buf *out, const struct answer *a) {
    if (!a->target || !sample_has(a->sample, METRIC_LIMIT))
        return;
    buf_add(out, STR("total is "));
    switch (a->limit.from) {
    case LIMIT_HOST:
        buf_add(out, STR("the machine's memory: no limit is set"));
        break;
    case LIMIT_OUTSIDE:
        buf_add(out, STR("the limit of a group above this cgroup namespace"));
        break;
    case LIMIT_LEVEL:
        if (str_eq(a->limit.path, a->target->path)) {
            buf_add(out, STR("the group's own limit"));
        } else {
            buf_add(out, STR("the limit of "));
            text_add_visible(out, a->limit.path, a->ascii);
            buf_add(out, STR(", which encloses the group"));
        }
        break;
    }
    if (!a->limit.certain)
        buf_add(out, STR("; a group outside of this cgroup namespace may have a tighter one"));
    buf_add_char(out, '\n');
    if (sample_has(a->sample, METRIC_HIGH) && a->sample->value[METRIC_HIGH] != SAMPLE_NONE) {
        bool mark = highmark_is(a->sample->value[METRIC_HIGH], (uint64_t)sysconf(_SC_PAGESIZE));

        buf_add(out, STR("above "));
        num_add_iec(out, a->sample->value[METRIC_HIGH]);
        buf_add(out, mark ? STR(" a guard is woken (memory.high)\n")
                          : STR(" the kernel slows the group down (memory.high)\n"));
    }
}

static int print_table(const struct answer *a, struct buf *out) {
    static const struct table_column columns[] = {
        {"", TABLE_LEFT, 0, TABLE_CUT_PATH},       {"total", TABLE_RIGHT, 0, TABLE_WHOLE},
        {"used", TABLE_RIGHT, 0, TABLE_WHOLE},     {"free", TABLE_RIGHT, 0, TABLE_WHOLE},
        {"shared", TABLE_RIGHT, 0, TABLE_WHOLE},   {"buff/cache", TABLE_RIGHT, 0, TABLE_WHOLE},
        {"available", TABLE_RIGHT, 0, TABLE_WHOLE}};
    struct table_layout layout = {.plain = a->plain, .head = true, .gap = 3};
    struct table t;
    int r;

    table_init(&t, columns, ARRAY_N(columns), 1 << 20);
    if (a->target) {
        add_row(&t, session_name(a->target), &a->group, a);
        add_row(&t, STR("  swap"), &a->group_swap, a);
    }
    add_row(&t, STR("host"), &a->host, a);
    add_row(&t, a->target ? STR("  swap") : STR("swap"), &a->host_swap, a);
    r = table_print(&t, &layout, out);
    table_done(&t);
    if (r == 0 && !a->plain)
        add_note(out, a);
    return r;
}

static void json_line(struct json *j, const char *key, const struct line *l,
                      const struct line *swap) {
    json_key(j, key);
    json_begin_object(j);
    for (unsigned c = 0; c < COLUMNS; c++)
        json_key_maybe(j, column_keys[c], l->have >> c & 1, l->value[c]);
    json_key_maybe(j, "swap_total", swap->have >> TOTAL & 1, swap->value[TOTAL]);
    json_key_maybe(j, "swap_used", swap->have >> USED & 1, swap->value[USED]);
    json_key_maybe(j, "swap_free", swap->have >> FREE & 1, swap->value[FREE]);
    json_end(j);
}

static void json_target(struct json *j, const struct answer *a) {
    const struct target *t = a->target;

    json_key_str(j, "name", session_name(t));
    json_key(j, "id");
    if (t->id)
        json_str(j, str_of(t->id));
    else
        json_unknown(j);
    json_key_str(j, "cgroup", t->path);
    json_key(j, "limit_from");
    if (!sample_has(a->sample, METRIC_LIMIT))
        json_unknown(j);
    else if (a->limit.from == LIMIT_LEVEL)
        json_str(j, a->limit.path);
    else
        json_str(j, a->limit.from == LIMIT_HOST ? STR("host") : STR("outside"));
    json_key(j, "limit_certain");
    json_bool(j, a->limit.certain);
    json_key_maybe(j, "high",
                   sample_has(a->sample, METRIC_HIGH) &&
                       a->sample->value[METRIC_HIGH] != SAMPLE_NONE,
                   a->sample->value[METRIC_HIGH]);
}

static void print_json(const struct answer *a, struct buf *out) {
    struct json j;

    json_start(&j, out);
    json_begin_object(&j);
    json_key(&j, "ts");
    json_time_ms(&j, clock_wall_ms());
    if (a->target) {
        json_target(&j, a);
        json_line(&j, "container", &a->group, &a->group_swap);
    } else {
        json_key(&j, "container");
        json_unknown(&j);
    }
    json_line(&j, "host", &a->host, &a->host_swap);
    json_end(&j);
    buf_add_char(out, '\n');
}

/* The path of the group that is asked about: TARGET's, or our own. *path_out is owned. The top of
 * the tree is the machine, which has its own line: *path_out stays NULL. */
static int find_group(struct session *s, struct cmd_context *context, char **path_out,
                      struct err *err) {
    struct resolved resolved;
    char own[8192];
    int r;

    if (context->nargs > 0) {
        r = resolve_target(s->targets, str_of(context->args[0]), &resolved, err);
        if (r < 0)
            return r;
        *path_out = take_ptr(&resolved.path);
        resolved_done(&resolved);
        return 0;
    }
    r = cgfs_own_path(&s->host, &s->fs, own, sizeof(own));
    if (r < 0 || (s->fs.at_top && str_eq(str_of(own), STR("/"))))
        return 0;
    *path_out = strdup(own);
    return *path_out ? 0 : err_set(err, -ENOMEM, "out of memory");
}

static int look(struct session *s, const char *path, struct answer *a, struct err *err) {
    struct str group = str_of(path);
    int r = targets_choose(s->targets, group);

    targets_settle(s->targets, SETTLE_MS);
    if (r == 0)
        r = ticker_run(s->ticker);
    if (r < 0)
        return err_set(err, r, "cannot look at '%s':", path);
    a->target = targets_find(s->targets, group);
    if (!a->target || a->target->slot == TARGET_NO_SLOT)
        return err_set(err, -ENOENT, "there is no group '%s'", path);
    a->sample = ticker_sample(s->ticker, a->target->slot);
    if (!a->sample)
        return err_set(err, -ENOENT, "the group '%s' is gone", path);
    ticker_limit(s->ticker, a->target->slot, &a->limit);
    a->group = group_line(a->sample);
    a->group_swap = group_swap_line(a->sample, ticker_host(s->ticker));
    return 0;
}

static int print(const struct answer *a, bool json) {
    struct buf out;
    int status;

    buf_init(&out, 1 << 20);
    if (json)
        print_json(a, &out);
    else
        (void)print_table(a, &out);
    status = cmd_write(&out, NULL);
    buf_done(&out);
    return status;
}

static int run(struct cmd_context *context, void *options) {
    struct session_options open = {TARGETS_CHOSEN, TICK_SWAP | TICK_BOUNDS, false};
    struct answer a = {.bytes = ((struct options *)options)->bytes || context->plain,
                       .plain = context->plain,
                       .ascii = context->terminal && !context->utf8};
    auto_free char *path = NULL;
    struct session session;
    struct meminfo meminfo;
    struct err err;
    int r;

    if (context->nargs > 1)
        return cmd_usage(context->cmd, "free takes one TARGET, not %zu", context->nargs);
    if (session_open(&session, context, &open, &err) < 0)
        return cmd_fail(&err);
    a.session = &session;
    r = find_group(&session, context, &path, &err);
    if (r == 0 && path)
        r = look(&session, path, &a, &err);
    if (r == 0) {
        r = meminfo_read(session.host.proc, &meminfo);
        if (r < 0)
            err_set(&err, r, "cannot read '%s/proc/meminfo':", session.host.prefix);
    }
    if (r == 0) {
        a.host = host_line(&meminfo);
        a.host_swap = host_swap_line(&meminfo);
        r = print(&a, context->json);
        session_tell(&session, NULL);
    } else {
        r = cmd_fail(&err);
    }
    session_close(&session);
    return r;
}

static const struct opt opts[] = {
    {"bytes", 'b', NULL, "bytes instead of IEC units", set_bytes},
    {NULL, 0, NULL, NULL, NULL},
};

const struct cmd cmd_free = {
    .name = "free",
    .brief = "used, free and available memory of this container or of TARGET, and of the machine",
    .synopsis = "[TARGET] [--bytes]",
    .about =
        "total is the limit that counts, used what the kernel cannot reclaim, buff/cache what it\n"
        "can, available the smallest room under any limit of the chain.\n\n"
        "  plimsoll free\n"
        "  plimsoll free web\n",
    .opts = opts,
    .output_opts = true,
    .options_size = sizeof(struct options),
    .run = run,
};
