/* jvm.c - a HotSpot JVM made to collect and to give back what its collector can give back.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "runtime/heaps.h"
#include "runtime/jvmattach.h"
#include "runtime/jvmguard.h"
#include "runtime/jvmroom.h"
#include "runtime/jvmtext.h"

enum {
    ANSWER_MAX = 16 << 20,
    SETTLE_G1_US = 1500000, /* its service thread gives back step by step, for about a second */
    SETTLE_US = 300000,
    SHRINK_ROUNDS = 8,
    UNDO_SECONDS = 60,
    MIN_FREE = 5, /* percent; a collection then shrinks the heap to little more than its content */
    MAX_FREE = 10,
    Z_DELAY_DEFAULT = 300,
};

struct talk {
    struct jvmattach a;
    struct buf answer;
    int64_t deadline_us;
    struct rt_result *out;

    enum jvm_gc gc;
    struct jvm_sizes sizes; /* before it, then after it */
    uint64_t heap_min, heap_initial, heap_max, z_delay_s;
    bool explicit_off;        /* System.gc() and GC.run do nothing */
    bool explicit_concurrent; /* ... do not compact */
    bool uncommit_off;
    bool shrunk;    /* collected with its free ratios lowered */
    char undo[160]; /* what puts them back, when that failed */
};

static int jcmd(struct talk *t, const char *command) {
    return jvmattach_jcmd(&t->a, command, t->deadline_us, &t->answer);
}

static int failed(struct talk *t, int r, const char *doing) {
    if (r == -ESRCH || rtproc_same(t->a.p) == -ESRCH)
        return -ESRCH;
    if (t->undo[0])
        return rt_fail(t->out, t->undo, "its free ratios could not be put back yet");
    if (r == -ETIMEDOUT)
        return rt_fail(t->out, "a longer --timeout", "the JVM did not answer %s in time", doing);
    if (r > 0) {
        struct str rest = buf_str(&t->answer), line = rest;

        (void)str_cut(&rest, '\n', &line);
        return rt_fail(t->out, "", "the JVM refused %s: %.*s", doing, STR_ARG(str_head(line, 200)));
    }
    return rt_fail(t->out, "", "no sensible answer to %s", doing);
}

/* VM.flags names what is not at its default. */
static void read_flags(struct talk *t) {
    struct str flags;

    t->z_delay_s = Z_DELAY_DEFAULT;
    if (jcmd(t, "VM.flags") != 0)
        return;
    flags = buf_str(&t->answer);
    t->gc = jvmtext_gc(flags);
    (void)jvmtext_flag_u64(flags, STR("MinHeapSize"), &t->heap_min);
    (void)jvmtext_flag_u64(flags, STR("InitialHeapSize"), &t->heap_initial);
    (void)jvmtext_flag_u64(flags, STR("MaxHeapSize"), &t->heap_max);
    (void)jvmtext_flag_u64(flags, STR("ZUncommitDelay"), &t->z_delay_s);
    t->explicit_off = jvmtext_flag_on(flags, STR("DisableExplicitGC"));
    t->explicit_concurrent = jvmtext_flag_on(flags, STR("ExplicitGCInvokesConcurrent"));
    t->uncommit_off = jvmtext_flag_off(flags, STR("ZUncommit")) ||
                      jvmtext_flag_off(flags, STR("ShenandoahUncommit"));
}

/* --- collecting ------------------------------------------------------------------------------- */

/* A histogram of what is reachable begins with a full collection, which no flag turns into a
 * lesser one. */
static const char *collect_command(const struct talk *t) {
    return t->explicit_off || t->explicit_concurrent ? "GC.class_histogram" : "GC.run";
}

static int collect_twice(struct talk *t) {
    int r = jcmd(t, collect_command(t));

    return r == 0 ? jcmd(t, collect_command(t)) : r;
}

/* What malloc keeps of the JVM's own: 17.0.9 and later know the command, others say they do not. */
static bool trim_native(struct talk *t) {
    return jcmd(t, "System.trim_native_heap") == 0;
}

/* --- the free ratios, for collectors that shrink by them ---------------------------------------
 */

struct ratios {
    struct talk *t;
    uint64_t min, max; /* as they were */
};

static int read_ratio(struct talk *t, const char *name, uint64_t *out) {
    const struct jvm_command c = {"printflag", {name, ""}};
    int code, r = jvmattach_ask(&t->a, &c, t->deadline_us, &t->answer, &code);

    if (r < 0)
        return r;
    return code == 0 && jvmtext_flag_u64(buf_str(&t->answer), str_of(name), out) && *out <= 100
               ? 0
               : -ENODATA;
}

static int set_ratio(struct talk *t, const char *name, uint64_t percent) {
    char text[16];
    const struct jvm_command c = {"setflag", {name, text}};
    int code, r;

    (void)snprintf(text, sizeof(text), "%lu", percent);
    r = jvmattach_ask(&t->a, &c, t->deadline_us, &t->answer, &code);
    return r < 0 ? r : code == 0 ? 0 : -EINVAL;
}

