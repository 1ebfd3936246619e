/* demo.c - programs to limit and supervise: they know nothing of control groups, and grow, churn,
 * fork, fork off, refuse to end or crash when they are told to.
 *
 *   demo [-s STEP_MS] [-t SECONDS] [-n TIMES] [-g GROUP_DIR] [-d DIR] KIND [MIB [MORE_MIB]]
 *
 * Sizes are bounded by DEMO_MAX_MIB, and every process ends with SIGALRM after its time (60 s),
 * whoever its parent is by then. What the tests want to know is printed, a word and numbers a line.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "number.h"

#define MIB ((size_t)1 << 20)
#define PAGE 4096
enum { DEMO_MAX_MIB = 260, MAX_SECONDS = 3600, MAX_TIMES = 1000, MAX_STEP_MS = 60000 };

struct args {
    uint64_t step_ms, seconds, times, mib, more;
    const char *group, *dir;
};

struct kind {
    const char *name, *brief;
    uint64_t mib; /* when none is given */
    int (*run)(const struct args *args);
};

static void pause_ms(uint64_t ms) {
    struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};

    while (nanosleep(&t, &t) < 0 && errno == EINTR)
        ;
}

static int64_t now_us(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void tell(const char *word, int64_t number) {
    printf("%s %lld\n", word, (long long)number);
    fflush(stdout);
}

static _Noreturn void hold(void) {
    for (;;)
        pause();
}

/* Small pages, so that a step is a step. */
static char *map(size_t size) {
    char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED)
        return NULL;
    madvise(at, size, MADV_NOHUGEPAGE);
    return at;
}

static void touch(char *at, size_t size) {
    for (size_t i = 0; i < size; i += PAGE)
        ((volatile char *)at)[i] = (char)(i / PAGE + 1);
}

static char *take(size_t size) {
    char *at = map(size);

    if (at != NULL)
        touch(at, size);
    return at;
}

/* Alarms are not inherited. */
static pid_t split(const struct args *args) {
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0)
        alarm((unsigned)args->seconds);
    return pid;
}

static int climb(const struct args *args) {
    for (uint64_t i = 0; i < args->mib; i++) {
        if (take(MIB) == NULL)
            return -ENOMEM;
        pause_ms(args->step_ms);
    }
    return 0;
}

static int run_climb(const struct args *args) {
    int r;

    tell("climb", getpid());
    r = climb(args);
    tell("top", (int64_t)args->mib);
    if (r < 0)
        return r;
    hold();
}

static int run_saw(const struct args *args) {
    for (uint64_t round = 0; args->times == 0 || round < args->times; round++) {
        char *at = map(args->mib * MIB);

        if (at == NULL)
            return -ENOMEM;
        for (uint64_t i = 0; i < args->mib; i++) {
            touch(at + i * MIB, MIB);
            pause_ms(args->step_ms);
        }
        munmap(at, args->mib * MIB);
    }
    return 0;
}

/* Blocks of 16 to 256 KiB through malloc, a fifth of them replaced in each step. */
static int run_churn(const struct args *args) {
    static char *block[DEMO_MAX_MIB * 8];
    size_t n = args->mib * 8;
    unsigned seed = 1;

    for (uint64_t round = 0; args->times == 0 || round < args->times; round++) {
        for (size_t i = 0; i < n; i++) {
            size_t size;

            if (round > 0 && (unsigned)rand_r(&seed) % 5 != 0)
                continue;
            free(block[i]);
            size = (size_t)(16 + (unsigned)rand_r(&seed) % 225) * 1024;
            block[i] = malloc(size);
            if (block[i] == NULL)
                return -ENOMEM;
            touch(block[i], size);
        }
        if (round == 0)
            tell("live", (int64_t)args->mib);
        pause_ms(args->step_ms);
    }
    return 0;
}

/* TIMES children, each with a child of its own, each of which takes MIB. */
static int run_forks(const struct args *args) {
    tell("main", getpid());
    for (uint64_t i = 0; i < args->times; i++) {
        pid_t child = split(args);

        if (child < 0)
            return -errno;
        if (child == 0) {
            pid_t grandchild = split(args);

            tell(grandchild == 0 ? "grandchild" : "child", getpid());
            if (grandchild < 0 || take(args->mib * MIB) == NULL)
                _exit(1);
            hold();
        }
    }
    hold();
}

static int wait_status(pid_t pid) {
    int status;

    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    return status;
}

static int grow_in_child(const struct args *args) {
    pid_t pid = split(args);

    if (pid < 0)
        return -errno;
    if (pid == 0) {
        tell("child", getpid());
        _exit(climb(args) < 0 ? 1 : 0);
    }
    return wait_status(pid);
}

