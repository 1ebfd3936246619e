#include "discover/pathrule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

#define ID "4f2ab1c09d8e7f6a5b4c3d2e1f00112233445566778899aabbccddeeff001122"
#define ID2 "00112233445566778899aabbccddeeff4f2ab1c09d8e7f6a5b4c3d2e1f001122"
#define UID "2c48913c-b29f-11e7-9350-020968147796"
#define UID_ "2c48913c_b29f_11e7_9350_020968147796"
#define STATIC_UID "5b4c3d2e1f00112233445566778899aa"
#define USER "/user.slice/user-1000.slice/user@1000.service"

struct row {
    const char *path;
    enum target_kind kind;
    enum runtime runtime;
    const char *id, *name, *pod_uid;
    enum target_qos qos;
    bool unsure;
};

#define CONTAINER(path, runtime, id)                                                               \
    { path, TARGET_CONTAINER, runtime, id, "", "", QOS_NONE, false }
#define NAMED(path, kind, runtime, id, name)                                                       \
    { path, kind, runtime, id, name, "", QOS_NONE, false }
#define PLAIN(path)                                                                                \
    { path, TARGET_GROUP, RUNTIME_NONE, "", "", "", QOS_NONE, false }
#define BARE(path, id)                                                                             \
    { path, TARGET_CONTAINER, RUNTIME_NONE, id, "", "", QOS_NONE, true }

static void check(const struct row *row, struct str path, size_t base) {
    struct pathrule got;

    pathrule_match(path, base, &got);
    if (got.kind != row->kind || got.runtime != row->runtime || got.qos != row->qos ||
        got.unsure != row->unsure || !str_eq(got.id, str_of(row->id)) ||
        !str_eq(got.name, str_of(row->name)) || !str_eq(got.pod_uid, str_of(row->pod_uid)))
        fail_msg("%s: %s %s id '%.*s' name '%.*s' pod '%.*s' qos '%s' unsure %d", row->path,
                 target_kind_name(got.kind), runtime_name(got.runtime), STR_ARG(got.id),
                 STR_ARG(got.name), STR_ARG(got.pod_uid), target_qos_name(got.qos), got.unsure);
}

static void check_all(const struct row *rows, size_t n) {
    for (size_t i = 0; i < n; i++)
        check(&rows[i], str_of(rows[i].path), 0);
}

static void docker(void **state) {
    static const struct row rows[] = {
        CONTAINER("/system.slice/docker-" ID ".scope", RUNTIME_DOCKER, ID),
        CONTAINER(USER "/user.slice/docker-" ID ".scope", RUNTIME_DOCKER, ID),
        CONTAINER("/custom.slice/docker-" ID ".scope", RUNTIME_DOCKER, ID),
        CONTAINER("/docker/" ID, RUNTIME_DOCKER, ID),
        CONTAINER("/system.slice:docker:" ID, RUNTIME_DOCKER, ID),
        CONTAINER("/docker/buildkit/p7w5xqcq1x6y", RUNTIME_BUILDKIT, "p7w5xqcq1x6y"),
        CONTAINER("/system.slice/buildkit-p7w5x.scope", RUNTIME_BUILDKIT, "p7w5x"),
        BARE("/plimsoll-parent/" ID, ID),
        BARE("/" ID, ID),
        PLAIN("/docker"),
        PLAIN("/docker/buildkit"),
        PLAIN("/docker/" ID "/child"),
    };

    (void)state;
    check_all(rows, ARRAY_N(rows));
}

