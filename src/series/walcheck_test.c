#include "series/walcheck.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "series/storetest.h"

static char dir[256];

/* The files as they were before any damage. */
struct image {
    char *p;
    size_t n;
};

static struct image load(const char *name) {
    struct image image = {malloc(64 << 20), 0};
    char path[300];
    ssize_t n;
    int fd;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    n = read(fd, image.p, 64 << 20);
    assert_true(n >= 0);
    image.n = (size_t)n;
    close(fd);
    return image;
}

static void save(const char *name, const struct image *image) {
    char path[300];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, image->p, image->n), image->n);
    close(fd);
}

/* What the store gives of a target is part of the model, and how much of it is not there. */
static size_t missing(struct feed *f, unsigned target) {
    struct feed_target *t = &f->target[target];
    struct store_points points = {0};
    size_t without = 0;
    int64_t series;
    struct buf key;

    buf_init(&key, 100);
    feed_key_of(&key, target);
    assert_int_equal(store_series(f->store, buf_str(&key), STR("{}"), f->at_ms, &series), 0);
    buf_done(&key);
    for (unsigned m = 0; m < FEED_METRICS; m++) {
        size_t k = 0;

        assert_int_equal(
            store_range(f->store, series, feed_metric[m], 0, INT64_MAX, 0, 1 << 20, &points), 0);
        for (size_t i = 0; i < t->n; i++) {
            if (!(t->model[i].have >> m & 1))
                continue;
            if (k < points.n && points.p[k].at_ms == t->model[i].at_ms) {
                if (points.p[k].value != t->model[i].value[m])
                    fail_msg("target %u metric %u at %lld: %llu, not %llu", target, m,
                             (long long)points.p[k].at_ms, (unsigned long long)points.p[k].value,
                             (unsigned long long)t->model[i].value[m]);
                k++;
            } else
                without++;
        }
        if (k != points.n)
            fail_msg("target %u metric %u: a sample at %lld that never was", target, m,
                     (long long)points.p[k].at_ms);
    }
    store_points_done(&points);
    return without;
}

static void copy_models(struct feed *to, const struct feed *from) {
    *to = *from;
    to->store = NULL;
    for (unsigned i = 0; i < to->targets; i++) {
        struct feed_target *t = &to->target[i];

        t->room = t->n + 256;
        t->model = malloc(t->room * sizeof(*t->model));
        assert_non_null(t->model);
        memcpy(t->model, from->target[i].model, t->n * sizeof(*t->model));
    }
}

/* As the front does when the collector begins anew. */
static void begin_anew(struct feed *f) {
    for (unsigned i = 0; i < f->targets; i++) {
        if (f->target[i].alive)
            assert_int_equal(store_gone(f->store, f->target[i].series, f->at_ms), 0);
        f->target[i].alive = false;
        f->target[i].now.have = 0;
    }
}

static int take_target(void *ctx, const struct store_target *t) {
    assert_true(t->key.n > 0);
    ++*(unsigned *)ctx;
    return 0;
}

static int take_oom(void *ctx, int64_t id, int64_t series, int64_t at_ms, uint64_t kills,
                    struct str json) {
    (void)id, (void)series, (void)at_ms;
    assert_int_equal(kills, 3);
    assert_true(str_eq(json, STR("{\"kind\":\"oom\"}")));
    ++*(unsigned *)ctx;
    return 0;
}

struct outcome {
    unsigned told, silent, whole, at_start;
};

/* Opens what is there, reads everything, goes on, opens it again. */
static void live_with_it(const struct feed *before, struct outcome *sum) {
    struct store_health health;
    struct feed f;
    struct buf told, out;
    unsigned targets = 0, ooms = 0;
    bool anew;
    size_t without = 0;
    int64_t at_ms = before->at_ms;

    copy_models(&f, before);
    buf_init(&told, 10000);
    buf_init(&out, 64 << 20);
    feed_open(&f, &told);
    anew = f.seq == 0;
    if (anew)
        begin_anew(&f);
    f.at_ms = at_ms; /* the clock goes on */
    for (unsigned i = 0; i < f.targets; i++) {
        f.target[i].now.have = f.target[i].alive ? f.target[i].now.have : 0;
        without += missing(&f, i);
    }
    assert_int_equal(store_targets(f.store, 0, INT64_MAX, take_target, &targets), 0);
    assert_int_equal(store_ooms(f.store, 0, 0, INT64_MAX, 100, take_oom, &ooms), 0);
    assert_int_equal(store_log_read(f.store, 0, 1 << 30, &out), 0);
    for (unsigned i = 0; i < 10; i++) {
        feed_tick(&f, 1000, true);
        if (i == 5) /* damage that was found since is dealt with, or found in a second reading */
            missing(&f, 0);
    }
    store_health(f.store, &health);
    if (told.n > 0)
        sum->at_start++;
    if (told.n > 0 || health.damaged > 0 || health.errors > 0 || anew)
        sum->told++;
    else if (without > 0)
        sum->silent++;
    else
        sum->whole++;
    store_close(f.store);
    feed_open(&f, NULL);
    for (unsigned i = 0; i < f.targets; i++)
        missing(&f, i);
    store_health(f.store, &health);
    assert_false(health.broken);
    feed_done(&f);
    buf_done(&told);
    buf_done(&out);
}

