#include "discover/shim.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "discover/testtree.h"

#define ID "4f2ab1c09d8e7f6a5b4c3d2e1f00112233445566778899aabbccddeeff001122"
#define ARGS(words) ((struct str){words, sizeof(words) - 1})

static void expect(struct str got, const char *want) {
    if (!str_eq(got, str_of(want)))
        fail_msg("'%.*s' instead of '%s'", STR_ARG(got), want);
}

static void containerd(void **state) {
    struct shim s;

    (void)state;
    assert_int_equal(shim_parse(STR("containerd-shim"),
                                ARGS("/usr/bin/containerd-shim-runc-v2\0-namespace\0moby\0-id\0" ID
                                     "\0-address\0/run/containerd/containerd.sock"),
                                &s),
                     0);
    assert_int_equal(s.kind, SHIM_CONTAINERD);
    expect(s.namespace, "moby");
    expect(s.id, ID);
    expect(s.address, "/run/containerd/containerd.sock");
    assert_int_equal(shim_parse(STR("containerd-shim"),
                                ARGS("containerd-shim-runc-v2\0--namespace=k8s.io\0--id=box"), &s),
                     0);
    expect(s.namespace, "k8s.io");
    expect(s.id, "box");
    assert_int_equal(shim_parse(STR("containerd-shim"),
                                ARGS("containerd-shim\0-namespace\0moby\0-workdir\0"
                                     "/var/lib/containerd/io.containerd.runtime.v1.linux/moby/" ID),
                                &s),
                     0);
    expect(s.id, ID);
}

static void conmon(void **state) {
    struct shim s;

    (void)state;
    assert_int_equal(
        shim_parse(STR("conmon"),
                   ARGS("/usr/bin/conmon\0--api-version\0"
                        "1\0-c\0" ID "\0-u\0" ID "\0-r\0/usr/bin/runc\0-b\0"
                        "/g/overlay-containers/" ID
                        "/userdata\0-p\0/r/pidfile\0-n\0web\0--exit-dir\0/x\0--exit-command\0"
                        "/usr/bin/podman\0--exit-command-arg\0-n\0--exit-command-arg\0\0-n\0other"),
                   &s),
        0);
    assert_int_equal(s.kind, SHIM_CONMON);
    expect(s.id, ID);
    expect(s.name, "web"); /* the first -n, not those of other commands */
    expect(s.bundle, "/g/overlay-containers/" ID "/userdata");
    assert_true(s.podman);
    assert_int_equal(shim_parse(STR("conmon"),
                                ARGS("/usr/libexec/crio/conmon\0-c\0" ID
                                     "\0-n\0k8s_web_pod_ns_uid_0\0-b\0relative"),
                                &s),
                     0);
    expect(s.name, "k8s_web_pod_ns_uid_0");
    expect(s.bundle, "");
    assert_false(s.podman);
}

static void what_is_no_shim(void **state) {
    struct shim s = {.podman = true};

    (void)state;
    assert_int_equal(shim_parse(STR("bash"), ARGS("containerd-shim\0-id\0x\0-namespace\0y"), &s),
                     -ENODATA);
    assert_int_equal(shim_parse(STR("containerd-shim"), ARGS("bash\0-id\0x\0-namespace\0y"), &s),
                     -ENODATA);
    assert_int_equal(shim_parse(STR("conmon"), ARGS("conmon\0-n\0web"), &s), -ENODATA);
    assert_int_equal(shim_parse(STR("conmon"), ARGS("conmon\0-c"), &s), -ENODATA);
    assert_int_equal(shim_parse(STR("conmon"), STR(""), &s), -ENODATA);
    assert_int_equal(shim_parse(STR("containerd-shim"),
                                ARGS("containerd-shim-runc-v2\0-id\0../../etc\0-namespace\0moby"),
                                &s),
                     -ENODATA);
    assert_int_equal(shim_parse(STR("containerd-shim"),
                                ARGS("containerd-shim-runc-v2\0-id\0x\0-namespace\0.."), &s),
                     -ENODATA);
    assert_true(s.podman); /* untouched */
}

static void put_process(struct testtree *t, int pid, int ppid, const char *comm, const char *nspid,
                        int uid, int start, const char *group, const char *cmdline, size_t n) {
    testtree_process(t, &(struct testtree_process){.pid = pid,
                                                   .ppid = ppid,
                                                   .comm = comm,
                                                   .nspid = nspid,
                                                   .uid = uid,
                                                   .start = start,
                                                   .group = group,
                                                   .cmdline = cmdline,
                                                   .cmdline_n = n});
}