static void containerd_and_crio(void **state) {
    static const struct row rows[] = {
        CONTAINER("/system.slice/nerdctl-" ID ".scope", RUNTIME_CONTAINERD, ID),
        CONTAINER("/default/" ID, RUNTIME_CONTAINERD, ID),
        CONTAINER("/k8s.io/" ID, RUNTIME_CONTAINERD, ID),
        CONTAINER("/system.slice/crio-" ID ".scope", RUNTIME_CRIO, ID),
        {"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_
         ".slice/cri-containerd-" ID ".scope",
         TARGET_CONTAINER, RUNTIME_CONTAINERD, ID, "", UID_, QOS_BURSTABLE, false},
        {"/kubepods.slice/kubepods-pod" UID_ ".slice/crio-" ID ".scope", TARGET_CONTAINER,
         RUNTIME_CRIO, ID, "", UID_, QOS_GUARANTEED, false},
        {"/kubepods.slice/kubepods-pod" UID_ ".slice/crio-" ID, TARGET_SANDBOX, RUNTIME_CRIO, ID,
         "", UID_, QOS_GUARANTEED, false},
        {"/kubepods.slice/kubepods-pod" UID_ ".slice/crio-conmon-" ID ".scope", TARGET_HELPER,
         RUNTIME_CRIO, ID ".scope", "", "", QOS_NONE, false},
        {"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" UID_
         ".slice/docker-" ID ".scope",
         TARGET_CONTAINER, RUNTIME_DOCKER, ID, "", UID_, QOS_BEST_EFFORT, false},
        {"/system.slice/containerd.service/kubepods-besteffort-pod" UID_
         ".slice:cri-containerd:" ID,
         TARGET_CONTAINER, RUNTIME_CONTAINERD, ID, "", UID_, QOS_BEST_EFFORT, false},
        {"/kubepods/besteffort/pod" UID "/" ID, TARGET_CONTAINER, RUNTIME_CONTAINERD, ID, "", UID,
         QOS_BEST_EFFORT, false},
        {"/kubepods/burstable/pod" STATIC_UID "/" ID, TARGET_CONTAINER, RUNTIME_CONTAINERD, ID, "",
         STATIC_UID, QOS_BURSTABLE, false},
        {"/kubepods/pod" UID "/" ID, TARGET_CONTAINER, RUNTIME_CONTAINERD, ID, "", UID,
         QOS_GUARANTEED, false},
        {"/kubepods/pod" UID "/crio-" ID, TARGET_CONTAINER, RUNTIME_CRIO, ID, "", UID,
         QOS_GUARANTEED, false},
        {"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod" UID_
         ".slice/cri-containerd-" ID ".scope",
         TARGET_CONTAINER, RUNTIME_CONTAINERD, ID, "", UID_, QOS_GUARANTEED, false},
    };

    (void)state;
    check_all(rows, ARRAY_N(rows));
}

static void pods(void **state) {
    static const struct row rows[] = {
        {"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_ ".slice",
         TARGET_POD, RUNTIME_KUBERNETES, UID_, "", UID_, QOS_BURSTABLE, false},
        {"/kubepods.slice/kubepods-pod" STATIC_UID ".slice", TARGET_POD, RUNTIME_KUBERNETES,
         STATIC_UID, "", STATIC_UID, QOS_GUARANTEED, false},
        {"/kubepods/pod" UID, TARGET_POD, RUNTIME_KUBERNETES, UID, "", UID, QOS_GUARANTEED, false},
        {"/kubepods/besteffort/pod" UID, TARGET_POD, RUNTIME_KUBERNETES, UID, "", UID,
         QOS_BEST_EFFORT, false},
        {"/kubelet/kubepods/burstable/pod" STATIC_UID, TARGET_POD, RUNTIME_KUBERNETES, STATIC_UID,
         "", STATIC_UID, QOS_BURSTABLE, false},
        {"/machine.slice/machine-libpod_pod_" ID ".slice", TARGET_POD, RUNTIME_PODMAN, ID, "", ID,
         QOS_NONE, false},
        {USER "/user.slice/user-libpod_pod_" ID ".slice", TARGET_POD, RUNTIME_PODMAN, ID, "", ID,
         QOS_NONE, false},
        {"/libpod_parent/" ID, TARGET_POD, RUNTIME_PODMAN, ID, "", ID, QOS_NONE, false},
        PLAIN("/kubepods"),
        PLAIN("/kubepods/burstable"),
        PLAIN("/other/pod" UID),
        PLAIN("/kubepods/podinfo"),
        NAMED("/kubepods.slice", TARGET_SLICE, RUNTIME_SYSTEMD, "", "kubepods.slice"),
        NAMED("/kubepods.slice/kubepods-podshort.slice", TARGET_SLICE, RUNTIME_SYSTEMD, "",
              "kubepods-podshort.slice"),
        NAMED("/xkubepods-pod" UID_ ".slice", TARGET_SLICE, RUNTIME_SYSTEMD, "",
              "xkubepods-pod" UID_ ".slice"),
    };

    (void)state;
    check_all(rows, ARRAY_N(rows));
}

