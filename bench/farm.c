/* farm - many processes that sleep, each in a cgroup of its own when folders are given.
 *
 *   farm [-k KIB] COUNT [BASE...]
 *
 * Makes the folders BASE/c0, BASE/c1 ... in every BASE (one a hierarchy), puts one sleeper of KIB
 * KiB into each, prints "ready", and undoes it all when its standard input closes.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_COUNT 20000
#define MAX_KIB 65536

struct farm {
    char *const *bases;
    size_t base_n;
    size_t count, size;
    pid_t *pids;
};

static volatile sig_atomic_t stopped;

static void on_signal(int number) {
    (void)number;
    stopped = 1;
}

static bool parse_number(const char *text, size_t max, size_t *out) {
    size_t value = 0;

    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10 + (size_t)(*text - '0');
        if (value > max)
            return false;
    }
    *out = value;
    return true;
}

static int join(const char *base, size_t index) {
    char path[4096];
    int fd, r = 0;

    snprintf(path, sizeof(path), "%s/c%zu", base, index);
    if (mkdir(path, 0755) < 0 && errno != EEXIST)
        return -errno;
    snprintf(path, sizeof(path), "%s/c%zu/cgroup.procs", base, index);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (write(fd, "0", 1) != 1)
        r = -errno;
    close(fd);
    return r;
}

static _Noreturn void sleeper_main(const struct farm *farm, size_t index, int ready) {
    char *at;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    for (size_t i = 0; i < farm->base_n; i++) {
        int r = join(farm->bases[i], index);

        if (r < 0) {
            fprintf(stderr, "farm: cannot join %s/c%zu: %s\n", farm->bases[i], index, strerror(-r));
            _exit(1);
        }
    }
    at = mmap(NULL, farm->size + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        _exit(1);
    for (size_t i = 0; i < farm->size; i += 4096)
        at[i] = 1;
    if (write(ready, "x", 1) != 1)
        _exit(1);
    close(ready);
    for (;;)
        pause();
}

static bool start(struct farm *farm) {
    int ready[2];
    char byte;

    if (pipe2(ready, O_CLOEXEC) < 0)
        return false;
    for (size_t i = 0; i < farm->count && !stopped; i++) {
        pid_t pid = fork();

        if (pid < 0)
            return false;
        if (pid == 0) {
            close(ready[0]);
            sleeper_main(farm, i, ready[1]);
        }
        farm->pids[i] = pid;
    }
    close(ready[1]);
    for (size_t i = 0; i < farm->count; i++) {
        if (read(ready[0], &byte, 1) != 1)
            return false;
    }
    close(ready[0]);
    return true;
}

static void stop(const struct farm *farm) {
    for (size_t i = 0; i < farm->count; i++) {
        if (farm->pids[i] > 0)
            kill(farm->pids[i], SIGKILL);
    }
    for (size_t i = 0; i < farm->count; i++) {
        if (farm->pids[i] > 0)
            waitpid(farm->pids[i], NULL, 0);
    }
    for (size_t b = 0; b < farm->base_n; b++) {
        for (size_t i = 0; i < farm->count; i++) {
            char path[4096];

            snprintf(path, sizeof(path), "%s/c%zu", farm->bases[b], i);
            /* A process leaves its cgroup a moment after it was waited for. */
            for (int tries = 0; tries < 100 && rmdir(path) < 0 && errno == EBUSY; tries++)
                usleep(2000);
        }
    }
}

int main(int argc, char **argv) {
    struct farm farm = {0};
    struct sigaction act = {.sa_handler = on_signal};
    size_t kib = 4;
    int option;
    bool good;
    char byte;

    while ((option = getopt(argc, argv, "k:")) != -1) {
        if (option != 'k' || !parse_number(optarg, MAX_KIB, &kib))
            return 2;
    }
    if (optind == argc || !parse_number(argv[optind], MAX_COUNT, &farm.count)) {
        fprintf(stderr, "usage: farm [-k KIB] COUNT [BASE...]\n");
        return 2;
    }
    farm.bases = argv + optind + 1;
    farm.base_n = (size_t)(argc - optind - 1);
    farm.size = kib << 10;
    farm.pids = calloc(farm.count, sizeof(*farm.pids));
    if (farm.pids == NULL)
        return 1;
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGINT, &act, NULL);
    good = start(&farm);
    if (good) {
        printf("ready\n");
        fflush(stdout);
        while (!stopped && (read(STDIN_FILENO, &byte, 1) > 0 || errno == EINTR))
            errno = 0;
    }
    stop(&farm);
    free(farm.pids);
    return good ? 0 : 1;
}
