/* selfcap - a cache that takes what it can get and still holds itself below its memory limit.
 *
 *   selfcap [--blind] [MB_PER_SECOND [SECONDS [WANTED_MB]]]
 *
 * New blocks of 16 to 512 kB come in at MB_PER_SECOND (1000) for SECONDS (10); the oldest go when
 * there are more than WANTED_MB (1000). Before each block the gate of libplimsoll is asked; when it
 * says no, a tenth of the cache is dropped and free memory given back to the kernel. --blind: as
 * programs usually are, without asking.
 *
 *   cc selfcap.c $(pkg-config --cflags --libs plimsoll)
 */
#include <errno.h>
#include <plimsoll.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MB (1 << 20)

struct block {
    struct block *newer;
    size_t size;
    char data[];
};

struct cache {
    struct block *oldest, *newest;
    size_t bytes;
    unsigned long drops, refusals, warnings;
};

static void drop_oldest(struct cache *c) {
    struct block *b = c->oldest;

    c->oldest = b->newer;
    if (!c->oldest)
        c->newest = NULL;
    c->bytes -= b->size;
    c->drops++;
    free(b);
}

static void shrink(struct cache *c, size_t to) {
    while (c->oldest && c->bytes > to)
        drop_oldest(c);
}

/* Called by plim_dispatch, so never in the middle of something. */
static void on_mark(void *ctx, const struct plim_event *event) {
    struct cache *c = ctx;

    if (event->above)
        c->warnings++;
}

static int put(struct cache *c, size_t size) {
    struct block *b = malloc(sizeof(*b) + size);

    if (!b)
        return -ENOMEM;
    memset(b->data, 1, size);
    b->newer = NULL;
    b->size = size;
    if (c->newest)
        c->newest->newer = b;
    else
        c->oldest = b;
    c->newest = b;
    c->bytes += size;
    return 0;
}

/* No room below the gate: what the cache gives up must reach the kernel before we ask again. */
static int make_room(struct plim *p, struct cache *c, size_t size) {
    int r;

    while ((r = plim_gate(p, size, 0)) == -EAGAIN && c->oldest) {
        c->refusals++;
        shrink(c, c->bytes - c->bytes / 10 - 1);
        plim_trim(p, NULL);
    }
    return r;
}

static double now(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void pause_until(double when) {
    double left = when - now();
    struct timespec t = {(time_t)left, (long)((left - (double)(time_t)left) * 1e9)};

    if (left > 0)
        nanosleep(&t, NULL);
}

static void report(struct plim *p, const struct cache *c, double second, double sent) {
    struct plim_usage u = {.size = sizeof(u)};
    int r = plim_usage(p, &u);

    if (r < 0) {
        fprintf(stderr, "selfcap: cannot read our usage: %s\n", strerror(-r));
        return;
    }
    printf("%3.0f s: %5.0f MB in, cache %4zu MB, used %4.0f of %4.0f MB (%.1f %%), %lu refusals, "
           "%lu warnings\n",
           second, sent / MB, c->bytes / MB, (double)u.used / MB, (double)u.limit / MB,
           100.0 * (double)u.used / (double)u.limit, c->refusals, c->warnings);
    fflush(stdout);
}

static int churn(struct plim *p, struct cache *c, double rate, double seconds, size_t wanted,
                 int blind) {
    double begin = now(), sent = 0, told = 0;
    struct pollfd events = {.fd = plim_fd(p), .events = POLLIN};
    unsigned seed = 1;

    while (now() - begin < seconds) {
        size_t size = (16 + (size_t)rand_r(&seed) % 497) << 10;
        int r = blind ? 0 : make_room(p, c, size);

        if (r == 0)
            r = put(c, size);
        if (r < 0) {
            fprintf(stderr, "selfcap: no room for a block: %s\n", strerror(-r));
            return 1;
        }
        shrink(c, wanted);
        sent += (double)size;
        if (!blind && poll(&events, 1, 0) > 0)
            plim_dispatch(p);
        if (now() - begin >= told + 1)
            report(p, c, ++told, sent);
        pause_until(begin + sent / rate);
    }
    report(p, c, now() - begin, sent);
    return 0;
}

int main(int argc, char **argv) {
    int blind = argc > 1 && strcmp(argv[1], "--blind") == 0, r;
    char **arg = argv + 1 + blind;
    int n = argc - 1 - blind;
    double rate = (n > 0 ? strtod(arg[0], NULL) : 1000) * MB;
    double seconds = n > 1 ? strtod(arg[1], NULL) : 10;
    size_t wanted = (n > 2 ? strtoul(arg[2], NULL, 10) : 1000) * MB;
    struct cache cache = {0};
    struct plim *p;

    r = plim_open(NULL, &p);
    if (r < 0) {
        fprintf(stderr, "selfcap: cannot find our memory limit: %s\n", strerror(-r));
        return 1;
    }
    r = plim_on(p, 80, 5, on_mark, &cache);
    if (r < 0)
        fprintf(stderr, "selfcap: nobody will warn us: %s\n", strerror(-r));
    r = churn(p, &cache, rate, seconds, wanted, blind);
    shrink(&cache, 0);
    plim_close(p);
    return r;
}
