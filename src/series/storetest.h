/* storetest.h - for the store's tests: a front in small that tells the store what happens, by
 * messages that can be replayed, and a model that remembers every sample. After <cmocka.h>.
 */
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/basetest.h"
#include "series/store.h"

enum { FEED_TARGETS = 40, FEED_METRICS = 4, FEED_SAMPLES = 1 << 16 };

static const enum metric feed_metric[FEED_METRICS] = {METRIC_USAGE, METRIC_ANON, METRIC_OWN_LIMIT,
                                                      METRIC_CPU_US};

struct feed_sample {
    int64_t at_ms;
    uint64_t have; /* bits of the four */
    uint64_t value[FEED_METRICS];
};

struct feed_target {
    bool alive;
    int64_t series;
    struct feed_sample now;
    struct feed_sample *model; /* every sample that it had */
    size_t n, room;
};

struct feed {
    char dir[256];
    struct store_options options;
    struct store *store;
    struct basetest_random random;
    unsigned targets;
    struct feed_target target[FEED_TARGETS];
    int64_t at_ms;
    uint64_t boot, seq;
    uint64_t acked;
    bool replaying, key_done;
    unsigned busy; /* one in so many targets changes in a tick */
};

/* A message: kind, target, then for 'P' bits of what is set, bits of what is lost, values; for 'T'
 * the time and whether it is a round; for 'G' nothing; for 'O' kills. */
static inline void feed_number(struct buf *b, uint64_t n) {
    buf_add(b, (struct str){(const char *)&n, sizeof(n)});
}

static inline uint64_t feed_cut(struct str *s) {
    uint64_t n;

    assert_true(s->n >= sizeof(n));
    memcpy(&n, s->p, sizeof(n));
    *s = str_from(*s, sizeof(n));
    return n;
}

static inline void feed_key_of(struct buf *b, unsigned target) {
    buf_add_format(b, "test/target-%u", target);
}

static inline int64_t feed_series(struct feed *f, unsigned target, int64_t now_ms) {
    struct buf key, identity;
    int64_t id = 0;

    buf_init(&key, 100);
    buf_init(&identity, 100);
    feed_key_of(&key, target);
    buf_add_format(&identity, "{\"n\":%u}", target);
    assert_int_equal(store_series(f->store, buf_str(&key), buf_str(&identity), now_ms, &id), 0);
    assert_true(id > 0);
    buf_done(&key);
    buf_done(&identity);
    return id;
}

/* What a message does to the store: the same the first time and in a replay. */
static inline int feed_apply(void *ctx, struct str message) {
    struct feed *f = ctx;
    uint64_t kind = feed_cut(&message), target = feed_cut(&message), value[METRIC_N] = {0};
    uint64_t set = 0, lost = 0, bits, gone, total;

    if (kind == 'T' || kind == 'K') {
        int64_t at = (int64_t)feed_cut(&message);

        if (kind == 'K' && f->replaying && at <= f->at_ms && f->key_done)
            return 0;
        f->key_done = true;
        if (f->replaying)
            f->at_ms = at;
        return store_tick(f->store, at, feed_cut(&message));
    }
    f->target[target].series = feed_series(f, (unsigned)target, f->at_ms);
    if (kind == 'G') {
        f->target[target].alive = false;
        f->target[target].now.have = 0;
        return store_gone(f->store, f->target[target].series, f->at_ms);
    }
    if (kind == 'O')
        return store_oom(f->store, f->target[target].series, f->at_ms, feed_cut(&message),
                         STR("{\"kind\":\"oom\"}"), !f->replaying, &total);
    assert_int_equal(kind, 'P');
    bits = feed_cut(&message);
    gone = feed_cut(&message);
    for (unsigned i = 0; i < FEED_METRICS; i++) {
        uint64_t v = feed_cut(&message);

        if (bits >> i & 1) {
            set |= 1ull << feed_metric[i];
            value[feed_metric[i]] = v;
            f->target[target].now.value[i] = v;
        }
        if (gone >> i & 1)
            lost |= 1ull << feed_metric[i];
    }
    f->target[target].now.have = (f->target[target].now.have | bits) & ~gone;
    f->target[target].alive = true;
    return store_put(f->store, f->target[target].series, set, lost, value);
}