static void podman(void **state) {
    static const struct row rows[] = {
        CONTAINER("/machine.slice/libpod-" ID ".scope", RUNTIME_PODMAN, ID),
        CONTAINER("/libpod_parent/libpod-" ID, RUNTIME_PODMAN, ID),
        CONTAINER("/system.slice/my.service/libpod-payload-" ID, RUNTIME_PODMAN, ID),
        CONTAINER(USER "/user.slice/libpod-" ID ".scope", RUNTIME_PODMAN, ID),
        {"/libpod_parent/" ID2 "/libpod-" ID, TARGET_CONTAINER, RUNTIME_PODMAN, ID, "", ID2,
         QOS_NONE, false},
        {"/machine.slice/machine-libpod_pod_" ID2 ".slice/libpod-" ID ".scope", TARGET_CONTAINER,
         RUNTIME_PODMAN, ID, "", ID2, QOS_NONE, false},
        {"/libpod_parent/conmon", TARGET_HELPER, RUNTIME_PODMAN, "", "", "", QOS_NONE, false},
        {"/libpod_parent/" ID "/conmon", TARGET_HELPER, RUNTIME_PODMAN, "", "", "", QOS_NONE,
         false},
        {"/machine.slice/libpod-conmon-" ID ".scope", TARGET_HELPER, RUNTIME_PODMAN, ID ".scope",
         "", "", QOS_NONE, false},
        PLAIN("/libpod_parent"),
        PLAIN("/machine.slice/libpod-" ID ".scope/container"),
        PLAIN("/elsewhere/conmon"),
    };

    (void)state;
    check_all(rows, ARRAY_N(rows));
}