/* The least is never above the most: in this order down, in the other up again. */
static int put_back(struct ratios *old) {
    int r = set_ratio(old->t, "MaxHeapFreeRatio", old->max);

    return r == 0 ? set_ratio(old->t, "MinHeapFreeRatio", old->min) : r;
}

static void put_back_later(void *arg) {
    struct ratios *old = arg;

    old->t->deadline_us = clock_mono_us() + UNDO_SECONDS * 1000000LL;
    (void)put_back(old);
}

/* Until a round gives nothing any more. */
static int collect_until_flat(struct talk *t) {
    uint64_t before = UINT64_MAX, now = 0, anon;
    int r = 0;

    for (unsigned i = 0; r == 0 && i < SHRINK_ROUNDS; i++) {
        r = jcmd(t, collect_command(t));
        if (r != 0 || rtproc_rss(t->a.p, &now, &anon) < 0)
            break;
        if (i >= 2 && now + (1 << 20) > before)
            break;
        before = now;
    }
    return r;
}

/* Who changes them holds this lock, and so does its guard until they are put back: else the next
 * one took our values for the JVM's own. A descriptor, or -errno. */
static int lock_ratios(const struct talk *t) {
    auto_close int fd = openat(t->a.p->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int64_t until = clock_mono_us() + (t->deadline_us - clock_mono_us()) / 2;

    if (fd < 0)
        return -errno;
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK)
            return -errno;
        if (clock_mono_us() >= until)
            return -EBUSY;
        usleep(10000);
    }
    return take_fd(&fd);
}

static void tell_to_put_back(struct talk *t, const struct ratios *old) {
    (void)snprintf(t->undo, sizeof(t->undo),
                   "jcmd PID VM.set_flag MaxHeapFreeRatio %lu; jcmd PID VM.set_flag "
                   "MinHeapFreeRatio %lu",
                   old->max, old->min);
}

/* With both ratios known, the lock held and the guard standing. */
static int collect_with_ratios(struct talk *t, struct ratios *old) {
    int64_t deadline = t->deadline_us;
    int r, back;

    t->deadline_us = deadline - (deadline - clock_mono_us()) / 4; /* time to put them back */
    r = set_ratio(t, "MinHeapFreeRatio", old->min < MIN_FREE ? old->min : MIN_FREE);
    if (r == 0)
        r = set_ratio(t, "MaxHeapFreeRatio", old->max < MAX_FREE ? old->max : MAX_FREE);
    t->shrunk = r == 0;
    r = r == -EINVAL ? collect_twice(t) : r < 0 ? r : collect_until_flat(t);
    t->deadline_us = deadline;
    back = put_back(old);
    if (back < 0 && t->shrunk)
        tell_to_put_back(t, old);
    return r != 0 || !t->shrunk ? r : back;
}

static int collect_shrinking(struct talk *t) {
    struct ratios old = {.t = t};
    struct jvmguard guard = {0, -1};
    auto_close int lock = lock_ratios(t);
    int keep[] = {t->a.tmp, lock}, r;

    if (lock < 0 || read_ratio(t, "MinHeapFreeRatio", &old.min) < 0 ||
        read_ratio(t, "MaxHeapFreeRatio", &old.max) < 0 ||
        jvmguard_start(&guard, put_back_later, &old, keep, ARRAY_N(keep), UNDO_SECONDS) < 0)
        return collect_twice(t);
    r = collect_with_ratios(t, &old);
    if (!t->undo[0])
        jvmguard_end(&guard); /* else it tries again when we are gone */
    return r;
}

/* --- what is to be said ----------------------------------------------------------------------- */

static void add_held(struct buf *b, const struct talk *t) {
    buf_add(b, STR("the heap holds "));
    num_add_iec(b, t->sizes.value[JVM_HEAP_COMMITTED]);
    buf_add(b, STR(" for "));
    num_add_iec(b, t->sizes.value[JVM_HEAP_USED]);
    buf_add(b, STR(" in use: "));
}

static uint64_t kept(const struct talk *t) {
    uint64_t committed = t->sizes.value[JVM_HEAP_COMMITTED], used = t->sizes.value[JVM_HEAP_USED];

    return committed > used ? committed - used : 0;
}

