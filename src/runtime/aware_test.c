#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/aware.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

static const struct aware_ask in_1g = {.limit = GIB, .seen = GIB, .machine = 24 * GIB};

/* Arguments and variables are separated by '|'. */
static struct aware decide(enum rt_kind kind, const char *version, const char *command,
                           const char *variables, const struct aware_ask *ask) {
    struct rt_id id = {.kind = kind};
    char words[2][512];
    struct aware out;

    assert_int_equal(str_copy(str_of(version), id.version, sizeof(id.version)), 0);
    assert_int_equal(str_copy(str_of(command), words[0], sizeof(words[0])), 0);
    assert_int_equal(str_copy(str_of(variables), words[1], sizeof(words[1])), 0);
    for (int i = 0; i < 2; i++)
        for (char *p = words[i]; (p = strchr(p, '|'));)
            *p++ = '\0';
    aware_decide(&id, (struct str){words[0], strlen(command)},
                 (struct str){words[1], strlen(variables)}, ask, &out);
    return out;
}

static struct aware java(const char *version, const char *command, const char *variables,
                         const struct aware_ask *ask) {
    return decide(RT_JVM, version, command, variables, ask);
}

static void bound_is(struct aware a, uint64_t bound, enum aware_word word) {
    if (!a.have_bound || a.bound != bound || a.word != word)
        fail_msg("bound %llu MiB, %s (%s), not %llu MiB", (unsigned long long)(a.bound / MIB),
                 aware_word_name(a.word), a.says, (unsigned long long)(bound / MIB));
}

static void java_8u121_takes_a_quarter_of_the_machine(void **state) {
    struct aware a = java("8u121", "java|-jar|app.jar", "", &in_1g);

    (void)state;
    bound_is(a, 6 * GIB, AWARE_TOO_BIG);
    assert_non_null(strstr(a.says, "java 8u121 would take 6.00G of heap in a 1.00G container"));
    assert_string_equal(a.mend, "-Xmx768m");
    assert_string_equal(a.bound_from, "1/4 of the machine's memory");
    assert_false(a.knows_cgroups);
}

