#include "act/sibling.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kern/cgtest.h"

enum { MIB = 1 << 20 };

/* A group of v2 that uses so many MiB, all of it anonymous but for what is cached. */
static void put_group(const struct cgtest *t, const char *path, const char *limit, unsigned used,
                      unsigned cached) {
    char name[256], text[256];

    snprintf(name, sizeof(name), "/sys/fs/cgroup%s/memory.current", path);
    snprintf(text, sizeof(text), "%u\n", (used + cached) * MIB);
    cgtest_write(t, name, text);
    snprintf(name, sizeof(name), "/sys/fs/cgroup%s/memory.max", path);
    cgtest_write(t, name, limit);
    snprintf(name, sizeof(name), "/sys/fs/cgroup%s/memory.stat", path);
    snprintf(text, sizeof(text),
             "anon %u\nfile %u\nshmem 0\ninactive_file %u\nactive_file 0\n"
             "unevictable 0\nslab_reclaimable 0\n",
             used * MIB, cached * MIB, cached * MIB);
    cgtest_write(t, name, text);
}

struct scene {
    struct cgtest t;
    struct grip g;
    struct facts facts;
    char who[64];
};

static void make_groups(struct scene *s, unsigned used_above, unsigned sibling, unsigned cached) {
    cgtest_init(&s->t);
    cgtest_make_v2(&s->t);
    put_group(&s->t, "/top", "max\n", used_above, 0);
    put_group(&s->t, "/top/pod", "134217728\n", used_above, 0);
    put_group(&s->t, "/top/pod/mid", "max\n", 20, 0);
    put_group(&s->t, "/top/pod/mid/b", "104857600\n", 18, 0);
    put_group(&s->t, "/top/pod/hog", "max\n", sibling, cached);
    cgtest_open(&s->t, false);
}

static int blame(struct scene *s) {
    struct err err = {0};

    assert_int_equal(grip_open(&s->t.host, &s->t.fs, STR("/top/pod/mid/b"), &s->g, &err), 0);
    assert_int_equal(grip_read(&s->g, GRIP_STAT, &s->facts), 0);
    return sibling_is_to_blame(&s->g, (unsigned)s->facts.value[FACT_LEVEL], s->who, sizeof(s->who));
}

static void done(struct scene *s) {
    grip_done(&s->g);
    cgtest_done(&s->t);
}

static void a_sibling_that_uses_more_is_named(void **state) {
    struct scene s;

    (void)state;
    make_groups(&s, 128, 108, 0);
    assert_int_equal(blame(&s), 0);
    assert_string_equal(s.who, "hog");
    assert_int_equal(s.facts.value[FACT_LEVEL], 2);
    assert_int_equal(s.facts.value[FACT_USED], 128 * MIB);
    assert_int_equal(s.facts.value[FACT_OWN_USED], 18 * MIB);
    done(&s);
}

static void page_cache_of_a_sibling_is_no_blame(void **state) {
    struct scene s;

    (void)state;
    make_groups(&s, 34, 14, 90);
    put_group(&s.t, "/top/pod", "36700160\n", 34, 0);
    assert_int_equal(blame(&s), 1);
    assert_int_equal(s.facts.value[FACT_LEVEL], 2);
    done(&s);
}

/* The one on the way down is the largest, but within it another is. */
static void one_further_down_is_named_too(void **state) {
    struct scene s;

    (void)state;
    make_groups(&s, 128, 8, 0);
    put_group(&s.t, "/top/pod/mid", "max\n", 120, 0);
    put_group(&s.t, "/top/pod/mid/c", "max\n", 100, 0);
    assert_int_equal(blame(&s), 0);
    assert_string_equal(s.who, "c");
    done(&s);
}

static void what_is_in_the_group_above_itself_counts(void **state) {
    struct scene s;

    (void)state;
    make_groups(&s, 128, 8, 0);
    assert_int_equal(blame(&s), 0);
    assert_string_equal(s.who, "what is in /top/pod itself");
    done(&s);
}

static void in_doubt_it_is_not_this_group(void **state) {
    struct scene s;

    (void)state;
    make_groups(&s, 128, 8, 0);
    assert_int_equal(blame(&s), 0);
    assert_int_equal(sibling_is_to_blame(&s.g, 1, s.who, sizeof(s.who)), 0); /* has no limit */
    assert_true(strlen(s.who) > 0);
    cgtest_delete(&s.t, "/sys/fs/cgroup/top/pod/mid");
    assert_int_equal(sibling_is_to_blame(&s.g, 2, s.who, sizeof(s.who)), 0);
    assert_non_null(strstr(s.who, "cannot be read"));
    done(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sibling_that_uses_more_is_named),
        cmocka_unit_test(page_cache_of_a_sibling_is_no_blame),
        cmocka_unit_test(one_further_down_is_named_too),
        cmocka_unit_test(what_is_in_the_group_above_itself_counts),
        cmocka_unit_test(in_doubt_it_is_not_this_group),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
