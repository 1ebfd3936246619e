#include "kern/oomreport.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/mem.h"
#include "kern/proctest.h"

/* What a fixture's last report says. */
struct expected {
    int32_t pid;
    const char *comm;
    enum oom_constraint constraint;
    const char *limit_path, *task_path;
    uint64_t anon_kb, file_kb, shmem_kb;
    bool again;
};

struct fixture {
    const char *path;
    unsigned kills;
    struct expected kill[3];
};

#define DOCKER "/docker/0904df45daa4d57eedbca5699e2ca02c18d4026d78971a06ce3c3c024e89a558"
#define COMMAS "/plk/x,task_memcg=,task=sshd,pid=1,uid=0"
#define ESCAPES "/plk/\x1b[31mred\x1b[0m \"q\\ \xff\xfe <b>&"

static const struct fixture fixtures[] = {
    {"tests/fixtures/v1/oom/dmesg.txt",
     1,
     {{19282, "hog", OOM_MEMCG, "/plk/ev", "/plk/ev", 130688, 320, 0, false}}},
    {"tests/fixtures/v1/oom-parent-limit/kmsg.raw",
     1,
     {{7012, "big one", OOM_MEMCG, "/plk/par", "/plk/par/c2", 46592, 512, 0, false}}},
    {"tests/fixtures/v1/oom-memsw/kmsg.raw",
     1,
     {{7243, "ms", OOM_MEMCG, "/plk/ms", "/plk/ms", 32640, 548, 0, false}}},
    {"tests/fixtures/v1/oom-docker/kmsg.raw",
     1,
     {{8903, "sh", OOM_MEMCG, DOCKER, DOCKER, 32268, 48, 0, false}}},
    {"tests/fixtures/v1/oom-hostile-names/kmsg.raw",
     1,
     {{7458, "q,pid=1,uid=0\n", OOM_MEMCG, COMMAS, COMMAS, 16128, 452, 0, false}}},
    {"tests/fixtures/v1/oom-hostile-escapes/kmsg.raw",
     1,
     {{6909, "\x1b]0;pwn\a\x1b[2J", OOM_MEMCG, ESCAPES, ESCAPES, 15744, 512, 0, false}}},
    {"tests/fixtures/v1/oom-long-path/kmsg.raw", /* the paths are cut: not told */
     1,
     {{8040, "deep", OOM_MEMCG, "", "", 16128, 292, 0, false}}},
    {"tests/fixtures/v1/oom-forged/kmsg.raw", 0, {{0}}},
    {"tests/fixtures/v1/oom-linux-6.1/kmsg.raw",
     1,
     {{190, "victim one", OOM_MEMCG, "/plk", "/plk/a", 43752, 4, 0, false}}},
    {"tests/fixtures/v2/oom/dmesg.txt",
     1,
     {{417, "hog", OOM_MEMCG, "/plk/oom", "/plk/oom", 65132, 4, 0, false}}},
    {"tests/fixtures/v2/oomgroup/dmesg.txt",
     3,
     {{597, "hog", OOM_MEMCG, "/plk/g", "/plk/g", 65140, 4, 0, false},
      {596, "sleep", OOM_MEMCG, "", "", 108, 1568, 0, false},
      {597, "hog", OOM_MEMCG, "/plk/g", "/plk/g", 65140, 4, 0, true}}},
    {"tests/fixtures/v2/oom-global/dmesg.txt",
     1,
     {{225, "glob 3", OOM_HOST, "", "/", 73596, 4, 648, false}}},
    {"tests/fixtures/v2/oom-sysrq/dmesg.txt",
     1,
     {{216, "sysrq", OOM_HOST, "", "/", 20516, 648, 0, false}}},
    {"tests/fixtures/v2/oom-swap/dmesg.txt",
     1,
     {{385, "swapper", OOM_MEMCG, "/plk/sw", "/plk/sw", 32376, 4, 0, false}}},
    {"tests/fixtures/v2/oom-unkillable/dmesg.txt", 0, {{0}}},
    {"tests/fixtures/v2/oom-parent-limit/kmsg.raw",
     1,
     {{195, "victim one", OOM_MEMCG, "/plk", "/plk/a", 43756, 4, 0, false}}},
};

/* --- the records of a fixture --- */

enum { RECORDS = 700 };
static char record_buf[1 << 17];
static struct str record[RECORDS];
static size_t records, record_bytes;

