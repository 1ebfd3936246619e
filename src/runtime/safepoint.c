#include "runtime/safepoint.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "kern/maps.h"
#include "kern/procfile.h"
#include "kern/procstat.h"
#include "runtime/sigframe.h"

enum {
    ROOM = 64 * 1024,           /* that the stack must have below what we put there */
    LOOK_UP = 1 << 20,          /* how far a signal frame is looked for */
    LOOK_UP_FIRST = 128 * 1024, /* while it is not stopped yet */
    IN_FRAME_FLAGS = 8,         /* behind where it returns to: */
    IN_FRAME_LINK = 8 + 8,
    IN_FRAME_CS = 8 + 40 + 144, /* cs, gs, fs, ss */
    IN_FRAME_FPSTATE = 8 + 40 + 184,
    FRAME_MIN = 8 + 304,
    FRAME_MAX = 4096, /* from its beginning to the vector registers, which end it */
    FLAGS_MAX = 7,
    FXSAVE = 512,
    IN_FXSAVE_MAGIC = 464,
    CODE_64 = 0x33,
    DATA_64 = 0x2b,
};

/* Calls that wait for something outside of the process, hold no lock of its own, and either go on
 * after an interruption by the kernel's rules or may be begun anew. */
static const struct {
    uint64_t nr;
    const char *name;
} allowed[] = {
    {SYS_read, "read"},
    {SYS_poll, "poll"},
    {SYS_select, "select"},
    {SYS_pause, "pause"},
    {SYS_nanosleep, "nanosleep"},
    {SYS_accept, "accept"},
    {SYS_recvfrom, "recvfrom"},
    {SYS_recvmsg, "recvmsg"},
    {SYS_wait4, "wait4"},
    {SYS_rt_sigsuspend, "rt_sigsuspend"},
    {SYS_clock_nanosleep, "clock_nanosleep"},
    {SYS_epoll_wait, "epoll_wait"},
    {SYS_waitid, "waitid"},
    {SYS_pselect6, "pselect6"},
    {SYS_ppoll, "ppoll"},
    {SYS_epoll_pwait, "epoll_pwait"},
    {SYS_accept4, "accept4"},
    {SYS_epoll_pwait2, "epoll_pwait2"},
};

const char *safepoint_name(uint64_t nr) {
    if (nr == SYS_futex)
        return "futex";
    for (size_t i = 0; i < ARRAY_N(allowed); i++)
        if (allowed[i].nr == nr)
            return allowed[i].name;
    return "";
}

bool safepoint_allows(uint64_t nr) {
    return nr != SYS_futex && safepoint_name(nr)[0];
}

bool safepoint_shows(const struct safepoint *s) {
    return (s->nr == SYS_recvfrom && (s->arg[3] & MSG_WAITALL)) ||
           (s->nr == SYS_recvmsg && (s->arg[2] & MSG_WAITALL));
}

/* The other calls with a timeout go on with what is left of it; a socket's own cannot be seen. */
bool safepoint_begins_anew(const struct safepoint *s) {
    if (s->nr == SYS_epoll_wait || s->nr == SYS_epoll_pwait)
        return (int32_t)s->arg[3] > 0;
    return s->nr == SYS_epoll_pwait2 && s->arg[3] != 0;
}

static int hex_u64(struct str s, uint64_t *out) {
    return str_skip(&s, STR("0x")) ? str_to_hex(s, out) : -EBADMSG;
}

int safepoint_parse(struct str text, struct safepoint *out) {
    struct safepoint s = {.tid = out->tid};
    struct str word;
    uint64_t value[8];

    text = str_trim(text);
    if (str_eq(text, STR("running")) || str_starts(text, STR("-1 ")))
        return -EAGAIN;
    if (!str_word(&text, &word) || str_to_u64(word, &s.nr) < 0)
        return -EBADMSG;
    for (unsigned i = 0; i < ARRAY_N(value); i++)
        if (!str_word(&text, &word) || hex_u64(word, &value[i]) < 0)
            return -EBADMSG;
    memcpy(s.arg, value, sizeof(s.arg));
    s.sp = value[6];
    s.pc = value[7];
    *out = s;
    return 0;
}

uint64_t safepoint_restarted(const struct rtproc *p, uint64_t pc) {
    unsigned char code[7];
    uint32_t nr;

    /* mov $nr, %eax; syscall */
    if (rtproc_read(p, pc - sizeof(code), code, sizeof(code)) < 0 || code[0] != 0xb8 ||
        code[5] != 0x0f || code[6] != 0x05)
        return UINT64_MAX;
    memcpy(&nr, code + 1, sizeof(nr));
    return nr;
}

struct stack {
    uint64_t sp, low, high;
    bool grows, writable;
};

static int find_stack(void *ctx, const struct mapping *m) {
    struct stack *s = ctx;

    if (s->sp < m->start || s->sp >= m->end)
        return 0;
    s->low = m->start;
    s->high = m->end;
    s->writable = m->perms[0] == 'r' && m->perms[1] == 'w';
    s->grows = str_eq(m->path, STR("[stack]"));
    return 1;
}

