/* summary.txt: the page that is read first, by whoever was woken up. The most telling comes first;
 * every name in it is made visible.
 */
#include <stdio.h>
#include <string.h>

#include "act/dumpint.h"
#include "act/dumptidy.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/table.h"
#include "base/text.h"
#include "kern/limit.h"

enum {
    WIDTH = 98,
    INDENT = 12,
    ROWS_SHOWN = 40,
    COMMAND_COLUMNS = 40,
    TABLE_MAX = 128 << 10,
};

static void add_visible(struct buf *out, const char *text) {
    text_add_visible(out, str_of(text), false);
}

/* "why         " and what follows, wrapped at blanks. */
static void add_head(struct buf *out, const char *word, struct str text) {
    size_t used = INDENT;
    struct str part;
    bool first = true;

    buf_add_format(out, "%-*s", INDENT, word);
    for (; str_word(&text, &part); first = false) {
        size_t wide = text_columns(part);

        if (!first && used + 1 + wide > WIDTH) {
            buf_add_char(out, '\n');
            buf_add_fill(out, ' ', INDENT);
            used = INDENT;
        } else if (!first) {
            buf_add_char(out, ' ');
            used++;
        }
        buf_add(out, part);
        used += wide;
    }
    buf_add_char(out, '\n');
}

static void add_title(struct buf *out, const char *title) {
    buf_add_char(out, '\n');
    buf_add(out, str_of(title));
    buf_add_char(out, '\n');
}

static void add_size(struct buf *out, bool have, uint64_t bytes) {
    char text[24];
    struct buf size;

    buf_init(&size, sizeof(text));
    if (have)
        num_add_iec(&size, bytes);
    (void)snprintf(text, sizeof(text), "%.*s", STR_ARG(buf_str(&size)));
    buf_add_format(out, "%8s", have ? text : "-");
    buf_done(&size);
}

/* --- head ------------------------------------------------------------------------------------- */

static void add_when(struct buf *out, const struct dump *d, bool over) {
    struct buf text;

    buf_init(&text, 256);
    clock_add_rfc3339(&text, d->at_ms);
    if (text.n == 24) { /* 2026-11-22T00:31:07.123Z */
        text.p[10] = ' ';
        text.n = 19;
        buf_add(&text, STR(" UTC"));
    }
    if (over)
        buf_add_format(&text, "; writing this took %.2f s",
                       (double)(clock_mono_us() - d->began_us) / 1e6);
    add_head(out, "when", buf_str(&text));
    buf_done(&text);
}

/* The record of this very dump says why in its text; any other is told whole. */
static void add_why(struct buf *out, const struct dump *d) {
    const struct audit *why = d->terms->why;
    struct buf raw, text;

    buf_init(&raw, 2048);
    buf_init(&text, 8192);
    if (!why)
        buf_add(&raw, STR("asked for"));
    else if (why->kind == AUDIT_BEGIN && why->action == ACTION_DUMP && why->report.text[0])
        buf_add(&raw, str_of(why->report.text));
    else
        audit_add_line(&raw, why);
    if (why && why->guard[0]) {
        buf_add(&text, STR("guard "));
        add_visible(&text, why->guard);
        buf_add(&text, STR(": "));
    }
    text_add_visible(&text, buf_str(&raw), false);
    add_head(out, "why", buf_str(&text));
    buf_done(&text);
    buf_done(&raw);
}

/* "used 243M of 256M (94.9 %), the limit of the group itself; usage 254M" */
static void add_fill(struct buf *out, const struct dump *d) {
    const struct grip_level *l = grip_tightest(d->g);
    struct buf text;
    uint64_t used;

    if (!d->have_numbers || !limit_used(&d->numbers, &d->stat, &used))
        return;
    buf_init(&text, 8192);
    buf_add(&text, STR("used "));
    num_add_iec(&text, used);
    if (l == d->g->level) {
        buf_add(&text, STR(" of "));
        num_add_iec(&text, l->bytes);
        buf_add(&text, STR(" ("));
        num_add_centi(&text, num_centi_pct(used, l->bytes > 0 ? l->bytes : 1), 1);
        buf_add(&text, STR(" %), its own limit"));
    } else if (l) {
        buf_add(&text, STR("; the limit that counts is that of "));
        text_add_visible(&text, (struct str){d->g->path, l->path_n}, false);
        buf_add(&text, STR(": "));
        num_add_iec(&text, l->bytes);
    } else {
        buf_add(&text, STR("; no group has a limit"));
    }
    buf_add(&text, STR("; usage with cache "));
    num_add_iec(&text, d->numbers.value[CGROUP_USAGE]);
    add_head(out, "memory", buf_str(&text));
    buf_done(&text);
}

