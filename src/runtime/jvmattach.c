#include "runtime/jvmattach.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "net/http1.h"
#include "runtime/jvmguard.h"
#include "runtime/jvmheld.h"
#include "runtime/jvmprobe.h"

enum {
    WAKE_US = 6000000, /* a JVM that is busy takes up the signal late */
    WAKE_POLL_US = 5000,
    NAME_SIZE = 32,
    GROUPS_MAX = 1024,
    UNDO_SECONDS = 10,
};

/* --- as its user ------------------------------------------------------------------------------ */

/* Ours, to go back to. */
struct user {
    bool changed;
    uid_t uid;
    gid_t gid;
    int groups, death_signal;
    gid_t group[GROUPS_MAX];
};

static int become(const struct rtproc *p, struct user *own) {
    gid_t its = p->gid;

    *own = (struct user){.uid = geteuid(), .gid = getegid()};
    if (own->uid == p->uid && own->gid == its)
        return 0;
    if (own->uid != 0)
        return own->uid == p->uid ? 0 : -EPERM;
    own->groups = getgroups(GROUPS_MAX, own->group);
    (void)prctl(PR_GET_PDEATHSIG, &own->death_signal);
    if (own->groups < 0 || setgroups(1, &its) < 0)
        return -errno;
    own->changed = true;
    if (setegid(its) < 0 || seteuid(p->uid) < 0)
        return -errno;
    return 0;
}

/* Going on as somebody else would be worse than not at all. */
static void go_back(const struct user *own) {
    if (!own->changed)
        return;
    if (seteuid(own->uid) < 0 || setegid(own->gid) < 0 ||
        setgroups((size_t)own->groups, own->group) < 0)
        _exit(1);
    (void)prctl(PR_SET_PDEATHSIG, own->death_signal); /* forgotten with each change of user */
}

/* --- its socket ------------------------------------------------------------------------------- */

static int connect_place(int place, int64_t deadline_us) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    /* By the descriptor: what was looked at is what is connected to. */
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", place);
    while (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        if (errno == EAGAIN && clock_mono_us() < deadline_us)
            usleep(2000); /* its queue is full */
        else if (errno != EINTR)
            return errno == EAGAIN ? -ETIMEDOUT : -errno;
    }
    return take_fd(&fd);
}

/* A connection to the JVM itself. -ENOENT, -ECONNREFUSED: it does not listen; -ENOTSOCK,
 * -EOWNERDEAD (another's), -EREMCHG (another process listens there): not to be trusted. */
static int connect_jvm(const struct jvmattach *a, int64_t deadline_us) {
    char name[NAME_SIZE];
    auto_close int place = -1, fd = -1;
    struct ucred peer;
    socklen_t n = sizeof(peer);
    struct user own;
    struct stat st;
    int r;

    (void)snprintf(name, sizeof(name), ".java_pid%d", a->p->ns_pid);
    place = openat(a->tmp, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (place < 0 || fstat(place, &st) < 0)
        return -errno;
    if (!S_ISSOCK(st.st_mode))
        return -ENOTSOCK;
    if (st.st_uid != a->p->uid)
        return -EOWNERDEAD;
    r = become(a->p, &own);
    if (r == 0)
        r = connect_place(place, deadline_us);
    go_back(&own);
    if (r < 0)
        return r;
    fd = r;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0)
        return -errno;
    return peer.pid == a->p->pid ? take_fd(&fd) : -EREMCHG;
}

/* --- waking it -------------------------------------------------------------------------------- */

/* The file that tells a JVM that SIGQUIT means "listen" and not "dump your threads". */
struct trigger {
    int dir;
    bool ours;
    char name[NAME_SIZE];
};

static void remove_trigger(void *arg) {
    const struct trigger *t = arg;

    (void)unlinkat(t->dir, t->name, 0);
}

