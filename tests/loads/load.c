#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "number.h"

#define PAGE 4096
#define DEFAULT_SECONDS 120
#define MAX_COUNT 1000000
#define MAX_GROUPS 8

static const struct load *const tables[] = {load_memory, load_file, load_kernel, load_process};
static volatile sig_atomic_t stopped;

static void on_signal(int number) {
    (void)number;
    stopped = 1;
}

char *load_anon(size_t size) {
    char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED)
        return NULL;
    load_touch(at, size);
    return at;
}

void load_touch(char *at, size_t size) {
    for (size_t i = 0; i < size; i += PAGE)
        ((volatile char *)at)[i] = 1;
}

void load_scan(const char *at, size_t size) {
    for (size_t i = 0; i < size; i += PAGE)
        (void)((const volatile char *)at)[i];
}

static _Noreturn void child_main(unsigned index, void (*body)(unsigned, void *), void *data,
                                 const int *pipe_fds) {
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(pipe_fds[0]);
    body(index, data);
    if (write(pipe_fds[1], "x", 1) != 1)
        _exit(1);
    close(pipe_fds[1]);
    for (;;)
        pause();
}

int load_children(unsigned count, void (*body)(unsigned index, void *data), void *data) {
    int pipe_fds[2];
    char done;

    if (pipe(pipe_fds) < 0)
        return -errno;
    for (unsigned i = 0; i < count; i++) {
        pid_t pid;

        fflush(stdout);
        pid = fork();
        if (pid < 0)
            return -errno;
        if (pid == 0)
            child_main(i, body, data, pipe_fds);
        printf("pid %d\n", (int)pid);
    }
    close(pipe_fds[1]);
    for (unsigned i = 0; i < count; i++) {
        if (read(pipe_fds[0], &done, 1) != 1)
            return -ECHILD;
    }
    close(pipe_fds[0]);
    return 0;
}

static const struct load *find_load(const char *name) {
    for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
        for (const struct load *l = tables[t]; l->name != NULL; l++) {
            if (strcmp(l->name, name) == 0)
                return l;
        }
    }
    return NULL;
}

static int usage(void) {
    fprintf(stderr, "usage: load [-g CGROUP_DIR]... [-d SCRATCH_DIR] [-t SECONDS] KIND AMOUNT "
                    "[WORD]\nkinds:\n");
    for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
        for (const struct load *l = tables[t]; l->name != NULL; l++)
            fprintf(stderr, "  %-14s %s %s\n", l->name,
                    l->unit == LOAD_UNIT_MIB ? "MIB  " : "COUNT", l->brief);
    }
    return 2;
}

static int join(const char *directory) {
    int dir = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = dir < 0 ? -1 : openat(dir, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    int r = 0;

    if (fd < 0 || write(fd, "0", 1) != 1)
        r = -errno;
    if (fd >= 0)
        close(fd);
    if (dir >= 0)
        close(dir);
    return r;
}

/* Makes an unlinked file and drops it from the page cache: who reads it next is charged for it. */
static int make_file(const char *scratch, size_t size, int *out) {
    static char block[1 << 16];
    int fd = open(scratch, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0)
        return -errno;
    memset(block, 'p', sizeof(block));
    for (size_t done = 0; done < size; done += sizeof(block)) {
        if (write(fd, block, sizeof(block)) != (ssize_t)sizeof(block))
            goto failed;
    }
    if (fsync(fd) < 0 || (errno = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED)) != 0)
        goto failed;
    *out = fd;
    return 0;
failed:
    close(fd);
    return -EIO;
}

static void hold(void) {
    char byte;

    printf("ready\n");
    fflush(stdout);
    while (!stopped) {
        ssize_t n = read(STDIN_FILENO, &byte, 1);

        if (n == 0 || (n < 0 && errno != EINTR))
            break;
    }
}

static void catch_signals(void) {
    struct sigaction act = {.sa_handler = on_signal};

    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGINT, &act, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
}

static int run(const struct load *load, struct load_args *args, char *const *groups, size_t n) {
    int r;

    if (load->needs_file) {
        r = make_file(args->scratch, (size_t)args->amount * LOAD_MIB, &args->data_fd);
        if (r < 0) {
            fprintf(stderr, "load: cannot make a file in '%s': %s\n", args->scratch, strerror(-r));
            return 1;
        }
    }
    for (size_t i = 0; i < n; i++) {
        r = join(groups[i]);
        if (r < 0) {
            fprintf(stderr, "load: cannot join '%s': %s\n", groups[i], strerror(-r));
            return 1;
        }
    }
    r = load->run(args);
    if (r < 0) {
        fprintf(stderr, "load: %s: %s\n", load->name, strerror(-r));
        return 1;
    }
    hold();
    return 0;
}

int main(int argc, char **argv) {
    struct load_args args = {.scratch = "/var/tmp", .data_fd = -1};
    char *groups[MAX_GROUPS];
    size_t group_n = 0;
    uint64_t seconds = DEFAULT_SECONDS;
    const struct load *load;
    int option;

    while ((option = getopt(argc, argv, "g:d:t:")) != -1) {
        if (option == 'g' && group_n < MAX_GROUPS)
            groups[group_n++] = optarg;
        else if (option == 'd')
            args.scratch = optarg;
        else if (option != 't' || !parse_number(optarg, 3600, &seconds))
            return usage();
    }
    if (argc - optind < 2 || argc - optind > 3)
        return usage();
    load = find_load(argv[optind]);
    if (load == NULL)
        return usage();
    if (!parse_number(argv[optind + 1],
                      load->unit == LOAD_UNIT_MIB ? LOAD_MAX_BYTES / LOAD_MIB : MAX_COUNT,
                      &args.amount))
        return usage();
    args.word = argv[optind + 2];
    catch_signals();
    alarm((unsigned)seconds);
    return run(load, &args, groups, group_n);
}
