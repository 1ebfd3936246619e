#include "engine/guardpolicies.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

enum { LENGTH = 4, DEADLINE_US = 20 * 1000000 };

/* --- what was said ------------------------------------------------------------------------------
 */

/* The next message of the text. 1; 0 at its end; -EBADMSG. */
static int next(struct str *rest, struct wire_in *out) {
    const uint8_t *p = (const uint8_t *)rest->p;
    size_t n;

    if (rest->n == 0)
        return 0;
    if (rest->n < LENGTH)
        return -EBADMSG;
    n = p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
    if (n > WIRE_MESSAGE || n > rest->n - LENGTH)
        return -EBADMSG;
    *out = (struct wire_in){p + LENGTH, n};
    *rest = str_from(*rest, LENGTH + n);
    return 1;
}

static int take_end(struct guardpolicies *p, struct wire_in in, struct str rest) {
    struct wire_policies end;

    if (wire_read_policies(&in, &end) < 0 || end.n != p->n || rest.n > 0 ||
        str_copy(end.file, p->file, sizeof(p->file)) < 0 ||
        str_copy(end.socket, p->socket, sizeof(p->socket)) < 0 ||
        str_copy(end.pressure, p->pressure, sizeof(p->pressure)) < 0)
        return -EBADMSG;
    return 0;
}

static int take_all(struct guardpolicies *p, struct str rest) {
    struct wire_head head;
    struct wire_in in;

    while (next(&rest, &in) > 0) {
        if (wire_read_head(&in, &head) < 0)
            break;
        if (head.kind == WIRE_POLICIES)
            return take_end(p, in, rest);
        if (head.kind != WIRE_POLICY || p->n == GUARDPOLICIES_MOST ||
            wire_read_policy(&in, &p->at[p->n]) < 0)
            break;
        p->n++;
    }
    return -EBADMSG; /* without an end it is not all */
}

static size_t count(struct str rest) {
    struct wire_in in;
    size_t n = 0;

    while (next(&rest, &in) > 0)
        n++;
    return n < GUARDPOLICIES_MOST ? n : GUARDPOLICIES_MOST;
}

int guardpolicies_parse(struct str bytes, struct guardpolicies *out) {
    struct guardpolicies *p = calloc(1, sizeof(*p));
    int r = -ENOMEM;

    if (p)
        p->at = calloc(count(bytes) + 1, sizeof(*p->at));
    if (p && p->at)
        r = take_all(p, bytes);
    if (r == 0)
        *out = *p;
    else if (p)
        free(p->at);
    free(p);
    return r;
}

void guardpolicies_done(struct guardpolicies *p) {
    free(p->at);
    *p = (struct guardpolicies){.at = NULL};
}

int guardpolicies_find(const struct guardpolicies *p, const struct wire_target *t) {
    const struct guardmatch_target target = {
        .field =
            {
                [GUARDMATCH_NAME] = t->name,
                [GUARDMATCH_IMAGE] = t->image,
                [GUARDMATCH_CGROUP] = t->path,
                [GUARDMATCH_UNIT] = t->unit,
                [GUARDMATCH_NAMESPACE] = t->namespace,
                [GUARDMATCH_POD] = t->pod,
            },
        .labels = t->labels,
    };

    for (unsigned i = 0; i < p->n; i++)
        if (guardmatch_matches(&p->at[i].match, &target))
            return (int)i;
    return -1;
}

/* --- asking -------------------------------------------------------------------------------------
 */

static void in_front(const char *const *argv, int out) {
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || null < 0 || dup2(null, STDIN_FILENO) < 0 ||
        dup2(out, STDOUT_FILENO) < 0 || close_range(STDERR_FILENO + 1, ~0U, 0) < 0)
        _exit(125);
    execv(argv[0], (char *const *)(uintptr_t)argv);
    _exit(126);
}

/* In the job's child. */
static int ask(void *arg, struct buf *out) {
    const char *const *argv = arg;
    auto_close int from = -1;
    int ends[2], status;
    ssize_t n = 1;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    from = ends[0];
    pid = fork();
    if (pid == 0)
        in_front(argv, ends[1]);
    close(ends[1]);
    if (pid < 0)
        return -EAGAIN;
    while (n != 0 && buf_error(out) == 0) {
        char *room = buf_room(out, 4096);

        n = room ? read(from, room, 4096) : 0;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            buf_grow(out, (size_t)n);
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? buf_error(out) : -EINVAL;
}

int guardpolicies_begin(struct job *job, const char *const *argv) {
    return job_start(job, ask, (void *)(uintptr_t)argv, clock_mono_us() + DEADLINE_US);
}

int guardpolicies_ask(struct job *job, const char *const *argv, struct guardpolicies *out) {
    enum job_state state;
    int r = guardpolicies_begin(job, argv);

    if (r < 0)
        return r;
    while ((state = job_poll(job, clock_mono_us())) == JOB_RUNNING) {
        struct pollfd p = {.fd = job->fd, .events = POLLIN};

        (void)poll(&p, 1, 100);
    }
    return state == JOB_DONE ? guardpolicies_parse(buf_str(&job->answer), out) : -EINVAL;
}

/* --- kept ---------------------------------------------------------------------------------------
 */

int guardpolicies_keep(int fd, struct str bytes) {
    if (fd < 0)
        return 0;
    if (ftruncate(fd, 0) < 0 ||
        pwrite(fd, bytes.p, bytes.n, 0) != (ssize_t)bytes.n) /* cut off: it has no end then */
        return -EIO;
    return 0;
}

int guardpolicies_kept(int fd, struct guardpolicies *out) {
    auto_free char *text = NULL;
    size_t n;

    if (fd < 0 || lseek(fd, 0, SEEK_SET) < 0 ||
        file_load_fd(fd, GUARDPOLICIES_BYTES, &text, &n) < 0 || n == 0)
        return -ENODATA;
    return guardpolicies_parse((struct str){text, n}, out) < 0 ? -ENODATA : 0;
}
