#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mount.h>

#include <cmocka.h>

#include "series/storetest.h"

static int tear_down(void **state) {
    umount2(feed_folder, MNT_DETACH); /* of a test that failed */
    return feed_tear_down(state);
}

static void fill(const char *path) {
    static const char zeros[4096];
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    while (write(fd, zeros, sizeof(zeros)) > 0)
        ;
    for (size_t n = 2048; n > 0; n /= 2)
        while (write(fd, zeros, n) > 0)
            ;
    close(fd);
}

static void a_full_disk_costs_nothing_when_it_is_gone(void **state) {
    struct store_health health;
    char path[300];
    struct feed f;

    (void)state;
    if (geteuid() != 0 || mount("none", feed_folder, "tmpfs", 0, "size=3m") < 0) {
        print_message("no tmpfs: root is needed\n");
        skip();
    }
    snprintf(path, sizeof(path), "%s/ballast", feed_folder);
    feed_start(&f, feed_folder, 20, 2);
    f.options.memory = 64 << 10;
    feed_open(&f, NULL);
    for (unsigned i = 0; i < 200; i++)
        feed_tick(&f, 1000, true);
    fill(path);
    for (unsigned i = 0; i < 300; i++)
        feed_tick(&f, 1000, true);
    store_health(f.store, &health);
    assert_true(health.broken);
    assert_true(health.errors > 10);
    assert_true(health.pending_bytes > 0);
    assert_int_equal(health.dropped, 0);
    assert_non_null(strstr(health.text, "waits in memory"));
    feed_compare_all(&f, INT64_MAX);
    unlink(path);
    for (unsigned i = 0; i < 3; i++)
        feed_tick(&f, 1000, true);
    store_health(f.store, &health);
    assert_false(health.broken);
    assert_true(health.pending_bytes < 20000);
    store_close(f.store);
    feed_open(&f, NULL);
    feed_compare_all(&f, INT64_MAX);
    feed_done(&f);
    umount2(feed_folder, MNT_DETACH);
}

static void without_room_for_a_file_it_begins_in_memory(void **state) {
    struct store_health health;
    struct buf told;
    char path[300];
    struct feed f;

    (void)state;
    if (geteuid() != 0 || mount("none", feed_folder, "tmpfs", 0, "size=1m") < 0) {
        print_message("no tmpfs: root is needed\n");
        skip();
    }
    buf_init(&told, 1000);
    snprintf(path, sizeof(path), "%s/ballast", feed_folder);
    feed_start(&f, feed_folder, 20, 2);
    fill(path);
    feed_open(&f, &told);
    assert_true(told.n > 0);
    for (unsigned i = 0; i < 100; i++)
        feed_tick(&f, 1000, true);
    store_health(f.store, &health);
    assert_true(health.broken);
    unlink(path);
    for (unsigned i = 0; i < 5; i++)
        feed_tick(&f, 1000, true);
    store_health(f.store, &health);
    assert_false(health.broken);
    feed_compare_all(&f, INT64_MAX);
    store_close(f.store);
    feed_open(&f, NULL);
    feed_compare_all(&f, INT64_MAX);
    feed_done(&f);
    umount2(feed_folder, MNT_DETACH);
    buf_done(&told);
}

/* --- damage while it runs --------------------------------------------------------------------- */

static void overwrite(const char *name, size_t every) {
    static char garbage[4096];
    char path[300];
    off_t size;
    int fd;

    memset(garbage, 0x5a, sizeof(garbage));
    snprintf(path, sizeof(path), "%s/%s", feed_folder, name);
    fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    size = lseek(fd, 0, SEEK_END);
    for (off_t at = 0; at < size; at += (off_t)every)
        assert_int_equal(pwrite(fd, garbage, sizeof(garbage), at), sizeof(garbage));
    close(fd);
}

/* From that time on every sample is there. */
static void compare_since(struct feed *f, int64_t from_ms) {
    struct store_points points = {0};

    for (unsigned i = 0; i < f->targets; i++) {
        const struct feed_target *t = &f->target[i];
        size_t k = 0;

        assert_int_equal(store_range(f->store, feed_series(f, i, f->at_ms), METRIC_USAGE, from_ms,
                                     INT64_MAX, 0, 10000, &points),
                         0);
        for (size_t n = 0; n < t->n; n++)
            if (t->model[n].at_ms >= from_ms && t->model[n].have & 1) {
                assert_true(k < points.n);
                assert_int_equal(points.p[k].at_ms, t->model[n].at_ms);
                assert_int_equal(points.p[k].value, t->model[n].value[0]);
                k++;
            }
        assert_int_equal(k, points.n);
    }
    store_points_done(&points);
}

static void a_file_damaged_while_it_is_open_is_replaced_by_what_is_in_memory(void **state) {
    struct store_health health;
    int64_t broken_ms = 0;
    struct feed f;

    (void)state;
    feed_start(&f, feed_folder, 20, 1);
    f.options.memory = 64 << 10;
    feed_open(&f, NULL);
    for (unsigned i = 0; i < 5000; i++) /* more than the page cache holds */
        feed_tick(&f, 1000, true);
    overwrite("plimsoll.db", 4096);
    overwrite("plimsoll.db-wal", 4096);
    compare_since(&f, f.at_ms - 10000); /* what is in memory needs no file */
    for (unsigned i = 0; i < 600; i++) {
        feed_tick(&f, 1000, true);
        if (i == 300) /* somebody looks, if nothing was noticed yet */
            for (unsigned k = 0; k < f.targets; k++) {
                struct store_points points = {0};

                store_range(f.store, f.target[k].series, METRIC_ANON, 0, INT64_MAX, 0, 1 << 20,
                            &points);
                store_points_done(&points);
            }
        store_health(f.store, &health);
        assert_false(health.broken); /* what is told now is written, to the one file or the other */
        if (health.set_aside > 0 && broken_ms == 0) {
            broken_ms = f.at_ms;
            assert_non_null(strstr(health.notice, "plimsoll.db.damaged-"));
            assert_true(health.damaged > 0);
            print_message("told after %u ticks: %s\n", i, health.notice);
            compare_since(&f, broken_ms - 10000);
        }
    }
    assert_true(broken_ms > 0);
    assert_int_equal(health.set_aside, 1);
    assert_non_null(strstr(health.notice, "plimsoll.db.damaged-")); /* for as long as it runs */
    compare_since(&f, broken_ms - 10000);
    store_close(f.store);
    feed_open(&f, NULL);
    assert_true(f.seq > 0);
    compare_since(&f, broken_ms - 10000);
    feed_done(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_full_disk_costs_nothing_when_it_is_gone, feed_set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(without_room_for_a_file_it_begins_in_memory, feed_set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            a_file_damaged_while_it_is_open_is_replaced_by_what_is_in_memory, feed_set_up,
            tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
