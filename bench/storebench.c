/* storebench chunks|store DATA SERIES SAMPLES METRICS START_S DIR - one history of gauges, a sample
 * a second, kept and read: bench/store.py makes the data (columns of uint64_t, a series after the
 * other), starts this and prints.
 *
 * METRICS series are one target. "chunks" codes them in memory, half an hour a chunk, and reads
 * the last series back; "store" gives them to the real store tick by tick, as the agent does, and
 * reads the day back from its database. A line "name value" for each figure; what was read is
 * compared with what was given.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "base/mem.h"
#include "series/chunk.h"
#include "series/store.h"
#include "wire/wire.h"

enum { TICKS = 1800, RUNS = 15, STEP_MS = 60 * 1000, QUIET_S = 600 };

struct data {
    const uint64_t *value;
    size_t series, samples, metrics;
    int64_t start_ms;
};

__attribute__((noreturn)) static void give_up(const char *what) {
    fprintf(stderr, "storebench: %s\n", what);
    exit(1);
}

static double now_ms(clockid_t clock) {
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void print_runs(const char *name, double *run) {
    printf("%s_first_ms %.3f\n", name, run[0]);
    qsort(run, RUNS, sizeof(*run), compare);
    printf("%s_ms %.3f\n%s_least_ms %.3f\n", name, run[RUNS / 2], name, run[0]);
}

static uint64_t value_at(const struct data *d, size_t series, size_t tick) {
    return d->value[series * d->samples + tick];
}

static int64_t time_of(const struct data *d, size_t tick) {
    return d->start_ms + 1000 * (int64_t)tick;
}

/* --- chunks in memory ------------------------------------------------------------------------- */

/* The chunk of a target from that tick on. */
static void make_chunk(const struct data *d, size_t target, size_t from, struct buf *out) {
    size_t n = d->samples - from < TICKS ? d->samples - from : TICKS;
    int64_t at_ms[TICKS];
    int r;

    for (size_t i = 0; i < n; i++)
        at_ms[i] = time_of(d, from + i);
    r = chunk_begin(out, at_ms, n);
    for (size_t m = 0; m < d->metrics && r == 0; m++)
        r = chunk_add(out, (enum metric)m, CHUNK_LAST,
                      d->value + (target * d->metrics + m) * d->samples + from, NULL);
    if (r < 0 || chunk_end(out) < 0)
        give_up("a chunk cannot be made");
}

static void read_chunks(const struct data *d, const struct buf *chunk, size_t chunks) {
    uint64_t value[TICKS];
    int64_t at_ms[TICKS];
    bool known[TICKS];

    for (size_t i = 0; i < chunks; i++) {
        enum metric m = (enum metric)(d->metrics - 1);
        struct chunk c;

        if (chunk_open(buf_str(&chunk[i]), &c) < 0 || chunk_times(&c, at_ms) < 0 ||
            chunk_column(&c, m, CHUNK_LAST, value, known) < 0)
            give_up("a chunk cannot be read");
        if (memcmp(value, d->value + (d->series - 1) * d->samples + i * TICKS,
                   c.n * sizeof(*value)) != 0)
            give_up("a chunk says something else");
    }
}

static void bench_chunks(const struct data *d) {
    size_t chunks = (d->samples + TICKS - 1) / TICKS, bytes = 0;
    struct buf *chunk = calloc(chunks, sizeof(*chunk));
    double start = now_ms(CLOCK_PROCESS_CPUTIME_ID), run[RUNS];

    if (!chunk)
        give_up("no memory");
    for (size_t target = 0; target < d->series / d->metrics; target++)
        for (size_t i = 0; i < chunks; i++) {
            chunk[i].max = 1 << 24;
            buf_clear(&chunk[i]);
            make_chunk(d, target, i * TICKS, &chunk[i]);
            bytes += chunk[i].n;
        }
    printf("chunk_bytes %zu\n", bytes);
    printf("encode_ns %.1f\n",
           (now_ms(CLOCK_PROCESS_CPUTIME_ID) - start) * 1e6 / (double)(d->series * d->samples));
    for (size_t i = 0; i < RUNS; i++) {
        start = now_ms(CLOCK_MONOTONIC);
        read_chunks(d, chunk, chunks);
        run[i] = now_ms(CLOCK_MONOTONIC) - start;
    }
    print_runs("read", run);
    for (size_t i = 0; i < chunks; i++)
        buf_done(&chunk[i]);
    free(chunk);
}

