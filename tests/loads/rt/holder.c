/* holder - takes memory that somebody may have to wait for, and says that it lives.
 *
 *   holder MIB MORE [SECONDS]
 *
 * MIB are taken and kept. "ready" is said, then MORE are taken: where the group has no room for
 * them, it waits here for as long as nobody makes room. They are kept for 100 ms, or for good when
 * MORE is written with a '+' in front, and then "tick N" is said ten times a second.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { MIB = 1 << 20, MOST = 260, PAGE = 4096 };

static void nap(long ms) {
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

static char *take(long mib) {
    size_t n = (size_t)mib * MIB;
    char *p = mmap(NULL, n ? n : PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        exit(1);
    for (size_t at = 0; at < n; at += PAGE)
        p[at] = 1;
    return p;
}

int main(int argc, char **argv) {
    long base = argc > 2 ? strtol(argv[1], NULL, 10) : -1;
    long more = argc > 2 ? strtol(argv[2], NULL, 10) : -1;
    long seconds = argc > 3 ? strtol(argv[3], NULL, 10) : 120;
    char *burst;

    if (base < 0 || more < 0 || base + more > MOST || seconds > 600) {
        fprintf(stderr, "usage: holder MIB MORE [SECONDS]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    take(base);
    printf("ready\n");
    burst = take(more);
    nap(100);
    if (argv[2][0] != '+')
        munmap(burst, (size_t)more * MIB);
    for (long i = 0; i < seconds * 10; i++) {
        printf("tick %ld\n", i);
        nap(100);
    }
    return 0;
}