/* 0; -EEXIST when something else is in its place; -errno. */
static int make_trigger_in(int dir, const struct rtproc *p, struct trigger *t) {
    int fd = openat(dir, t->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    struct stat st;

    t->dir = dir;
    t->ours = fd >= 0;
    if (fd >= 0) {
        close(fd);
        return 0;
    }
    if (errno != EEXIST)
        return -errno;
    if (fstatat(dir, t->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    return S_ISREG(st.st_mode) && st.st_uid == p->uid ? 0 : -EEXIST;
}

/* In its folder, where it looks first, else in its /tmp. */
static int make_trigger(const struct jvmattach *a, int cwd, struct trigger *t) {
    int r;

    (void)snprintf(t->name, sizeof(t->name), ".attach_pid%d", a->p->ns_pid);
    r = cwd < 0 ? -ENOENT : make_trigger_in(cwd, a->p, t);
    return r == 0 || r == -EEXIST ? r : make_trigger_in(a->tmp, a->p, t);
}

/* Until it listens: a connection, or -errno. */
static int wait_listening(const struct jvmattach *a, int64_t deadline_us) {
    for (;;) {
        int fd = connect_jvm(a, deadline_us);

        if (fd != -ENOENT && fd != -ECONNREFUSED)
            return fd;
        if (rtproc_same(a->p) < 0)
            return -ESRCH;
        if (clock_mono_us() >= deadline_us)
            return -ETIMEDOUT;
        usleep(WAKE_POLL_US);
    }
}

static int signal_and_wait(const struct jvmattach *a, int64_t deadline_us) {
    int r;

    /* As late as can be: what the signal does now, and whether it is a JVM now. */
    if (!jvmprobe_is_jvm(a->p) || rtproc_signal_action(a->p, SIGQUIT) != RTPROC_HANDLED)
        return -EPROTONOSUPPORT;
    r = rtproc_send(a->p, SIGQUIT);
    return r < 0 ? r : wait_listening(a, deadline_us);
}

static int wake(const struct jvmattach *a, int64_t deadline_us) {
    auto_close int cwd = openat(a->p->dir, "cwd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct trigger t = {.dir = -1};
    struct jvmguard guard = {0, -1};
    struct user own;
    int r = become(a->p, &own);

    if (r == 0)
        r = make_trigger(a, cwd, &t);
    if (r == 0 && t.ours)
        (void)jvmguard_start(&guard, remove_trigger, &t, &t.dir, 1, UNDO_SECONDS);
    go_back(&own);
    if (r < 0)
        return r;
    r = signal_and_wait(a, deadline_us);
    if (t.ours) {
        if (become(a->p, &own) == 0)
            remove_trigger(&t);
        go_back(&own);
    }
    jvmguard_end(&guard);
    return r;
}

/* --- opening ---------------------------------------------------------------------------------- */

static int explain(const struct rtproc *p, int r, struct rt_result *why) {
    switch (-r) {
    case ENOTSOCK:
        rt_refuse(why, "remove what lies there",
                  "/tmp/.java_pid%d of the JVM is no socket: somebody put something in its place",
                  p->ns_pid);
        break;
    case EOWNERDEAD:
        rt_refuse(why, "remove what lies there",
                  "the socket /tmp/.java_pid%d does not belong to the user of the JVM", p->ns_pid);
        break;
    case EREMCHG:
        rt_refuse(why, "end that process, or remove the socket",
                  "another process than the JVM listens at its /tmp/.java_pid%d", p->ns_pid);
        break;
    case EEXIST:
        rt_refuse(why, "remove what lies there",
                  "in the place of its file .attach_pid%d lies something that is not the JVM's",
                  p->ns_pid);
        break;
    case EPROTONOSUPPORT:
        rt_refuse(why, "start it without -Xrs, or wait until it has started",
                  "SIGQUIT, by which a JVM is asked to listen, would end it now");
        break;
    case ETIMEDOUT:
        rt_fail(
            why, "jcmd PID VM.version tells whether the JDK's own tool is answered",
            "the JVM does not answer: its VM thread is stuck or starved, or attaching is switched "
            "off in a file of options");
        break;
    case EPERM:
    case EACCES:
        if (geteuid() == 0)
            rt_refuse(why,
                      "make its /tmp writable for it: the JDK's own tools cannot ask it either",
                      "the JVM's user (%u) may write neither to its working directory nor to its "
                      "/tmp, where it would have to listen",
                      p->uid);
        else
            rt_refuse(why, "run as root, or as the JVM's user",
                      "only the JVM's own user (%u) and root may ask it", p->uid);
        break;
    default:
        rt_fail(why, "", "cannot attach to the JVM: %s", strerror(-r));
        break;
    }
    return r;
}

static int open_tmp(const struct rtproc *p) {
    auto_close int root = openat(p->dir, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);

    return root < 0 ? -errno : file_open_dir_in(root, "tmp");
}

/* Everything that can be known without touching it. */
static bool is_refused(const struct rtproc *p, struct rt_result *why) {
    if (p->pidfd < 0)
        return rt_refuse(why, "run plimsoll there", "it is of another machine's tree") == 0;
    if (geteuid() != 0 && geteuid() != p->uid)
        return explain(p, -EPERM, why) < 0;
    return jvmprobe_refuses(p, why) || jvmheld(p, why);
}

int jvmattach_open(const struct rtproc *p, int64_t deadline_us, struct jvmattach *out,
                   struct rt_result *why) {
    struct jvmattach a = {.p = p, .tmp = -1};
    int64_t last = clock_mono_us() + WAKE_US;
    int fd;

    *out = a;
    if (is_refused(p, why))
        return -EOPNOTSUPP;
    a.tmp = open_tmp(p);
    if (a.tmp < 0)
        return explain(p, a.tmp, why);
    last = last < deadline_us ? last : deadline_us;
    fd = connect_jvm(&a, last);
    if (fd == -ENOENT || fd == -ECONNREFUSED) {
        a.woke = true;
        fd = wake(&a, last);
    }
    if (fd < 0) {
        jvmattach_done(&a);
        return explain(p, fd, why);
    }
    close(fd); /* one connection a command: this one was to see that it listens */
    *out = a;
    return 0;
}

void jvmattach_done(struct jvmattach *a) {
    if (a->p && a->tmp >= 0)
        close(a->tmp);
    *a = (struct jvmattach){.tmp = -1};
}

/* --- asking ----------------------------------------------------------------------------------- */

static int read_answer(int fd, int64_t deadline_us, struct buf *answer) {
    for (;;) {
        enum { PIECE = 65536 };
        int r = http1_wait(fd, POLLIN, deadline_us);
        char *room = r < 0 ? NULL : buf_room(answer, PIECE);
        ssize_t n;

        if (r < 0)
            return r;
        if (!room)
            return buf_error(answer);
        n = read(fd, room, PIECE);
        if (n == 0)
            return 0;
        if (n > 0)
            buf_grow(answer, (size_t)n);
        else if (errno != EAGAIN && errno != EINTR)
            return -errno;
    }
}

/* Takes the first line, a number, off the answer. */
static int take_code(struct buf *answer, int *code) {
    struct str rest = buf_str(answer), line;
    int64_t value;

    if (!str_cut(&rest, '\n', &line) || str_to_i64(line, &value) < 0 || value < INT32_MIN ||
        value > INT32_MAX)
        return -EBADMSG;
    memmove(answer->p, rest.p, rest.n);
    answer->n = rest.n;
    *code = (int)value;
    return 0;
}

/* Version 1 and four texts, each with its NUL. */
static void add_request(struct buf *out, const struct jvm_command *c) {
    const char *text[] = {"1", c->name, c->arg[0], c->arg[1], NULL};

    for (size_t i = 0; i < ARRAY_N(text); i++) {
        buf_add(out, str_of(text[i]));
        buf_add_char(out, 0);
    }
}

int jvmattach_ask(const struct jvmattach *a, const struct jvm_command *command, int64_t deadline_us,
                  struct buf *answer, int *code) {
    auto_close int fd = connect_jvm(a, deadline_us);
    struct buf request;
    int r;

    if (fd < 0)
        return fd;
    buf_init(&request, 4096);
    add_request(&request, command);
    r = buf_error(&request);
    if (r == 0)
        r = http1_send(fd, buf_str(&request), deadline_us);
    buf_done(&request);
    buf_clear(answer);
    if (r == 0)
        r = read_answer(fd, deadline_us, answer);
    return r < 0 ? r : take_code(answer, code);
}

int jvmattach_jcmd(const struct jvmattach *a, const char *command, int64_t deadline_us,
                   struct buf *answer) {
    const struct jvm_command c = {"jcmd", {command, ""}};
    int code, r = jvmattach_ask(a, &c, deadline_us, answer, &code);

    return r < 0 ? r : code != 0;
}