static uint64_t waiting_threads(const struct dump *d) {
    uint64_t n = 0;

    for (size_t i = 0; i < d->rows; i++)
        n += d->row[i].value[DUMP_WAITING];
    return n;
}

static void add_state(struct buf *out, const struct dump *d) {
    const struct audit *why = d->terms->why;
    uint64_t waiting = waiting_threads(d);
    struct buf text;

    buf_init(&text, 4096);
    if (why && why->hang.kind != HANG_NONE) {
        buf_add(&text, STR("HANGS: "));
        hang_add_text(&text, &why->hang, d->began_us);
    } else if (cgroup_has(&d->numbers, CGROUP_UNDER_OOM) && d->numbers.value[CGROUP_UNDER_OOM]) {
        buf_add(&text, STR("out of memory: tasks in it wait for some (under_oom 1)"));
    } else if (d->terms->hung) {
        buf_add(&text, STR("HANGS, as whoever asked for this dump has seen it"));
    } else {
        buf_add(&text, STR("no hang at its limit is known"));
    }
    if (waiting > 0)
        buf_add_format(&text, ". %lu thread%s (D) in the kernel, see below", waiting,
                       waiting == 1 ? " waits" : "s wait");
    add_head(out, "state", buf_str(&text));
    buf_done(&text);
}

static void add_pressure(struct buf *out, const struct dump *d) {
    if (!cgroup_has(&d->numbers, CGROUP_SOME_AVG10) || !cgroup_has(&d->numbers, CGROUP_FULL_AVG10))
        return;
    buf_add_format(out, "%-*sof the last 10 s some task waited for memory ", INDENT, "pressure");
    num_add_centi(out, d->numbers.value[CGROUP_SOME_AVG10], 1);
    buf_add(out, STR(" %, all of them "));
    num_add_centi(out, d->numbers.value[CGROUP_FULL_AVG10], 1);
    buf_add(out, STR(" %\n"));
}

static void add_count(struct buf *out, const struct dump *d, enum cgroup_field field,
                      const char *says, bool *any) {
    if (!cgroup_has(&d->numbers, field) || d->numbers.value[field] == 0)
        return;
    buf_add_format(out, "%s%lu %s", *any ? ", " : "", d->numbers.value[field], says);
    *any = true;
}

static void add_events(struct buf *out, const struct dump *d) {
    struct buf text;
    bool any = false;

    buf_init(&text, 1024);
    add_count(&text, d, CGROUP_FAILCNT, "times at its limit", &any);
    add_count(&text, d, CGROUP_HIGH_EVENTS, "times slowed down at memory.high", &any);
    add_count(&text, d, CGROUP_OOM_EVENTS, "times out of memory", &any);
    add_count(&text, d, CGROUP_OOM_KILLS, "killed for memory", &any);
    if (cgroup_has(&d->numbers, CGROUP_KILL_DISABLED) && d->numbers.value[CGROUP_KILL_DISABLED]) {
        buf_add(&text, any ? STR("; ") : STR(""));
        buf_add(&text, STR("the kernel may not kill for memory here (oom_kill_disable)"));
        any = true;
    }
    if (any)
        add_head(out, "so far", buf_str(&text));
    buf_done(&text);
}

/* --- what the memory is made of ----------------------------------------------------------------
 */

static void add_part(struct buf *out, const struct dump *d, const char *name,
                     enum memstat_field field, const char *says) {
    if (!memstat_has(&d->stat, field))
        return;
    buf_add_format(out, "  %-16s", name);
    add_size(out, true, d->stat.value[field]);
    buf_add_format(out, "  %s\n", says);
}