static inline void feed_say(struct feed *f, const struct buf *message) {
    assert_int_equal(feed_apply(f, buf_str(message)), 0);
    f->seq++;
    assert_int_equal(store_log(f->store, f->boot, f->seq, f->at_ms, buf_str(message)), 0);
}

static inline void feed_add_put(struct buf *b, unsigned target, uint64_t set, uint64_t lost,
                                const uint64_t value[FEED_METRICS]) {
    feed_number(b, 'P');
    feed_number(b, target);
    feed_number(b, set);
    feed_number(b, lost);
    for (unsigned i = 0; i < FEED_METRICS; i++)
        feed_number(b, value[i]);
}

static inline void feed_remember(struct feed_target *t, int64_t at_ms) {
    if (t->n == t->room) {
        t->room = t->room ? t->room * 2 : 256;
        t->model = realloc(t->model, t->room * sizeof(*t->model));
        assert_non_null(t->model);
    }
    t->now.at_ms = at_ms;
    t->model[t->n++] = t->now;
}

static inline uint64_t feed_value(struct feed *f, unsigned i, uint64_t before) {
    uint64_t dice = basetest_next(&f->random);

    if (feed_metric[i] == METRIC_OWN_LIMIT)
        return dice % 8 == 0 ? SAMPLE_NONE : dice % 4 << 28;
    if (feed_metric[i] == METRIC_CPU_US)
        return before + dice % 100000;
    return dice % 64 == 0 ? dice : ((dice >> 8) % 100000) * 4096;
}

/* The KEY as the front makes it, when the store wants one. */
static inline void feed_key(struct feed *f) {
    struct buf all, one;

    if (!store_wants_key(f->store, f->at_ms))
        return;
    buf_init(&all, 1 << 20);
    buf_init(&one, 1 << 10);
    feed_number(&one, 'K');
    feed_number(&one, 0);
    feed_number(&one, (uint64_t)f->at_ms);
    feed_number(&one, 0);
    store_log_add(&all, buf_str(&one));
    for (unsigned i = 0; i < f->targets; i++) {
        if (!f->target[i].alive)
            continue;
        buf_clear(&one);
        feed_add_put(&one, i, f->target[i].now.have, ~f->target[i].now.have & 15,
                     f->target[i].now.value);
        store_log_add(&all, buf_str(&one));
    }
    assert_int_equal(store_log_key(f->store, f->boot, f->seq, f->at_ms, buf_str(&all)), 0);
    buf_done(&all);
    buf_done(&one);
}

/* One tick: deaths, births, changes. */
static inline void feed_tick(struct feed *f, int64_t step_ms, bool round) {
    struct buf b;
    bool told[FEED_TARGETS] = {false};

    buf_init(&b, 1 << 10);
    for (unsigned i = 0; i < f->targets; i++)
        if (f->target[i].alive && basetest_next(&f->random) % 600 == 0) {
            buf_clear(&b);
            feed_number(&b, 'G');
            feed_number(&b, i);
            feed_say(f, &b);
        }
    f->at_ms += step_ms;
    buf_clear(&b);
    feed_number(&b, 'T');
    feed_number(&b, 0);
    feed_number(&b, (uint64_t)f->at_ms);
    feed_number(&b, round);
    feed_say(f, &b);
    for (unsigned i = 0; i < f->targets; i++) {
        struct feed_target *t = &f->target[i];
        uint64_t set = 0, lost = 0, value[FEED_METRICS];

        if (t->alive ? basetest_next(&f->random) % f->busy : basetest_next(&f->random) % 60)
            continue;
        memcpy(value, t->now.value, sizeof(value));
        for (unsigned m = 0; m < FEED_METRICS; m++) {
            uint64_t dice = basetest_next(&f->random) % 16;

            if (dice < 8 || (m == 0 && !t->now.have)) {
                set |= 1u << m;
                value[m] = feed_value(f, m, t->now.value[m]);
            } else if (dice == 15 && m > 0)
                lost |= 1u << m;
        }
        buf_clear(&b);
        feed_add_put(&b, i, set, lost, value);
        feed_say(f, &b);
        told[i] = true;
    }
    for (unsigned i = 0; i < f->targets; i++)
        if (f->target[i].alive && (round || told[i]))
            feed_remember(&f->target[i], f->at_ms);
    buf_done(&b);
    feed_key(f);
    store_commit(f->store, f->at_ms, false, &f->acked);
}