static void begin_record(void) {
    if (records == RECORDS)
        fail_msg("too many records");
    record[records++] = (struct str){record_buf + record_bytes, 0};
}

static void add_record(struct str s) {
    if (s.n + 128 > sizeof(record_buf) - record_bytes)
        fail_msg("too long");
    memcpy(record_buf + record_bytes, s.p, s.n);
    record_bytes += s.n;
    record[records - 1].n += s.n;
}

/* dmesg prints "[   12.415661] TEXT" and resolves a newline inside of TEXT to one and 15 blanks. */
static void add_dmesg_line(struct str line) {
    struct str head;
    char head_buf[64];

    if (str_starts(line, STR("               "))) {
        record[records - 1].n--; /* the newline */
        record_bytes--;
        add_record(STR("\\x0a"));
        line = str_from(line, 15);
    } else {
        begin_record();
        add_record((struct str){
            head_buf, (size_t)snprintf(head_buf, sizeof(head_buf), "6,%zu,1,-;", records + 1000)});
        assert_true(str_cut(&line, ']', &head) && str_skip(&line, STR(" ")));
    }
    add_record(line);
    add_record(STR("\n"));
}

static void load(const char *path) {
    struct str file = proctest_load(path), rest = file, line;
    bool raw = str_ends(str_of(path), STR(".raw"));

    records = record_bytes = 0;
    while (str_cut(&rest, '\n', &line)) {
        if (!raw) {
            add_dmesg_line(line);
            continue;
        }
        begin_record();
        add_record(line);
        add_record(STR("\n"));
    }
    proctest_free(file);
}

static bool says(struct str s, const char *what) {
    return memmem(s.p, s.n, what, strlen(what)) != NULL;
}

/* The first record from which on a report tells of a kill. */
static size_t summary_at(void) {
    size_t i = 0;

    while (i < records && !says(record[i], "oom-kill:constraint="))
        i++;
    return i;
}

/* --- comparing --- */

static void assert_str(struct str s, const char *wanted, const char *what) {
    if (!str_eq(s, str_of(wanted)))
        fail_msg("%s is '%.*s', not '%s'", what, STR_ARG(s), wanted);
}

static void assert_kill(const struct oomkill *k, const struct expected *e) {
    assert_int_equal(k->pid, e->pid);
    assert_str(k->comm, e->comm, "comm");
    assert_int_equal(k->constraint, e->constraint);
    assert_str(k->limit_path, e->limit_path, "limit_path");
    assert_str(k->task_path, e->task_path, "task_path");
    assert_int_equal(k->anon, e->anon_kb * 1024);
    assert_int_equal(k->file, e->file_kb * 1024);
    assert_int_equal(k->shmem, e->shmem_kb * 1024);
    assert_int_equal(k->again, e->again);
}

static bool feed(struct oomreport *r, struct str s, struct oomkill *out) {
    struct kmsg_record parsed;

    return kmsg_parse(s, &parsed) == 0 && oomreport_feed(r, &parsed, out) == 1;
}

static struct oomreport *fresh(void) {
    struct oomreport *r;

    assert_int_equal(oomreport_new(&r), 0);
    return r;
}

static void each_fixture_is_told_as_it_was(void **state) {
    (void)state;
    for (size_t f = 0; f < ARRAY_N(fixtures); f++) {
        struct oomreport *r = fresh();
        unsigned kills = 0;

        load(fixtures[f].path);
        for (size_t i = 0; i < records; i++) {
            struct oomkill k;

            if (!feed(r, record[i], &k))
                continue;
            if (kills == fixtures[f].kills)
                fail_msg("%s: too many kills", fixtures[f].path);
            assert_kill(&k, &fixtures[f].kill[kills++]);
        }
        if (kills != fixtures[f].kills)
            fail_msg("%s: %u kills, not %u", fixtures[f].path, kills, fixtures[f].kills);
        oomreport_free(r);
    }
}

/* --- damage --- */

/* Whatever is told of a damaged report: paths are right or not told. Of the victim's group only
 * that it lies in the group at fault can be checked: a byte of its name may be another. */
