#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mount.h>

#include <cmocka.h>

#include "series/storetest.h"

static char dir[256];

static int set_up(void **state) {
    (void)state;
    feed_dir(dir, sizeof(dir));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    umount2(dir, MNT_DETACH); /* of a test that failed */
    feed_remove(dir);
    return 0;
}

static void compare_all(struct feed *f, int64_t until_ms) {
    size_t n = 0;

    for (unsigned i = 0; i < f->targets; i++)
        n += feed_compare(f, i, until_ms);
    assert_true(n > 0);
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
    if (geteuid() != 0 || mount("none", dir, "tmpfs", 0, "size=3m") < 0) {
        print_message("no tmpfs: root is needed\n");
        skip();
    }
    snprintf(path, sizeof(path), "%s/ballast", dir);
    feed_start(&f, dir, 20, 2);
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
    compare_all(&f, INT64_MAX);
    unlink(path);
    for (unsigned i = 0; i < 3; i++)
        feed_tick(&f, 1000, true);
    store_health(f.store, &health);
    assert_false(health.broken);
    assert_true(health.pending_bytes < 20000);
    store_close(f.store);
    feed_open(&f, NULL);
    compare_all(&f, INT64_MAX);
    feed_done(&f);
    umount2(dir, MNT_DETACH);
}

static void without_room_for_a_file_it_begins_in_memory(void **state) {
    struct store_health health;
    struct buf told;
    char path[300];
    struct feed f;

    (void)state;
    if (geteuid() != 0 || mount("none", dir, "tmpfs", 0, "size=1m") < 0) {
        print_message("no tmpfs: root is needed\n");
        skip();
    }
    buf_init(&told, 1000);
    snprintf(path, sizeof(path), "%s/ballast", dir);
    feed_start(&f, dir, 20, 2);
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
    compare_all(&f, INT64_MAX);
    store_close(f.store);
    feed_open(&f, NULL);
    compare_all(&f, INT64_MAX);
    feed_done(&f);
    umount2(dir, MNT_DETACH);
    buf_done(&told);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_full_disk_costs_nothing_when_it_is_gone, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(without_room_for_a_file_it_begins_in_memory, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
