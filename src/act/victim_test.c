#include "act/victim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { MIB = 1 << 20 };

static struct policy policy_with(const char *protect, const char *prefer) {
    struct policy p;

    policy_defaults(&p);
    if (protect)
        assert_int_equal(policy_add_text(p.protect, str_of(protect), NULL), 0);
    if (prefer)
        assert_int_equal(policy_add_text(p.prefer, str_of(prefer), NULL), 0);
    return p;
}

static struct candidate process(int32_t pid, const char *comm, uint64_t anon) {
    struct candidate c = {.pid = pid, .start_ticks = 1000 + (uint64_t)pid, .anon = anon};

    (void)snprintf(c.comm, sizeof(c.comm), "%s", comm);
    (void)snprintf(c.program, sizeof(c.program), "%s", comm);
    return c;
}

/* The pid that is chosen; 0: nobody. */
static int32_t chosen(const struct candidate *c, size_t n, const struct policy *p) {
    struct verdict_victim v;

    victim_choose(c, n, p, &v);
    if (v.any)
        assert_true(v.at < n);
    assert_true(v.why[0] != '\0');
    return v.any ? c[v.at].pid : 0;
}

static void why_has(const struct candidate *c, size_t n, const struct policy *p, const char *part) {
    struct verdict_victim v;

    victim_choose(c, n, p, &v);
    if (!strstr(v.why, part))
        fail_msg("'%s' does not say '%s'", v.why, part);
}