static void add_kernel(struct buf *out, const struct dump *d) {
    static const struct {
        enum memstat_field field;
        const char *name;
    } parts[] = {
        {MEMSTAT_SLAB_UNRECLAIMABLE, "slab"},
        {MEMSTAT_KERNEL_STACK, "stacks"},
        {MEMSTAT_PAGETABLES, "page tables"},
        {MEMSTAT_PERCPU, "per CPU"},
        {MEMSTAT_SOCK, "sockets"},
    };
    bool v1 = cgroup_has(&d->numbers, CGROUP_KERNEL);
    bool have = v1 || memstat_has(&d->stat, MEMSTAT_KERNEL), any = false;

    if (!have)
        return;
    buf_add(out, STR("  kernel          "));
    add_size(out, true, v1 ? d->numbers.value[CGROUP_KERNEL] : d->stat.value[MEMSTAT_KERNEL]);
    buf_add(out, STR("  the kernel's own for it"));
    for (size_t i = 0; i < ARRAY_N(parts); i++) {
        if (!memstat_has(&d->stat, parts[i].field) || d->stat.value[parts[i].field] == 0)
            continue;
        buf_add_format(out, "%s%s ", any ? ", " : ": ", parts[i].name);
        num_add_iec(out, d->stat.value[parts[i].field]);
        any = true;
    }
    buf_add_char(out, '\n');
}

static void add_split(struct buf *out, const struct dump *d) {
    bool cache =
        memstat_has(&d->stat, MEMSTAT_INACTIVE_FILE) && memstat_has(&d->stat, MEMSTAT_ACTIVE_FILE);
    uint64_t used;

    add_title(out, "MEMORY");
    buf_add(out, STR("usage             "));
    add_size(out, cgroup_has(&d->numbers, CGROUP_USAGE), d->numbers.value[CGROUP_USAGE]);
    buf_add(out, STR("  all that counts against the limit\n"));
    if (limit_used(&d->numbers, &d->stat, &used)) {
        buf_add(out, STR("used              "));
        add_size(out, true, used);
        buf_add(out, STR("  what the kernel cannot take back\n"));
    }
    add_part(out, d, "anon", MEMSTAT_ANON, "heaps, stacks: what programs allocated");
    add_part(out, d, "shmem", MEMSTAT_SHMEM, "tmpfs and shared memory: can only be swapped");
    add_kernel(out, d);
    if (cache) {
        buf_add(out, STR("cache             "));
        add_size(out, true,
                 d->stat.value[MEMSTAT_INACTIVE_FILE] + d->stat.value[MEMSTAT_ACTIVE_FILE]);
        buf_add(out, STR("  of files: taken back when it is needed"));
        if (memstat_has(&d->stat, MEMSTAT_DIRTY) && d->stat.value[MEMSTAT_DIRTY] > 0) {
            buf_add(out, STR("; to be written first: "));
            num_add_iec(out, d->stat.value[MEMSTAT_DIRTY]);
        }
        buf_add_char(out, '\n');
    }
    if (cgroup_has(&d->numbers, CGROUP_SWAP) || memstat_has(&d->stat, MEMSTAT_SWAP)) {
        buf_add(out, STR("swap              "));
        add_size(out, true,
                 cgroup_has(&d->numbers, CGROUP_SWAP) ? d->numbers.value[CGROUP_SWAP]
                                                      : d->stat.value[MEMSTAT_SWAP]);
        buf_add_char(out, '\n');
    }
    if (cgroup_has(&d->numbers, CGROUP_PEAK)) {
        buf_add(out, STR("highest usage     "));
        add_size(out, true, d->numbers.value[CGROUP_PEAK]);
        buf_add_char(out, '\n');
    }
}

static bool read_bytes(int fd, uint64_t *out) {
    char text[64];
    ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof(text), 0);

    return n > 0 && cgroup_parse_number((struct str){text, (size_t)n}, out) == 0;
}

