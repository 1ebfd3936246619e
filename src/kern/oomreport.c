#include "kern/oomreport.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    COMM_MAX = 15,
    /* A path is printed by itself and cut where a record is full: at 1021 bytes by Linux 6.18, at
       975 at the least where records carry a longer prefix. */
    CUT_FROM = 960,
};

enum summary {
    SUMMARY_NONE,
    SUMMARY_OPEN,   /* the next record may continue it */
    SUMMARY_CLOSED, /* another message came behind it */
    SUMMARY_BROKEN, /* a continuation that may be another message's, or too long */
};

/* Of the table of tasks: a process is listed by one of its threads, by another than the first when
 * that one has ended; and so "Killed process" names it. */
struct thread {
    int32_t pid, process;
};

struct oomreport {
    uint64_t next_seq; /* 0: nothing was fed yet */
    enum summary summary;
    bool cut, used;            /* the summary: a piece was cut; a kill was told from it */
    bool group;                /* the kill took the whole group with it: memory.oom.group */
    int32_t last, first;       /* pids: of the last kill, and of the one that took its group */
    size_t n, piece;           /* length of the summary, and of its last record */
    char text[OOMREPORT_TEXT]; /* the summary, escapes resolved */
    char comm[64];
    unsigned threads;
    struct thread thread[OOMREPORT_THREADS];
};

int oomreport_new(struct oomreport **out) {
    struct oomreport *r = calloc(1, sizeof(*r));

    if (!r)
        return -ENOMEM;
    *out = r;
    return 0;
}

void oomreport_free(struct oomreport *r) {
    free(r);
}

static bool pid_of(struct str s, int32_t *out) {
    uint64_t pid;

    if (str_to_u64(s, &pid) < 0 || pid == 0 || pid > INT32_MAX)
        return false;
    *out = (int32_t)pid;
    return true;
}

static void forget(struct oomreport *r) {
    r->summary = SUMMARY_NONE;
    r->group = false;
    r->last = 0;
    r->threads = 0;
    r->used = false;
}

/* --- "[   8903]     0  8903    12857     8079 ... 114688        0             0 sh" --- */

/* pid, uid, tgid and at least five more numbers, then the name. */
static bool parse_task(struct str text, struct thread *out) {
    struct thread made = {0};
    struct str word;
    int64_t number;

    if (!str_skip(&text, STR("[")) || !str_cut(&text, ']', &word) ||
        !pid_of(str_trim(word), &made.pid))
        return false;
    for (unsigned i = 0; i < 7; i++) {
        if (!str_word(&text, &word) || str_to_i64(word, &number) < 0)
            return false;
        if (i == 1 && !pid_of(word, &made.process))
            return false;
    }
    *out = made;
    return true;
}

static void note_task(struct oomreport *r, const struct thread *task) {
    if (task->pid != task->process && r->threads < OOMREPORT_THREADS)
        r->thread[r->threads++] = *task;
}

static int32_t process_of(const struct oomreport *r, int32_t pid) {
    for (unsigned i = 0; i < r->threads; i++)
        if (r->thread[i].pid == pid)
            return r->thread[i].process;
    return pid;
}

/* --- "Killed process 8903 (sh) total-vm:51428kB, anon-rss:32268kB, file-rss:48kB, ..." --- */

static bool skip_kb(struct str *s, struct str key, uint64_t *bytes_out) {
    struct str rest = *s, number;
    uint64_t kb;

    if (!str_skip(&rest, key) || !str_cut(&rest, 'k', &number) || !str_skip(&rest, STR("B")))
        return false;
    if (str_to_u64(number, &kb) < 0 || __builtin_mul_overflow(kb, 1024, bytes_out))
        return false;
    *s = rest;
    return true;
}