static void assert_right_or_unknown(const struct fixture *f, const struct oomkill *k) {
    const struct expected *e = &f->kill[0];
    struct str limit = str_of(e->limit_path), task = str_of(e->task_path);

    if (k->limit_path.n == 0 && k->task_path.n == 0)
        return;
    assert_int_equal(k->pid, e->pid);
    assert_int_equal(k->constraint == OOM_MEMCG, e->constraint == OOM_MEMCG);
    if (k->limit_path.n > 0)
        assert_str(k->limit_path, e->limit_path, f->path);
    if (k->task_path.n > 0 && str_eq(limit, task))
        assert_str(k->task_path, e->task_path, f->path);
    if (k->task_path.n > 0)
        assert_true(str_starts(k->task_path, limit));
}

/* Feeds the report with record `changed` in the given form; 0 bytes: it is missing, as records
 * are that were overwritten. Returns how often paths were told. */
static unsigned feed_damaged(const struct fixture *f, size_t from, size_t changed, struct str as) {
    struct oomreport *r = fresh();
    unsigned told = 0;

    for (size_t i = from; i < records; i++) {
        struct oomkill k;

        if (!feed(r, i == changed ? as : record[i], &k))
            continue;
        assert_right_or_unknown(f, &k);
        told += k.limit_path.n > 0;
    }
    oomreport_free(r);
    return told;
}

static void each_prefix_of_a_log_is_right_or_unknown(void **state) {
    (void)state;
    for (size_t f = 0; f < ARRAY_N(fixtures); f++) {
        size_t all;

        load(fixtures[f].path);
        all = records;
        for (records = 1; records <= all; records++)
            feed_damaged(&fixtures[f], 0, SIZE_MAX, (struct str){0});
        records = all;
        for (size_t from = 1; from < all; from++) /* and its ends */
            feed_damaged(&fixtures[f], from, SIZE_MAX, (struct str){0});
    }
}

/* The record cut at n bytes, as if it ended there, in a block of exactly its size. */
static void try_cut(const struct fixture *f, size_t from, size_t i, size_t n) {
    char *exact = malloc(n + 1);

    assert_non_null(exact);
    memcpy(exact, record[i].p, n);
    exact[n] = '\n';
    feed_damaged(f, from, i, (struct str){exact, n + 1});
    free(exact);
}

static void each_cut_of_each_line_is_right_or_unknown(void **state) {
    (void)state;
    for (size_t f = 0; f < ARRAY_N(fixtures); f++) {
        size_t from;

        load(fixtures[f].path);
        from = summary_at();
        for (size_t i = from; i < records; i++) {
            for (size_t n = 0; n + 1 < record[i].n; n++)
                try_cut(&fixtures[f], from, i, n);
            feed_damaged(&fixtures[f], from, i, (struct str){"", 0});
        }
    }
}

/* Most bytes of a report say nothing of paths: those must be told all the same. */
static void assert_not_vain(const struct fixture *f, unsigned long told) {
    if ((told > 0) != (f->kills > 0 && f->kill[0].limit_path[0]))
        fail_msg("%s: paths were told %lu times", f->path, told);
}

static void each_flipped_bit_is_right_or_unknown(void **state) {
    static const char odd[] = {',', '/', '=', ')', ' ', '\\', '\n', '0', 'c', '\0', '\x80'};
    char copy[KMSG_RECORD];

    (void)state;
    for (size_t f = 0; f < ARRAY_N(fixtures); f++) {
        unsigned long told = 0;
        size_t from;

        load(fixtures[f].path);
        from = summary_at();
        for (size_t i = from; i < records; i++)
            for (size_t at = 0; at < record[i].n; at++) {
                for (unsigned bit = 0; bit < 8; bit++) {
                    memcpy(copy, record[i].p, record[i].n);
                    copy[at] = (char)(copy[at] ^ (1 << bit));
                    told += feed_damaged(&fixtures[f], from, i, (struct str){copy, record[i].n});
                }
                for (size_t o = 0; o < sizeof(odd); o++) {
                    memcpy(copy, record[i].p, record[i].n);
                    copy[at] = odd[o];
                    told += feed_damaged(&fixtures[f], from, i, (struct str){copy, record[i].n});
                }
            }
        assert_not_vain(&fixtures[f], told);
    }
}

/* --- made up, where no kernel's own text is at hand --- */

static unsigned long next_seq;

/* priority,SEQ,1,flag;text, parsed and fed. */
static bool say(struct oomreport *r, const char *priority, char flag, const char *text,
                struct oomkill *out) {
    char line[KMSG_RECORD];
    int n = snprintf(line, sizeof(line), "%s,%lu,1,%c;%s\n", priority, next_seq++, flag, text);

    assert_true(n > 0 && (size_t)n < sizeof(line));
    return feed(r, (struct str){line, (size_t)n}, out);
}