static void versions_know_cgroups_from_when_they_do(void **state) {
    static const struct {
        const char *version;
        bool v1, v2;
    } known[] = {
        {"7u80", false, false},      {"8", false, false},       {"8u121", false, false},
        {"8u190", false, false},     {"8u191", true, false},    {"8u362", true, false},
        {"8u372", true, true},       {"9.0.4", false, false},   {"10.0.2", true, false},
        {"11.0.15+10", true, false}, {"11.0.16+8", true, true}, {"11.0.16.1+1", true, true},
        {"14.0.2", true, false},     {"15", true, true},        {"17.0.15+6", true, true},
        {"21", true, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        for (int v2 = 0; v2 < 2; v2++) {
            struct aware_ask ask = in_1g;
            struct aware a;

            ask.v2 = v2;
            a = java(known[i].version, "java|Main", "", &ask);
            assert_int_equal(a.knows_cgroups, v2 ? known[i].v2 : known[i].v1);
            bound_is(a, a.knows_cgroups ? GIB / 4 : 6 * GIB,
                     a.knows_cgroups ? AWARE_FITS : AWARE_TOO_BIG);
        }
}

/* As HotSpot 17.0.15 says itself with -XX:+PrintFlagsFinal in groups of these sizes (its own are
 * rounded to 2 MiB). */
static void small_limits_give_half_of_them(void **state) {
    static const uint64_t sizes[][2] = {
        {128, 64}, {256, 126}, {512, 128}, {1024, 256}, {4096, 1024}};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct aware_ask ask = {
            .limit = sizes[i][0] * MIB, .seen = sizes[i][0] * MIB, .machine = 24 * GIB};

        bound_is(java("17.0.15+6", "java|Main", "", &ask), sizes[i][1] * MIB, AWARE_FITS);
    }
}

static void flags_decide(void **state) {
    (void)state;
    bound_is(java("17", "java|-Xmx6g|Main", "", &in_1g), 6 * GIB, AWARE_TOO_BIG);
    bound_is(java("17", "java|-Xmx6g|-XX:MaxHeapSize=512m|Main", "", &in_1g), 512 * MIB,
             AWARE_FITS);
    bound_is(java("17", "java|-Xmx950M|Main", "", &in_1g), 950 * MIB, AWARE_TOO_BIG);
    bound_is(java("17", "java|-XX:MaxRAMPercentage=50.0|Main", "", &in_1g), 512 * MIB, AWARE_FITS);
    bound_is(java("17", "java|-XX:MaxRAMPercentage=100|Main", "", &in_1g), GIB, AWARE_TOO_BIG);
    bound_is(java("17", "java|-XX:MaxRAMFraction=2|Main", "", &in_1g), 512 * MIB, AWARE_FITS);
    bound_is(java("17", "java|-XX:-UseContainerSupport|Main", "", &in_1g), 6 * GIB, AWARE_TOO_BIG);
    bound_is(java("8u121", "java|-XX:MaxRAM=1g|Main", "", &in_1g), GIB / 4, AWARE_FITS);
    bound_is(java("8u131", "java|-XX:+UseCGroupMemoryLimitForHeap|Main", "", &in_1g), GIB / 4,
             AWARE_FITS);
    bound_is(java("8u121", "java|-XX:+UseCGroupMemoryLimitForHeap|Main", "", &in_1g), 6 * GIB,
             AWARE_TOO_BIG);
}

/* MaxHeapSize of -XX:+PrintFlagsFinal, of Java 17.0.15 and 25 in a group of 1 GiB. */
static void what_raises_and_lowers_the_maximum_is_known(void **state) {
    static const struct {
        const char *command;
        uint64_t mib;
    } known[] = {
        {"java|-Xms2g|Main", 2048},
        {"java|-ms300m|Main", 300},
        {"java|-XX:InitialHeapSize=600m|Main", 600},
        {"java|-XX:MinHeapSize=400m|Main", 400},
        {"java|-XX:MaxRAM=16g|Main", 4096},
        {"java|-XX:MaxRAM=200g|Main", 51200},
        {"java|-XX:+AggressiveHeap|Main", 512},
        {"java|-XX:+AggressiveHeap|-Xmx100m|Main", 100},
        {"java|-XX:DefaultMaxRAMFraction=2|Main", 512},
        {"java|-mx300m|Main", 300},
        {"java|-XX:ErgoHeapSizeLimit=100m|Main", 100},
        {"java|-XX:ErgoHeapSizeLimit=100m|-Xms300m|Main", 300},
        {"java|-XX:InitialRAMPercentage=60|Main", 256},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        bound_is(java("17", known[i].command, "", &in_1g), known[i].mib * MIB,
                 known[i].mib > 960 ? AWARE_TOO_BIG : AWARE_FITS);
    assert_int_equal(
        java("17", "java|-XX:MaxRAM=16g|-XX:MaxRAMPercentage=70|Main", "", &in_1g).bound / MIB,
        11468);
}

static void the_jvms_own_word_counts(void **state) {
    struct aware_ask ask = in_1g;
    struct aware a;

    (void)state;
    ask.heap_max = 2 * GIB;
    a = java("17", "java|Main", "", &ask);
    bound_is(a, 2 * GIB, AWARE_TOO_BIG);
    assert_string_equal(a.bound_from, "its own counters");
    ask.heap_max = 502 * MIB;
    a = java("17", "java|-Xmx501m|Main", "", &ask);
    bound_is(a, 502 * MIB, AWARE_FITS);
    assert_string_equal(a.bound_from, "its own counters, of -Xmx501m");
    bound_is(java("", "java|@options.txt|Main", "", &ask), 502 * MIB, AWARE_FITS);
}

static void what_follows_the_main_class_is_not_the_jvms(void **state) {
    (void)state;
    bound_is(java("17", "java|-cp|-Xmx9g|Main|-Xmx6g", "", &in_1g), GIB / 4, AWARE_FITS);
    bound_is(java("17", "java|-jar|x.jar|-Xmx6g", "", &in_1g), GIB / 4, AWARE_FITS);
}

static void variables_come_in_the_jvms_order(void **state) {
    (void)state;
    bound_is(java("17", "java|-Xmx300m|Main", "JAVA_TOOL_OPTIONS=-Xmx200m", &in_1g), 300 * MIB,
             AWARE_FITS);
    bound_is(java("17", "java|-Xmx300m|Main", "A=b|_JAVA_OPTIONS=-Xss1m \"-Xmx200m\"", &in_1g),
             200 * MIB, AWARE_FITS);
    bound_is(java("17", "java|Main", "JDK_JAVA_OPTIONS=-Xmx200m", &in_1g), 200 * MIB, AWARE_FITS);
    bound_is(java("8u391", "java|Main", "JDK_JAVA_OPTIONS=-Xmx200m", &in_1g), GIB / 4, AWARE_FITS);
}

static void what_cannot_be_told_is_said(void **state) {
    struct aware a = java("17", "java|@options.txt|Main", "", &in_1g);

    (void)state;
    assert_int_equal(a.word, AWARE_UNKNOWN);
    assert_non_null(strstr(a.says, "@options.txt"));
    a = java("", "java|Main", "", &in_1g);
    assert_int_equal(a.word, AWARE_UNKNOWN);
    assert_false(a.have_bound);
    a = decide(RT_OPENJ9, "11.0.12", "java|Main", "", &in_1g);
    assert_int_equal(a.word, AWARE_UNKNOWN);
    bound_is(decide(RT_OPENJ9, "11.0.12", "java|-Xmx2g|Main", "", &in_1g), 2 * GIB, AWARE_TOO_BIG);
}

static void without_a_limit_only_the_machine_is_too_small(void **state) {
    struct aware_ask none = {.machine = 24 * GIB};

    (void)state;
    bound_is(java("17", "java|Main", "", &none), 6 * GIB, AWARE_NO_LIMIT);
    bound_is(java("17", "java|-Xmx64g|Main", "", &none), 64 * GIB, AWARE_TOO_BIG);
    none.soft_limit = INT64_MAX;
    assert_int_equal(decide(RT_GO, "1.19.8", "prog", "", &none).word, AWARE_NO_LIMIT);
}

/* v2 shows a process its own group's limit, not one of a group around it. */
static void a_limit_around_it_is_not_seen_on_v2(void **state) {
    struct aware_ask ask = {.limit = GIB, .seen = 0, .machine = 24 * GIB, .v2 = true};

    (void)state;
    bound_is(java("17", "java|Main", "", &ask), 6 * GIB, AWARE_TOO_BIG);
}

static void go_knows_its_variable_alone(void **state) {
    struct aware_ask ask = in_1g;
    struct aware a;

    (void)state;
    ask.soft_limit = INT64_MAX; /* read: none is set */
    a = decide(RT_GO, "1.19.8", "prog", "", &ask);
    assert_int_equal(a.word, AWARE_UNBOUND);
    assert_string_equal(a.mend, "GOMEMLIMIT=921MiB");
    ask.soft_limit = 0;
    bound_is(decide(RT_GO, "1.19.8", "prog", "GOMEMLIMIT=900MiB", &ask), 900 * MIB, AWARE_FITS);
    bound_is(decide(RT_GO, "1.22.1", "prog", "GOMEMLIMIT=2GiB", &ask), 2 * GIB, AWARE_TOO_BIG);
    bound_is(decide(RT_GO, "1.22.1", "prog", "GOMEMLIMIT=104857600", &ask), 100 * MIB, AWARE_FITS);
    ask.soft_limit = INT64_MAX;
    assert_int_equal(decide(RT_GO, "1.22.1", "prog", "GOMEMLIMIT=off", &ask).word, AWARE_UNBOUND);
    assert_int_equal(decide(RT_GO, "1.22.1", "prog", "GOMEMLIMIT=1GB", &ask).word, AWARE_UNBOUND);
    a = decide(RT_GO, "1.18.1", "prog", "GOMEMLIMIT=900MiB", &in_1g);
    assert_int_equal(a.word, AWARE_UNBOUND);
    assert_non_null(strstr(a.mend, "1.19"));
}

static void a_soft_limit_is_no_bound_but_what_go_tries(void **state) {
    struct aware_ask ask = in_1g;
    struct aware a;

    (void)state;
    ask.soft_limit = 20;
    ask.anon = 160 * MIB;
    a = decide(RT_GO, "1.22.1", "prog", "GOMEMLIMIT=20", &ask);
    bound_is(a, 20, AWARE_TOO_SMALL);
    assert_non_null(strstr(a.says, "its unit was forgotten?"));
    assert_true(aware_is_bad(a.word));
    ask.soft_limit = 20 * MIB;
    a = decide(RT_GO, "1.22.1", "prog", "GOMEMLIMIT=20MiB", &ask);
    bound_is(a, 20 * MIB, AWARE_TOO_SMALL);
    assert_non_null(strstr(a.says, "tries to stay within 20.0M, a soft limit, and has 160M"));
    assert_string_equal(a.mend, "GOMEMLIMIT=921MiB");
    ask.anon = 10 * MIB;
    a = decide(RT_GO, "1.22.1", "prog", "GOMEMLIMIT=20MiB", &ask);
    bound_is(a, 20 * MIB, AWARE_FITS);
    assert_null(strstr(a.says, "at most"));
    assert_null(strstr(a.says, "could not be read"));
}

static void what_go_has_set_itself_and_cannot_be_read_is_unknown(void **state) {
    struct aware a = decide(RT_GO, "1.22.1", "prog", "", &in_1g);

    (void)state;
    assert_int_equal(a.word, AWARE_UNKNOWN);
    assert_false(a.have_bound);
    assert_null(strstr(a.says, "no bound of its own"));
    assert_non_null(strstr(a.says, "could not be read"));
    a = decide(RT_GO, "1.22.1", "prog", "GOMEMLIMIT=900MiB", &in_1g);
    bound_is(a, 900 * MIB, AWARE_FITS);
    assert_non_null(strstr(a.says, "GOMEMLIMIT says so, and whether the program has changed it"));
}

static void a_go_program_may_set_its_limit_itself(void **state) {
    struct aware_ask set = in_1g;
    struct aware a;

    (void)state;
    set.soft_limit = 2 * GIB;
    bound_is(decide(RT_GO, "1.19.8", "prog", "", &set), 2 * GIB, AWARE_TOO_BIG);
    bound_is(decide(RT_GO, "1.19.8", "prog", "GOMEMLIMIT=9MiB", &set), 2 * GIB, AWARE_TOO_BIG);
    set.soft_limit = INT64_MAX;
    assert_int_equal(decide(RT_GO, "1.19.8", "prog", "", &set).word, AWARE_UNBOUND);
    set.soft_limit = 900 * MIB;
    a = decide(RT_GO, "1.19.8", "prog", "GOMEMLIMIT=900MiB", &set);
    assert_string_equal(a.bound_from, "GOMEMLIMIT=900MiB");
    bound_is(a, 900 * MIB, AWARE_FITS);
}

/* v8.getHeapStatistics().heap_size_limit of Node 20.20.2 in groups of these sizes. */
static void node_20_agrees_with_node_20(void **state) {
    static const uint64_t sizes[][2] = {{128, 259}, {256, 259},  {512, 259},
                                        {600, 312}, {1024, 524}, {4096, 2096}};
    struct aware_ask none = {.machine = 24105 * MIB};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct aware_ask ask = {
            .limit = sizes[i][0] * MIB, .seen = sizes[i][0] * MIB, .machine = 24105 * MIB};

        bound_is(decide(RT_NODE, "20.20.2", "node|app.js", "", &ask), sizes[i][1] * MIB,
                 sizes[i][0] < 300 ? AWARE_TOO_BIG : AWARE_FITS);
    }
    bound_is(decide(RT_NODE, "20.20.2", "node|app.js", "", &none), 4144 * MIB, AWARE_NO_LIMIT);
}

static void node_knows_cgroups_from_when_it_does(void **state) {
    struct aware_ask v2 = in_1g;

    (void)state;
    v2.v2 = true;
    assert_false(decide(RT_NODE, "18.20.4", "node", "", &v2).knows_cgroups);
    assert_false(decide(RT_NODE, "20.2.0", "node", "", &v2).knows_cgroups);
    assert_true(decide(RT_NODE, "20.3.0", "node", "", &v2).knows_cgroups);
    assert_true(decide(RT_NODE, "18.20.4", "node", "", &in_1g).knows_cgroups);
    assert_false(decide(RT_NODE, "10.24.1", "node", "", &in_1g).knows_cgroups);
    bound_is(decide(RT_NODE, "18.20.4", "node|app.js", "", &v2), 4144 * MIB, AWARE_TOO_BIG);
}

static void node_flags_decide(void **state) {
    struct aware_ask none = {.machine = 24 * GIB};

    (void)state;
    bound_is(decide(RT_NODE, "20.1.0", "node|--max-old-space-size=600|app.js", "", &in_1g),
             612 * MIB, AWARE_FITS);
    bound_is(decide(RT_NODE, "20.1.0", "node|--max_old_space_size|600|app.js", "", &in_1g),
             612 * MIB, AWARE_FITS);
    bound_is(decide(RT_NODE, "20.1.0", "node|app.js|--max-old-space-size=600", "", &in_1g),
             524 * MIB, AWARE_FITS);
    bound_is(decide(RT_NODE, "20.1.0", "node|-r|x|--max-old-space-size=600|app.js",
                    "NODE_OPTIONS=--max-old-space-size=4096", &in_1g),
             612 * MIB, AWARE_FITS);
    bound_is(decide(RT_NODE, "20.1.0", "node|app.js",
                    "NODE_OPTIONS=--no-warnings --max-old-space-size=4096", &in_1g),
             4108 * MIB, AWARE_TOO_BIG);
    /* as Node 20.20.2 says itself on a machine of 24 GB */
    bound_is(decide(RT_NODE, "20.20.2", "node|--max-old-space-size=300|--max-semi-space-size=5", "",
                    &none),
             324 * MIB, AWARE_NO_LIMIT);
    bound_is(decide(RT_NODE, "20.20.2", "node|--max-old-space-size=300", "", &none), 348 * MIB,
             AWARE_NO_LIMIT);
    bound_is(decide(RT_NODE, "20.20.2", "node|--max-heap-size=500", "", &none), 500 * MIB,
             AWARE_NO_LIMIT);
    bound_is(decide(RT_NODE, "20.20.2", "node|--title|x|--max-old-space-size=111", "", &in_1g),
             123 * MIB, AWARE_FITS);
    bound_is(decide(RT_NODE, "20.20.2", "node|--env-file|F|--max-old-space-size=112", "", &in_1g),
             124 * MIB, AWARE_FITS);
}

static void a_title_over_the_command_line_hides_options(void **state) {
    static const char *const titles[] = {"x|||||||", "next-server (v14.1)"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct aware a = decide(RT_NODE, "20.20.2", titles[i], "", &in_1g);

        assert_int_equal(a.word, AWARE_UNKNOWN);
        assert_false(a.have_bound);
        assert_non_null(strstr(a.says, "524M by V8's default for the container's limit, unless"));
    }
    bound_is(decide(RT_NODE, "20.20.2", "node|", "", &in_1g), 524 * MIB, AWARE_FITS);
}

/* heap_size_limit of Node 20.20.2 */
static void node_with_both_sizes_takes_more_than_either(void **state) {
    static const unsigned sizes[][3] = {{300, 50, 434},    {300, 100, 484},  {300, 200, 392},
                                        {300, 300, 303},   {300, 400, 403},  {300, 600, 603},
                                        {1000, 100, 1636}, {1000, 500, 1268}};
    char command[128];

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        (void)snprintf(command, sizeof(command),
                       "node|--max-heap-size=%u|--max-old-space-size=%u|x.js", sizes[i][0],
                       sizes[i][1]);
        bound_is(decide(RT_NODE, "20.20.2", command, "", &in_1g), sizes[i][2] * MIB,
                 sizes[i][2] > 1024 ? AWARE_TOO_BIG : AWARE_FITS);
    }
}