static uint64_t word_at(const char *bytes, size_t i) {
    uint64_t word;

    memcpy(&word, bytes + i, sizeof(word));
    return word;
}

/* What the kernel writes on x86-64, whatever signal it was; the alternate stack that it may be on,
 * and so what the saved registers are, can be anywhere. */
bool safepoint_is_frame(const char *bytes, size_t n, uint64_t address, uint64_t *restorer) {
    static const uint32_t magic = 0x46505853;
    uint64_t segments, fpstate;

    if (n < FRAME_MIN)
        return false; /* no frame has room there */
    segments = word_at(bytes, IN_FRAME_CS);
    if (segments != CODE_64 && segments != (CODE_64 | (uint64_t)DATA_64 << 48))
        return false;
    if (word_at(bytes, IN_FRAME_FLAGS) > FLAGS_MAX || word_at(bytes, IN_FRAME_LINK) != 0)
        return false;
    *restorer = word_at(bytes, 0);
    fpstate = word_at(bytes, IN_FRAME_FPSTATE);
    if (fpstate == 0)
        return true;
    if (fpstate < address + FRAME_MIN || fpstate > address + FRAME_MAX || fpstate % 16 != 0)
        return false;
    fpstate -= address;
    if (fpstate + FXSAVE > n)
        return true;
    /* Something has been written over what an earlier handler left. */
    return !(word_at(bytes, IN_FRAME_FLAGS) & 1) ||
           memcmp(bytes + fpstate + IN_FXSAVE_MAGIC, &magic, sizeof(magic)) == 0;
}

