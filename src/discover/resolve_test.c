#include "discover/resolve.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"
#include "discover/testtree.h"

#define A "4f2ab1c09d8e7f6a5b4c3d2e1f00112233445566778899aabbccddeeff001122"
#define B "4f2ab1c111223344aabbccddeeff4f2ab1c09d8e7f6a5b4c3d2e1f0011220000"
#define C "cccc2233445566778899aabbccddeeff4f2ab1c09d8e7f6a5b4c3d2e1f00cccc"
#define D "123456789012345678901234567890123456789012345678901234567890aaaa"
#define E "eeee56789012345678901234567890123456789012345678901234567890aaaa"
#define F "eeee56789012345678901234567890123456789012345678901234567890ffff"
#define POD_SLICE "/kubepods.slice/kubepods-pod2c48913c_b29f_11e7_9350_020968147796.slice"
#define POD2_SLICE "/kubepods.slice/kubepods-pod3c48913c_b29f_11e7_9350_020968147796.slice"

static struct testtree tree;
static struct targets *all;

static void put_docker(const char *id, const char *name) {
    char path[256], text[256];

    snprintf(path, sizeof(path), "/docker/%s", id);
    testtree_group(&tree, path, "");
    snprintf(path, sizeof(path), "/var/lib/docker/containers/%s/config.v2.json", id);
    snprintf(text, sizeof(text), "{\"Name\":\"/%s\",\"Config\":{}}", name);
    testtree_file(&tree, path, text);
}

static void put_process(int pid, const char *group) {
    testtree_process(&tree, &(struct testtree_process){.pid = pid,
                                                       .ppid = 1,
                                                       .comm = "x",
                                                       .nspid = "1",
                                                       .group = group,
                                                       .cmdline = "x",
                                                       .cmdline_n = 1});
}

static int setup(void **state) {
    const struct targets_options o = {.scope = TARGETS_CONTAINERS};
    struct err err = {0};

    (void)state;
    testtree_init(&tree);
    put_docker(A, "web");
    put_docker(B, "db");
    put_docker(C, "deadbeef"); /* a name that looks like an id */
    put_docker(D, "ssh");      /* and one like a service */
    testtree_group(&tree, "/docker/" A "/sub", "");
    testtree_group(&tree, "/lxc/55", "");
    testtree_group(&tree, "/lxc/twin", "");
    testtree_group(&tree, "/lxc.payload/twin", "");
    testtree_group(&tree, "/lxc/twin/lxc/web", ""); /* an inner one called like one of the host */
    testtree_group(&tree, "/lxc/twin/lxc/deep", "");
    testtree_group(&tree, "/system.slice/ssh.service", "");
    testtree_group(&tree, "/system.slice/cron.service", "");
    testtree_group(&tree, "/user.slice/user-1.slice/user@1.service/cron.service", "");
    testtree_group(&tree, "/user.slice/user-1.slice/user@1.service/own.service", "");
    testtree_group(&tree, "/user.slice/user-2.slice/user@2.service/own.service", "");
    testtree_group(&tree, POD_SLICE "/cri-containerd-" E ".scope", "");
    testtree_group(&tree, POD2_SLICE "/cri-containerd-" F ".scope", "");
    testtree_link(&tree, "/var/log/containers/shop-1_prod_api-" E ".log", "/x");
    testtree_link(&tree, "/var/log/containers/shop-2_prod_api-" F ".log", "/x");
    put_process(4242, "/docker/" A "/sub");
    put_process(55, "/system.slice/cron.service");
    put_process(77, "/gone");
    put_process(78, "/system.slice");
    if (targets_new(&tree.host, &tree.fs, &o, &all, &err) < 0)
        fail_msg("%s", err.text);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    targets_free(all);
    testtree_done(&tree);
    return 0;
}

static void expect(const char *text, enum resolve_how how, const char *path) {
    struct resolved r;
    struct err err = {0};

    if (resolve_target(all, str_of(text), &r, &err) < 0)
        fail_msg("%s: %s", text, err.text);
    if (r.how != how || !str_eq(str_of(r.path), str_of(path)) || r.path_len != strlen(path))
        fail_msg("%s: how %d, path %s", text, (int)r.how, r.path);
    assert_non_null(r.target);
    assert_true(str_eq(r.target->path, str_of(path)));
    resolved_done(&r);
}

/* The error's text holds each of these words. */
static void expect_error(const char *text, int code, const char *const *words) {
    struct resolved r = {.pid = 4711};
    struct err err = {0};

    if (resolve_target(all, str_of(text), &r, &err) != code || err.code != code)
        fail_msg("%s: %d %s", text, err.code, err.text);
    assert_int_equal(r.pid, 4711); /* untouched */
    for (; *words; words++)
        if (!strstr(err.text, *words))
            fail_msg("'%s' is not in: %s", *words, err.text);
}
#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void names_and_ids(void **state) {
    (void)state;
    expect("web", RESOLVE_NAME, "/docker/" A); /* not the one inside of twin */
    expect("deadbeef", RESOLVE_NAME, "/docker/" C);
    expect("ssh", RESOLVE_NAME, "/docker/" D); /* a container goes before a service */
    expect("cccc", RESOLVE_ID, "/docker/" C);
    expect("ccc", RESOLVE_ID, "/docker/" C);
    expect(C, RESOLVE_ID, "/docker/" C);
    expect_error("cc", -ENOENT, WORDS("'cc'"));
}

