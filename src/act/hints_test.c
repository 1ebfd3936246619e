#include "act/hints.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/basetest.h"
#include "kern/cgtest.h"

static const uint64_t mib = 1 << 20;

static const struct hint *hint_of(const struct hints *h, const char *name) {
    for (size_t i = 0; i < h->n; i++)
        if (strcmp(h->hint[i].name, name) == 0)
            return &h->hint[i];
    return NULL;
}

static void is_hinted(const struct hints *h, const char *name, const char *value, bool kept) {
    const struct hint *hint = hint_of(h, name);

    if (!hint)
        fail_msg("%s is not hinted", name);
    assert_string_equal(hint->value, value);
    assert_int_equal(hint->kept, kept);
    assert_true(hint->why && *hint->why);
}

/* A program of this name that no PATH leads to: only what needs no JVM is hinted. */
static struct hints hints_for(uint64_t cap, enum cg_version version, char *const *env,
                              const char *program) {
    char name[300];
    char *argv[] = {name, NULL};
    struct hints_input in = {cap, version, env, argv};
    struct hints found = {.n = 99};

    snprintf(name, sizeof(name), "%s", program);
    assert_int_equal(hints_find(&in, &found), 0);
    return found;
}

static char *const bare[] = {(char[]){"PATH=/nowhere"}, NULL};

/* --- sizes --- */