/* --- the store -------------------------------------------------------------------------------- */

struct feed {
    struct store *store;
    int64_t *id;
    uint64_t seq, acked;
    double commit_cpu_ms;
};

/* What changed of a target at a tick, and the bits of it; all that is known at the first. */
static uint64_t sample_of(const struct data *d, size_t target, size_t tick, struct sample *out) {
    uint64_t set = 0;

    out->have = 0;
    for (size_t m = 0; m < d->metrics; m++) {
        size_t series = target * d->metrics + m;

        out->value[m] = value_at(d, series, tick);
        out->have |= 1ull << m;
        if (tick == 0 || out->value[m] != value_at(d, series, tick - 1))
            set |= 1ull << m;
    }
    return set;
}

/* The message that the collector would send of a tick; `key`: with all that is known. */
static struct str message_of(const struct data *d, const struct feed *f, size_t tick, bool key) {
    static uint8_t bytes[WIRE_MESSAGE];
    struct wire_out w;

    wire_begin(&w, bytes, sizeof(bytes), WIRE_TICK, f->seq);
    wire_add_tick(&w, &(struct wire_tick){.at_ms = time_of(d, tick),
                                          .flags = WIRE_TICK_ROUND | (key ? WIRE_TICK_KEY : 0)});
    for (size_t target = 0; target < d->series / d->metrics; target++) {
        struct sample before, now;

        sample_of(d, target, tick > 0 ? tick - 1 : 0, &before);
        sample_of(d, target, tick, &now);
        wire_add_change(&w, (uint32_t)target, key || tick == 0 ? NULL : &before, &now, false);
    }
    if (w.full)
        give_up("a tick is longer than a message");
    return (struct str){(const char *)bytes, w.n};
}

static void commit(struct feed *f, int64_t at_ms, bool force) {
    double start = now_ms(CLOCK_PROCESS_CPUTIME_ID);

    store_commit(f->store, at_ms, force, &f->acked);
    f->commit_cpu_ms += now_ms(CLOCK_PROCESS_CPUTIME_ID) - start;
}

static void feed_tick(const struct data *d, struct feed *f, size_t tick) {
    int64_t at_ms = time_of(d, tick);

    f->seq++;
    if (store_wants_key(f->store, at_ms)) {
        struct buf key;

        buf_init(&key, 1 << 20);
        store_log_add(&key, message_of(d, f, tick, true));
        store_log_key(f->store, 1, f->seq, at_ms, buf_str(&key));
        buf_done(&key);
    }
    store_log(f->store, 1, f->seq, at_ms, message_of(d, f, tick, false));
    store_tick(f->store, at_ms, true);
    for (size_t target = 0; target < d->series / d->metrics; target++) {
        struct sample now;
        uint64_t set = sample_of(d, target, tick, &now);

        if (set && store_put(f->store, f->id[target], set, 0, now.value) < 0)
            give_up("store_put failed");
    }
    commit(f, at_ms, false);
}

static void begin_targets(const struct data *d, struct feed *f) {
    for (size_t target = 0; target < d->series / d->metrics; target++) {
        char key[40];

        snprintf(key, sizeof(key), "docker/container-%zu", target);
        if (store_series(f->store, str_of(key), STR("{}"), d->start_ms, &f->id[target]) < 0)
            give_up("store_series failed");
    }
}

/* They end, and time goes on until all of it is in chunks. */
static void end_targets(const struct data *d, struct feed *f) {
    int64_t at_ms = time_of(d, d->samples);

    store_tick(f->store, at_ms, true);
    for (size_t target = 0; target < d->series / d->metrics; target++)
        store_gone(f->store, f->id[target], at_ms);
    for (int i = 1; i < QUIET_S; i++) {
        store_tick(f->store, at_ms + 1000 * i, true);
        commit(f, at_ms + 1000 * i, true);
    }
}