static void machines(void **state) {
    static const struct row rows[] = {
        NAMED("/lxc.payload.web", TARGET_CONTAINER, RUNTIME_LXC, "web", "web"),
        NAMED("/lxc.payload/proj_web", TARGET_CONTAINER, RUNTIME_LXC, "proj_web", "proj_web"),
        NAMED("/lxc/101", TARGET_CONTAINER, RUNTIME_LXC, "101", "101"),
        NAMED("/lxc.monitor.web", TARGET_HELPER, RUNTIME_LXC, "web", "web"),
        NAMED("/lxc.monitor/web", TARGET_HELPER, RUNTIME_LXC, "web", "web"),
        {"/lxc.pivot", TARGET_HELPER, RUNTIME_LXC, "", "", "", QOS_NONE, false},
        PLAIN("/lxc"),
        PLAIN("/a/b/lxc/web"),
        NAMED("/machine.slice/machine-deb\\x2done.scope", TARGET_CONTAINER, RUNTIME_NSPAWN,
              "deb\\x2done", "deb\\x2done"),
        NAMED("/machine.slice/systemd-nspawn@deb.service", TARGET_CONTAINER, RUNTIME_NSPAWN, "deb",
              "deb"),
        PLAIN("/machine.slice/systemd-nspawn@deb.service/payload"),
        NAMED("/machine.slice/machine-qemu\\x2d3\\x2dwin\\x2d11.scope", TARGET_VM, RUNTIME_LIBVIRT,
              "win\\x2d11", "win\\x2d11"),
        NAMED("/machine.slice/machine-lxc\\x2d42\\x2dbox.scope", TARGET_CONTAINER, RUNTIME_LIBVIRT,
              "box", "box"),
        NAMED("/machine/qemu-7-db.libvirt-qemu", TARGET_VM, RUNTIME_LIBVIRT, "db", "db"),
        NAMED("/machine/old.libvirt-qemu", TARGET_VM, RUNTIME_LIBVIRT, "old", "old"),
        NAMED("/machine/c1.libvirt-lxc", TARGET_CONTAINER, RUNTIME_LIBVIRT, "c1", "c1"),
        NAMED("/qemu.slice/105.scope", TARGET_VM, RUNTIME_QEMU, "105", "105"),
        NAMED("/qemu.slice/x105.scope", TARGET_SERVICE, RUNTIME_SYSTEMD, "", "x105.scope"),
        NAMED("/garden/a1b2", TARGET_CONTAINER, RUNTIME_GARDEN, "a1b2", "a1b2"),
        NAMED("/nomad.slice/share.slice/" UID ".redis.scope", TARGET_CONTAINER, RUNTIME_NOMAD, UID,
              "redis"),
        NAMED("/nomad.slice/" UID ".web.api.scope", TARGET_CONTAINER, RUNTIME_NOMAD, UID,
              "web.api"),
        NAMED("/nomad.slice/share.slice", TARGET_SLICE, RUNTIME_SYSTEMD, "", "share.slice"),
        {"/ecs/0123abcd-task/" ID, TARGET_CONTAINER, RUNTIME_ECS, ID, "", "0123abcd-task", QOS_NONE,
         false},
        {"/ecs/cluster/task9/" ID, TARGET_CONTAINER, RUNTIME_ECS, ID, "", "task9", QOS_NONE, false},
        PLAIN("/ecs/cluster/task9"),
    };

    (void)state;
    check_all(rows, ARRAY_N(rows));
}

static void units(void **state) {
    static const struct row rows[] = {
        NAMED("/system.slice/ssh.service", TARGET_SERVICE, RUNTIME_SYSTEMD, "", "ssh.service"),
        NAMED("/system.slice/system-getty.slice/getty@tty1.service", TARGET_SERVICE,
              RUNTIME_SYSTEMD, "", "getty@tty1.service"),
        NAMED("/init.scope", TARGET_SERVICE, RUNTIME_SYSTEMD, "", "init.scope"),
        NAMED(USER, TARGET_SERVICE, RUNTIME_SYSTEMD, "", "user@1000.service"),
        NAMED(USER "/app.slice/app-firefox-77.scope", TARGET_SERVICE, RUNTIME_SYSTEMD, "",
              "app-firefox-77.scope"),
        NAMED("/user.slice/user-1000.slice/session-2.scope", TARGET_SESSION, RUNTIME_SYSTEMD, "",
              "session-2.scope"),
        NAMED("/system.slice/dbus.socket", TARGET_SERVICE, RUNTIME_SYSTEMD, "", "dbus.socket"),
        NAMED("/system.slice", TARGET_SLICE, RUNTIME_SYSTEMD, "", "system.slice"),
        PLAIN("/system.slice/.service"),
        PLAIN("/"),
        PLAIN(""),
        PLAIN("/a b"),
    };

    (void)state;
    check_all(rows, ARRAY_N(rows));
}