static void globs_are_those_of_shells(void **state) {
    static const struct {
        const char *pattern, *text;
        bool yes;
    } rows[] = {
        {"", "", true},
        {"", "a", false},
        {"a", "", false},
        {"java", "java", true},
        {"java", "javac", false},
        {"java*", "javac", true},
        {"*", "", true},
        {"**", "x", true},
        {"*.sh", "run.sh", true},
        {"*.sh", "run.sh.sh", true},
        {"*.sh", "run.shx", false},
        {"p?stgres", "postgres", true},
        {"?", "", false},
        {"w[0-9]", "w7", true},
        {"w[0-9]", "wx", false},
        {"w[!0-9]", "wx", true},
        {"w[^0-9]", "w7", false},
        {"[]]", "]", true},
        {"[]", "[]", true},
        {"[a", "[a", true},
        {"[a", "a", false},
        {"[a-]", "-", true},
        {"[a-", "[a-", true},
        {"[abc]x", "bx", true},
        {"a*b*c", "aXbYc", true},
        {"a*b*c", "aXbY", false},
        {"*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
        {"\\*", "\\anything", true}, /* no escapes */
        {"\xc3?", "\xc3\xa4", true},
        {"[\x80-\xff]", "\xa4", true},
        {"runc:[[]2:INIT]", "runc:[2:INIT]", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (victim_glob(rows[i].pattern, str_of(rows[i].text)) != rows[i].yes)
            fail_msg("'%s' of '%s' is not %d", rows[i].pattern, rows[i].text, rows[i].yes);
}

static void the_largest_by_anon_swap_and_shmem_is_chosen(void **state) {
    struct policy p = policy_with(NULL, NULL);
    struct candidate c[] = {process(10, "a", 30 * MIB), process(11, "b", 10 * MIB),
                            process(12, "c", 10 * MIB)};

    (void)state;
    assert_int_equal(chosen(c, 3, &p), 10);
    why_has(c, 3, &p, "largest: 30.0M of 3 processes");
    why_has(c, 1, &p, "of 1 process");
    c[1].swap = 25 * MIB;
    assert_int_equal(chosen(c, 3, &p), 11);
    c[2].shmem = 40 * MIB;
    assert_int_equal(chosen(c, 3, &p), 12);
    c[0].anon = UINT64_MAX; /* nonsense does not wrap round to little */
    c[0].swap = UINT64_MAX;
    assert_int_equal(chosen(c, 3, &p), 10);
}

static void of_equals_the_youngest_is_chosen_in_any_order(void **state) {
    struct policy p = policy_with(NULL, NULL);
    struct candidate c[] = {process(10, "a", MIB), process(11, "a", MIB), process(12, "a", MIB)};
    struct candidate back[3];

    (void)state;
    c[0].start_ticks = 5000;
    for (int i = 0; i < 3; i++)
        back[i] = c[2 - i];
    assert_int_equal(chosen(c, 3, &p), 10);
    assert_int_equal(chosen(back, 3, &p), 10);
    c[0].start_ticks = c[1].start_ticks = c[2].start_ticks;
    assert_int_equal(chosen(c, 3, &p), 12);
}

static void what_must_not_die_is_never_chosen(void **state) {
    struct policy p = policy_with("post*", NULL);
    struct candidate c[2] = {process(10, "big", 300 * MIB), process(11, "small", 100 * MIB)};
    const struct candidate plain = c[0];

    (void)state;
    assert_false(victim_is_protected(&c[0], &p));
    c[0].ours = true;
    assert_int_equal(chosen(c, 2, &p), 11);
    why_has(c, 1, &p, "one of ours");
    c[0] = plain;
    c[0].machine_init = true;
    assert_int_equal(chosen(c, 2, &p), 11);
    why_has(c, 1, &p, "the machine's pid 1");
    c[0] = plain;
    c[0].pid = 1;
    assert_int_equal(chosen(c, 2, &p), 11);
    why_has(c, 1, &p, "the machine's pid 1");
    c[0].pid = 0;
    assert_int_equal(chosen(c, 1, &p), 0);
    c[0].pid = -4;
    assert_int_equal(chosen(c, 1, &p), 0);
    c[0] = plain;
    c[0].kernel = true;
    assert_int_equal(chosen(c, 2, &p), 11);
    why_has(c, 1, &p, "a kernel thread");
    c[0] = plain;
    c[0].oom_score_adj = -1000;
    assert_int_equal(chosen(c, 2, &p), 11);
    why_has(c, 1, &p, "exempt by oom_score_adj -1000");
    c[0].oom_score_adj = -999;
    assert_int_equal(chosen(c, 2, &p), 10);
}

static void rules_go_by_either_name_of_a_process(void **state) {
    struct policy p = policy_with("post*", "worker");
    struct candidate c[3] = {process(10, "postgres", 300 * MIB), process(11, "b", 100 * MIB),
                             process(12, "c", 50 * MIB)};

    (void)state;
    assert_int_equal(chosen(c, 3, &p), 11);
    why_has(c, 3, &p, "largest that may be ended: 100M of 3");
    why_has(c, 1, &p, "protected by a rule");
    (void)strcpy(c[0].comm, "long-name-cut-o");
    assert_true(victim_is_protected(&c[0], &p)); /* by its program */
    c[0].program[0] = '\0';
    assert_int_equal(chosen(c, 3, &p), 10);
    (void)strcpy(c[2].program, "worker");
    assert_int_equal(chosen(c, 3, &p), 12);
    why_has(c, 3, &p, "preferred by a rule");
    assert_int_equal(policy_add_text(p.protect, STR("worker"), NULL), 0);
    assert_int_equal(chosen(c, 3, &p), 10); /* protect goes before prefer */
    assert_int_equal(policy_add_text(p.protect, STR("*"), NULL), 0);
    assert_int_equal(chosen(c, 3, &p), 0);
}

static void an_empty_name_is_not_what_a_star_was_meant_for(void **state) {
    struct policy p = policy_with("?*", NULL);
    struct candidate c = process(10, "", 300 * MIB);

    (void)state;
    assert_int_equal(chosen(&c, 1, &p), 10);
}

static void a_containers_init_dies_only_when_it_is_to_blame(void **state) {
    struct policy p = policy_with(NULL, NULL);
    struct candidate c[3] = {process(10, "init", 100 * MIB), process(11, "b", 60 * MIB),
                             process(12, "c", 30 * MIB)};

    (void)state;
    c[0].init = true;
    assert_int_equal(chosen(c, 3, &p), 11); /* the largest, but not by far */
    c[1].anon = 50 * MIB;                   /* twice the next and no more */
    assert_int_equal(chosen(c, 3, &p), 11);
    c[1].anon = 49 * MIB;
    assert_int_equal(chosen(c, 3, &p), 10);
    c[0].anon = 79 * MIB; /* half of all and no more */
    c[1].anon = 39 * MIB;
    c[2].anon = 40 * MIB;
    assert_int_equal(chosen(c, 3, &p), 12);
    assert_int_equal(chosen(c, 1, &p), 10); /* alone */
    p.kill_init = true;
    assert_int_equal(chosen(c, 3, &p), 10);
    p.kill_init = false;
    p = policy_with("?", NULL); /* the others may not be */
    assert_int_equal(chosen(c, 3, &p), 0);
    why_has(c, 3, &p, "the largest, 10 (init, 79.0M), is pid 1 of its container");
    p = policy_with("init", NULL);
    p.kill_init = true;
    assert_int_equal(chosen(c, 1, &p), 0); /* protected all the same */
    p = policy_with(NULL, "init");         /* a wish is no permission */
    assert_int_equal(chosen(c, 3, &p), 12);
}

static void a_stuck_exec_goes_first(void **state) {
    struct policy p = policy_with(NULL, "big");
    struct candidate c[3] = {process(10, "big", 300 * MIB), process(11, "runc:[2:INIT]", MIB),
                             process(12, "runc:[2:INIT]", 2 * MIB)};

    (void)state;
    assert_int_equal(chosen(c, 3, &p), 10);
    c[1].stuck_exec = c[2].stuck_exec = true;
    assert_int_equal(chosen(c, 3, &p), 12);
    why_has(c, 3, &p, "exec that is stuck");
    c[2].ours = true;
    assert_int_equal(chosen(c, 3, &p), 11);
    c[1].oom_score_adj = -1000;
    assert_int_equal(chosen(c, 3, &p), 10);
}

static void nobody_dies_for_nothing(void **state) {
    struct policy p = policy_with("db", NULL);
    struct candidate c[2] = {process(10, "db", 320 * MIB), process(11, "sh", 20 * MIB)};

    (void)state;
    assert_int_equal(chosen(c, 2, &p), 11);
    c[1].anon = 20 * MIB - 1;
    assert_int_equal(chosen(c, 2, &p), 0); /* less than a sixteenth of who holds the memory */
    why_has(c, 2, &p, "the largest, 10 (db, 320M), is protected by a rule");
    assert_int_equal(chosen(c, 0, &p), 0);
    why_has(c, 0, &p, "no process can be seen in it");
}

static void a_choice_is_never_one_that_is_protected(void **state) {
    uint64_t seed = 88172645463325252u;
    struct policy p = policy_with("n1", "n2");

    (void)state;
    for (int round = 0; round < 20000; round++) {
        struct candidate c[6];
        struct verdict_victim v;
        size_t n;

        for (size_t i = 0; i < 6; i++) {
            seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
            c[i] = process((int32_t)(seed % 7), "n0", (seed >> 8) % 64 * MIB);
            c[i].comm[1] = (char)('0' + seed % 5);
            c[i].init = (seed >> 16 & 7) == 0;
            c[i].ours = (seed >> 19 & 7) == 0;
            c[i].kernel = (seed >> 22 & 15) == 0;
            c[i].stuck_exec = (seed >> 26 & 15) == 0;
            c[i].oom_score_adj = (seed >> 30 & 7) == 0 ? -1000 : 0;
        }
        n = (size_t)(seed >> 40) % 7;
        p.kill_init = seed >> 50 & 1;
        victim_choose(c, n, &p, &v);
        if (!v.any)
            continue;
        assert_true(v.at < n);
        assert_false(victim_is_protected(&c[v.at], &p));
        assert_true(c[v.at].pid > 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(globs_are_those_of_shells),
        cmocka_unit_test(the_largest_by_anon_swap_and_shmem_is_chosen),
        cmocka_unit_test(of_equals_the_youngest_is_chosen_in_any_order),
        cmocka_unit_test(what_must_not_die_is_never_chosen),
        cmocka_unit_test(rules_go_by_either_name_of_a_process),
        cmocka_unit_test(an_empty_name_is_not_what_a_star_was_meant_for),
        cmocka_unit_test(a_containers_init_dies_only_when_it_is_to_blame),
        cmocka_unit_test(a_stuck_exec_goes_first),
        cmocka_unit_test(nobody_dies_for_nothing),
        cmocka_unit_test(a_choice_is_never_one_that_is_protected),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