/* Why the heap is still larger than its content, and which flag of a next start would mend it. */
static void explain_rest(struct talk *t, struct buf *why, struct buf *next) {
    /* Serial and CMS stop at what they started with, others at the least. */
    bool shrinks = t->gc == JVM_GC_SERIAL || t->gc == JVM_GC_CMS;
    uint64_t floor = shrinks ? t->heap_initial : t->heap_min;

    add_held(why, t);
    switch (t->gc) {
    case JVM_GC_PARALLEL:
        buf_add(why, STR("the Parallel collector gives hardly anything back to the kernel"));
        buf_add(next, STR("start it with -XX:+UseG1GC, or with -XX:+UseSerialGC -Xms16m"));
        return;
    case JVM_GC_Z:
    case JVM_GC_SHENANDOAH:
        if (t->uncommit_off || t->heap_min == t->heap_max) {
            buf_add(why, STR("giving back is switched off (-Xms as large as -Xmx, or a flag)"));
            buf_add(next, STR("start it with a smaller -Xms"));
            return;
        }
        if (t->gc == JVM_GC_Z) {
            buf_add_format(why,
                           "ZGC gives back what was not used for %lu s, and nobody can hasten "
                           "it",
                           t->z_delay_s);
            buf_add(next, STR("start it with -XX:ZUncommitDelay=5"));
            return;
        }
        break;
    case JVM_GC_UNKNOWN:
    case JVM_GC_SERIAL:
    case JVM_GC_CMS:
    case JVM_GC_G1:
    case JVM_GC_EPSILON:
    case JVM_GCS:
        break;
    }
    if (floor > 0 && t->sizes.value[JVM_HEAP_COMMITTED] <= floor + floor / 8) {
        buf_add(why, STR("it never becomes smaller than "));
        num_add_iec(why, floor);
        buf_add(why, STR(", which it started with (-Xms, or 1/64 of the memory)"));
        buf_add(next, STR("start it with -Xms16m"));
    } else {
        buf_add_format(why, "the %s%scollector keeps that for its next cycles", jvm_gc_name(t->gc),
                       t->gc ? " " : "");
    }
}

static void set_text(char *text, size_t size, const struct buf *b) {
    (void)str_copy(str_head(buf_str(b), size - 1), text, size);
}

static void say_rest(struct talk *t) {
    enum { WORTH = 32 << 20 };
    struct buf why, next;

    if (kept(t) < WORTH || t->out->next[0])
        return;
    buf_init(&why, 1024);
    buf_init(&next, 1024);
    explain_rest(t, &why, &next);
    set_text(t->out->why, sizeof(t->out->why), &why);
    set_text(t->out->next, sizeof(t->out->next), &next);
    buf_done(&why);
    buf_done(&next);
}

/* G1 would keep two thirds of its heap free. */
static bool shrinks_by_ratio(const struct talk *t) {
    return t->gc == JVM_GC_SERIAL || t->gc == JVM_GC_CMS || t->gc == JVM_GC_G1;
}

static int collect(struct talk *t) {
    struct rt_result *out = t->out;
    const char *name;
    bool trimmed;
    int r;

    read_flags(t);
    if (t->gc == JVM_GC_EPSILON)
        return rt_refuse(out, "start it with another collector, -XX:+UseG1GC",
                         "the Epsilon collector never collects: all it has is in use");
    if (jcmd(t, "GC.heap_info") == 0)
        (void)jvmtext_heap_info(buf_str(&t->answer), &t->sizes);
    if (jvmroom_lacks(t->a.p, t->gc, &t->sizes, out))
        return 0;
    out->outcome = RT_COLLECTED;
    r = shrinks_by_ratio(t) ? collect_shrinking(t) : collect_twice(t);
    if (r != 0)
        return failed(t, r, collect_command(t));
    trimmed = trim_native(t);
    if (jcmd(t, "GC.heap_info") == 0)
        (void)jvmtext_heap_info(buf_str(&t->answer), &t->sizes);
    name = jvm_gc_name(t->gc);
    (void)snprintf(out->how, sizeof(out->how), "HotSpot attach%s%s: %s %s%s", *name ? ", " : "",
                   name, collect_command(t),
                   t->shrunk ? "until flat, with the free ratios at 5 and 10 % meanwhile" : "twice",
                   trimmed ? ", System.trim_native_heap" : "");
    out->settle_us = t->gc == JVM_GC_G1 ? SETTLE_G1_US : SETTLE_US;
    if (t->gc == JVM_GC_Z && t->z_delay_s <= 3)
        out->settle_us = (int64_t)(t->z_delay_s + 1) * 1000000;
    say_rest(t);
    return 0;
}

int jvm_collect(const struct rtproc *p, const struct rt_id *id, const struct rt_ask *ask,
                struct rt_result *out) {
    struct talk t = {.deadline_us = ask->deadline_us, .out = out};
    int r;

    (void)id;
    *out = (struct rt_result){0};
    if (jvmattach_open(p, ask->deadline_us, &t.a, out) < 0)
        return rtproc_same(p) == -ESRCH ? -ESRCH : 0;
    buf_init(&t.answer, ANSWER_MAX);
    r = collect(&t);
    buf_done(&t.answer);
    jvmattach_done(&t.a);
    return r;
}