static void the_rest_has_no_bound(void **state) {
    struct aware_ask many = in_1g;
    struct rt_id id = {.kind = RT_NATIVE, .libc = RT_LIBC_GLIBC};
    struct aware a;

    (void)state;
    assert_int_equal(decide(RT_PYTHON, "3.11.2", "python3", "", &in_1g).word, AWARE_UNBOUND);
    assert_int_equal(decide(RT_STATIC, "", "x", "", &in_1g).word, AWARE_UNBOUND);
    assert_int_equal(decide(RT_UNKNOWN, "", "x", "", &in_1g).word, AWARE_UNKNOWN);
    many.threads = 200;
    many.cpus = 16;
    aware_decide(&id, STR("x"), STR(""), &many, &a);
    assert_string_equal(a.mend, "MALLOC_ARENA_MAX=2");
    assert_non_null(strstr(a.says, "128 arenas"));
    aware_decide(&id, STR("x"), STR("MALLOC_ARENA_MAX=4"), &many, &a);
    assert_string_equal(a.mend, "");
}

static void versions_are_read(void **state) {
    (void)state;
    assert_int_equal(aware_version(STR("17.0.15+6"), 0), 17);
    assert_int_equal(aware_version(STR("17.0.15+6"), 2), 15);
    assert_int_equal(aware_version(STR("17.0.15+6"), 3), 6);
    assert_int_equal(aware_version(STR("17.0.15+6"), 4), -1);
    assert_int_equal(aware_version(STR("8u121"), 1), 121);
    assert_int_equal(aware_version(STR("1.20rc1"), 1), 20);
    assert_int_equal(aware_version(STR(""), 0), -1);
    assert_int_equal(aware_version(STR("99999999999999999999"), 0), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(java_8u121_takes_a_quarter_of_the_machine),
        cmocka_unit_test(versions_know_cgroups_from_when_they_do),
        cmocka_unit_test(small_limits_give_half_of_them),
        cmocka_unit_test(flags_decide),
        cmocka_unit_test(what_raises_and_lowers_the_maximum_is_known),
        cmocka_unit_test(the_jvms_own_word_counts),
        cmocka_unit_test(what_follows_the_main_class_is_not_the_jvms),
        cmocka_unit_test(variables_come_in_the_jvms_order),
        cmocka_unit_test(what_cannot_be_told_is_said),
        cmocka_unit_test(without_a_limit_only_the_machine_is_too_small),
        cmocka_unit_test(a_limit_around_it_is_not_seen_on_v2),
        cmocka_unit_test(go_knows_its_variable_alone),
        cmocka_unit_test(a_soft_limit_is_no_bound_but_what_go_tries),
        cmocka_unit_test(what_go_has_set_itself_and_cannot_be_read_is_unknown),
        cmocka_unit_test(a_go_program_may_set_its_limit_itself),
        cmocka_unit_test(node_20_agrees_with_node_20),
        cmocka_unit_test(node_knows_cgroups_from_when_it_does),
        cmocka_unit_test(node_flags_decide),
        cmocka_unit_test(node_with_both_sizes_takes_more_than_either),
        cmocka_unit_test(a_title_over_the_command_line_hides_options),
        cmocka_unit_test(the_rest_has_no_bound),
        cmocka_unit_test(versions_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