#define HEAD "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0"
#define SIZES " total-vm:100kB, anon-rss:64kB, file-rss:4kB, shmem-rss:0kB, UID:0 pgtables:1kB"
#define KILLED(pid, comm) "Memory cgroup out of memory: Killed process " pid " (" comm ")" SIZES

static void names_are_told_from_fields_or_not_told(void **state) {
    static const struct {
        const char *summary, *killed;
        const char *limit, *task;
    } t[] = {
        /* plain */
        {HEAD ",oom_memcg=/a,task_memcg=/a/b,task=x,pid=7,uid=0", KILLED("7", "x"), "/a", "/a/b"},
        {HEAD ",oom_memcg=/a,task_memcg=/a,task=x,pid=7,uid=4294967295", KILLED("7", "x"), "/a",
         "/a"},
        /* the name of the program holds fields, brackets, or nothing */
        {HEAD ",oom_memcg=/a,task_memcg=/a,task=,pid=1,uid=0,pid=7,uid=0",
         KILLED("7", ",pid=1,uid=0"), "/a", "/a"},
        {HEAD ",oom_memcg=/a,task_memcg=/a,task=) total-vm:1kB,pid=7,uid=0",
         KILLED("7", ") total-vm:1kB"), "/a", "/a"},
        {HEAD ",oom_memcg=/a,task_memcg=/a,task=,pid=7,uid=0", KILLED("7", ""), "/a", "/a"},
        /* ",task=" in it: the victim's group may end at either */
        {HEAD ",oom_memcg=/a,task_memcg=/a/b,task=a,task=b,pid=7,uid=0", KILLED("7", "a,task=b"),
         "/a", ""},
        {HEAD ",oom_memcg=/a,task_memcg=/a/b,task=c,task=x,pid=7,uid=0", KILLED("7", "x"), "/a",
         ""},
        /* where the group at fault is the victim's, they tell each other */
        {HEAD ",oom_memcg=/a,task=c,task_memcg=/a,task=c,task=x,pid=7,uid=0", KILLED("7", "x"),
         "/a,task=c", "/a,task=c"},
        /* fields in the names of groups */
        {HEAD ",oom_memcg=/a/task_memcg=/b,task_memcg=/a/task_memcg=/b,task=x,pid=7,uid=0",
         KILLED("7", "x"), "/a/task_memcg=/b", "/a/task_memcg=/b"},
        {HEAD ",oom_memcg=/a,task_memcg=/a,task_memcg=/a,task=x,pid=7,uid=0", KILLED("7", "x"), "",
         ""},
        {HEAD ",oom_memcg=/a,task_memcg=/b,task_memcg=/a,task_memcg=/b/c,task=x,pid=7,uid=0",
         KILLED("7", "x"), "/a,task_memcg=/b", "/a,task_memcg=/b/c"},
        {"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=0-3,cpuset=x,oom_memcg=,mems_allowed=0,"
         "oom_memcg=/a,task_memcg=/a,task=x,pid=7,uid=0",
         KILLED("7", "x"), "/a", "/a"},
        {"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=,global_oom,task_memcg=,"
         "mems_allowed=0,oom_memcg=/a,task_memcg=/a,task=x,pid=7,uid=0",
         KILLED("7", "x"), "/a", "/a"},
        /* a victim outside of the group at fault: no such thing */
        {HEAD ",oom_memcg=/a,task_memcg=/ab,task=x,pid=7,uid=0", KILLED("7", "x"), "", ""},
        {HEAD ",oom_memcg=/a/b,task_memcg=/a,task=x,pid=7,uid=0", KILLED("7", "x"), "", ""},
        {HEAD ",oom_memcg=/,task_memcg=/a,task=x,pid=7,uid=0", KILLED("7", "x"), "", ""},
        /* another's report, another kind, no report */
        {HEAD ",oom_memcg=/a,task_memcg=/a,task=x,pid=8,uid=0", KILLED("7", "x"), "", ""},
        {HEAD ",global_oom,task_memcg=/a,task=x,pid=7,uid=0", KILLED("7", "x"), "", ""},
        {"oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,"
         "oom_memcg=/a,task_memcg=/a,task=x,pid=7,uid=0",
         "Out of memory: Killed process 7 (x)" SIZES, "", ""},
        {HEAD ",oom_memcg=/a,task_memcg=/a,task=x,pid=7,uid=0",
         "Out of memory: Killed process 7 (x)" SIZES, "", ""},
        {HEAD ",oom_memcg=/a,task_memcg=/a,task=x,pid=7", KILLED("7", "x"), "", ""},
        {HEAD ",oom_memcg=/a,task_memcg=/a,task=x,pid=,uid=0", KILLED("7", "x"), "", ""},
        {HEAD ",oom_memcg=<name too long>,task_memcg=/a,task=x,pid=7,uid=0", KILLED("7", "x"), "",
         ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(t); i++) {
        struct oomreport *r = fresh();
        struct oomkill k;

        assert_false(say(r, "6", '-', t[i].summary, &k));
        assert_true(say(r, "3", '-', t[i].killed, &k));
        assert_int_equal(k.pid, 7);
        assert_str(k.limit_path, t[i].limit, t[i].summary);
        assert_str(k.task_path, t[i].task, t[i].summary);
        oomreport_free(r);
    }
}

static void the_kind_of_kill_is_the_kernels_word(void **state) {
    static const struct {
        const char *constraint, *killed;
        enum oom_constraint wanted;
        const char *task;
    } t[] = {
        {"NONE", "Out of memory: Killed process 7 (x)" SIZES, OOM_HOST, "/a"},
        {"CPUSET", "Out of memory: Killed process 7 (x)" SIZES, OOM_CPUSET, "/a"},
        {"MEMORY_POLICY", "Out of memory: Killed process 7 (x)" SIZES, OOM_MEMPOLICY, "/a"},
        {"CPUSET", "Out of memory (oom_kill_allocating_task): Killed process 7 (x)" SIZES,
         OOM_CPUSET, "/a"},
        {"ELSE", "Out of memory: Killed process 7 (x)" SIZES, OOM_HOST, ""},
        {NULL, "Out of memory: Killed process 7 (x)" SIZES, OOM_HOST, ""},
        {NULL, KILLED("7", "x"), OOM_MEMCG, ""},
        {NULL, "Killed process 7 (x) total-vm:1kB, anon-rss:2kB, file-rss:3kB", OOM_UNKNOWN, ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(t); i++) {
        struct oomreport *r = fresh();
        struct oomkill k;
        char line[512];

        snprintf(line, sizeof(line),
                 "oom-kill:constraint=CONSTRAINT_%s,nodemask=(null),cpuset=/,mems_allowed=0,"
                 "global_oom,task_memcg=/a,task=x,pid=7,uid=0",
                 t[i].constraint ? t[i].constraint : "");
        if (t[i].constraint)
            assert_false(say(r, "6", '-', line, &k));
        assert_true(say(r, "3", '-', t[i].killed, &k));
        assert_int_equal(k.constraint, t[i].wanted);
        assert_str(k.task_path, t[i].task, "task_path");
        assert_int_equal(k.limit_path.n, 0);
        oomreport_free(r);
    }
}

static void what_is_no_kill_is_none(void **state) {
    static const char *const t[] = {
        "Killed process 7 (x)",
        "Killed process 7 (x) total-vm:1kB, anon-rss:1kB",
        "Killed process 7 (x) total-vm:1kB, anon-rss:1kB, file-rss:1k",
        "Killed process 7 (x) total-vm:1kB, anon-rss:1kB, file-rss:1kBx",
        "Killed process 7 (x) total-vm:-1kB, anon-rss:1kB, file-rss:1kB",
        "Killed process 7 (x) total-vm:1kB, anon-rss:18014398509481985kB, file-rss:1kB",
        "Killed process 0 (x)" SIZES,
        "Killed process 2147483648 (x)" SIZES,
        "Killed process -7 (x)" SIZES,
        "Killed process 7 x)" SIZES,
        "x: Killed process 7 (x)" SIZES,
        " Memory cgroup out of memory: Killed process 7 (x)" SIZES,
        "Killed process 7 "
        "(0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0)" SIZES,
    };
    struct oomreport *r = fresh();
    struct oomkill k;

    (void)state;
    for (size_t i = 0; i < ARRAY_N(t); i++)
        if (say(r, "3", '-', t[i], &k))
            fail_msg("'%s' was taken", t[i]);
    assert_false(say(r, "11", '-', KILLED("1", "init"), &k)); /* written by a user */
    assert_false(say(r, "3", 'c', KILLED("1", "init"), &k));
    oomreport_free(r);
}

static void a_long_name_tells_no_paths(void **state) {
    struct oomreport *r = fresh();
    struct oomkill k;

    (void)state; /* no kernel has such names: who knows what else it writes */
    say(r, "6", '-', HEAD ",oom_memcg=/a,task_memcg=/a,task=0123456789abcdef,pid=7,uid=0", &k);
    assert_true(say(r, "3", '-', KILLED("7", "0123456789abcdef"), &k));
    assert_int_equal(k.limit_path.n + k.task_path.n, 0);
    oomreport_free(r);
}

#define SUMMARY(pid) HEAD ",oom_memcg=/a,task_memcg=/a,task=x,pid=" pid ",uid=0"

static void a_report_tells_of_one_kill_only(void **state) {
    struct oomreport *r = fresh();
    struct oomkill k;

    (void)state;
    say(r, "6", '-', SUMMARY("7"), &k);
    assert_true(say(r, "3", '-', KILLED("7", "x"), &k));
    assert_str(k.limit_path, "/a", "limit_path");
    assert_true(say(r, "3", '-', KILLED("7", "x"), &k)); /* the pid again, its report not printed */
    assert_int_equal(k.limit_path.n, 0);
    assert_false(k.again);

    say(r, "6", '-', SUMMARY("8"), &k); /* its kill was not told */
    say(r, "4", '-', "x invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0", &k);
    assert_true(say(r, "3", '-', KILLED("8", "x"), &k));
    assert_int_equal(k.limit_path.n, 0);

    say(r, "6", '-', SUMMARY("9"), &k);
    next_seq++; /* a record was overwritten */
    assert_true(say(r, "3", '-', KILLED("9", "x"), &k));
    assert_int_equal(k.limit_path.n, 0);
    oomreport_free(r);
}

static void a_group_kill_repeats_its_victim_and_tells_the_rest_without_paths(void **state) {
    struct oomreport *r = fresh();
    struct oomkill k;

    (void)state;
    say(r, "6", '-', "Tasks in /a are going to be killed due to memory.oom.group set", &k);
    say(r, "6", '-', SUMMARY("7"), &k);
    assert_true(say(r, "3", '-', KILLED("7", "x"), &k) && !k.again);
    say(r, "6", '-', "Tasks in /a are going to be killed due to memory.oom.group set", &k);
    assert_true(say(r, "3", '-', KILLED("8", "y"), &k) && !k.again);
    assert_int_equal(k.limit_path.n, 0);
    assert_true(say(r, "3", '-', KILLED("7", "x"), &k) && k.again);
    assert_str(k.limit_path, "/a", "limit_path");
    /* the next report is not printed, and takes its group too */
    assert_true(say(r, "3", '-', KILLED("9", "z"), &k) && !k.again);
    say(r, "6", '-', "Tasks in /b are going to be killed due to memory.oom.group set", &k);
    assert_true(say(r, "3", '-', KILLED("9", "z"), &k) && k.again);
    assert_int_equal(k.limit_path.n, 0);
    assert_true(say(r, "3", '-', KILLED("7", "x"), &k) && !k.again);
    assert_int_equal(k.limit_path.n, 0);
    oomreport_free(r);
}

/* Its first thread has ended: the report is about process 7, the last line about thread 9. */
static void a_victim_is_named_by_its_process(void **state) {
    static const char *const tables[] = {
        "[      9]     0     7    12857     8079   114688        0             0 x",
        "[      9]     0     7    12857     8079     8067       12         0   114688        0    "
        "     -1000 x",
    };
    static const char *const none[] = {
        "[      9]     0     7 [123]: segfault at 0 ip 0",
        "[9] 0 7 1 1 1 1[123]: segfault at 0 ip 0",
        "[      9]     0     0    12857     8079   114688        0             0 x",
        "[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name",
        "9]     0     7    12857     8079   114688        0             0 x",
    };
    struct oomreport *r = fresh();
    struct oomkill k;

    (void)state;
    for (size_t i = 0; i < ARRAY_N(tables); i++) {
        say(r, "6", '-', "x invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0", &k);
        say(r, "6", '-', "[      3]     0     3    1     8079   114688        0         0 x", &k);
        say(r, "6", '-', tables[i], &k);
        say(r, "6", '-', SUMMARY("7"), &k);
        assert_true(say(r, "3", '-', KILLED("9", "x"), &k));
        assert_int_equal(k.pid, 7);
        assert_str(k.limit_path, "/a", "limit_path");
        assert_true(say(r, "3", '-', KILLED("9", "x"), &k)); /* another day, not reported */
        assert_int_equal(k.pid, 9);
    }
    for (size_t i = 0; i < ARRAY_N(none); i++) {
        say(r, "6", '-', "x invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0", &k);
        say(r, "6", '-', none[i], &k);
        say(r, "6", '-', SUMMARY("7"), &k);
        assert_true(say(r, "3", '-', KILLED("9", "x"), &k));
        assert_int_equal(k.pid, 9);
        assert_int_equal(k.limit_path.n, 0);
    }
    say(r, "6", '-', "x invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0", &k);
    for (unsigned i = 0; i < 1000; i++)
        say(r, "6", '-', tables[0], &k);
    oomreport_free(r);
}

/* A path printed by itself is a record of its own when it does not fit into the one before. */
static bool say_pieces(struct oomreport *r, size_t limit_n, size_t task_n, const char *between,
                       struct oomkill *k) {
    char limit[4096], task[4096];

    memset(limit, 'L', limit_n);
    memset(task, 'L', task_n);
    limit[0] = task[0] = '/';
    if (task_n > limit_n)
        task[limit_n] = '/';
    limit[limit_n] = task[task_n] = '\0';
    say(r, "6", '-', HEAD ",oom_memcg=", k);
    if (between)
        say(r, "6", '-', between, k);
    say(r, "14", '-', "a user's word between", k);
    say(r, "4", 'c', limit, k);
    say(r, "4", 'c', ",task_memcg=", k);
    say(r, "4", 'c', task, k);
    say(r, "4", 'c', ",task=x,pid=7,uid=0", k);
    return say(r, "3", '-', KILLED("7", "x"), k);
}

static void pieces_are_joined_unless_they_were_cut_or_may_be_anothers(void **state) {
    static const struct {
        size_t limit_n, task_n;
        const char *between;
        size_t told_limit, told_task;
    } t[] = {
        {900, 950, NULL, 900, 950}, {959, 959, NULL, 959, 959}, {100, 1021, NULL, 0, 0},
        {960, 1000, NULL, 0, 0},    {1021, 1021, NULL, 0, 0},   {100, 200, "eth0: up", 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(t); i++) {
        struct oomreport *r = fresh();
        struct oomkill k;

        assert_true(say_pieces(r, t[i].limit_n, t[i].task_n, t[i].between, &k));
        assert_int_equal(k.limit_path.n, t[i].told_limit);
        assert_int_equal(k.task_path.n, t[i].told_task);
        oomreport_free(r);
    }
}

static void endless_continuations_are_given_up(void **state) {
    static char piece[2000];
    struct oomreport *r = fresh();
    struct oomkill k;

    (void)state;
    memset(piece, 'x', sizeof(piece) - 1);
    say(r, "4", 'c', "of nothing", &k);
    say(r, "6", '-', HEAD ",oom_memcg=/a", &k);
    for (unsigned i = 0; i < 50; i++)
        say(r, "4", 'c', piece, &k);
    say(r, "4", 'c', ",task_memcg=/a,task=x,pid=7,uid=0", &k);
    assert_true(say(r, "3", '-', KILLED("7", "x"), &k));
    assert_int_equal(k.limit_path.n, 0);
    oomreport_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fixture_is_told_as_it_was),
        cmocka_unit_test(each_prefix_of_a_log_is_right_or_unknown),
        cmocka_unit_test(each_cut_of_each_line_is_right_or_unknown),
        cmocka_unit_test(each_flipped_bit_is_right_or_unknown),
        cmocka_unit_test(names_are_told_from_fields_or_not_told),
        cmocka_unit_test(the_kind_of_kill_is_the_kernels_word),
        cmocka_unit_test(what_is_no_kill_is_none),
        cmocka_unit_test(a_long_name_tells_no_paths),
        cmocka_unit_test(a_report_tells_of_one_kill_only),
        cmocka_unit_test(a_group_kill_repeats_its_victim_and_tells_the_rest_without_paths),
        cmocka_unit_test(a_victim_is_named_by_its_process),
        cmocka_unit_test(pieces_are_joined_unless_they_were_cut_or_may_be_anothers),
        cmocka_unit_test(endless_continuations_are_given_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