static void add_level(struct buf *out, const struct dump *d, const struct grip_level *l) {
    bool tightest = l == grip_tightest(d->g);
    uint64_t usage = 0;
    bool have = read_bytes(l->usage, &usage);

    buf_add_format(out, "%-4s", tightest ? "->" : "");
    if (l->bytes == CGROUP_NO_LIMIT)
        buf_add(out, STR("    none"));
    else
        add_size(out, true, l->bytes);
    buf_add(out, STR("  usage "));
    add_size(out, have, usage);
    if (have && l->bytes != CGROUP_NO_LIMIT && l->bytes > 0) {
        buf_add_char(out, ' ');
        num_add_centi(out, num_centi_pct(usage, l->bytes), 1);
        buf_add(out, STR(" %"));
    }
    buf_add(out, STR("  "));
    text_add_visible(out, (struct str){d->g->path, l->path_n}, false);
    buf_add(out, l == d->g->level ? STR(" (the group itself)\n") : STR("\n"));
}

static void add_limits(struct buf *out, const struct dump *d) {
    add_title(out, "LIMITS, of the group and of those around it (->: the one that counts)");
    for (unsigned i = 0; i < d->g->levels; i++)
        add_level(out, d, &d->g->level[i]);
    if (d->g->outside != CGROUP_NO_LIMIT) {
        buf_add(out, STR("    "));
        add_size(out, true, d->g->outside);
        buf_add(out, STR("  of a group around it that cannot be seen from here\n"));
    }
    if (d->host_total > 0) {
        buf_add(out, STR("    "));
        add_size(out, true, d->host_total);
        buf_add(out, STR("  the machine; available: "));
        if (d->host_available > 0)
            num_add_iec(out, d->host_available);
        else
            buf_add_char(out, '-');
        buf_add_char(out, '\n');
    }
}

/* --- processes -------------------------------------------------------------------------------- */

static const struct table_column columns[] = {
    {"PID", TABLE_RIGHT, 0, TABLE_WHOLE},     {"STATE", TABLE_LEFT, 0, TABLE_WHOLE},
    {"PSS", TABLE_RIGHT, 0, TABLE_WHOLE},     {"RSS", TABLE_RIGHT, 0, TABLE_WHOLE},
    {"ANON", TABLE_RIGHT, 0, TABLE_WHOLE},    {"SHMEM", TABLE_RIGHT, 0, TABLE_WHOLE},
    {"SWAP", TABLE_RIGHT, 0, TABLE_WHOLE},    {"THREADS", TABLE_RIGHT, 0, TABLE_WHOLE},
    {"FDS", TABLE_RIGHT, 0, TABLE_WHOLE},     {"OOMADJ", TABLE_RIGHT, 0, TABLE_WHOLE},
    {"WAITS IN", TABLE_LEFT, 0, TABLE_WHOLE}, {"COMMAND", TABLE_LEFT, 0, TABLE_WHOLE},
};

static void cell_value(struct table *t, const struct dump_row *row, enum dump_value value,
                       bool size) {
    if (!dump_has(row, value)) {
        table_unknown(t);
        return;
    }
    if (size)
        num_add_iec(table_cell(t), row->value[value]);
    else
        buf_add_u64(table_cell(t), row->value[value]);
    table_next(t);
}

/* Without the folder of the program: what follows tells more. */
static const char *without_folder(const char *command) {
    size_t word = strcspn(command, " ");

    for (size_t i = word; command[0] == '/' && i > 0; i--)
        if (command[i - 1] == '/')
            return i < word ? command + i : command;
    return command;
}

static void cell_command(struct table *t, const struct dump_row *row) {
    struct str comm = {row->comm, row->comm_n}, seen, head;
    struct buf text;

    buf_init(&text, 4096);
    if (row->command[0])
        add_visible(&text, without_folder(row->command));
    else
        text_add_visible(&text, comm, false);
    seen = buf_str(&text);
    head = text_head(seen, COMMAND_COLUMNS);
    buf_add(table_cell(t), head);
    if (head.n < seen.n)
        buf_add_char(table_cell(t), '+');
    if (seen.n == 0)
        buf_add_char(table_cell(t), '-');
    buf_done(&text);
    table_next(t);
}

