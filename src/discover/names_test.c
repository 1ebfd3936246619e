/* Who is believed: the ways to a name themselves are tested in targets_test.c. */
#include "discover/names.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/mem.h"
#include "discover/testtree.h"

#define A "4f2ab1c09d8e7f6a5b4c3d2e1f00112233445566778899aabbccddeeff001122"
#define CONFIG(name) "{\"Name\":\"/" name "\",\"Config\":{\"Image\":\"box:1\"}}"

/* In place of the C library's: with `drips`, a file gives little at a time, as FUSE may. */
static bool drips;

ssize_t read(int fd, void *buf, size_t size) {
    return syscall(SYS_read, fd, buf, drips && size > 7 ? 7 : size);
}

ssize_t pread(int fd, void *buf, size_t size, off_t at) {
    return syscall(SYS_pread64, fd, buf, drips && size > 7 ? 7 : size, at);
}

/* The tree as if it were this very machine's: then owners of files count. */
static void as_live(struct testtree *t) {
    t->host.live = true;
}

static void give(const struct testtree *t, const char *path, uid_t uid) {
    char full[4096];

    testtree_full(t, path, full, sizeof(full));
    assert_int_equal(chown(full, uid, uid), 0);
}

static int ask(struct names *n, uint32_t owner, bool nested, enum runtime runtime,
               struct facts *f) {
    struct names_query q = {.kind = TARGET_CONTAINER,
                            .runtime = runtime,
                            .id = STR(A),
                            .owner = owner,
                            .nested = nested};

    return names_find(n, &q, f, NULL);
}

static void files_of_others_are_not_believed(void **state) {
    struct facts f = {0};
    struct names *n;
    struct testtree t;

    (void)state;
    if (getuid() != 0)
        skip(); /* cannot give files away */
    testtree_init(&t);
    as_live(&t);
    testtree_file(&t, "/var/lib/docker/containers/" A "/config.v2.json", CONFIG("mine"));
    assert_int_equal(names_new(&t.host, &t.fs, &n), 0);
    give(&t, "/var/lib/docker/containers/" A "/config.v2.json", 1000);
    assert_int_equal(ask(n, 0, false, RUNTIME_DOCKER, &f), -ENOENT);
    assert_null(f.name);
    give(&t, "/var/lib/docker/containers/" A "/config.v2.json", 0);
    assert_int_equal(ask(n, 0, false, RUNTIME_DOCKER, &f), 0);
    assert_string_equal(f.name, "mine");
    facts_done(&f);
    names_free(n);
    testtree_done(&t);
}

static void a_short_read_is_not_the_end(void **state) {
    struct facts f = {0};
    struct names *n;
    struct testtree t;

    (void)state;
    testtree_init(&t);
    testtree_file(&t, "/var/lib/docker/containers/" A "/config.v2.json", CONFIG("slow"));
    assert_int_equal(names_new(&t.host, &t.fs, &n), 0);
    drips = true;
    assert_int_equal(ask(n, 0, false, RUNTIME_DOCKER, &f), 0);
    drips = false;
    assert_string_equal(f.name, "slow");
    facts_done(&f);
    names_free(n);
    testtree_done(&t);
}

static void a_user_has_files_of_its_own(void **state) {
    static const char file[] = "/people/ann/.local/share/docker/containers/" A "/config.v2.json";
    static const char list[] =
        "/people/ann/.local/share/containers/storage/overlay-containers/containers.json";
    struct facts f = {0};
    struct names *n;
    struct testtree t;

    (void)state;
    if (getuid() != 0)
        skip();
    testtree_init(&t);
    as_live(&t);
    testtree_file(&t, "/etc/passwd",
                  "root:x:0:0::/:/bin/sh\nbroken\nann:x:1000:1000::/people/ann:/bin/sh\n");
    testtree_file(&t, "/var/lib/docker/containers/" A "/config.v2.json", CONFIG("of-the-system"));
    testtree_file(&t, file, CONFIG("of-ann"));
    testtree_file(&t, list, "[{\"id\":\"" A "\",\"names\":[\"pod-of-ann\"]}]");
    assert_int_equal(names_new(&t.host, &t.fs, &n), 0);
    /* a link of the user to a file of root is no way to another's name */
    assert_int_equal(ask(n, 1000, false, RUNTIME_DOCKER, &f), -ENOENT);
    assert_null(f.name);
    give(&t, file, 1000);
    assert_int_equal(ask(n, 1000, false, RUNTIME_DOCKER, &f), 0);
    assert_string_equal(f.name, "of-ann");
    facts_done(&f);
    assert_int_equal(ask(n, 1000, false, RUNTIME_PODMAN, &f), -ENOENT);
    give(&t, list, 1000);
    assert_int_equal(ask(n, 1000, false, RUNTIME_PODMAN, &f), 0);
    assert_string_equal(f.name, "pod-of-ann");
    facts_done(&f);
    /* read once, kept, and still not for everybody */
    assert_int_equal(ask(n, 1001, false, RUNTIME_PODMAN, &f), -ENOENT);
    facts_done(&f);
    assert_int_equal(ask(n, 1000, true, RUNTIME_DOCKER, &f), -ENOENT); /* inside of a container */
    names_free(n);
    testtree_done(&t);
}

