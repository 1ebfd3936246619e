/* The runtimes of the largest processes: what they tell without being asked, and, where the group
 * does not hang, what they answer: a JVM's classes and threads, a Go program's goroutines.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "act/dumppass.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"
#include "runtime/gopprof.h"
#include "runtime/heaps.h"
#include "runtime/jvmattach.h"
#include "runtime/jvmtext.h"
#include "runtime/recognise.h"

enum {
    ANSWER_US = 5000000, /* of one process, for all that it is asked */
    STALL_US = 1500000,  /* its executable may lie on a file server that is gone */
    GRACE_US = 500000,
    TOP_CLASSES = 5,
    ROOM = 8 << 20,         /* below the limit, for a runtime that makes an answer; */
    ROOM_THREADS = 32 << 20 /* for stacks of thousands of threads */
};

/* --- without being asked ---------------------------------------------------------------------- */

static void look_at_runtime(struct dump *d, struct dump_row *row) {
    struct rtproc p = {0};
    int r;

    if (row->kernel_thread)
        return;
    r = rtproc_open(d->g->host, row->pid, &p, NULL);
    if (r < 0)
        return; /* gone; a zombie; not ours: the other files tell */
    if (p.start_ticks == row->start_ticks && rt_recognise(&p, &row->id) == 0)
        (void)rt_figures(&p, &row->id, &row->figures);
    rtproc_done(&p);
}

void dump_runtimes(struct dump *d) {
    const struct dump_pass pass = {
        .look = look_at_runtime,
        .part = "runtime",
        .rows = DUMP_MAPPINGS,
        .stall_us = STALL_US,
        .stalls = 2,
    };

    dump_pass_run(d, &pass);
}

/* --- asked ------------------------------------------------------------------------------------ */

static int64_t deadline_of(const struct dump *d) {
    int64_t us = clock_mono_us() + ANSWER_US;

    return us < d->end_us ? us : d->end_us;
}

/* The five largest of what the histogram has. */
static void find_largest(struct dump_row *row, struct str text) {
    struct jvm_histogram sum;
    struct tally *types;
    struct buf out;

    if (tally_new(&types) < 0)
        return;
    buf_init(&out, sizeof(row->found) - 1);
    if (jvmtext_histogram(text, types, &sum) == 0) {
        tally_sort(types);
        for (size_t i = 0; i < tally_n(types) && i < TOP_CLASSES; i++) {
            const struct tally_row *t = tally_row(types, i);

            if (i > 0)
                buf_add(&out, STR(", "));
            text_add_visible(&out, str_head(t->name, t->name.n < 80 ? t->name.n : 80), false);
            buf_add_char(&out, ' ');
            num_add_iec(&out, t->bytes);
        }
    }
    (void)snprintf(row->found, sizeof(row->found), "%.*s", STR_ARG(buf_str(&out)));
    buf_done(&out);
    tally_free(types);
}

/* What is left below the limit that is nearest: to answer takes memory of the group, and a dump
 * must not be what fills it. */
static uint64_t room_now(struct dump *d) {
    struct facts now;

    if (grip_read(d->g, GRIP_STAT, &now) < 0 || !facts_has(&now, FACT_USED))
        return 0;
    if (!facts_has(&now, FACT_LIMIT) || now.value[FACT_LIMIT] == CGROUP_NO_LIMIT)
        return UINT64_MAX;
    return now.value[FACT_LIMIT] > now.value[FACT_USED]
               ? now.value[FACT_LIMIT] - now.value[FACT_USED]
               : 0;
}

static bool has_room(struct dump *d, const struct dump_row *row, const char *part, uint64_t need) {
    if (room_now(d) >= need)
        return true;
    dump_lacks(d, row->pid, part,
               "to answer takes memory, and less than %lu MiB are left below "
               "the limit",
               need >> 20);
    return false;
}

static void ask_jvm(struct dump *d, struct dump_row *row, const struct rtproc *p) {
    static const struct {
        const char *command, *file;
        uint64_t room;
    } asked[] = {
        {"GC.heap_info", "jvm-heap", ROOM},
        {"GC.class_histogram -all", "jvm-classes", ROOM},
        {"Thread.print", "jvm-threads", ROOM_THREADS},
    };
    int64_t deadline_us = deadline_of(d);
    struct rt_result why = {0};
    struct jvmattach a;
    struct buf answer;
    int r = jvmattach_open(p, deadline_us, &a, &why);

    if (r < 0) {
        dump_missed_why(d, row->pid, "jvm-classes", "%.150s", why.why[0] ? why.why : strerror(-r));
        return;
    }
    buf_init(&answer, JVMATTACH_ANSWER_MAX);
    for (size_t i = 0; i < ARRAY_N(asked); i++) {
        dump_pass_part(asked[i].file);
        if (!has_room(d, row, asked[i].file, asked[i].room))
            continue;
        r = jvmattach_jcmd(&a, asked[i].command, deadline_us, &answer);
        if (r == 0) {
            dump_file_of(d, row, asked[i].file, buf_str(&answer));
            if (i == 1)
                find_largest(row, buf_str(&answer));
        } else {
            dump_missed_why(d, row->pid, asked[i].file, "%s",
                            r < 0 ? strerror(-r) : "the JVM has no such command");
        }
    }
    buf_done(&answer);
    jvmattach_done(&a);
}