static void add_row(struct table *t, const struct dump_row *row) {
    static const enum dump_value sizes[] = {DUMP_PSS, DUMP_RSS, DUMP_ANON, DUMP_SHMEM, DUMP_SWAP};

    buf_add_format(table_cell(t), "%d", row->pid);
    table_next(t);
    if (row->gone)
        buf_add(table_cell(t), STR("gone"));
    else
        buf_add_format(table_cell(t), "%c", row->state);
    if (row->value[DUMP_WAITING] > 0)
        buf_add_format(table_cell(t), " (%lu D)", row->value[DUMP_WAITING]);
    table_next(t);
    for (size_t i = 0; i < ARRAY_N(sizes); i++)
        cell_value(t, row, sizes[i], true);
    cell_value(t, row, DUMP_THREADS, false);
    cell_value(t, row, DUMP_FDS, false);
    if (row->have_adj)
        buf_add_format(table_cell(t), "%d", row->oom_score_adj);
    else
        buf_add_char(table_cell(t), '-');
    table_next(t);
    buf_add(table_cell(t), row->wchan[0] ? str_of(row->wchan) : STR("-"));
    table_next(t);
    cell_command(t, row);
}

static void add_processes(struct buf *out, const struct dump *d) {
    struct table_layout layout = {.head = true};
    size_t shown = d->rows < ROWS_SHOWN ? d->rows : ROWS_SHOWN;
    struct table t;

    buf_add_format(out, "\nPROCESSES: %zu", d->all);
    if (shown < d->all)
        buf_add_format(out, ", the %zu largest", shown);
    buf_add_char(out, '\n');
    if (shown == 0) {
        buf_add(out,
                STR("none: what is charged is cache, tmpfs files, or of processes that left\n"));
        return;
    }
    table_init(&t, columns, ARRAY_N(columns), TABLE_MAX);
    for (size_t i = 0; i < shown; i++)
        add_row(&t, &d->row[i]);
    (void)table_print(&t, &layout, out);
    table_done(&t);
}

static void add_tasks(struct buf *out, const struct dump *d) {
    if (d->tasks == 0)
        return;
    add_title(out,
              "THREADS THAT WAIT IN THE KERNEL (D: no signal but SIGKILL reaches them, if that)");
    for (unsigned i = 0; i < d->tasks; i++) {
        const struct dump_task *t = &d->task[i];

        buf_add_format(out, "process %d thread %d ", t->pid, t->tid);
        text_add_visible(out, (struct str){t->comm, t->comm_n}, false);
        buf_add_format(out, ": %s\n", t->wchan[0] ? t->wchan : "where is not known");
        if (t->stack[0])
            add_head(out, "", str_of(t->stack));
    }
    if (d->more_tasks > 0)
        buf_add_format(out, "... and %u more: processes/*/threads\n", d->more_tasks);
}

/* --- runtimes --------------------------------------------------------------------------------- */

static void add_figure(struct buf *out, const struct rt_figures *f, enum rt_figure figure,
                       const char *before, bool size, bool *any) {
    if (!(f->have & 1u << figure))
        return;
    buf_add_format(out, "%s%s ", *any ? ", " : ": ", before);
    if (size)
        num_add_iec(out, f->value[figure]);
    else
        buf_add_u64(out, f->value[figure]);
    *any = true;
}

static void add_runtime(struct buf *out, const struct dump_row *row) {
    const struct rt_figures *f = &row->figures;
    struct buf text, id;
    bool any = false;
    char pid[16];

    buf_init(&text, 4096);
    buf_init(&id, 256);
    rt_add_id(&id, &row->id);
    text_add_visible(&text, buf_str(&id), false);
    add_figure(&text, f, RT_HEAP_USED, "heap used", true, &any);
    add_figure(&text, f, RT_HEAP_COMMITTED, "committed", true, &any);
    add_figure(&text, f, RT_HEAP_IDLE, "idle", true, &any);
    add_figure(&text, f, RT_GC_COUNT, "collections", false, &any);
    add_figure(&text, f, RT_TASKS, row->id.kind == RT_GO ? "goroutines" : "threads", false, &any);
    if (row->found[0])
        buf_add_format(&text, "; %s%s", row->id.kind == RT_JVM ? "largest classes: " : "",
                       row->found);
    (void)snprintf(pid, sizeof(pid), "%d", row->pid);
    add_head(out, pid, buf_str(&text));
    buf_done(&id);
    buf_done(&text);
}