static void near_misses(void **state) {
    static const struct row rows[] = {
        PLAIN("/docker/4f2ab1c09d8e7f6a5b4c3d2e1f00112233445566778899aabbccddeeff00112"), /* 63 */
        PLAIN("/docker/" ID "a"),
        PLAIN("/docker/4F2AB1C09D8E7F6A5B4C3D2E1F00112233445566778899AABBCCDDEEFF001122"),
        PLAIN("/docker-" ID),
        NAMED("/docker-" ID "a.scope", TARGET_SERVICE, RUNTIME_SYSTEMD, "", "docker-" ID "a.scope"),
        NAMED("/xdocker-" ID ".scope", TARGET_SERVICE, RUNTIME_SYSTEMD, "", "xdocker-" ID ".scope"),
        NAMED("/docker-.scope", TARGET_SERVICE, RUNTIME_SYSTEMD, "", "docker-.scope"),
        NAMED("/machine-.scope", TARGET_SERVICE, RUNTIME_SYSTEMD, "", "machine-.scope"),
        PLAIN("/lxc.payload."),
        PLAIN("/lxc.payload"),
        PLAIN("/libpod-conmon-"),
        PLAIN("/x:cri-containerd:short"),
        PLAIN("/cri-containerd:" ID),
        PLAIN("/kubepods/pod" UID "/not-an-id"),
        PLAIN("/kubepods/pod" UID "x"),
    };

    (void)state;
    check_all(rows, ARRAY_N(rows));
}

/* What a container builds inside of itself takes no meaning from what is outside. */
static void a_container_cannot_borrow_its_parents(void **state) {
    static const char outer[] = "/docker/" ID2;
    static const struct row rows[] = {
        CONTAINER("/docker/" ID2 "/docker-" ID ".scope", RUNTIME_DOCKER, ID),
        CONTAINER("/docker/" ID2 "/docker/" ID, RUNTIME_DOCKER, ID),
        NAMED("/docker/" ID2 "/lxc/7", TARGET_CONTAINER, RUNTIME_LXC, "7", "7"),
        BARE("/docker/" ID2 "/" ID, ID),
        PLAIN("/docker/" ID2 "/init"),
        PLAIN("/docker/" ID2),
    };
    struct pathrule got;
    size_t around;
    struct str path;

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++)
        check(&rows[i], str_of(rows[i].path), strlen(outer));

    path = str_of("/docker/" ID2 "/docker-" ID ".scope/deep/er");
    assert_int_equal(pathrule_container(path, &got, &around), path.n - strlen("/deep/er"));
    assert_int_equal(around, strlen(outer));
    assert_true(str_eq(got.id, STR(ID)));

    path = str_of("/docker/" ID2 "/a/b");
    assert_int_equal(pathrule_container(path, &got, &around), strlen(outer));
    assert_int_equal(around, 0);
    assert_true(str_eq(got.id, STR(ID2)));

    assert_int_equal(pathrule_container(STR("/system.slice/ssh.service"), &got, NULL), 0);
    assert_int_equal(pathrule_container(STR("/"), &got, NULL), 0);
    assert_int_equal(pathrule_container(STR("/x/" ID), &got, NULL), 0); /* unsure */
}

static void escapes(void **state) {
    static const char *const rows[][2] = {
        {"deb\\x2done", "deb-one"}, {"\\x2d", "-"},       {"a\\x", "a\\x"},
        {"a\\x2", "a\\x2"},         {"\\x00b", "\\x00b"}, {"\\xC3\\xa4", "\xc3\xa4"},
        {"\\\\x2d", "\\-"},         {"\\xzz", "\\xzz"},   {"", ""},
        {"plain", "plain"},
    };
    char dst[64];

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        size_t n = pathrule_unescape(str_of(rows[i][0]), dst);

        assert_true(str_eq((struct str){dst, n}, str_of(rows[i][1])));
    }
}

static void pod_uids(void **state) {
    char dst[37];

    (void)state;
    assert_true(pathrule_pod_uid(STR(UID_), dst));
    assert_string_equal(dst, UID);
    assert_true(pathrule_pod_uid(STR(UID), dst));
    assert_string_equal(dst, UID);
    assert_true(pathrule_pod_uid(STR(STATIC_UID), dst));
    assert_string_equal(dst, STATIC_UID);
    assert_false(pathrule_pod_uid(STR(UID "0"), dst));
    assert_false(pathrule_pod_uid(STR("2c48913c.b29f.11e7.9350.020968147796"), dst));
    assert_false(pathrule_pod_uid(STR("2C48913C-B29F-11E7-9350-020968147796"), dst));
    assert_false(pathrule_pod_uid(STR(""), dst));
}