/* The one that grows is a child; this one lives on, and says how each of them ended. */
static int run_child(const struct args *args) {
    tell("main", getpid());
    for (uint64_t i = 0; i == 0 || i < args->times; i++) {
        int status = grow_in_child(args);

        if (status < 0)
            return status;
        tell("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    }
    if (args->more == 0)
        return 0;
    hold();
}

/* As a shell does: ends with 128 + the signal that its child died of. */
static int run_wrapper(const struct args *args) {
    int status;

    tell("main", getpid());
    status = grow_in_child(args);
    if (status < 0)
        return status;
    fflush(stdout);
    exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

/* Ends at once, or with MORE_MIB after being killed for it, and leaves TIMES daemons that hold MIB
 * each. */
static int run_daemons(const struct args *args) {
    for (uint64_t i = 0; i < args->times; i++) {
        pid_t pid = split(args);
        int status;

        if (pid < 0)
            return -errno;
        if (pid == 0) {
            if (setsid() < 0 || split(args) != 0)
                _exit(0);
            tell("daemon", getpid());
            if (take(args->mib * MIB) == NULL)
                _exit(1);
            hold();
        }
        status = wait_status(pid);
        if (status < 0)
            return status;
    }
    pause_ms(args->step_ms);
    tell("main", getpid());
    return args->more > 0 && take(args->more * MIB) == NULL ? -ENOMEM : 0;
}

/* MIB are there before the fork; the child then writes to all of it. */
static int run_before(const struct args *args) {
    char *at = take(args->mib * MIB);
    pid_t pid;

    if (at == NULL)
        return -ENOMEM;
    tell("main", getpid());
    pid = split(args);
    if (pid < 0)
        return -errno;
    if (pid == 0) {
        tell("child", getpid());
        touch(at, args->mib * MIB);
        tell("written", (int64_t)args->mib);
    }
    hold();
}

static int run_stubborn(const struct args *args) {
    static const int deaf[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};

    for (size_t i = 0; i < sizeof(deaf) / sizeof(deaf[0]); i++)
        signal(deaf[i], SIG_IGN);
    for (uint64_t i = 0; i < args->times; i++) {
        pid_t pid = split(args);

        if (pid < 0)
            return -errno;
        if (pid == 0) {
            tell("child", getpid());
            hold();
        }
    }
    tell("main", getpid());
    hold();
}

/* A file without a name, of MIB, in DIR: on disk, and in the page cache of whoever wrote it. */
static int make_file(const struct args *args) {
    static char block[MIB];
    char path[PATH_MAX];
    int fd;

    if (snprintf(path, sizeof(path), "%s/plimsoll-demo-XXXXXX", args->dir) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    unlink(path);
    memset(block, 'c', sizeof(block));
    for (uint64_t i = 0; i < args->mib; i++)
        if (write(fd, block, sizeof(block)) != (ssize_t)sizeof(block))
            return -EIO;
    return fsync(fd) < 0 ? -errno : fd;
}

/* Reads a file of MIB again and again, 1 MiB each step: memory that the kernel can take back. */
static int run_cache(const struct args *args) {
    static char block[1 << 16];
    int fd = args->mib > 0 ? make_file(args) : -EINVAL;

    if (fd < 0)
        return fd;
    tell("cached", (int64_t)args->mib);
    for (uint64_t i = 0;; i = (i + 1) % args->mib) {
        for (size_t done = 0; done < MIB; done += sizeof(block))
            if (pread(fd, block, sizeof(block), (off_t)(i * MIB + done)) < 0)
                return -errno;
        pause_ms(args->step_ms);
    }
}

/* As fast as it can, and it tells how fast that was. */
static int run_burst(const struct args *args) {
    int64_t start = now_us();

    if (take(args->mib * MIB) == NULL)
        return -ENOMEM;
    tell("burst_us", now_us() - start);
    tell("main", getpid());
    hold();
}

static int run_crash(const struct args *args) {
    const struct rlimit none = {0, 0};

    (void)args;
    setrlimit(RLIMIT_CORE, &none);
    tell("main", getpid());
    raise(SIGSEGV);
    return -EFAULT;
}

static int run_sleep(const struct args *args) {
    (void)args;
    tell("main", getpid());
    hold();
}

static int write_to(int dir, const char *file, const char *text) {
    int fd = openat(dir, file, O_WRONLY | O_CLOEXEC);
    int r = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -errno;

    if (fd >= 0)
        close(fd);
    return r;
}

/* Two groups in GROUP_DIR: one for ourselves, since v2 wants processes in leaves only, one with a
 * limit. */
static int make_groups(int dir, size_t limit) {
    char text[32];
    int r;

    snprintf(text, sizeof(text), "%zu", limit);
    if (mkdirat(dir, "self", 0755) < 0)
        return -errno;
    r = write_to(dir, "self/cgroup.procs", "0");
    if (r < 0)
        return r;
    if (faccessat(dir, "cgroup.subtree_control", F_OK, 0) == 0 &&
        (r = write_to(dir, "cgroup.subtree_control", "+memory")) < 0)
        return r;
    if (mkdirat(dir, "tight", 0755) < 0)
        return -errno;
    r = write_to(dir, "tight/memory.max", text);
    return r == -ENOENT ? write_to(dir, "tight/memory.limit_in_bytes", text) : r;
}

/* Limits itself once more, to MORE_MIB in a group below, and climbs there. */
static int run_inside(const struct args *args) {
    int dir, r;

    if (args->group == NULL || args->more == 0)
        return -EINVAL;
    dir = open(args->group, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return -errno;
    r = make_groups(dir, args->more * MIB);
    if (r == 0)
        r = write_to(dir, "tight/cgroup.procs", "0");
    close(dir);
    return r < 0 ? r : run_climb(args);
}

static const struct kind kinds[] = {
    {"climb", "takes MIB, one each step, and never gives any back", 250, run_climb},
    {"saw", "takes MIB, one each step, gives all back; TIMES rounds", 32, run_saw},
    {"churn", "keeps about MIB live, a fifth replaced each step; TIMES rounds", 200, run_churn},
    {"forks", "TIMES children and grandchildren that hold MIB each", 1, run_forks},
    {"child", "TIMES children climb, one after the other; MORE: then stays", 250, run_child},
    {"wrapper", "a child climbs; ends as a shell would", 250, run_wrapper},
    {"daemons", "leaves TIMES daemons of MIB each; ends, or takes MORE at once", 1, run_daemons},
    {"before", "holds MIB, forks, the child writes to all of it", 8, run_before},
    {"stubborn", "ignores TERM, INT, HUP and QUIT; so do its TIMES children", 0, run_stubborn},
    {"burst", "takes MIB at once, tells how long it took, holds them", 200, run_burst},
    {"cache", "reads a file of MIB in DIR again and again", 60, run_cache},
    {"crash", "a segmentation fault", 0, run_crash},
    {"sleep", "does nothing", 0, run_sleep},
    {"inside", "climbs in a group of its own in GROUP_DIR, limited to MORE", 250, run_inside},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static int usage(void) {
    fprintf(stderr, "usage: demo [-s STEP_MS] [-t SECONDS] [-n TIMES] [-g GROUP_DIR] [-d DIR] "
                    "KIND [MIB [MORE_MIB]]\nkinds:\n");
    for (size_t i = 0; i < KINDS; i++)
        fprintf(stderr, "  %-10s %s\n", kinds[i].name, kinds[i].brief);
    return 2;
}

static bool options(int argc, char **argv, struct args *args) {
    int option;

    while ((option = getopt(argc, argv, "+s:t:n:g:d:")) != -1) {
        if (option == 'g')
            args->group = optarg;
        else if (option == 'd')
            args->dir = optarg;
        else if ((option != 's' || !parse_number(optarg, MAX_STEP_MS, &args->step_ms)) &&
                 (option != 't' || !parse_number(optarg, MAX_SECONDS, &args->seconds)) &&
                 (option != 'n' || !parse_number(optarg, MAX_TIMES, &args->times)))
            return false;
    }
    return args->seconds > 0;
}

static const struct kind *find(const char *name) {
    for (size_t i = 0; i < KINDS; i++) {
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    }
    return NULL;
}

int main(int argc, char **argv) {
    struct args args = {.step_ms = 10, .seconds = 60, .dir = "/var/tmp"};
    const struct kind *kind;
    int r;

    if (!options(argc, argv, &args) || argc - optind < 1 || argc - optind > 3)
        return usage();
    kind = find(argv[optind]);
    if (kind == NULL)
        return usage();
    args.mib = kind->mib;
    if ((argc - optind > 1 && !parse_number(argv[optind + 1], DEMO_MAX_MIB, &args.mib)) ||
        (argc - optind > 2 && !parse_number(argv[optind + 2], DEMO_MAX_MIB, &args.more)))
        return usage();
    alarm((unsigned)args.seconds);
    r = kind->run(&args);
    if (r < 0)
        fprintf(stderr, "demo: %s: %s\n", kind->name, strerror(-r));
    return r < 0 ? 1 : 0;
}