static void first_process_is_the_outer_init(void **state) {
    struct testtree t;
    struct pidlist room = {0};
    struct first_process first;
    auto_close int dir = -1;

    (void)state;
    testtree_init(&t);
    testtree_group(&t, "/docker/" ID, "30\n20\n10\n40\n");
    put_process(&t, 10, 1, "exec", "10 9", 0, 5000, "/docker/" ID, "sleep", 5);
    put_process(&t, 20, 7, "nginx", "20 1", 0, 900, "/docker/" ID, "nginx", 5);
    put_process(&t, 30, 20, "inner", "30 8 1", 0, 950, "/docker/" ID, "x", 1);
    dir = testtree_open_group(&t, "/docker/" ID);
    assert_int_equal(shim_first_process(&t.host, dir, false, &room, &first), 0); /* 40 is gone */
    assert_int_equal(first.pid, 20);
    assert_int_equal(first.ppid, 7);
    assert_true(first.is_init);
    assert_int_equal(first.depth, 2);
    assert_int_equal(first.processes, 4);
    assert_string_equal(first.comm, "nginx");
    assert_int_equal(first.least, 2);
    put_process(&t, 40, 1, "guest", "40", 0, 990, "/docker/" ID, "x", 1);
    assert_int_equal(shim_first_process(&t.host, dir, true, &room, &first), 0);
    assert_int_equal(first.pid, 20);
    assert_int_equal(first.least, 1);
    pidlist_done(&room);
    testtree_done(&t);
}

static void an_empty_group_has_no_first(void **state) {
    struct testtree t;
    struct pidlist room = {0};
    struct first_process first;
    auto_close int dir = -1;

    (void)state;
    testtree_init(&t);
    testtree_group(&t, "/empty", "");
    dir = testtree_open_group(&t, "/empty");
    assert_int_equal(shim_first_process(&t.host, dir, false, &room, &first), -ENODATA);
    pidlist_done(&room);
    testtree_done(&t);
}

static const char shim_words[] = "containerd-shim-runc-v2\0-namespace\0moby\0-id\0" ID;

static void a_shim_inside_the_container_is_a_forgery(void **state) {
    struct first_process first = {.pid = 20, .ppid = 7};
    struct shim_process found;
    struct testtree t;

    (void)state;
    testtree_init(&t);
    put_process(&t, 7, 1, "containerd-shim", "7", 0, 1, "/docker.service", shim_words,
                sizeof(shim_words) - 1);
    assert_int_equal(shim_of(&t.host, &t.fs, &first, STR("/docker/" ID), &found), 0);
    expect(found.shim.id, ID);
    expect(found.group, "/docker.service");
    assert_int_equal(found.uid, 0);
    assert_int_equal(found.pid, 7);

    put_process(&t, 7, 1, "containerd-shim", "7", 0, 1, "/docker/" ID "/sub", shim_words,
                sizeof(shim_words) - 1);
    assert_int_equal(shim_of(&t.host, &t.fs, &first, STR("/docker/" ID), &found), -ENODATA);
    put_process(&t, 7, 1, "containerd-shim", "7", 0, 1, "/docker/" ID, shim_words,
                sizeof(shim_words) - 1);
    assert_int_equal(shim_of(&t.host, &t.fs, &first, STR("/docker/" ID), &found), -ENODATA);
    put_process(&t, 7, 1, "containerd-shim", "7", 1000, 1, "/docker/" ID "x", shim_words,
                sizeof(shim_words) - 1);
    assert_int_equal(shim_of(&t.host, &t.fs, &first, STR("/docker/" ID), &found), 0);
    assert_int_equal(found.uid, 1000);
    put_process(&t, 7, 1, "bash", "7", 0, 1, "/x", "bash", 4);
    assert_int_equal(shim_of(&t.host, &t.fs, &first, STR("/docker/" ID), &found), -ENODATA);
    first.ppid = 999;
    assert_true(shim_of(&t.host, &t.fs, &first, STR("/docker/" ID), &found) < 0);
    first.ppid = 1; /* orphans belong to init, which is no shim */
    assert_int_equal(shim_of(&t.host, &t.fs, &first, STR("/docker/" ID), &found), -ENODATA);
    testtree_done(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(containerd),
        cmocka_unit_test(conmon),
        cmocka_unit_test(what_is_no_shim),
        cmocka_unit_test(first_process_is_the_outer_init),
        cmocka_unit_test(an_empty_group_has_no_first),
        cmocka_unit_test(a_shim_inside_the_container_is_a_forgery),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