/* mov $15, %rax (or %eax); syscall */
static bool is_restorer(const struct rtproc *p, uint64_t address) {
    static const unsigned char wide[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
    static const unsigned char narrow[] = {0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05};
    unsigned char code[sizeof(wide)];

    return rtproc_read(p, address, code, sizeof(code)) == 0 &&
           (memcmp(code, wide, sizeof(wide)) == 0 || memcmp(code, narrow, sizeof(narrow)) == 0);
}

static bool has_frame(const struct rtproc *p, const struct stack *s, uint64_t trampoline) {
    uint64_t from = s->sp & ~7ull;
    size_t n = s->high - from < LOOK_UP ? (size_t)(s->high - from) : LOOK_UP;
    auto_free char *bytes = malloc(n);

    if (!bytes || rtproc_read(p, from, bytes, n) < 0)
        return true;
    for (size_t i = 0; i + 8 <= n; i += 8) {
        uint64_t restorer;

        if (safepoint_is_frame(bytes + i, n - i, from + i, &restorer) &&
            (restorer == trampoline || is_restorer(p, restorer)))
            return true;
    }
    return false;
}

static uint64_t status_value(const struct procstatus *s, enum procstatus_field f) {
    return s->have & 1U << f ? s->value[f] : 0;
}

static int look_call(const struct rtproc *p, struct safepoint *s, struct err *why) {
    char name[64], buf[512];
    struct str text;
    unsigned char code[2];
    int r;

    (void)snprintf(name, sizeof(name), "task/%d/syscall", s->tid);
    r = file_read_at(p->dir, name, buf, sizeof(buf), &text);
    if (r == -ENOENT || r == -ESRCH)
        return err_set(why, -ESRCH, "thread %d is gone", s->tid);
    if (r == -EPERM || r == -EACCES)
        return err_set(why, -EPERM, "process %d may not be traced by us", p->pid);
    if (r == 0)
        r = safepoint_parse(text, s);
    if (r == -EAGAIN)
        return err_set(why, -EAGAIN, "thread %d is running", s->tid);
    if (r < 0)
        return err_set(why, r, "cannot read what thread %d waits for:", s->tid);
    if (s->nr == SYS_restart_syscall)
        s->nr = safepoint_restarted(p, s->pc);
    if (!safepoint_allows(s->nr))
        return err_set(why, -EAGAIN, "thread %d is in system call %d %s", s->tid, (int)s->nr,
                       safepoint_name(s->nr));
    if (safepoint_shows(s))
        return err_set(why, -EAGAIN,
                       "thread %d waits for all of a message, of which it may have a part", s->tid);
    s->anew = safepoint_begins_anew(s);
    /* Not int 0x80, sysenter or the vsyscall page. */
    if (rtproc_read(p, s->pc - 2, code, 2) < 0 || code[0] != 0x0f || code[1] != 0x05)
        return err_set(why, -EAGAIN, "thread %d calls the kernel in an unknown way", s->tid);
    return 0;
}

int safepoint_look_stack(const struct rtproc *p, const struct safepoint *s, uint64_t trampoline,
                         uint64_t tls, struct err *why) {
    struct stack stack = {.sp = s->sp};
    uint64_t need = SIGFRAME_MAX + SIGFRAME_RED_ZONE;

    if (maps_each(p->host->proc, p->pid, find_stack, &stack) != 1 || !stack.writable)
        return err_set(why, -EAGAIN, "thread %d has no stack to be seen", s->tid);
    if (!stack.grows)
        need += ROOM;
    if (stack.sp - stack.low < need)
        return err_set(why, -EAGAIN, "the stack of thread %d has no room for a call", s->tid);
    /* A mapping may have more behind the stack; a thread's own data are at its end. */
    if (tls > stack.sp && tls < stack.high)
        stack.high = tls;
    if (!tls && stack.high - stack.sp > LOOK_UP_FIRST)
        stack.high = stack.sp + LOOK_UP_FIRST;
    if (tls && stack.high - stack.sp > LOOK_UP)
        return err_set(why, -EAGAIN, "the stack of thread %d is too deep to be looked through",
                       s->tid);
    if (has_frame(p, &stack, trampoline))
        return err_set(why, -EAGAIN,
                       "thread %d is in a signal handler, or it cannot be told that it is not",
                       s->tid);
    return 0;
}

/* One of us will be done soon; a debugger stays. */
static int look_tracer(const struct rtproc *p, int32_t tracer, struct err *why) {
    char name[32], buf[64];
    struct str comm;

    (void)snprintf(name, sizeof(name), "%d/comm", tracer);
    if (file_read_at(p->host->proc, name, buf, sizeof(buf), &comm) == 0 &&
        str_starts(comm, STR("plimsoll")))
        return err_set(why, -EAGAIN, "it is being traced by another plimsoll, process %d", tracer);
    return err_set(why, -EOPNOTSUPP, "it is being traced by process %d", tracer);
}

int safepoint_look(const struct rtproc *p, int32_t tid, uint64_t trampoline, struct safepoint *out,
                   struct err *why) {
    struct safepoint s = {.tid = tid};
    struct procstatus status = {0};
    struct procstat stat;
    int r = procstat_read(p->host->proc, tid, &stat);

    if (r == 0)
        r = procstatus_read(p->host->proc, tid, &status);
    if (r < 0)
        return err_set(why, procfile_gone(r) ? -ESRCH : r, "thread %d cannot be read:", tid);
    if (status_value(&status, PROCSTATUS_TRACER) != 0)
        return look_tracer(p, (int32_t)status_value(&status, PROCSTATUS_TRACER), why);
    if (status_value(&status, PROCSTATUS_SECCOMP) == SECCOMP_MODE_STRICT)
        return err_set(why, -EOPNOTSUPP,
                       "seccomp allows it hardly any system call: those of a call of ours would be "
                       "its death");
    if (stat.state == 'T' || stat.state == 't')
        return err_set(why, -EOPNOTSUPP,
                       "it is stopped, and a call would never come back: kill -CONT %d first",
                       p->pid);
    if (stat.state != 'S')
        return err_set(why, -EAGAIN, "thread %d is %s", tid,
                       stat.state == 'D' ? "in an uninterruptible wait" : "running");
    r = look_call(p, &s, why);
    if (r == 0)
        r = safepoint_look_stack(p, &s, trampoline, 0, why);
    /* The C library has two of its own. */
    s.has_handler = (status_value(&status, PROCSTATUS_CAUGHT) & ~(3ull << 31)) != 0;
    s.filtered = status_value(&status, PROCSTATUS_SECCOMP) != 0;
    if (r == 0)
        *out = s;
    return r;
}

bool safepoint_is_stopped(const struct rtproc *p) {
    struct procstat stat;

    return procstat_read(p->host->proc, p->pid, &stat) == 0 && stat.state == 'T';
}

bool safepoint_is_held(const struct rtproc *p, int64_t deadline_us) {
    const struct timespec wait = {.tv_nsec = 5000000};
    struct procstat stat;

    while (procstat_read(p->host->proc, p->pid, &stat) == 0 && stat.state == 't') {
        if (clock_mono_us() >= deadline_us)
            return true;
        nanosleep(&wait, NULL);
    }
    return false;
}

int safepoint_refuse_stopped(const struct rtproc *p, struct rt_result *out) {
    char next[64];

    (void)snprintf(next, sizeof(next), "kill -CONT %d, then ask again", p->pid);
    return rt_refuse(out, next, "process %d is stopped: what is called in it would never come back",
                     p->pid);
}

struct threads {
    int32_t *tid;
    size_t n, size;
    int32_t first;
};

static int take_thread(void *ctx, const char *name) {
    struct threads *t = ctx;
    uint64_t tid;

    if (str_to_u64(str_of(name), &tid) < 0 || tid > INT32_MAX || (int32_t)tid == t->first)
        return 0;
    if (t->n == t->size)
        return 1;
    t->tid[t->n++] = (int32_t)tid;
    return 0;
}

int safepoint_threads(const struct rtproc *p, int32_t *out, size_t size) {
    auto_close int dir = openat(p->dir, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct threads t = {out, 0, size, p->pid};
    int r;

    if (dir < 0)
        return errno == ENOENT ? -ESRCH : -errno;
    out[t.n++] = p->pid;
    r = procfile_names(dir, take_thread, &t);
    return r < 0 ? (procfile_gone(r) ? -ESRCH : r) : (int)t.n;
}