static bool parse_killed(struct str text, char *comm, size_t size, struct oomkill *out) {
    static const struct {
        struct str says;
        enum oom_constraint constraint;
    } messages[] = {
        {{"Memory cgroup out of memory: ", 29}, OOM_MEMCG},
        {{"Out of memory: ", 15}, OOM_HOST},
        {{"Out of memory (oom_kill_allocating_task): ", 42}, OOM_HOST},
    };
    struct oomkill made = {.constraint = OOM_UNKNOWN};
    struct str pid, name;
    uint64_t virt;
    size_t at;

    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]) && !made.constraint; i++)
        if (str_skip(&text, messages[i].says))
            made.constraint = messages[i].constraint;
    if (!str_skip(&text, STR("Killed process ")) || !str_cut(&text, ' ', &pid) ||
        !pid_of(pid, &made.pid) || !str_skip(&text, STR("(")))
        return false;
    /* The name may hold what follows it: the last one is the kernel's own. */
    for (at = text.n; at > 0 && !str_starts(str_from(text, at), STR(") total-vm:"));)
        at--;
    name = str_head(text, at);
    text = str_from(text, at);
    if (!skip_kb(&text, STR(") total-vm:"), &virt) ||
        !skip_kb(&text, STR(", anon-rss:"), &made.anon) ||
        !skip_kb(&text, STR(", file-rss:"), &made.file) || (text.n > 0 && text.p[0] != ','))
        return false;
    if (!skip_kb(&text, STR(", shmem-rss:"), &made.shmem))
        made.shmem = 0;
    if (name.n > size) /* four characters a byte at most */
        return false;
    made.comm = (struct str){comm, kmsg_unescape(name, comm)};
    *out = made;
    return true;
}

/* --- "oom-kill:constraint=C,nodemask=,cpuset=,mems_allowed=,WHERE,task=COMM,pid=N,uid=N", with
 *     WHERE = oom_memcg=PATH,task_memcg=PATH or global_oom,task_memcg=PATH --- */

/* What the summary may mean: as long as all readings agree on a path, it is known. */
struct readings {
    struct str limit, task;
    bool some, limits_differ, tasks_differ;
};

static void add_reading(struct readings *r, struct str limit, struct str task) {
    if (!r->some) {
        *r = (struct readings){limit, task, true, false, false};
        return;
    }
    r->limits_differ |= !str_eq(r->limit, limit);
    r->tasks_differ |= !str_eq(r->task, task);
}

static ptrdiff_t find(struct str s, struct str what) {
    const char *at = s.p && s.n ? memmem(s.p, s.n, what.p, what.n) : NULL;

    return at ? at - s.p : -1;
}

static bool is_in(struct str path, struct str group) {
    return str_starts(path, group) && (path.n == group.n || path.p[group.n] == '/');
}

/* body: "LIMIT,task_memcg=TASK". The victim is in the group at fault or below it: that tells the
 * comma that the kernel wrote from those in names. */
static void read_paths(struct str body, struct readings *out) {
    struct str between = STR(",task_memcg=");

    for (size_t at = 0; at < body.n; at++) {
        struct str limit = str_head(body, at), rest = str_from(body, at);

        if (!str_skip(&rest, between) || !str_starts(rest, STR("/")))
            continue;
        if (limit.n > 1 && is_in(rest, limit)) /* the root, "/", has no limit */
            add_reading(out, limit, rest);
    }
}

/* where: up to and without ",pid=". */
static void read_where(struct str where, bool host, struct readings *out) {
    size_t least = where.n > COMM_MAX + 6 ? where.n - COMM_MAX - 6 : 0;

    for (size_t at = least; at < where.n; at++) {
        if (!str_starts(str_from(where, at), STR(",task=")))
            continue;
        if (host)
            add_reading(out, (struct str){"", 0}, str_head(where, at));
        else
            read_paths(str_head(where, at), out);
    }
}

/* Cuts ",key=NUMBER" off the end. */
static bool drop_number(struct str *s, struct str key, uint64_t *out) {
    ptrdiff_t at = str_rfind(*s, ',');
    struct str last = str_from(*s, at < 0 ? s->n : (size_t)at);

    if (!str_skip(&last, key) || str_to_u64(last, out) < 0)
        return false;
    s->n = (size_t)at;
    return true;
}

static bool constraint_of(struct str *s, enum oom_constraint *out) {
    static const struct str words[OOM_CONSTRAINTS] = {
        [OOM_HOST] = {"NONE,", 5},
        [OOM_CPUSET] = {"CPUSET,", 7},
        [OOM_MEMPOLICY] = {"MEMORY_POLICY,", 14},
        [OOM_MEMCG] = {"MEMCG,", 6},
    };

    if (!str_skip(s, STR("oom-kill:constraint=CONSTRAINT_")))
        return false;
    for (unsigned i = OOM_HOST; i < OOM_CONSTRAINTS; i++)
        if (str_skip(s, words[i])) {
            *out = (enum oom_constraint)i;
            return true;
        }
    return false;
}