static void add_runtimes(struct buf *out, const struct dump *d) {
    bool any = false;

    for (size_t i = 0; i < d->rows; i++) {
        if (rt_rank(d->row[i].id.kind) < RT_RANK_COLLECTS)
            continue;
        if (!any)
            add_title(out, "RUNTIMES that collect garbage");
        any = true;
        add_runtime(out, &d->row[i]);
    }
}

/* --- the rest --------------------------------------------------------------------------------- */

static void add_misses(struct buf *out, const struct dump *d) {
    struct buf text;

    if (d->misses == 0 && !d->store.full)
        return;
    add_title(out, "WHAT COULD NOT BE HAD");
    if (d->store.full)
        buf_add(out, STR("THE DISK IS FULL: files are missing or cut; what is above was had.\n"));
    buf_init(&text, 4096);
    for (unsigned i = 0; i < d->misses; i++) {
        const struct dump_miss *m = &d->miss[i];

        buf_clear(&text);
        add_visible(&text, m->part);
        if (m->count == 1)
            buf_add_format(&text, " of process %d", m->pid);
        else if (m->count > 1)
            buf_add_format(&text, " of %u processes", m->count);
        buf_add(&text, STR(": "));
        add_visible(&text, m->why);
        buf_add(out, buf_str(&text));
        buf_add_char(out, '\n');
    }
    buf_done(&text);
    if (d->more_misses > 0)
        buf_add_format(out, "... and %u more\n", d->more_misses);
}

static void add_legend(struct buf *out, const struct dump *d) {
    add_title(out, "FILES");
    buf_add(out,
            STR("group/, above-N/    memory files of the group and of those around it, as they "
                "were\n"
                "processes/PID/      status, threads and stacks, mappings, limits; jvm-*, go-* "
                "what runtimes said\n"
                "machine/            meminfo, vmstat ...\n"));
    if (d->history.n > 0)
        buf_add(out, STR("series.json         the last ten minutes, from the agent\n"));
    if (d->log.n > 0)
        buf_add(out, STR("kernel.log          the kernel's OOM reports about it\n"));
    buf_add(out,
            STR("index.json          all of it for programs; written last: without it the dump "
                "was cut short\n"));
    buf_add_format(out, "No environments are in here; command lines are%s.\n",
                   d->terms->no_cmdline ? " not either" : " (4096 bytes of each)");
}

void dump_add_summary(struct buf *out, struct dump *d, bool over) {
    struct buf group;

    buf_add(out, STR(DUMP_MARK));
    add_visible(out, d->g->name[0] ? d->g->name : d->g->path);
    buf_add(out, STR("\n\n"));
    if (!over)
        buf_add(out, STR("NOT FINISHED: it is being written, or was cut short here.\n\n"));
    add_when(out, d, over);
    buf_init(&group, 32768);
    add_visible(&group, d->g->path);
    buf_add_format(&group, " (cgroup %s)", d->g->version == CG_V1 ? "v1" : "v2");
    add_head(out, "group", buf_str(&group));
    buf_done(&group);
    add_why(out, d);
    add_fill(out, d);
    add_state(out, d);
    add_pressure(out, d);
    add_events(out, d);
    if (d->history.n > 0)
        add_head(out, "used was", buf_str(&d->history));
    if (d->have_numbers)
        add_split(out, d);
    add_limits(out, d);
    add_processes(out, d);
    add_runtimes(out, d);
    add_tasks(out, d);
    if (d->log.n > 0) {
        add_title(out, "KERNEL LOG (UTC)");
        buf_add(out, buf_str(&d->log));
    }
    if (over)
        add_misses(out, d);
    add_legend(out, d);
}