static void go_gets_nine_tenths_in_bytes(void **state) {
    static const struct {
        uint64_t cap;
        const char *value;
    } rows[] = {
        {268435456, "241591910"},
        {62914560, "56623104"},
        {1, "0"},
        {9, "8"},
        {10, "9"},
        {1099511627776, "989560464998"},
        {INT64_MAX, "8301034833169298226"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        struct hints h = hints_for(rows[i].cap, CG_V2, bare, "./app");

        is_hinted(&h, "GOMEMLIMIT", rows[i].value, false);
        hints_done(&h);
    }
}

static void node_keeps_below_the_cap(void **state) {
    static const struct {
        uint64_t cap_mib;
        const char *value;
    } rows[] = {
        {1, "16"}, {60, "16"}, {81, "17"}, {128, "64"}, {256, "192"}, {512, "384"}, {4096, "3072"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        struct hints h = hints_for(rows[i].cap_mib * mib, CG_V1, bare, "./app");
        char wanted[64];

        snprintf(wanted, sizeof(wanted), "--max-old-space-size=%s", rows[i].value);
        is_hinted(&h, "NODE_OPTIONS", wanted, false);
        hints_done(&h);
    }
}

static void without_a_cap_nothing_is_hinted(void **state) {
    struct hints h = hints_for(0, CG_V1, bare, "./app");

    (void)state;
    assert_int_equal(h.n, 0);
}

static void what_is_set_is_kept(void **state) {
    char *const env[] = {(char[]){"GOMEMLIMIT=off"}, (char[]){"NODE_OPTIONS="},
                         (char[]){"XGOMEMLIMIT=1"}, (char[]){"PATH=/nowhere"}, NULL};
    struct hints h = hints_for(256 * mib, CG_V1, env, "./app");

    (void)state;
    assert_int_equal(h.n, 3);
    is_hinted(&h, "GOMEMLIMIT", "off", true);
    is_hinted(&h, "NODE_OPTIONS", "", true);
    is_hinted(&h, "MALLOC_ARENA_MAX", "2", false);
    hints_done(&h);
}

/* --- versions of Java --- */

static void versions_are_read_in_both_spellings(void **state) {
    static const struct {
        const char *text;
        struct java_version v;
    } rows[] = {
        {"1.8.0_121", {8, 0, 121}},
        {"1.8.0", {8, 0, 0}},
        {"1.8.0_372-b07", {8, 0, 372}},
        {"1.7.0_80", {7, 0, 80}},
        {"1.8.0_292-ea", {8, 0, 292}},
        {"9", {9, 0, 0}},
        {"9.0.4", {9, 0, 4}},
        {"10.0.2", {10, 0, 2}},
        {"11.0.15", {11, 0, 15}},
        {"11.0.16.1", {11, 0, 16}},
        {"17", {17, 0, 0}},
        {"17.0.8.1", {17, 0, 8}},
        {"14-ea", {14, 0, 0}},
        {"17.0.15+6-Debian-1deb12u1", {17, 0, 15}},
        {"25.0.3+9-LTS", {25, 0, 3}},
        {"1.8", {8, 0, 0}},
    };
    static const char *const bad[] = {
        "",        "0",
        "x",       "-17",
        "+17",     "17.",
        "17..1",   "17.0.x",
        "1.",      "1.x",
        "1.8.0_",  "17 ",
        " 17",     "12345",
        "17\"",    "17-$(x)",
        "1.8.0 ",  "99999999999999999999",
        "17.0.0.", "17.0_1",
        "17-\x80", "17-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    };
    struct java_version v;

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        if (hints_parse_java(str_of(rows[i].text), &v) < 0)
            fail_msg("'%s' is refused", rows[i].text);
        assert_memory_equal(&v, &rows[i].v, sizeof(v));
    }
    for (size_t i = 0; i < ARRAY_N(bad); i++) {
        struct java_version before = {77, 7, 7};

        v = before;
        if (hints_parse_java(str_of(bad[i]), &v) != -EBADMSG)
            fail_msg("'%s' is taken", bad[i]);
        assert_memory_equal(&v, &before, sizeof(v));
    }
}

static void each_jvm_sees_what_its_release_notes_say(void **state) {
    static const struct {
        const char *version;
        bool v1, v2;
    } rows[] = {
        {"1.7.0_80", false, false}, {"1.8.0_121", false, false}, {"1.8.0_181", false, false},
        {"1.8.0_191", true, false}, {"1.8.0_371", true, false},  {"1.8.0_372", true, true},
        {"9.0.4", false, false},    {"10", true, false},         {"11.0.1", true, false},
        {"11.0.15", true, false},   {"11.0.15.1", true, false},  {"11.0.16", true, true},
        {"11.0.27", true, true},    {"12.0.2", true, false},     {"14.0.2", true, false},
        {"15", true, true},         {"17", true, true},          {"25.0.3", true, true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        struct java_version v;

        assert_int_equal(hints_parse_java(str_of(rows[i].version), &v), 0);
        assert_int_equal(hints_java_sees(&v, CG_V1), rows[i].v1);
        assert_int_equal(hints_java_sees(&v, CG_V2), rows[i].v2);
    }
}

static void each_jvm_is_told_in_flags_that_it_knows(void **state) {
    static const char percentages[] =
        "-XX:MaxRAM=268435456 -XX:MaxRAMPercentage=70.0 -XX:MinRAMPercentage=70.0";
    static const struct {
        struct java_release java;
        uint64_t cap;
        const char *text;
    } rows[] = {
        {{{8, 0, 181}, false}, 268435456, "-Xmx183500k"},
        {{{9, 0, 4}, false}, 268435456, "-Xmx183500k"},
        {{{8, 0, 191}, false}, 268435456, percentages},
        {{{11, 0, 15}, false}, 268435456, percentages},
        {{{11, 0, 15}, true}, 268435456, "-Xmx183500k"},
        {{{11, 0, 15}, false},
         62914560, /* small: a quarter, as it would take itself */
         "-XX:MaxRAM=62914560 -XX:MaxRAMPercentage=25.0 -XX:MinRAMPercentage=25.0"},
        {{{11, 0, 15}, false},
         1ull << 62,
         "-XX:MaxRAM=4611686018427387904 -XX:MaxRAMPercentage=70.0 -XX:MinRAMPercentage=70.0"},
    };
    struct buf b;

    (void)state;
    buf_init(&b, 200);
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        hints_add_java(&rows[i].java, rows[i].cap, &b);
        basetest_holds(&b, rows[i].text);
    }
    buf_done(&b);
}

static void a_release_file_tells_version_and_kind(void **state) {
    static const char *const bad[] = {
        "",
        "JAVA_VERSION=17\n",
        "JAVA_VERSION=\"17\n",
        "XJAVA_VERSION=\"17\"\n",
        "JAVA_VERSION=\"17; rm\"\n",
        "IMPLEMENTOR=\"JAVA_VERSION=\\\"17\\\"\"\n",
    };
    struct java_release r;

    (void)state;
    assert_int_equal(hints_parse_release(STR("IMPLEMENTOR=\"Debian\"\n"
                                             "JAVA_RUNTIME_VERSION=\"17.0.15+6\"\n"
                                             "JAVA_VERSION=\"17.0.15\"\n"
                                             "JAVA_VERSION_DATE=\"2025-04-15\"\n"),
                                         &r),
                     0);
    assert_int_equal(r.version.feature, 17);
    assert_int_equal(r.version.update, 15);
    assert_false(r.openj9);
    assert_int_equal(
        hints_parse_release(STR("JVM_VARIANT=\"Openj9\"\r\nJAVA_VERSION=\"1.8.0_242\""), &r), 0);
    assert_int_equal(r.version.update, 242);
    assert_true(r.openj9);
    for (size_t i = 0; i < ARRAY_N(bad); i++)
        assert_int_equal(hints_parse_release(str_of(bad[i]), &r), -EBADMSG);
}

/* --- finding the JVM --- */

static void make_program(const struct cgtest *t, const char *path, mode_t mode) {
    char full[300];

    cgtest_write(t, path, "#!/bin/sh\nexit 99\n");
    cgtest_full(t, path, full, sizeof(full));
    assert_int_equal(chmod(full, mode), 0);
}

/* "PATH=TOP/x", in place. */
static char *variable(const struct cgtest *t, const char *name, const char *below, char *out,
                      size_t size) {
    snprintf(out, size, "%s=%s%s", name, t->top, below);
    return out;
}

static void the_jvm_that_will_run_is_asked(void **state) {
    char a[200], b[200], full[300], link[300];
    struct cgtest t;
    struct hints h;
    char *env[3] = {0};

    (void)state;
    cgtest_init(&t);
    make_program(&t, "/jdk8/bin/java", 0755);
    make_program(&t, "/jdk8/jre/bin/java", 0755);
    cgtest_write(&t, "/jdk8/release", "JAVA_VERSION=\"1.8.0_121\"\n");
    make_program(&t, "/jdk17/bin/java", 0755);
    cgtest_write(&t, "/jdk17/release", "JAVA_VERSION=\"17.0.1\"\n");
    make_program(&t, "/jdk11/bin/java", 0755);
    cgtest_write(&t, "/jdk11/release", "JAVA_VERSION=\"11.0.2\"\n");
    make_program(&t, "/other/app", 0755);
    cgtest_folders(&t, "/links/");
    cgtest_full(&t, "/jdk8/jre/bin/java", full, sizeof(full));
    cgtest_full(&t, "/links/java", link, sizeof(link));
    assert_int_equal(symlink(full, link), 0);

    /* by argv[0] and PATH, through a link, from jre/bin */
    env[0] = variable(&t, "PATH", "/links", a, sizeof(a));
    h = hints_for(256 * mib, CG_V1, env, "java");
    is_hinted(&h, "JAVA_TOOL_OPTIONS", "-Xmx183500k", false);
    hints_done(&h);
    /* by its path; that JVM sees v1, not v2 */
    cgtest_full(&t, "/jdk11/bin/java", full, sizeof(full));
    h = hints_for(256 * mib, CG_V1, env, full);
    assert_null(hint_of(&h, "JAVA_TOOL_OPTIONS"));
    hints_done(&h);
    h = hints_for(256 * mib, CG_V2, env, full);
    is_hinted(&h, "JAVA_TOOL_OPTIONS",
              "-XX:MaxRAM=268435456 -XX:MaxRAMPercentage=70.0 -XX:MinRAMPercentage=70.0", false);
    hints_done(&h);
    /* a script: JAVA_HOME goes before PATH, and of a JDK 8 it may be the jre folder */
    cgtest_full(&t, "/other/app", full, sizeof(full));
    env[1] = variable(&t, "JAVA_HOME", "/jdk17", b, sizeof(b));
    h = hints_for(256 * mib, CG_V2, env, full);
    assert_null(hint_of(&h, "JAVA_TOOL_OPTIONS"));
    hints_done(&h);
    env[1] = variable(&t, "JAVA_HOME", "/jdk8/jre", b, sizeof(b));
    h = hints_for(256 * mib, CG_V2, env, full);
    is_hinted(&h, "JAVA_TOOL_OPTIONS", "-Xmx183500k", false);
    hints_done(&h);
    /* JAVA_HOME leads nowhere: the java in PATH */
    env[1] = variable(&t, "JAVA_HOME", "/gone", b, sizeof(b));
    h = hints_for(256 * mib, CG_V2, env, full);
    is_hinted(&h, "JAVA_TOOL_OPTIONS", "-Xmx183500k", false);
    hints_done(&h);
    /* set already */
    snprintf(b, sizeof(b), "JAVA_TOOL_OPTIONS=-Xmx9m");
    env[1] = b;
    h = hints_for(256 * mib, CG_V2, env, full);
    is_hinted(&h, "JAVA_TOOL_OPTIONS", "-Xmx9m", true);
    hints_done(&h);
    cgtest_done(&t);
}

static void what_is_no_jvm_hints_nothing(void **state) {
    char a[300], b[200], full[300];
    char *env[3] = {0};
    struct cgtest t;
    struct hints h;

    (void)state;
    cgtest_init(&t);
    make_program(&t, "/bin1/java", 0644); /* not executable */
    cgtest_folders(&t, "/bin2/java/");    /* a folder */
    make_program(&t, "/jdk/bin/java", 0755);
    cgtest_folders(&t, "/jdk/release/"); /* no file */
    make_program(&t, "/fifo/bin/java", 0755);
    cgtest_full(&t, "/fifo/release", full, sizeof(full));
    assert_int_equal(mkfifo(full, 0644), 0); /* never waited for */
    snprintf(a, sizeof(a), "PATH=%s/bin1:%s/bin2::%s/jdk/bin:", t.top, t.top, t.top);
    env[0] = a;
    env[1] = variable(&t, "JAVA_HOME", "/fifo", b, sizeof(b));
    alarm(20);
    h = hints_for(256 * mib, CG_V2, env, "java");
    alarm(0);
    assert_null(hint_of(&h, "JAVA_TOOL_OPTIONS"));
    hints_done(&h);
    /* what cannot be executed is passed over, as execvp does */
    make_program(&t, "/old/bin/java", 0755);
    cgtest_write(&t, "/old/release", "JAVA_VERSION=\"1.8.0_121\"\n");
    snprintf(a, sizeof(a), "PATH=%s/bin1:%s/bin2::%s/old/bin", t.top, t.top, t.top);
    env[1] = NULL;
    h = hints_for(256 * mib, CG_V2, env, "java");
    is_hinted(&h, "JAVA_TOOL_OPTIONS", "-Xmx183500k", false);
    hints_done(&h);
    a[5] = '\0'; /* no PATH to speak of, no program */
    h = hints_for(256 * mib, CG_V2, env, "");
    assert_int_equal(h.n, 3);
    hints_done(&h);
    cgtest_done(&t);
}

/* --- the environment --- */

static void is_env(char **env, const char *const *wanted) {
    size_t i;

    for (i = 0; wanted[i]; i++) {
        assert_non_null(env[i]);
        assert_string_equal(env[i], wanted[i]);
    }
    assert_null(env[i]);
}

static void the_environment_has_each_variable_once(void **state) {
    char *const env[] = {(char[]){"A=1"},
                         (char[]){"GOMEMLIMIT=5"},
                         (char[]){"MEMORY_PRESSURE_WATCH=/old"},
                         (char[]){"no-equals-sign"},
                         (char[]){"MEMORY_PRESSURE_WATCH=/older"},
                         (char[]){"MEMORY_PRESSURE_WATCHX=2"},
                         (char[]){"MALLOC_ARENA_MAX=9"},
                         NULL};
    struct hints h = {.hint = {{.name = "GOMEMLIMIT", .value = (char[]){"5"}, .kept = true},
                               {.name = "NODE_OPTIONS", .value = (char[]){"--x=1"}},
                               {.name = "MALLOC_ARENA_MAX", .value = (char[]){"2"}}},
                      .n = 3};
    const char *pairs[] = {"MEMORY_PRESSURE_WATCH", "/new", "MALLOC_ARENA_MAX", "1", NULL};
    const char *wanted[] = {"A=1",
                            "GOMEMLIMIT=5",
                            "no-equals-sign",
                            "MEMORY_PRESSURE_WATCHX=2",
                            "MEMORY_PRESSURE_WATCH=/new",
                            "MALLOC_ARENA_MAX=1",
                            "NODE_OPTIONS=--x=1",
                            NULL};
    const char *without[] = {"NODE_OPTIONS=--x=1", "MALLOC_ARENA_MAX=2", NULL};
    char **out, *storage;

    (void)state;
    out = hints_environment(env, &h, pairs, &storage);
    assert_non_null(out);
    is_env(out, wanted);
    free(out);
    free(storage);
    out = hints_environment(NULL, &h, NULL, &storage);
    assert_non_null(out);
    is_env(out, without);
    free(out);
    free(storage);
    h.n = 0;
    out = hints_environment(env, &h, NULL, &storage);
    assert_non_null(out);
    is_env(out, (const char *const *)env);
    free(out);
    free(storage);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(go_gets_nine_tenths_in_bytes),
        cmocka_unit_test(node_keeps_below_the_cap),
        cmocka_unit_test(without_a_cap_nothing_is_hinted),
        cmocka_unit_test(what_is_set_is_kept),
        cmocka_unit_test(versions_are_read_in_both_spellings),
        cmocka_unit_test(each_jvm_sees_what_its_release_notes_say),
        cmocka_unit_test(each_jvm_is_told_in_flags_that_it_knows),
        cmocka_unit_test(a_release_file_tells_version_and_kind),
        cmocka_unit_test(the_jvm_that_will_run_is_asked),
        cmocka_unit_test(what_is_no_jvm_hints_nothing),
        cmocka_unit_test(the_environment_has_each_variable_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