/* The fields before the first path are numbers and one name of a group: no name holds a '/', so the
 * first "oom_memcg=/" is the kernel's. */
static bool find_where(struct str s, bool host, struct str *out) {
    ptrdiff_t memcg = find(s, STR(",oom_memcg=/"));
    ptrdiff_t global = find(s, STR(",global_oom,task_memcg=/"));

    if (host) {
        if (global < 0 || (memcg >= 0 && memcg < global))
            return false;
        *out = str_from(s, (size_t)global + 23);
    } else {
        if (memcg < 0 || (global >= 0 && global < memcg))
            return false;
        *out = str_from(s, (size_t)memcg + 11);
    }
    return true;
}

static void explain(const struct oomreport *r, struct oomkill *kill) {
    struct str s = {r->text, r->n}, where;
    struct readings readings = {0};
    enum oom_constraint constraint;
    uint64_t uid, pid;

    if (!constraint_of(&s, &constraint))
        return;
    if ((constraint == OOM_MEMCG) != (kill->constraint == OOM_MEMCG))
        return; /* not of this kill */
    if (!drop_number(&s, STR(",uid="), &uid) || !drop_number(&s, STR(",pid="), &pid) ||
        pid != (uint64_t)kill->pid || !find_where(s, constraint != OOM_MEMCG, &where))
        return;
    kill->constraint = constraint;
    if (r->cut)
        return;
    read_where(where, constraint != OOM_MEMCG, &readings);
    if (!readings.limits_differ)
        kill->limit_path = readings.limit;
    if (!readings.tasks_differ)
        kill->task_path = readings.task;
}

/* --- one report --- */

static void begin_summary(struct oomreport *r, struct str text) {
    r->group = r->cut = r->used = false;
    if (text.n > sizeof(r->text)) {
        r->summary = SUMMARY_BROKEN;
        return;
    }
    r->n = r->piece = kmsg_unescape(text, r->text);
    r->summary = SUMMARY_OPEN;
}

static void continue_summary(struct oomreport *r, struct str text) {
    if (r->summary == SUMMARY_CLOSED)
        r->summary = SUMMARY_BROKEN;
    if (r->summary != SUMMARY_OPEN)
        return;
    if (text.n > sizeof(r->text) - r->n) {
        r->summary = SUMMARY_BROKEN;
        return;
    }
    r->cut |= r->piece >= CUT_FROM;
    r->piece = kmsg_unescape(text, r->text + r->n);
    r->n += r->piece;
}

static int tell(struct oomreport *r, const struct kmsg_record *record, struct oomkill *kill) {
    bool first;

    if (!r->used || r->group)
        kill->pid = process_of(r, kill->pid);
    first = r->group && kill->pid == r->first;
    kill->at_us = record->at_us;
    kill->again = first;
    kill->limit_path = kill->task_path = (struct str){"", 0};
    if ((r->summary == SUMMARY_CLOSED || r->summary == SUMMARY_OPEN) && (!r->used || first)) {
        if (kill->comm.n <= COMM_MAX)
            explain(r, kill);
    }
    r->used = true;
    r->last = kill->pid;
    return 1;
}

int oomreport_feed(struct oomreport *r, const struct kmsg_record *record, struct oomkill *out) {
    struct str text = record->text;
    struct oomkill kill;
    struct thread task;

    if (record->seq != r->next_seq)
        forget(r);
    r->next_seq = record->seq + 1;
    if (!record->from_kernel)
        return 0;
    if (record->more) {
        continue_summary(r, text);
        return 0;
    }
    if (str_starts(text, STR("oom-kill:constraint="))) {
        begin_summary(r, text);
        return 0;
    }
    if (r->summary == SUMMARY_OPEN)
        r->summary = SUMMARY_CLOSED;
    if (parse_killed(text, r->comm, sizeof(r->comm), &kill)) {
        tell(r, record, &kill);
        *out = kill;
        return 1;
    }
    if (parse_task(text, &task)) {
        note_task(r, &task);
    } else if (str_starts(text, STR("Tasks in "))) {
        r->group = r->last != 0;
        r->first = r->last;
    } else if (find(text, STR(" invoked oom-killer: gfp_mask=")) >= 0) {
        forget(r);
    }
    return 0;
}