static void make(struct feed *f) {
    struct buf b;

    feed_start(f, dir, 5, 3);
    f->options.memory = 32 << 10;
    feed_open(f, NULL);
    buf_init(&b, 100);
    for (unsigned i = 0; i < 1600; i++) {
        feed_tick(f, 1000, true);
        if (i % 300 == 200 && f->target[1].alive) {
            feed_number(&b, 'O');
            feed_number(&b, 1);
            feed_number(&b, 3);
            feed_say(f, &b);
            buf_clear(&b);
        }
        if (i % 10 == 0)
            store_procs(f->store, f->target[0].series, f->at_ms, STR("\1\2\3 processes"));
    }
    buf_done(&b);
}

static const char *const name[] = {"plimsoll.db", "plimsoll.db-wal"};

static void damage(const struct feed *f, const struct image *image, unsigned files, unsigned which,
                   unsigned times) {
    struct basetest_random random = {99 + which + files};
    struct outcome sum = {0};

    for (unsigned i = 0; i < times; i++) {
        size_t at = basetest_next(&random) % image[which].n;
        char flip = (char)(basetest_next(&random) % 255 + 1);

        for (unsigned k = 0; k < 2; k++) {
            char path[300];

            snprintf(path, sizeof(path), "%s/%s", dir, name[k]);
            unlink(path);
        }
        image[which].p[at] ^= flip;
        for (unsigned k = 0; k < files; k++)
            save(name[k], &image[k]);
        image[which].p[at] ^= flip;
        live_with_it(f, &sum);
    }
    print_message(
        "%s%s: %u told (%u of them when it was opened), %u without effect, %u silent losses\n",
        name[which], files == 1 ? " alone" : "", sum.told, sum.at_start, sum.whole, sum.silent);
    assert_int_equal(sum.silent, 0);
}

static void a_damaged_byte_is_told_and_lived_with(void **state) {
    struct image killed[2], closed;
    struct feed f;
    unsigned times = feed_times("PLIMSOLL_DAMAGES", 70);

    (void)state;
    feed_dir(dir, sizeof(dir));
    make(&f);
    store_commit(f.store, f.at_ms, true, &f.acked);
    killed[0] = load(name[0]);
    killed[1] = load(name[1]);
    store_close(f.store);
    f.store = NULL;
    closed = load(name[0]);
    print_message("%zu and %zu bytes when killed, %zu closed\n", killed[0].n, killed[1].n,
                  closed.n);
    damage(&f, &closed, 1, 0, times);
    damage(&f, killed, 2, 0, times);
    damage(&f, killed, 2, 1, times);
    feed_done(&f);
    feed_remove(dir);
    free(killed[0].p);
    free(killed[1].p);
    free(closed.p);
}

static void a_log_is_whole_after_a_kill_and_not_after_damage(void **state) {
    struct feed f;
    char wal[310], byte;
    off_t size;
    int fd;

    (void)state;
    feed_dir(dir, sizeof(dir));
    snprintf(wal, sizeof(wal), "%s/plimsoll.db-wal", dir);
    assert_int_equal(walcheck(wal), 0); /* not there */
    feed_start(&f, dir, 5, 2);
    feed_open(&f, NULL);
    for (unsigned i = 0; i < 60; i++)
        feed_tick(&f, 1000, true);
    assert_int_equal(walcheck(wal), 0);
    fd = open(wal, O_RDWR);
    size = lseek(fd, 0, SEEK_END);
    assert_true(size > 20 * 4120);
    for (off_t at = 3; at < size - 4120; at += size / 37) {
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 4;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        assert_int_equal(walcheck(wal), 1);
        byte ^= 4;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        assert_int_equal(walcheck(wal), 0);
    }
    close(fd);
    feed_done(&f);
    feed_remove(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_is_whole_after_a_kill_and_not_after_damage),
        cmocka_unit_test(a_damaged_byte_is_told_and_lived_with),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