/* The last series, which is one of noise, read whole `RUNS` times. */
static void read_store(const struct data *d, struct feed *f, const char *name, int64_t step_ms) {
    size_t want = step_ms ? d->samples * 1000 / (size_t)step_ms : d->samples;
    double run[RUNS];

    for (size_t i = 0; i < RUNS; i++) {
        struct store_points points = {0};
        double start = now_ms(CLOCK_MONOTONIC);
        int r =
            store_range(f->store, f->id[d->series / d->metrics - 1], (enum metric)(d->metrics - 1),
                        d->start_ms, time_of(d, d->samples - 1), step_ms, 100000, &points);

        run[i] = now_ms(CLOCK_MONOTONIC) - start;
        if (r < 0 || points.n < want || points.n > want + 1)
            give_up("store_range gave not what was put");
        for (size_t k = 0; !step_ms && k < points.n; k++)
            if (points.p[k].at_ms != time_of(d, k) ||
                points.p[k].value != value_at(d, d->series - 1, k))
                give_up("the store says something else");
        store_points_done(&points);
    }
    print_runs(name, run);
}

static void check_health(struct store *store) {
    struct store_health health;

    store_health(store, &health);
    if (health.errors > 0 || health.damaged > 0 || health.dropped > 0) {
        fprintf(stderr,
                "storebench: %" PRIu64 " errors, %" PRIu64 " damaged, %" PRIu64 " dropped: %s\n",
                health.errors, health.damaged, health.dropped, health.text);
        exit(1);
    }
}

static void bench_store(const struct data *d, const char *dir) {
    struct feed f = {.id = calloc(d->series, sizeof(int64_t))};
    struct store_options options;
    struct err err;
    double start = now_ms(CLOCK_MONOTONIC);

    store_defaults(&options);
    options.dir = dir;
    options.raw_ms = 48 * 3600 * 1000;
    if (!f.id || store_open(&options, &f.store, NULL, &err) < 0)
        give_up("the store cannot be opened");
    begin_targets(d, &f);
    for (size_t tick = 0; tick < d->samples; tick++)
        feed_tick(d, &f, tick);
    end_targets(d, &f);
    start = now_ms(CLOCK_MONOTONIC) - start;
    check_health(f.store);
    /* Opened anew, so that nothing is in memory. */
    store_close(f.store);
    if (store_open(&options, &f.store, NULL, &err) < 0)
        give_up("the store cannot be opened again");
    printf("ingest_s %.2f\ncommit_cpu_ms %.1f\n", start / 1e3, f.commit_cpu_ms);
    read_store(d, &f, "read", 0);
    read_store(d, &f, "steps", STEP_MS);
    check_health(f.store);
    store_close(f.store);
    free(f.id);
}

static size_t number(const char *text) {
    uint64_t n;

    if (str_to_u64(str_of(text), &n) < 0 || n == 0)
        give_up("not a number");
    return (size_t)n;
}

int main(int argc, char **argv) {
    struct data d;
    struct stat st;
    int fd;

    if (argc != 8)
        give_up("see bench/store.py");
    d = (struct data){.series = number(argv[3]), .samples = number(argv[4])};
    d.metrics = number(argv[5]);
    d.start_ms = 1000 * (int64_t)number(argv[6]);
    if (d.metrics > METRIC_N || d.series % d.metrics != 0)
        give_up("series do not make whole targets");
    fd = open(argv[2], O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0 ||
        (size_t)st.st_size != d.series * d.samples * sizeof(uint64_t))
        give_up("the data cannot be read");
    d.value = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (d.value == MAP_FAILED)
        give_up("the data cannot be mapped");
    if (strcmp(argv[1], "chunks") == 0)
        bench_chunks(&d);
    else
        bench_store(&d, argv[7]);
    return 0;
}