/* "goroutine profile: total 12", then stacks, the most frequent first: "9 @ 0x43 0x44" and lines
 * "#\t0x45f3a4\tinternal/poll.runtime_pollWait+0x84\t/usr/...". */
static void find_goroutines(struct dump_row *row, struct str text) {
    struct str line, total, most = STR(""), word;
    struct buf out;

    if (!str_cut(&text, '\n', &line) || !str_skip(&line, STR("goroutine profile: total ")) ||
        !str_word(&line, &total) || total.n > 12)
        return;
    buf_init(&out, sizeof(row->found) - 1);
    buf_add_format(&out, "%.*s goroutines by its profile", STR_ARG(total));
    if (str_cut(&text, '\n', &line) && str_word(&line, &most) && most.n <= 12 &&
        str_cut(&text, '\n', &line) && str_skip(&line, STR("#\t")) && str_word(&line, &word) &&
        str_word(&line, &word)) {
        ptrdiff_t plus = str_rfind(word, '+');

        buf_add_format(&out, ", most of one place: %.*s in ", STR_ARG(most));
        word = str_head(word, plus > 0 ? (size_t)plus : word.n);
        text_add_visible(&out, str_head(word, word.n < 100 ? word.n : 100), false);
    }
    (void)snprintf(row->found, sizeof(row->found), "%.*s", STR_ARG(buf_str(&out)));
    buf_done(&out);
}

static void ask_go(struct dump *d, struct dump_row *row, const struct rtproc *p) {
    static const struct {
        const char *page, *file;
    } asked[] = {
        {"goroutine?debug=1", "go-goroutines"},
        {"heap?debug=1", "go-heap"},
    };
    int64_t deadline_us = deadline_of(d);
    struct gopprof at;
    unsigned tried = 0;
    int r = gopprof_find(p, 0, deadline_us, &at, &tried);

    if (r < 0) {
        if (r == -ENOENT)
            dump_lacks(d, row->pid, "go-goroutines",
                       "the Go program does not serve net/http/pprof on loopback");
        else
            dump_missed(d, row->pid, "go-goroutines", r);
        return;
    }
    for (size_t i = 0; i < ARRAY_N(asked); i++) {
        struct unixhttp http;
        struct buf answer;

        dump_pass_part(asked[i].file);
        buf_init(&answer, DUMP_FILE_MAX + UNIXHTTP_HEAD_MAX);
        r = gopprof_get(p, &at, asked[i].page, deadline_us, &answer, &http);
        if (r == 0) {
            dump_file_of(d, row, asked[i].file, http.body);
            if (i == 0)
                find_goroutines(row, http.body);
        } else {
            dump_missed(d, row->pid, asked[i].file, r);
        }
        buf_done(&answer);
    }
}

static void ask_runtime(struct dump *d, struct dump_row *row) {
    struct rtproc p = {0};

    if (row->id.kind != RT_JVM && row->id.kind != RT_GO)
        return;
    dump_pass_part(row->id.kind == RT_JVM ? "jvm-classes" : "go-goroutines");
    if (rtproc_open(d->g->host, row->pid, &p, NULL) < 0)
        return;
    if (p.start_ticks == row->start_ticks &&
        has_room(d, row, row->id.kind == RT_JVM ? "jvm-classes" : "go-goroutines", ROOM)) {
        if (row->id.kind == RT_JVM)
            ask_jvm(d, row, &p);
        else
            ask_go(d, row, &p);
    }
    rtproc_done(&p);
}

static bool is_asked(const struct dump_row *row) {
    return !row->gone && (row->id.kind == RT_JVM || row->id.kind == RT_GO);
}

/* The rows up to which there are not more to ask than are asked. */
static size_t rows_asked(const struct dump *d) {
    size_t n = 0, i = 0;

    for (; i < d->rows && i < DUMP_MAPPINGS; i++)
        if (is_asked(&d->row[i]) && ++n > DUMP_ASKED)
            break;
    return n > 0 ? i : 0;
}

void dump_answers(struct dump *d) {
    const struct dump_pass pass = {
        .look = ask_runtime,
        .part = "answers of runtimes",
        .rows = rows_asked(d),
        .stall_us = ANSWER_US + GRACE_US,
        .stalls = 2,
    };

    for (size_t i = 0; d->terms->hung && i < d->rows; i++)
        if (is_asked(&d->row[i]))
            dump_lacks(d, d->row[i].pid, "answers of runtimes",
                       "the group hangs: nothing in it could answer");
    if (!d->terms->hung && pass.rows > 0)
        dump_pass_run(d, &pass);
}
