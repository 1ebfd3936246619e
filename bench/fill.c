/* fill - fills memory at a steady rate and writes down, from the inside, how far it came and when.
 *
 *   fill LOG USAGE MARK RATE MOST GAP_US GROUP...  fills
 *   fill poll USAGE MARK INTERVAL_MS PID           looks at USAGE now and then, and stops PID at
 * the mark
 *
 * It joins each GROUP (a directory), prints "ready", and begins when a byte comes on its standard
 * input: RATE bytes a second (0: as fast as it can), page by page, until MOST bytes. LOG is a file
 * of eight numbers, shared, so that it can be read when this process is stopped or dead (struct
 * log). USAGE is the kernel's file with the group's usage: it is read every few pages. GAP_US
 * without a page: it is being held back.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum {
    PAGE = 4096,
    LOOK = 8, /* pages from one look at the usage to the next */
};

/* Times: CLOCK_MONOTONIC, ns. */
struct log {
    uint64_t begin;      /* the first page */
    uint64_t mark;       /* the first look at which usage was at the mark or above; 0: not yet */
    uint64_t mark_usage; /* what it was then */
    uint64_t last;       /* the last page */
    uint64_t bytes;      /* touched until then */
    uint64_t gap;        /* the last page before the first gap after the mark; 0: none */
    uint64_t most_usage; /* the highest seen */
    uint64_t ended;      /* it came to MOST bytes */
};

static uint64_t now(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static uint64_t number(const char *text) {
    uint64_t value = 0;

    for (; *text >= '0' && *text <= '9'; text++)
        value = value * 10 + (uint64_t)(*text - '0');
    return value;
}

static uint64_t read_usage(int fd) {
    char text[32];
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

    if (n <= 0)
        return 0;
    text[n] = '\0';
    return number(text);
}

static void join(const char *dir) {
    char path[4096];
    int fd;

    snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "0", 1) != 1)
        die(path);
    close(fd);
}

static struct log *open_log(const char *path) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct log *log;

    if (fd < 0 || ftruncate(fd, PAGE) < 0)
        die(path);
    log = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (log == MAP_FAILED)
        die("mmap");
    close(fd);
    memset(log, 0, sizeof(*log));
    return log;
}

static void look(volatile struct log *log, int usage, uint64_t mark) {
    uint64_t bytes = read_usage(usage);

    if (bytes > log->most_usage)
        log->most_usage = bytes;
    if (!log->mark && bytes >= mark) {
        log->mark_usage = bytes;
        log->mark = now();
    }
}

struct plan {
    uint64_t mark, rate, most, gap_ns;
    int usage;
};

static void fill(volatile struct log *log, char *memory, const struct plan *p) {
    uint64_t last = log->begin = now();

    for (uint64_t done = 0, pages = 0; done < p->most; done += PAGE, pages++) {
        uint64_t due = p->rate ? log->begin + done * 1000000000u / p->rate : 0, t;

        memory[done] = 1;
        t = now();
        if (log->mark && !log->gap && t - last > p->gap_ns)
            log->gap = last;
        log->last = last = t;
        log->bytes = done + PAGE;
        if (pages % LOOK == 0)
            look(log, p->usage, p->mark);
        while (now() < due)
            continue;
    }
    log->ended = 1;
}

static int poll_and_stop(char **argv) {
    int usage = open(argv[2], O_RDONLY | O_CLOEXEC);
    uint64_t mark = number(argv[3]), every = number(argv[4]) * 1000000u;
    struct timespec pause = {0, (long)every};

    if (usage < 0)
        die(argv[2]);
    puts("ready");
    fflush(stdout);
    while (read_usage(usage) < mark)
        nanosleep(&pause, NULL);
    return kill((pid_t)number(argv[5]), SIGSTOP) < 0;
}

int main(int argc, char **argv) {
    struct plan plan;
    struct log *log;
    char *memory, byte;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (argc == 6 && strcmp(argv[1], "poll") == 0)
        return poll_and_stop(argv);
    if (argc < 7) {
        fputs("usage: fill LOG USAGE MARK RATE MOST GAP_US GROUP...\n", stderr);
        return 2;
    }
    plan = (struct plan){
        .mark = number(argv[3]),
        .rate = number(argv[4]),
        .most = number(argv[5]),
        .gap_ns = number(argv[6]) * 1000,
        .usage = open(argv[2], O_RDONLY | O_CLOEXEC),
    };
    log = open_log(argv[1]);
    memory = mmap(NULL, plan.most, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (plan.usage < 0 || memory == MAP_FAILED)
        die("cannot begin");
    madvise(memory, plan.most, MADV_NOHUGEPAGE);
    for (int i = 7; i < argc; i++)
        join(argv[i]);
    puts("ready");
    fflush(stdout);
    if (read(STDIN_FILENO, &byte, 1) == 1)
        fill(log, memory, &plan);
    pause();
    return 0;
}