static inline void feed_start(struct feed *f, const char *dir, unsigned targets, unsigned busy) {
    *f = (struct feed){.targets = targets, .busy = busy, .boot = 77, .at_ms = 1700000000000};
    f->random.state = 88172645463325252ull;
    snprintf(f->dir, sizeof(f->dir), "%s", dir);
    store_defaults(&f->options);
    f->options.dir = f->dir;
}

static inline void feed_done(struct feed *f) {
    store_close(f->store);
    for (unsigned i = 0; i < FEED_TARGETS; i++)
        free(f->target[i].model);
}

/* Opens and replays; what the targets are like now comes from the log. */
static inline void feed_open(struct feed *f, struct buf *told) {
    struct err err;
    int r = store_open(&f->options, &f->store, told, &err);

    if (r < 0)
        fail_msg("%s", err.text);
    for (unsigned i = 0; i < FEED_TARGETS; i++)
        f->target[i].alive = false;
    f->replaying = true;
    f->key_done = false;
    r = store_replay(f->store, feed_apply, f);
    f->replaying = false;
    if (r < 0)
        fail_msg("the replay fails: %s", strerror(-r));
    store_last(f->store, &f->boot, &f->seq);
    if (f->seq == 0)
        f->boot = 78;
}

/* How many times, unless the environment wants another number. */
static inline unsigned feed_times(const char *variable, unsigned usual) {
    const char *n = getenv(variable);
    uint64_t value;

    return n && str_to_u64(str_of(n), &value) == 0 ? (unsigned)value : usual;
}

/* A folder of its own. */
static inline void feed_dir(char *out, size_t size) {
    const char *top = getenv("TMPDIR");

    /* In memory where that is to be had: what is tested is not how long a disk takes. */
    if (!top)
        top = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(out, size, "%s/plimsoll-store-XXXXXX", top);
    assert_non_null(mkdtemp(out));
}

static inline void feed_remove(const char *dir) {
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        execlp("rm", "rm", "-rf", "--", dir, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, &status, 0);
}

/* The folder of a test file whose tests have one each. */
static char feed_folder[256];

static inline int feed_set_up(void **state) {
    (void)state;
    feed_dir(feed_folder, sizeof(feed_folder));
    return 0;
}

static inline int feed_tear_down(void **state) {
    (void)state;
    feed_remove(feed_folder);
    return 0;
}

/* Samples of a target from `from` on as the store has them are exactly those of the model, up to
 * the model's end less `missing` samples. How many there are. */
static inline size_t feed_compare(struct feed *f, unsigned target, int64_t until_ms) {
    struct feed_target *t = &f->target[target];
    struct store_points points = {0};
    struct buf key;
    int64_t series;
    size_t all = 0;

    buf_init(&key, 100);
    feed_key_of(&key, target);
    assert_int_equal(store_series(f->store, buf_str(&key), STR("{}"), f->at_ms, &series), 0);
    buf_done(&key);
    for (unsigned m = 0; m < FEED_METRICS; m++) {
        size_t k = 0;

        assert_int_equal(
            store_range(f->store, series, feed_metric[m], 0, INT64_MAX, 0, 1 << 20, &points), 0);
        for (size_t i = 0; i < t->n && t->model[i].at_ms <= until_ms; i++) {
            if (!(t->model[i].have >> m & 1))
                continue;
            if (k >= points.n)
                fail_msg("target %u metric %u: no sample at %lld, %zu of it", target, m,
                         (long long)t->model[i].at_ms, points.n);
            if (points.p[k].at_ms != t->model[i].at_ms || points.p[k].value != t->model[i].value[m])
                fail_msg("target %u metric %u sample %zu: %lld %llu, not %lld %llu", target, m, k,
                         (long long)points.p[k].at_ms, (unsigned long long)points.p[k].value,
                         (long long)t->model[i].at_ms, (unsigned long long)t->model[i].value[m]);
            k++;
        }
        if (until_ms == INT64_MAX && k != points.n)
            fail_msg("target %u metric %u: %zu samples, not %zu", target, m, points.n, k);
        all += k;
    }
    store_points_done(&points);
    return all;
}

static inline void feed_compare_all(struct feed *f, int64_t until_ms) {
    size_t n = 0;

    for (unsigned i = 0; i < f->targets; i++)
        n += feed_compare(f, i, until_ms);
    assert_true(n > 0);
}