static void several(void **state) {
    (void)state;
    expect_error("4f2", -ENOTUNIQ, WORDS("web (docker 4f2ab1c09d8e)", "db (docker 4f2ab1c11122)"));
    expect_error("eeee", -ENOTUNIQ, WORDS("prod/shop-1/api (containerd eeee56789012)"));
    expect_error("twin", -ENOTUNIQ, WORDS("twin (lxc twin), twin (lxc twin)"));
    expect_error("api", -ENOTUNIQ, WORDS("prod/shop-1/api", "prod/shop-2/api"));
    expect_error("own", -ENOTUNIQ, WORDS("user-1", "user-2"));
    expect_error("55", -ENOTUNIQ, WORDS("process 55 or 55 (lxc 55)"));
}

static void pods(void **state) {
    (void)state;
    expect("shop-1/api", RESOLVE_POD, POD_SLICE "/cri-containerd-" E ".scope");
    expect("prod/shop-2/api", RESOLVE_POD, POD2_SLICE "/cri-containerd-" F ".scope");
    expect("shop-1", RESOLVE_POD, POD_SLICE);
    expect("2c48913c-b29f-11e7-9350-020968147796", RESOLVE_POD, POD_SLICE);
    expect_error("test/shop-2/api", -ENOENT, WORDS("test/shop-2/api"));
    expect_error("shop-3/api", -ENOENT, WORDS("shop-3/api"));
}

static void inside(void **state) {
    (void)state;
    expect("deep", RESOLVE_NAME, "/lxc/twin/lxc/deep");
    expect("twin/web", RESOLVE_NAME, "/lxc/twin/lxc/web");
    expect_error("db/web", -ENOENT, WORDS("db/web"));
}

static void units(void **state) {
    (void)state;
    expect("ssh.service", RESOLVE_UNIT, "/system.slice/ssh.service");
    expect("cron", RESOLVE_UNIT, "/system.slice/cron.service"); /* the system's goes first */
    expect("cron.service", RESOLVE_UNIT, "/system.slice/cron.service");
    expect("system.slice", RESOLVE_UNIT, "/system.slice");
}

static void paths(void **state) {
    char full[512];
    struct resolved r;

    (void)state;
    expect("/docker/" A, RESOLVE_PATH, "/docker/" A);
    expect("/docker//" A "/sub/", RESOLVE_PATH, "/docker/" A "/sub");
    expect("/", RESOLVE_PATH, "/");
    expect("//", RESOLVE_PATH, "/");
    expect("/sys/fs/cgroup/memory/docker", RESOLVE_PATH, "/docker");
    expect("/sys/fs/cgroup/memory", RESOLVE_PATH, "/");
    testtree_full(&tree, "/sys/fs/cgroup/memory/docker", full, sizeof(full));
    expect(full, RESOLVE_PATH, "/docker");
    expect_error("/nowhere", -ENOENT, WORDS("no control group '/nowhere'"));
    expect_error("/sys/fs/cgroup/memoryx", -ENOENT, WORDS("memoryx"));
    expect_error("/docker/../lxc", -ENOENT, WORDS(".."));
    /* born after the table was made */
    testtree_group(&tree, "/new", "");
    assert_int_equal(resolve_target(all, STR("/new"), &r, NULL), 0);
    assert_null(r.target);
    assert_string_equal(r.path, "/new");
    resolved_done(&r);
}

static void pids(void **state) {
    struct resolved r;

    (void)state;
    expect("4242", RESOLVE_PID, "/docker/" A); /* the container around its group */
    expect("78", RESOLVE_PID, "/system.slice");
    assert_int_equal(resolve_target(all, STR("4242"), &r, NULL), 0);
    assert_int_equal(r.pid, 4242);
    resolved_done(&r);
    assert_int_equal(resolve_target(all, STR("77"), &r, NULL), 0);
    assert_null(r.target);
    assert_string_equal(r.path, "/gone");
    resolved_done(&r);
    expect_error("99999", -ESRCH, WORDS("no process 99999"));
    expect_error("0", -ESRCH, WORDS("0"));
    expect_error("99999999999999999999999", -ENOENT, WORDS("999"));
    expect("123456", RESOLVE_ID, "/docker/" D); /* digits, but an id */
}

static void suggestions(void **state) {
    (void)state;
    expect_error("wbe", -ENOENT, WORDS("did you mean 'web'?"));
    expect_error("crom.service", -ENOENT, WORDS("did you mean 'cron.service'?"));
    expect_error("docker/" A, -ENOENT, WORDS("called 'docker/" A "'", "'/docker/" A "'?"));
    expect_error("docker/", -ENOENT, WORDS("'docker/'", "mean the control group '/docker'?"));
    expect_error("sys/fs/cgroup/memory/lxc", -ENOENT, WORDS("the control group '/lxc'?"));
    expect_error("docker/" A "/none", -ENOENT, WORDS("group or process is called 'docker"));
    expect_error("zzzzzzzz", -ENOENT, WORDS("'zzzzzzzz'"));
    expect_error("", -ENOENT, WORDS("empty"));
    expect_error("\x1b[2J", -ENOENT, WORDS("?[2J"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_ids), cmocka_unit_test(several),     cmocka_unit_test(pods),
        cmocka_unit_test(inside),        cmocka_unit_test(units),       cmocka_unit_test(paths),
        cmocka_unit_test(pids),          cmocka_unit_test(suggestions),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