static void links_lead_nowhere_else(void **state) {
    struct facts f = {0};
    struct names *n;
    struct testtree t;

    (void)state;
    testtree_init(&t);
    /* absolute and climbing links are resolved below the root */
    testtree_file(&t, "/data/containers/" A "/config.v2.json", CONFIG("linked"));
    testtree_link(&t, "/var/lib/docker", "/../../data");
    assert_int_equal(names_new(&t.host, &t.fs, &n), 0);
    assert_int_equal(ask(n, 0, false, RUNTIME_DOCKER, &f), 0);
    assert_string_equal(f.name, "linked");
    facts_done(&f);
    names_free(n);
    testtree_done(&t);
}

static void odd_files_do_no_harm(void **state) {
    static const char path[] = "/var/lib/docker/containers/" A "/config.v2.json";
    struct facts f = {0};
    struct names *n;
    struct testtree t;
    char full[4096];

    (void)state;
    testtree_init(&t);
    testtree_file(&t, path, "");
    assert_int_equal(names_new(&t.host, &t.fs, &n), 0);
    assert_int_equal(ask(n, 0, false, RUNTIME_DOCKER, &f), -ENOENT);
    testtree_full(&t, path, full, sizeof(full));
    unlink(full);
    assert_int_equal(mkfifo(full, 0600), 0); /* would block a plain open */
    assert_int_equal(ask(n, 0, false, RUNTIME_DOCKER, &f), -ENOENT);
    unlink(full);
    assert_int_equal(mkdir(full, 0700), 0);
    assert_int_equal(ask(n, 0, false, RUNTIME_DOCKER, &f), -ENOENT);
    rmdir(full);
    testtree_link(&t, path, "config.v2.json"); /* to itself */
    assert_int_equal(ask(n, 0, false, RUNTIME_DOCKER, &f), -ENOENT);
    unlink(full);
    testtree_file(&t, path, CONFIG("x"));
    assert_int_equal(truncate(full, 100 << 20), 0);
    assert_int_equal(ask(n, 0, false, RUNTIME_DOCKER, &f), -ENOENT);
    assert_null(f.name);
    names_free(n);
    testtree_done(&t);
}

static void changes_are_noticed(void **state) {
    static const char path[] = "/var/lib/docker/containers/" A "/config.v2.json";
    struct names_query q = {.kind = TARGET_CONTAINER, .runtime = RUNTIME_DOCKER, .id = STR(A)};
    struct names_file file = {0};
    struct facts f = {0};
    struct names *n;
    struct testtree t;

    (void)state;
    testtree_init(&t);
    testtree_file(&t, path, CONFIG("x"));
    assert_int_equal(names_new(&t.host, &t.fs, &n), 0);
    assert_false(names_changed(n, &file));
    assert_int_equal(names_find(n, &q, &f, &file), 0);
    assert_false(names_changed(n, &file));
    testtree_file(&t, path, CONFIG("longer"));
    assert_true(names_changed(n, &file));
    testtree_delete(&t, path);
    assert_false(names_changed(n, &file)); /* gone: not another name */
    names_file_done(&file);
    facts_done(&f);
    names_free(n);
    testtree_done(&t);
}

static void guests(void **state) {
    struct facts f = {0};
    struct names *n;
    struct testtree t;

    (void)state;
    testtree_init(&t);
    testtree_file(&t, "/etc/pve/lxc/7.conf",
                  "#hostname: no\nhostname:  mail \n[snap]\nhostname: x\n");
    testtree_file(&t, "/etc/pve/lxc/8.conf", "[snap]\nhostname: x\n");
    assert_int_equal(names_new(&t.host, &t.fs, &n), 0);
    assert_int_equal(names_guest(n, false, STR("7"), &f), 0);
    assert_string_equal(f.name, "mail");
    facts_done(&f);
    assert_int_equal(names_guest(n, false, STR("8"), &f), -ENOENT);
    assert_int_equal(names_guest(n, true, STR("7"), &f), -ENOENT);
    assert_int_equal(names_guest(n, false, STR("../7"), &f), -ENOENT);
    names_free(n);
    testtree_done(&t);
}

static void host_names(void **state) {
    struct err err = {0};
    char name[256], own[256];
    struct host h;
    struct str text;

    (void)state;
    if (host_open(NULL, &h, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(gethostname(own, sizeof(own)), 0);
    if (names_hostname(&h, (int32_t)getpid(), name, sizeof(name), &text) == 0)
        assert_true(str_eq(text, str_of(own)));
    assert_true(names_hostname(&h, INT32_MAX, name, sizeof(name), &text) < 0);
    h.live = false;
    assert_int_equal(names_hostname(&h, (int32_t)getpid(), name, sizeof(name), &text), -ENODATA);
    host_done(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_of_others_are_not_believed),
        cmocka_unit_test(a_short_read_is_not_the_end),
        cmocka_unit_test(a_user_has_files_of_its_own),
        cmocka_unit_test(links_lead_nowhere_else),
        cmocka_unit_test(odd_files_do_no_harm),
        cmocka_unit_test(changes_are_noticed),
        cmocka_unit_test(guests),
        cmocka_unit_test(host_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