static void hostile_bytes(void **state) {
    struct pathrule got;
    char path[600];

    (void)state;
    pathrule_match(STR("/docker/\x1b[2J\xff\n" ID), 0, &got);
    assert_int_equal(got.kind, TARGET_GROUP);
    pathrule_match(STR("//docker//" ID), 0, &got);
    assert_true(got.unsure || got.kind == TARGET_GROUP);
    pathrule_match(STR("/lxc.payload.\x1b]0;x\a"), 0, &got);
    assert_int_equal(got.kind, TARGET_CONTAINER);
    assert_int_equal(got.name.n, 6);
    memset(path, '/', sizeof(path));
    pathrule_match((struct str){path, sizeof(path)}, 0, &got);
    assert_int_equal(got.kind, TARGET_GROUP);
    assert_int_equal(pathrule_container((struct str){path, sizeof(path)}, &got, NULL), 0);
}

static void runs_of_our_own(void **state) {
#define RUN(path, name) NAMED(path, TARGET_CONTAINER, RUNTIME_PLIMSOLL, name, name)
    static const struct row rows[] = {
        RUN("/plimsoll-run-web", "web"),
        RUN("/plimsoll-run-app-4711", "app-4711"),
        RUN("/batch/night/plimsoll-run-a.b_c-9", "a.b_c-9"),
        RUN(USER "/app.slice/x.scope/plimsoll-run-web", "web"),
        RUN("/plimsoll-run-web.service", "web.service"),
        RUN("/plimsoll-run-0123456789012345678901234567890123456789012345678901234567890123",
            "0123456789012345678901234567890123456789012345678901234567890123"),
        /* the group of the work is inside of it, and nothing of its own */
        PLAIN("/plimsoll-run-web/w"),
        NAMED("/a/plimsoll-supervisor", TARGET_HELPER, RUNTIME_PLIMSOLL, "", ""),
        /* names that `plimsoll run` never gives */
        PLAIN("/plimsoll-run-"),
        PLAIN("/plimsoll-run"),
        PLAIN("/plimsoll-run--x"),
        PLAIN("/plimsoll-run-.x"),
        PLAIN("/plimsoll-run-a b"),
        PLAIN("/plimsoll-run-a\\x2db"),
        PLAIN("/plimsoll-run-\xc3\xa4"),
        PLAIN("/xplimsoll-run-web"),
        PLAIN("/plimsoll-supervisor-2"),
        PLAIN("/plimsoll-run-01234567890123456789012345678901234567890123456789012345678901234"),
    };
#undef RUN
    struct pathrule got;
    size_t outer = 99;

    (void)state;
    check_all(rows, ARRAY_N(rows));
    assert_int_equal(pathrule_container(STR("/plimsoll-run-web/w/a"), &got, &outer), 17);
    assert_true(str_eq(got.name, STR("web")));
    assert_int_equal(outer, 0);
    /* a container that was put into a run keeps its own name */
    pathrule_match(STR("/plimsoll-run-web/w/docker/" ID), 17, &got);
    assert_int_equal(got.runtime, RUNTIME_DOCKER);
    assert_int_equal(pathrule_container(STR("/plimsoll-run-web/w/docker/" ID "/x"), &got, &outer),
                     17 + 9 + 1 + 64 - 1 + 1);
    assert_int_equal(outer, 17);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(docker),        cmocka_unit_test(containerd_and_crio),
        cmocka_unit_test(pods),          cmocka_unit_test(podman),
        cmocka_unit_test(machines),      cmocka_unit_test(units),
        cmocka_unit_test(near_misses),   cmocka_unit_test(a_container_cannot_borrow_its_parents),
        cmocka_unit_test(escapes),       cmocka_unit_test(pod_uids),
        cmocka_unit_test(hostile_bytes), cmocka_unit_test(runs_of_our_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
