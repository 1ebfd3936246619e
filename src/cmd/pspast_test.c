#include "cmd/pspast.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/basetest.h"

#define FIRST                                                                                      \
    "{\"pid\":7,\"ppid\":1,\"user\":null,\"uid\":0,\"comm\":\"java\",\"command\":\"java -jar a\"," \
    "\"state\":\"S\",\"threads\":20,\"fds\":9,\"virt\":4096,\"res\":3072,\"shr\":1024,"            \
    "\"data\":2048,\"code\":1,\"swap\":0,\"anon\":2048,\"file\":1000,\"shmem\":24,"                \
    "\"pss\":2500,\"uss\":2400,\"lazyfree\":null,\"pss_estimated\":true,\"oom_score\":-3,"         \
    "\"start_ms\":1763711000000,\"cgroup\":\"/docker/4f\",\"runtime\":null}"
#define SECOND "{\"pid\":9,\"res\":null,\"comm\":\"sh\",\"command\":null,\"pss\":null}"
#define ANSWER                                                                                     \
    "{\"target\":\"web\",\"at_ms\":1763711296123,\"total\":5,\"processes\":[" FIRST "," SECOND "]" \
    "}"
#define TARGETS "{\"targets\":[{\"usage\":9000,\"used\":8000,\"file\":500,\"shmem\":100}]}"

static int read_text(struct pspast *p, const char *processes, const char *targets) {
    json_t *a = json_loads(processes, 0, NULL), *b = targets ? json_loads(targets, 0, NULL) : NULL;
    int r;

    *p = (struct pspast){.total = 0};
    assert_non_null(a);
    r = pspast_read(p, a, b);
    json_decref(a);
    json_decref(b);
    return r;
}

static void rows_are_as_they_were(void **state) {
    const struct proc_row *row;
    struct pspast p;

    (void)state;
    assert_int_equal(read_text(&p, ANSWER, TARGETS), 0);
    assert_int_equal(p.procs.n, 2);
    assert_int_equal(p.total, 5);
    assert_int_equal(p.at_ms, 1763711296123);
    row = &p.procs.row[0];
    assert_int_equal(row->pid, 7);
    assert_int_equal(row->res, 3072);
    assert_int_equal(row->pss, 2500);
    assert_int_equal(row->oom_score, -3);
    assert_int_equal(row->state, 'S');
    assert_true(row->pss_estimated);
    assert_true(proc_has(row, PROC_SWAP) && row->swap == 0);
    assert_false(proc_has(row, PROC_LAZYFREE));
    assert_true(str_eq(procs_text(&p.procs, row->command), STR("java -jar a")));
    assert_true(str_eq(procs_text(&p.procs, row->cgroup), STR("/docker/4f")));
    assert_true(str_eq(procs_comm(row), STR("java")));
    assert_int_equal(p.procs.row[1].have, PROC_BIT(PROC_COMM));
    assert_int_equal(p.procs.pss_unknown, 1);
    assert_int_equal(p.procs.pss_estimated, 1);
    assert_true(p.group.have && p.group.usage == 9000 && p.group.used == 8000);
    assert_int_equal(p.group.cache, 400); /* less tmpfs */
    assert_false(p.group.have_kernel);
    pspast_done(&p);
    assert_int_equal(read_text(&p, ANSWER, NULL), 0);
    assert_false(p.group.have);
    pspast_done(&p);
}

/* The view makes of them what the agent sent, but for the name of the user. */
static void the_view_prints_them(void **state) {
    struct psview v = {.past = true};
    struct passwd *users = NULL;
    struct pspast p;
    struct buf out;
    json_t *printed, *sent;
    const char *end;

    (void)state;
    assert_int_equal(read_text(&p, ANSWER, TARGETS), 0);
    assert_int_equal(passwd_parse(STR("root:x:0:0::/:/bin/sh\n"), &users), 0);
    v.procs = &p.procs;
    v.users = users;
    v.group = p.group;
    psview_default_columns(&v.columns);
    v.sort = (struct psview_sort){0};
    buf_init(&out, 1 << 20);
    assert_int_equal(psview_print_json(&v, p.at_ms, &out), 0);
    end = memchr(out.p, '\n', out.n);
    assert_non_null(end);
    printed = json_loadb(out.p, (size_t)(end - out.p), 0, NULL);
    sent = json_loads(FIRST, 0, NULL);
    assert_int_equal(json_object_set_new(sent, "user", json_string("root")), 0);
    assert_true(json_equal(printed, sent));
    json_decref(printed);
    json_decref(sent);
    buf_clear(&out);
    assert_int_equal(psview_print_text(&v, &out), 0);
    assert_non_null(memmem(out.p, out.n, "PSS of 0 measured then", 22));
    buf_done(&out);
    passwd_free(users);
    pspast_done(&p);
}

static void odd_answers_are_refused(void **state) {
    static const char *const bad[] = {
        "{}",
        "{\"processes\":7}",
        "{\"processes\":[7]}",
        "{\"processes\":[{}]}",
        "{\"processes\":[{\"pid\":0}]}",
        "{\"processes\":[{\"pid\":1},{\"pid\":99999999999}]}",
    };
    struct pspast p;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (read_text(&p, bad[i], NULL) != -EBADMSG)
            fail_msg("'%s' is taken", bad[i]);
        pspast_done(&p);
    }
    assert_int_equal(read_text(&p, "{\"processes\":[]}", NULL), 0);
    assert_int_equal(p.procs.n, 0);
    pspast_done(&p);
    assert_int_equal(
        read_text(
            &p,
            "{\"processes\":[{\"pid\":1,\"res\":-1,\"uid\":4294967296,\"state\":\"xx\","
            "\"comm\":\"0123456789012345678901234567890123456789012345678901234567890123456789"
            "\",\"pss\":1.5}]}",
            NULL),
        0);
    assert_int_equal(p.procs.row[0].have, PROC_BIT(PROC_COMM));
    assert_int_equal(procs_comm(&p.procs.row[0]).n, 64);
    pspast_done(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_as_they_were),
        cmocka_unit_test(the_view_prints_them),
        cmocka_unit_test(odd_answers_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
