#include "discover/targets.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "discover/testtree.h"

#define A "4f2ab1c09d8e7f6a5b4c3d2e1f00112233445566778899aabbccddeeff001122"
#define B "00112233445566778899aabbccddeeff4f2ab1c09d8e7f6a5b4c3d2e1f001122"
#define C "cccc2233445566778899aabbccddeeff4f2ab1c09d8e7f6a5b4c3d2e1f00cccc"
#define POD_UID "2c48913c-b29f-11e7-9350-020968147796"
#define POD_SLICE "/kubepods.slice/kubepods-pod2c48913c_b29f_11e7_9350_020968147796.slice"
#define CONFIG(name)                                                                               \
    "{\"Name\":\"/" name "\",\"Image\":\"sha256:1\",\"Config\":{\"Image\":\"box:1\"}}"

/* ---- what the callbacks tell ---- */

struct log {
    unsigned added, removed, renamed;
    char last[256];
};

static void on_added(void *ctx, const struct target *t) {
    struct log *log = ctx;

    log->added++;
    snprintf(log->last, sizeof(log->last), "+%s", t->name);
}

static void on_removed(void *ctx, const struct target *t) {
    struct log *log = ctx;

    log->removed++;
    snprintf(log->last, sizeof(log->last), "-%s", t->name);
}

static void on_renamed(void *ctx, const struct target *t) {
    struct log *log = ctx;

    log->renamed++;
    snprintf(log->last, sizeof(log->last), "~%s", t->name);
}

static struct targets *open_targets_asking(const struct host *h, const struct cgfs *fs,
                                           enum targets_scope scope, bool watch, bool ask,
                                           struct log *log) {
    struct targets_options o = {.scope = scope,
                                .watch = watch,
                                .ask = ask,
                                .added = on_added,
                                .removed = on_removed,
                                .renamed = on_renamed,
                                .ctx = log};
    struct err err = {0};
    struct targets *t;

    *log = (struct log){0};
    if (targets_new(h, fs, &o, &t, &err) < 0)
        fail_msg("%s", err.text);
    return t;
}

static struct targets *open_targets(const struct host *h, const struct cgfs *fs,
                                    enum targets_scope scope, bool watch, struct log *log) {
    return open_targets_asking(h, fs, scope, watch, true, log);
}

static const struct target *named(const struct targets *t, const char *name) {
    const struct target *found = NULL;

    for (uint32_t i = 0; i < targets_slots(t); i++) {
        const struct target *x = targets_at(t, i);

        if (x && str_eq(str_of(x->name), str_of(name))) {
            assert_int_equal(x->slot, i);
            assert_null(found);
            found = x;
        }
    }
    if (!found)
        for (uint32_t i = 0; i < targets_slots(t); i++)
            print_message("# shown: %s\n", targets_at(t, i) ? targets_at(t, i)->name : "-");
    assert_non_null(found);
    return found;
}

/* ---- a machine of files ---- */

static void put_process(const struct testtree *t, int pid, int ppid, const char *comm, bool init,
                        const char *group, const char *cmdline, size_t n) {
    char nspid[32];

    snprintf(nspid, sizeof(nspid), init ? "%d 1" : "%d", pid);
    testtree_process(t, &(struct testtree_process){.pid = pid,
                                                   .ppid = ppid,
                                                   .comm = comm,
                                                   .nspid = nspid,
                                                   .group = group,
                                                   .cmdline = cmdline,
                                                   .cmdline_n = n,
                                                   .start = 1000 + pid});
}

/* A group with an init, whose parent is a containerd shim, whose working directory is a bundle. */
static void put_container(const struct testtree *t, int pid, const char *comm, const char *group,
                          const char *shim_group, const char *namespace, const char *shim_id,
                          const char *cwd) {
    char procs[32], words[512], link[64];
    int n;

    snprintf(procs, sizeof(procs), "%d\n", pid);
    testtree_group(t, group, procs);
    put_process(t, pid, pid - 1, comm, true, group, comm, strlen(comm));
    n = snprintf(words, sizeof(words), "containerd-shim-runc-v2%c-namespace%c%s%c-id%c%s", 0, 0,
                 namespace, 0, 0, shim_id);
    put_process(t, pid - 1, 1, "containerd-shim", false, shim_group, words, (size_t)n);
    snprintf(link, sizeof(link), "/proc/%d/cwd", pid - 1);
    testtree_link(t, link, cwd);
}

static void put_conmon(const struct testtree *t, int pid, const char *group, const char *id,
                       const char *name, const char *bundle, const char *exit_command) {
    char procs[32], words[1024];
    int n;

    snprintf(procs, sizeof(procs), "%d\n", pid);
    testtree_group(t, group, procs);
    put_process(t, pid, pid - 1, "sleep", true, group, "sleep", 5);
    n = snprintf(words, sizeof(words),
                 "/usr/bin/conmon%c-c%c%s%c-u%c%s%c-b%c%s%c-n%c%s%c--exit-command%c%s", 0, 0, id, 0,
                 0, id, 0, 0, bundle, 0, 0, name, 0, 0, exit_command);
    put_process(t, pid - 1, 1, "conmon", false, "/", words, (size_t)n);
}

static void docker_names_from_every_data_root(void **state) {
    const char dockerd[] = "/usr/bin/dockerd\0--data-root\0/elsewhere/data";
    struct testtree t;
    struct targets *all;
    struct log log;
    const struct target *x;

    (void)state;
    testtree_init(&t);
    /* the usual root, without any process to be seen */
    testtree_group(&t, "/docker/" A, "");
    testtree_file(&t, "/var/lib/docker/containers/" A "/config.v2.json", CONFIG("usual"));
    /* a root that only the bundle's mount of /etc/hostname tells */
    put_container(&t, 101, "app", "/parent/" B, "/docker.service", "moby", B,
                  "/exec/io.containerd.runtime.v2.task/moby/" B);
    testtree_file(&t, "/exec/io.containerd.runtime.v2.task/moby/" B "/config.json",
                  "{\"mounts\":[{\"destination\":\"/etc/hosts\",\"source\":\"/x\"},"
                  "{\"destination\":\"/etc/hostname\",\"source\":\"/moved/containers/" B
                  "/hostname\"}]}");
    testtree_file(&t, "/moved/containers/" B "/config.v2.json", CONFIG("by-bundle"));
    /* a root that only the daemon's own command line tells */
    testtree_group(&t, "/docker/" C, "");
    testtree_file(&t, "/proc/77/comm", "dockerd\n");
    testtree_file(&t, "/proc/77/cgroup", "4:memory:/docker.service\n");
    testtree_bytes(&t, "/proc/77/cmdline", dockerd, sizeof(dockerd));
    testtree_file(&t, "/elsewhere/data/containers/" C "/config.v2.json", CONFIG("by-daemon"));

    all = open_targets(&t.host, &t.fs, TARGETS_CONTAINERS, false, &log);
    assert_int_equal(targets_shown(all), 3);
    assert_int_equal(log.added, 3);
    x = named(all, "usual");
    assert_string_equal(x->image, "box:1");
    assert_string_equal(x->id, A);
    assert_int_equal(x->named_by, SOURCE_DOCKER_FILE);
    assert_int_equal(x->init_pid, 0);
    x = named(all, "by-bundle");
    assert_int_equal(x->runtime, RUNTIME_DOCKER);
    assert_int_equal(x->kind, TARGET_CONTAINER);
    assert_int_equal(x->init_pid, 101);
    /* started 1101 ticks after 2023-11-14 22:13:20 */
    assert_int_equal(x->start_ms, 1700000000000 + 1101 * 1000 / sysconf(_SC_CLK_TCK));
    assert_null(x->inside);
    named(all, "by-daemon");
    targets_free(all);
    testtree_done(&t);
}

static void daemon_json_tells_the_data_root(void **state) {
    struct testtree t;
    struct targets *all;
    struct log log;

    (void)state;
    testtree_init(&t);
    testtree_group(&t, "/docker/" A, "");
    testtree_file(&t, "/etc/docker/daemon.json", "{\"data-root\": \"/big/docker\"}");
    testtree_file(&t, "/big/docker/containers/" A "/config.v2.json", CONFIG("configured"));
    all = open_targets(&t.host, &t.fs, TARGETS_CONTAINERS, false, &log);
    named(all, "configured");
    targets_free(all);
    testtree_done(&t);
}

static void without_a_name_the_short_id(void **state) {
    struct testtree t;
    struct targets *all;
    struct log log;
    const struct target *x;

    (void)state;
    testtree_init(&t);
    testtree_group(&t, "/docker/" A, "");
    testtree_group(&t, "/other/" B, ""); /* nobody's, and nobody in it */
    testtree_file(&t, "/var/lib/docker/containers/" A "/config.v2.json", "{\"Name\": 7");
    all = open_targets(&t.host, &t.fs, TARGETS_CONTAINERS, false, &log);
    assert_int_equal(targets_shown(all), 1);
    x = named(all, "4f2ab1c09d8e");
    assert_int_equal(x->named_by, SOURCE_PATH);
    assert_null(x->image);
    targets_free(all);
    testtree_done(&t);
}

static void a_rename_is_seen(void **state) {
    struct testtree t;
    struct targets *all;
    struct log log;
    int64_t now;

    (void)state;
    testtree_init(&t);
    put_container(&t, 101, "app", "/docker/" A, "/docker.service", "moby", A, "/none");
    testtree_file(&t, "/var/lib/docker/containers/" A "/config.v2.json", CONFIG("before"));
    all = open_targets(&t.host, &t.fs, TARGETS_CONTAINERS, false, &log);
    now = clock_mono_us();
    named(all, "before");
    testtree_file(&t, "/var/lib/docker/containers/" A "/new",
                  "{\"Name\":\"/after\",\"Config\":{\"Labels\":{\"z\":\"1\",\"a\":\"b\"}}}");
    {
        char from[256], to[256];

        testtree_full(&t, "/var/lib/docker/containers/" A "/new", from, sizeof(from));
        testtree_full(&t, "/var/lib/docker/containers/" A "/config.v2.json", to, sizeof(to));
        assert_int_equal(rename(from, to), 0);
    }
    assert_int_equal(targets_update(all, now + 1000000), 0);
    assert_int_equal(log.renamed, 0); /* looked at every five seconds */
    assert_int_equal(targets_update(all, now + 7000000), 0);
    assert_string_equal(log.last, "~after");
    assert_string_equal(named(all, "after")->labels, "a=b\nz=1\n");
    targets_free(all);
    testtree_done(&t);
}

static void containerd_pods_and_their_sandbox(void **state) {
    struct testtree t;
    struct targets *all;
    struct log log;
    const struct target *x;
    static const char task[] = "/run/containerd/io.containerd.runtime.v2.task/k8s.io/";
    char path[512];

    (void)state;
    testtree_init(&t);
    snprintf(path, sizeof(path), "%s%s", task, A);
    put_container(&t, 201, "pause", POD_SLICE "/cri-containerd-" A ".scope", "/containerd.service",
                  "k8s.io", A, path);
    put_container(&t, 301, "nginx", POD_SLICE "/cri-containerd-" B ".scope", "/containerd.service",
                  "k8s.io", A, path); /* one shim, that of the sandbox, for the whole pod */
    put_container(&t, 401, "pause", POD_SLICE "/cri-containerd-" C ".scope", "/containerd.service",
                  "k8s.io", C, "/gone/" C);
    snprintf(path, sizeof(path), "%s%s/config.json", task, A);
    testtree_file(&t, path,
                  "{\"annotations\":{\"io.kubernetes.cri.container-type\":\"sandbox\","
                  "\"io.kubernetes.cri.sandbox-name\":\"shop-1\"}}");
    snprintf(path, sizeof(path), "%s%s/config.json", task, B);
    testtree_file(&t, path,
                  "{\"annotations\":{\"io.kubernetes.cri.container-type\":\"container\","
                  "\"io.kubernetes.cri.container-name\":\"web\","
                  "\"io.kubernetes.cri.image-name\":\"nginx:1\","
                  "\"io.kubernetes.cri.sandbox-name\":\"shop-1\","
                  "\"io.kubernetes.cri.sandbox-namespace\":\"prod\"}}");
    all = open_targets(&t.host, &t.fs, TARGETS_CONTAINERS, false, &log);
    assert_int_equal(targets_shown(all), 1); /* two sandboxes: one by its bundle, one by "pause" */
    x = named(all, "web");
    assert_string_equal(x->pod, "shop-1");
    assert_string_equal(x->namespace, "prod");
    assert_string_equal(x->image, "nginx:1");
    assert_string_equal(x->container, "web");
    assert_string_equal(x->pod_uid, POD_UID);
    assert_int_equal(x->qos, QOS_GUARANTEED);
    assert_int_equal(x->named_by, SOURCE_BUNDLE);
    targets_free(all);

    all = open_targets(&t.host, &t.fs, TARGETS_ALL, false, &log);
    assert_int_equal(targets_shown(all), targets_groups(all));
    x = targets_find(all, str_of(POD_SLICE));
    assert_int_equal(x->kind, TARGET_POD);
    assert_string_equal(x->name, "shop-1");
    assert_string_equal(x->namespace, "prod");
    x = targets_find(all, str_of(POD_SLICE "/cri-containerd-" C ".scope"));
    assert_int_equal(x->kind, TARGET_SANDBOX);
    targets_free(all);
    testtree_done(&t);
}

static void a_container_cannot_hide_as_pause(void **state) {
    struct testtree t;
    struct targets *all;
    struct log log;

    (void)state;
    testtree_init(&t);
    put_container(&t, 201, "pause", "/docker/" A, "/docker.service", "moby", A, "/none");
    put_container(&t, 301, "pause", POD_SLICE "/cri-containerd-" B ".scope", "/containerd.service",
                  "k8s.io", B, "/b/" B);
    testtree_file(&t, "/b/" B "/config.json",
                  "{\"annotations\":{\"io.kubernetes.cri.container-type\":\"container\","
                  "\"io.kubernetes.cri.container-name\":\"sly\"}}");
    all = open_targets(&t.host, &t.fs, TARGETS_CONTAINERS, false, &log);
    assert_int_equal(targets_shown(all), 2);
    named(all, "sly");
    targets_free(all);
    testtree_done(&t);
}

static void kubernetes_log_names_serve_everybody(void **state) {
    struct testtree t;
    struct targets *all;
    struct log log;
    const struct target *x;

    (void)state;
    testtree_init(&t);
    testtree_group(&t, POD_SLICE "/cri-containerd-" A ".scope", "");
    testtree_link(&t, "/var/log/containers/shop-1_prod_web-" A ".log", "/nowhere");
    testtree_file(&t, "/var/log/pods/prod_shop-1_" POD_UID "/web/0.log", "");
    all = open_targets(&t.host, &t.fs, TARGETS_CONTAINERS, false, &log);
    x = named(all, "web");
    assert_string_equal(x->pod, "shop-1");
    assert_string_equal(x->namespace, "prod");
    assert_int_equal(x->named_by, SOURCE_POD_LOG);
    x = targets_find(all, str_of(POD_SLICE));
    assert_string_equal(x->name, "shop-1");
    targets_free(all);
    testtree_done(&t);
}

static void containers_of_containerd_alone(void **state) {
    struct testtree t;
    struct targets *all;
    struct log log;
    const struct target *x;

    (void)state;
    testtree_init(&t);
    put_container(&t, 201, "app", "/shop/web2", "/containerd.service", "shop", "web2", "/b/web2");
    put_container(&t, 301, "app", "/any/where", "/containerd.service", "shop", "odd", "/b/odd");
    put_container(&t, 401, "app", "/default/" A, "/containerd.service", "default", A, "/b/" A);
    testtree_file(&t, "/b/" A "/config.json",
                  "{\"hostname\":\"h\",\"annotations\":{\"nerdctl/name\":\"nerd\","
                  "\"com.docker.compose.project\":\"shop\"}}");
    testtree_group(&t, "/any/where/below", "");
    testtree_group(&t, "/plain", "");
    all = open_targets(&t.host, &t.fs, TARGETS_CONTAINERS, false, &log);
    assert_int_equal(targets_shown(all), 3);
    x = named(all, "web2");
    assert_string_equal(x->path.p, "/shop/web2");
    assert_string_equal(x->id, "web2");
    assert_int_equal(x->runtime, RUNTIME_CONTAINERD);
    assert_int_equal(x->named_by, SOURCE_SHIM);
    x = named(all, "odd");
    assert_string_equal(x->path.p, "/any/where");
    assert_ptr_equal(targets_find(all, STR("/any/where/below"))->inside, x);
    assert_ptr_equal(targets_container(targets_find(all, STR("/any/where/below"))), x);
    assert_null(x->labels);
    assert_string_equal(named(all, "nerd")->labels, "com.docker.compose.project=shop\n");
    assert_null(targets_container(targets_find(all, STR("/plain"))));
    targets_free(all);
    testtree_done(&t);
}

static void podman_and_crio(void **state) {
    static const char graph[] = "/g/overlay-containers/";
    struct testtree t;
    struct targets *all;
    struct log log;
    const struct target *x;
    char path[512];

    (void)state;
    testtree_init(&t);
    snprintf(path, sizeof(path), "%s%s/userdata", graph, A);
    put_conmon(&t, 201, "/libpod_parent/libpod-" A, A, "old", path, "/usr/bin/podman");
    testtree_file(&t, "/g/overlay-containers/containers.json",
                  "[{\"id\":\"" A "\",\"names\":[\"new\"],"
                  "\"metadata\":\"{\\\"image-name\\\":\\\"img:2\\\",\\\"name\\\":\\\"old\\\"}\"}]");
    /* CRI-O: names in conmon's arguments and the bundle */
    snprintf(path, sizeof(path), "/run/containers/storage/overlay-containers/%s/userdata", B);
    put_conmon(&t, 301, POD_SLICE "/crio-" B ".scope", B, "k8s_web_shop-1_prod_" POD_UID "_0", path,
               "/usr/bin/crio");
    testtree_file(&t, "/run/containers/storage/overlay-containers/" B "/userdata/config.json",
                  "{\"annotations\":{\"a\":\"b\",\"io.kubernetes.cri-o.Labels\":"
                  "\"{\\\"app\\\":\\\"shop\\\"}\"}}");
    testtree_group(&t, POD_SLICE "/crio-conmon-" B ".scope", "300\n");
    all = open_targets(&t.host, &t.fs, TARGETS_CONTAINERS, false, &log);
    assert_int_equal(targets_shown(all), 2);
    x = named(all, "new");
    assert_int_equal(x->runtime, RUNTIME_PODMAN);
    assert_string_equal(x->image, "img:2");
    assert_int_equal(x->named_by, SOURCE_STORAGE_FILE);
    x = named(all, "web");
    assert_int_equal(x->runtime, RUNTIME_CRIO);
    assert_string_equal(x->pod, "shop-1");
    assert_string_equal(x->namespace, "prod");
    assert_string_equal(x->labels, "app=shop\n");
    targets_free(all);
    testtree_done(&t);
}

static void machines_and_units(void **state) {
    struct testtree t;
    struct targets *all;
    struct log log;
    const struct target *x;

    (void)state;
    testtree_init(&t);
    testtree_group(&t, "/machine.slice/machine-deb\\x2done.scope/payload", "");
    testtree_group(&t, "/lxc/101/ns", "");
    testtree_group(&t, "/lxc/plain", "");
    testtree_group(&t, "/qemu.slice/105.scope", "");
    testtree_group(&t, "/system.slice/ssh.service", "");
    testtree_file(&t, "/etc/pve/lxc/101.conf", "arch: amd64\nhostname: mail\n[old]\nhostname: x\n");
    testtree_file(&t, "/etc/pve/qemu-server/105.conf", "cores: 2\nname: windows\n");
    all = open_targets(&t.host, &t.fs, TARGETS_CONTAINERS, false, &log);
    assert_int_equal(targets_shown(all), 4);
    x = named(all, "deb-one");
    assert_string_equal(x->id, "deb\\x2done");
    assert_string_equal(x->unit, "machine-deb-one.scope");
    x = named(all, "mail");
    assert_int_equal(x->named_by, SOURCE_GUEST_CONF);
    assert_string_equal(x->id, "101");
    assert_int_equal(named(all, "windows")->kind, TARGET_VM);
    named(all, "plain");
    x = targets_find(all, STR("/system.slice/ssh.service"));
    assert_int_equal(x->kind, TARGET_SERVICE);
    assert_string_equal(x->unit, "ssh.service");
    assert_int_equal(x->slot, TARGET_NO_SLOT);
    targets_free(all);
    testtree_done(&t);
}

/* A run is a limit on the host's own files: engines and containers in it are as they are without.
 */
static void a_run_is_shown_and_hides_nobodys_name(void **state) {
    const char dockerd[] = "/usr/bin/dockerd\0--data-root\0/elsewhere/data";
    struct testtree t;
    struct targets *all;
    struct log log;
    const struct target *run, *x;

    (void)state;
    testtree_init(&t);
    testtree_group(&t, "/batch/plimsoll-run-web", "");
    testtree_group(&t, "/batch/plimsoll-run-web/w", "501\n");
    put_process(&t, 501, 500, "app", false, "/batch/plimsoll-run-web/w", "app", 3);
    testtree_group(&t, "/plimsoll-supervisor", "500\n");
    /* put into it by its engine, which runs outside */
    put_container(&t, 201, "app", "/batch/plimsoll-run-web/w/docker/" A, "/docker.service", "moby",
                  A, "/none");
    testtree_file(&t, "/var/lib/docker/containers/" A "/config.v2.json", CONFIG("guest"));
    /* an engine that was started by a run: its files are the host's */
    testtree_group(&t, "/docker/" C, "");
    testtree_file(&t, "/proc/77/comm", "dockerd\n");
    testtree_file(&t, "/proc/77/cgroup", "4:memory:/batch/plimsoll-run-web/w\n");
    testtree_bytes(&t, "/proc/77/cmdline", dockerd, sizeof(dockerd));
    testtree_file(&t, "/elsewhere/data/containers/" C "/config.v2.json", CONFIG("by-daemon"));

    all = open_targets(&t.host, &t.fs, TARGETS_CONTAINERS, false, &log);
    assert_int_equal(targets_shown(all), 3);
    run = named(all, "web");
    assert_int_equal(run->kind, TARGET_CONTAINER);
    assert_string_equal(runtime_name(run->runtime), "plimsoll");
    assert_int_equal(run->named_by, SOURCE_PATH);
    assert_int_equal(run->init_pid, 501);
    assert_null(run->inside);
    x = targets_find(all, STR("/batch/plimsoll-run-web/w"));
    assert_int_equal(x->kind, TARGET_GROUP);
    assert_ptr_equal(x->inside, run);
    assert_int_equal(targets_find(all, STR("/plimsoll-supervisor"))->kind, TARGET_HELPER);
    x = named(all, "guest");
    assert_int_equal(x->named_by, SOURCE_DOCKER_FILE);
    assert_ptr_equal(x->inside, run);
    assert_null(target_outside(x));
    named(all, "by-daemon");
    targets_free(all);
    testtree_done(&t);
}

static void is_shown(const struct targets *all, const char *path, bool should) {
    const struct target *x = targets_find(all, str_of(path));

    assert_non_null(x);
    if ((x->slot != TARGET_NO_SLOT) != should)
        fail_msg("%s, a %s, is %sshown", path, target_kind_name(x->kind), should ? "not " : "");
}

static void services_are_what_was_started_under_a_name(void **state) {
    static const char task[] = "/run/containerd/io.containerd.runtime.v2.task/k8s.io/" A;
    static const char *const shown[] = {
        "/docker/" C, /* NOLINT(bugprone-suspicious-missing-comma) */
        "/machine.slice/machine-deb\\x2done.scope",
        "/qemu.slice/105.scope",
        "/system.slice/ssh.service",
        "/system.slice/dbus.socket",
        "/init.scope",
        "/user.slice/user-1000.slice/session-3.scope",
        "/user.slice/user-1000.slice/user@1000.service",
        "/user.slice/user-1000.slice/user@1000.service/app.slice/app-firefox-77.scope",
        "/batch/plimsoll-run-web",
        "/batch/plimsoll-run-web/w/system.slice/tor.service", /* a run is no container */
        POD_SLICE,
        POD_SLICE "/cri-containerd-" B ".scope", /* NOLINT(bugprone-suspicious-missing-comma) */
    };
    static const char *const hidden[] = {
        "/", "/docker", "/system.slice", "/user.slice/user-1000.slice", "/my-own-group", "/batch",
        "/batch/plimsoll-run-web/w", "/plimsoll-supervisor",
        "/machine.slice/machine-deb\\x2done.scope/payload",
        "/machine.slice/machine-deb\\x2done.scope/payload/system.slice/cron.service",
        /* the sandbox */
        POD_SLICE "/cri-containerd-" A ".scope", /* NOLINT(bugprone-suspicious-missing-comma) */
    };
    struct testtree t;
    struct targets *all;
    struct log log;

    (void)state;
    testtree_init(&t);
    for (size_t i = 0; i < ARRAY_N(shown); i++)
        testtree_group(&t, shown[i], "");
    for (size_t i = 0; i < ARRAY_N(hidden); i++)
        testtree_group(&t, hidden[i], "");
    testtree_group(&t, "/plimsoll-supervisor", "500\n");
    put_container(&t, 201, "pause", POD_SLICE "/cri-containerd-" A ".scope", "/containerd.service",
                  "k8s.io", A, task);
    put_container(&t, 301, "nginx", POD_SLICE "/cri-containerd-" B ".scope", "/containerd.service",
                  "k8s.io", A, task);
    all = open_targets(&t.host, &t.fs, TARGETS_SERVICES, false, &log);
    for (size_t i = 0; i < ARRAY_N(shown); i++)
        is_shown(all, shown[i], true);
    for (size_t i = 0; i < ARRAY_N(hidden); i++)
        is_shown(all, hidden[i], false);
    assert_int_equal(log.added, targets_shown(all));
    targets_free(all);
    testtree_done(&t);
}

/* The inner container's id is that of another one on the host: its name is not given away. */
static void an_inner_container_gets_no_name_of_the_host(void **state) {
    struct testtree t;
    struct targets *all;
    struct log log;
    const struct target *x;

    (void)state;
    testtree_init(&t);
    put_container(&t, 201, "dind", "/docker/" A, "/docker.service", "moby", A, "/none");
    testtree_file(&t, "/var/lib/docker/containers/" A "/config.v2.json", CONFIG("outer"));
    put_container(&t, 301, "app", "/docker/" A "/docker/" B, "/docker/" A "/init", "moby", B,
                  "/none");
    testtree_file(&t, "/var/lib/docker/containers/" B "/config.v2.json", CONFIG("victim"));
    testtree_group(&t, "/docker/" A "/init", "");
    testtree_group(&t, "/docker/" A "/docker-" C ".scope", "");
    testtree_file(&t, "/var/lib/docker/containers/" C "/config.v2.json", CONFIG("victim2"));
    all = open_targets(&t.host, &t.fs, TARGETS_CONTAINERS, false, &log);
    assert_int_equal(targets_shown(all), 3);
    x = named(all, "outer");
    assert_ptr_equal(named(all, "001122334455")->inside, x);
    assert_ptr_equal(named(all, "cccc22334455")->inside, x);
    assert_ptr_equal(targets_find(all, STR("/docker/" A "/init"))->inside, x);
    targets_free(all);
    testtree_done(&t);
}

/* What the outer shim started may sit in a group below; that makes it no container of its own. */
static void the_outer_shim_speaks_for_the_outer_container(void **state) {
    struct testtree t;
    struct targets *all;
    struct log log;

    (void)state;
    testtree_init(&t);
    testtree_group(&t, "/docker/" A, "");
    put_container(&t, 201, "init", "/docker/" A "/sub", "/docker.service", "moby", A, "/none");
    testtree_file(&t, "/var/lib/docker/containers/" A "/config.v2.json", CONFIG("outer"));
    all = open_targets(&t.host, &t.fs, TARGETS_CONTAINERS, false, &log);
    assert_int_equal(targets_shown(all), 1);
    assert_int_equal(named(all, "outer")->init_pid, 201);
    targets_free(all);
    testtree_done(&t);
}

static void groups_come_and_go_and_slots_stay(void **state) {
    struct testtree t;
    struct targets *all;
    struct log log;
    uint32_t kept;
    int64_t now;

    (void)state;
    testtree_init(&t);
    testtree_group(&t, "/lxc/a", "");
    testtree_group(&t, "/lxc/b", "");
    all = open_targets(&t.host, &t.fs, TARGETS_CONTAINERS, false, &log);
    now = clock_mono_us();
    kept = named(all, "b")->slot;
    testtree_delete(&t, "/sys/fs/cgroup/memory/lxc/a");
    testtree_group(&t, "/lxc/c/below", "");
    assert_int_equal(targets_update(all, now + 2000000), 0);
    assert_int_equal(log.removed, 0); /* nothing watched: only when told */
    targets_rescan(all);
    assert_int_equal(targets_update(all, now + 4000000), 0);
    assert_int_equal(log.removed, 1);
    assert_int_equal(targets_shown(all), 2);
    assert_int_equal(named(all, "b")->slot, kept);
    assert_int_equal(named(all, "c")->slot, 1 - kept); /* the one that became free */
    assert_non_null(targets_find(all, STR("/lxc/c/below")));
    assert_null(targets_find(all, STR("/lxc/a")));
    /* another directory of the same name is another group */
    testtree_delete(&t, "/sys/fs/cgroup/memory/lxc/b");
    testtree_file(&t, "/keep-the-inode-busy", "");
    testtree_group(&t, "/lxc/b", "");
    targets_rescan(all);
    assert_int_equal(targets_update(all, now + 8000000), 0);
    assert_int_equal(targets_shown(all), 2);
    targets_free(all);
    assert_int_equal(log.added - log.removed, 2); /* freeing tells nobody */
    testtree_done(&t);
}

static void only_the_chosen(void **state) {
    struct testtree t;
    struct targets *all;
    struct log log;
    int64_t now;

    (void)state;
    testtree_init(&t);
    testtree_group(&t, "/x/y", "");
    testtree_group(&t, "/lxc/a", "");
    all = open_targets(&t.host, &t.fs, TARGETS_CHOSEN, false, &log);
    now = clock_mono_us();
    assert_int_equal(targets_shown(all), 0);
    assert_int_equal(targets_choose(all, STR("/x/y")), 0);
    assert_int_equal(targets_choose(all, STR("/later")), 0);
    assert_string_equal(log.last, "+y");
    testtree_group(&t, "/later", "");
    targets_rescan(all);
    assert_int_equal(targets_update(all, now + 4000000), 0);
    assert_int_equal(targets_shown(all), 2);
    named(all, "later");
    targets_free(all);
    testtree_done(&t);
}

/* Two minutes, as updates see them. */
static void wait_long(struct targets *t, int64_t *now_us) {
    for (unsigned i = 0; i < 12; i++) {
        *now_us += 10000000;
        assert_int_equal(targets_update(t, *now_us), 0);
    }
}

/* A group that only its processes made a container is none any more when they are other ones. */
static void a_container_of_nobody_ends_with_its_processes(void **state) {
    struct testtree t;
    struct targets *all;
    struct log log;
    const struct target *x;
    int64_t now = clock_mono_us();

    (void)state;
    testtree_init(&t);
    testtree_group(&t, "/some/" A, "101\n");
    testtree_group(&t, "/some/" A "/below", "");
    testtree_group(&t, "/some/" A "/docker/" B, "");
    put_process(&t, 101, 1, "app", true, "/some/" A, "app", 3);
    put_process(&t, 102, 1, "sh", false, "/some/" A, "sh", 2);
    all = open_targets(&t.host, &t.fs, TARGETS_CONTAINERS, false, &log);
    x = named(all, "4f2ab1c09d8e");
    assert_int_equal(x->kind, TARGET_CONTAINER);
    assert_ptr_equal(targets_find(all, STR("/some/" A "/below"))->inside, x);
    assert_int_equal(targets_shown(all), 2);
    /* somebody of the host enters it: the same container */
    testtree_group(&t, "/some/" A, "101\n102\n");
    wait_long(all, &now);
    assert_int_equal(targets_shown(all), 2);
    /* nobody is in it: not known to be another */
    testtree_group(&t, "/some/" A, "");
    wait_long(all, &now);
    assert_int_equal(targets_shown(all), 2);
    assert_int_equal(log.removed, 0);
    /* only somebody of the host */
    testtree_group(&t, "/some/" A, "102\n");
    wait_long(all, &now);
    assert_int_equal(log.removed, 1);
    assert_string_equal(log.last, "-4f2ab1c09d8e");
    assert_int_equal(targets_shown(all), 1); /* the inner one */
    x = targets_find(all, STR("/some/" A));
    assert_int_equal(x->kind, TARGET_GROUP);
    assert_int_equal(x->slot, TARGET_NO_SLOT);
    assert_string_equal(x->name, A);
    assert_int_equal(x->init_pid, 0);
    assert_null(targets_find(all, STR("/some/" A "/below"))->inside);
    x = named(all, "001122334455");
    assert_null(x->inside);
    /* and a container once more */
    testtree_group(&t, "/some/" A, "101\n");
    targets_rescan(all);
    wait_long(all, &now);
    assert_int_equal(targets_shown(all), 2);
    assert_ptr_equal(x->inside, named(all, "4f2ab1c09d8e"));
    targets_free(all);

    all = open_targets(&t.host, &t.fs, TARGETS_ALL, false, &log);
    x = named(all, "4f2ab1c09d8e");
    testtree_group(&t, "/some/" A, "102\n");
    now = clock_mono_us();
    wait_long(all, &now);
    assert_int_equal(log.removed, 0); /* it is shown all the time, in its slot */
    assert_string_equal(log.last, "~" A);
    assert_ptr_equal(named(all, A), x);
    assert_int_equal(x->kind, TARGET_GROUP);
    targets_free(all);
    testtree_done(&t);
}

static void a_pid_that_was_given_again_is_nobodys_init(void **state) {
    struct testtree t;
    struct targets *all;
    struct log log;
    const struct target *x;
    int64_t now = clock_mono_us();
    struct testtree_process other = {.pid = 101,
                                     .ppid = 1,
                                     .comm = "other",
                                     .nspid = "101",
                                     .group = "/",
                                     .cmdline = "other",
                                     .cmdline_n = 5,
                                     .start = 5000};

    (void)state;
    testtree_init(&t);
    testtree_group(&t, "/lxc/box", "101\n");
    put_process(&t, 101, 1, "init", true, "/lxc/box", "init", 4);
    all = open_targets(&t.host, &t.fs, TARGETS_CONTAINERS, false, &log);
    x = named(all, "box");
    assert_int_equal(x->init_pid, 101);
    assert_int_equal(x->init_ticks, 1101);
    wait_long(all, &now);
    assert_int_equal(x->init_pid, 101);
    assert_int_equal(log.renamed, 0);
    /* it has ended, and its pid is somebody else's, elsewhere */
    testtree_process(&t, &other);
    testtree_group(&t, "/lxc/box", "");
    wait_long(all, &now);
    assert_int_equal(x->init_pid, 0);
    assert_int_equal(x->init_ticks, 0);
    assert_int_equal(x->start_ms, 0);
    assert_int_equal(log.renamed, 1);
    /* the same pid once more, but in the container now: started at another time */
    other.nspid = "101 1";
    other.group = "/lxc/box";
    testtree_process(&t, &other);
    testtree_group(&t, "/lxc/box", "101\n");
    wait_long(all, &now);
    assert_int_equal(x->init_pid, 101);
    assert_int_equal(x->init_ticks, 5000);
    assert_int_equal(x->start_ms, 1700000000000 + 5000 * 1000 / sysconf(_SC_CLK_TCK));
    /* an init whose parent is in the container itself: it may come and go, and the container stays
     */
    testtree_delete(&t, "/proc/101");
    other.pid = 102;
    other.ppid = 103;
    other.nspid = "102 7 1";
    testtree_process(&t, &other);
    other.pid = 103;
    other.ppid = 1;
    other.nspid = "103";
    testtree_process(&t, &other);
    testtree_group(&t, "/lxc/box", "102\n103\n");
    wait_long(all, &now);
    assert_int_equal(x->init_pid, 102);
    assert_int_equal(x->init_ticks, 0);
    targets_free(all);
    testtree_done(&t);
}

static void a_run_that_starts_again_has_another_first_process_soon(void **state) {
    struct testtree t;
    struct targets *all;
    struct log log;
    const struct target *run;
    int64_t now = clock_mono_us();

    (void)state;
    testtree_init(&t);
    testtree_group(&t, "/plimsoll-run-web", "");
    testtree_group(&t, "/plimsoll-run-web/w", "501\n");
    put_process(&t, 501, 500, "app", false, "/plimsoll-run-web/w", "app", 3);
    all = open_targets(&t.host, &t.fs, TARGETS_CONTAINERS, false, &log);
    run = named(all, "web");
    assert_int_equal(run->init_pid, 501);
    assert_int_equal(run->init_ticks, 0); /* no init, and the group inside tells */
    wait_long(all, &now);

    testtree_delete(&t, "/proc/501");
    testtree_delete(&t, "/sys/fs/cgroup/memory/plimsoll-run-web/w");
    targets_rescan(all);
    assert_int_equal(targets_update(all, now += 1000000), 0);
    testtree_group(&t, "/plimsoll-run-web/w", "");
    targets_rescan(all);
    assert_int_equal(targets_update(all, now += 1000), 0);
    assert_true(target_is_run_work(targets_find(all, STR("/plimsoll-run-web/w"))));
    assert_false(target_is_run_work(run));
    assert_int_equal(run->init_pid, 0);
    assert_int_equal(run->start_ms, 0);
    testtree_group(&t, "/plimsoll-run-web/w", "502\n");
    put_process(&t, 502, 500, "app", false, "/plimsoll-run-web/w", "app", 3);
    assert_true(targets_due_us(all) <= now + 200000);
    assert_int_equal(targets_update(all, now += 200000), 0);
    assert_int_equal(run->init_pid, 502);
    targets_free(all);
    testtree_done(&t);
}

static void inside_a_container_the_top_is_the_target(void **state) {
    struct testtree t;
    struct targets *all;
    struct log log;
    struct err err = {0};
    const struct target *x;

    (void)state;
    testtree_init(&t);
    testtree_delete(&t, "/sys/fs/cgroup/memory/release_agent");
    testtree_file(&t, "/proc/1/mountinfo",
                  "30 20 0:27 /docker/" A " /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
    testtree_file(&t, "/etc/hostname", "my-box\n");
    testtree_group(&t, "/sub", "");
    cgfs_done(&t.fs);
    assert_int_equal(cgfs_open(&t.host, &t.fs, &err), 0);
    all = open_targets(&t.host, &t.fs, TARGETS_CONTAINERS, false, &log);
    assert_int_equal(targets_shown(all), 1);
    x = named(all, "my-box");
    assert_string_equal(x->path.p, "/");
    assert_int_equal(x->runtime, RUNTIME_DOCKER);
    assert_string_equal(x->id, A);
    assert_int_equal(x->named_by, SOURCE_HOSTNAME);
    assert_ptr_equal(targets_find(all, STR("/sub"))->inside, x);
    targets_free(all);
    testtree_done(&t);
}

static void lack_of_permission_is_counted(void **state) {
    struct testtree t;
    struct targets *all;
    struct log log;

    (void)state;
    if (getuid() != 0)
        skip(); /* needs to become somebody else */
    testtree_init(&t);
    testtree_group(&t, "/docker/" A, "");
    testtree_file(&t, "/var/lib/docker/containers/" A "/config.v2.json", CONFIG("secret"));
    assert_int_equal(chmod(t.top, 0755), 0);
    {
        char path[256];

        testtree_full(&t, "/var/lib/docker", path, sizeof(path));
        assert_int_equal(chmod(path, 0700), 0);
    }
    assert_int_equal(seteuid(65534), 0);
    all = open_targets(&t.host, &t.fs, TARGETS_CONTAINERS, false, &log);
    assert_int_equal(seteuid(0), 0);
    named(all, "4f2ab1c09d8e");
    assert_int_equal(targets_health(all).denied, 1);
    targets_free(all);
    testtree_done(&t);
}

static void hostile_names_are_only_bytes(void **state) {
    struct testtree t;
    struct targets *all;
    struct log log;
    const struct target *x;

    (void)state;
    testtree_init(&t);
    testtree_group(&t, "/lxc/\x1b[2J\xff,pid=1", "");
    testtree_group(&t, "/lxc/ lead) R 1", "");
    testtree_group(&t, "/docker/" A, "");
    testtree_file(&t, "/var/lib/docker/containers/" A "/config.v2.json",
                  "{\"Name\":\"/\\u001b[31m\\n|\\u202e\",\"Config\":{}}");
    all = open_targets(&t.host, &t.fs, TARGETS_CONTAINERS, false, &log);
    assert_int_equal(targets_shown(all), 3);
    named(all, "\x1b[2J\xff,pid=1");
    named(all, " lead) R 1");
    x = named(all, "\x1b[31m\n|\xe2\x80\xae");
    assert_null(x->image);
    targets_free(all);
    testtree_done(&t);
}

/* ---- real control groups ---- */

struct real {
    struct host host;
    struct cgfs fs;
    char top[64];     /* as a group */
    char point[4200]; /* as a folder */
};

static bool real_init(struct real *r) {
    struct err err = {0};

    if (getuid() != 0 || host_open(NULL, &r->host, &err) < 0)
        return false;
    if (cgfs_open(&r->host, &r->fs, &err) < 0) {
        host_done(&r->host);
        return false;
    }
    snprintf(r->top, sizeof(r->top), "/plimsoll-discover-%d", (int)getpid());
    snprintf(r->point, sizeof(r->point), "%s%s", r->fs.memory_point, r->top);
    if (mkdir(r->point, 0755) == 0)
        return true;
    cgfs_done(&r->fs);
    host_done(&r->host);
    return false;
}

static int real_remove(const char *path, const struct stat *st, int kind, struct FTW *level) {
    (void)st;
    (void)level;
    return kind == FTW_DP ? rmdir(path) : 0;
}

/* What a test that failed has left. */
static int real_cleanup(void **state) {
    struct real r;

    (void)state;
    if (real_init(&r) || errno == EEXIST)
        nftw(r.point, real_remove, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}

static void real_done(struct real *r) {
    if (rmdir(r->point) < 0)
        fail_msg("cannot remove %s: %s", r->point, strerror(errno));
    cgfs_done(&r->fs);
    host_done(&r->host);
}

static void real_path(const struct real *r, const char *below, char *out, size_t size) {
    if ((size_t)snprintf(out, size, "%s%s", r->point, below) >= size)
        fail_msg("too long");
}

static void make(const struct real *r, const char *below) {
    char path[4400];

    real_path(r, below, path, sizeof(path));
    if (mkdir(path, 0755) < 0)
        fail_msg("mkdir %s: %s", path, strerror(errno));
}

static void drop(const struct real *r, const char *below) {
    char path[4400];

    real_path(r, below, path, sizeof(path));
    if (rmdir(path) < 0)
        fail_msg("rmdir %s: %s", path, strerror(errno));
}

static const struct target *find_below(const struct targets *t, const struct real *r,
                                       const char *below) {
    char path[4400];

    snprintf(path, sizeof(path), "%s%s", r->top, below);
    return targets_find(t, str_of(path));
}

static unsigned open_fds(void) {
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static void births_and_deaths_are_seen_at_once(void **state) {
    struct pollfd p;
    struct targets *t;
    struct real r;
    struct log log;

    (void)state;
    if (!real_init(&r))
        skip(); /* needs root and a memory hierarchy */
    make(&r, "/a");
    t = open_targets(&r.host, &r.fs, TARGETS_ALL, true, &log);
    assert_non_null(find_below(t, &r, "/a"));
    p = (struct pollfd){.fd = targets_fd(t), .events = POLLIN};
    make(&r, "/a/b");
    make(&r, "/a/b/c");
    assert_int_equal(poll(&p, 1, 20000), 1);
    assert_int_equal(targets_update(t, clock_mono_us()), 0);
    assert_non_null(find_below(t, &r, "/a/b/c"));
    drop(&r, "/a/b/c");
    drop(&r, "/a/b");
    make(&r, "/a/b"); /* another one */
    assert_int_equal(targets_update(t, clock_mono_us()), 0);
    assert_null(find_below(t, &r, "/a/b/c"));
    assert_non_null(find_below(t, &r, "/a/b"));
    assert_false(targets_health(t).no_watches);
    drop(&r, "/a/b");
    drop(&r, "/a");
    assert_int_equal(targets_update(t, clock_mono_us()), 0);
    assert_null(find_below(t, &r, "/a"));
    targets_free(t);
    real_done(&r);
}

/* Deeper than a path may be long for the kernel, made and removed by descriptor. */
static void deep_paths(void **state) {
    enum { LEVELS = 40 };
    char name[251], *path;
    int dir[LEVELS + 1];
    struct targets *t;
    struct real r;
    struct log log;
    size_t n;

    (void)state;
    if (!real_init(&r))
        skip();
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    dir[0] = open(r.point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    t = open_targets(&r.host, &r.fs, TARGETS_ALL, true, &log);
    for (int i = 0; i < LEVELS; i++) {
        assert_int_equal(mkdirat(dir[i], name, 0755), 0);
        dir[i + 1] = openat(dir[i], name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(dir[i + 1] >= 0);
    }
    path = malloc(LEVELS * sizeof(name) + sizeof(r.top));
    assert_non_null(path);
    n = (size_t)sprintf(path, "%s", r.top);
    for (int i = 0; i < LEVELS; i++)
        n += (size_t)sprintf(path + n, "/%s", name);
    assert_int_equal(targets_update(t, clock_mono_us()), 0);
    assert_non_null(targets_find(t, (struct str){path, n}));
    assert_int_equal(targets_health(t).too_many, 0);
    for (int i = LEVELS - 1; i >= 0; i--) {
        close(dir[i + 1]);
        assert_int_equal(unlinkat(dir[i], name, AT_REMOVEDIR), 0);
    }
    close(dir[0]);
    assert_int_equal(targets_update(t, clock_mono_us()), 0);
    assert_null(targets_find(t, (struct str){path, n}));
    free(path);
    targets_free(t);
    real_done(&r);
}

/* It knows as many as one that has just looked: others may make some in between, so again. */
static bool knows_what_is_there(struct targets *t, const struct real *r) {
    for (unsigned i = 0; i < 1000; i++) {
        struct targets *fresh;
        struct log log;
        size_t before, now;

        assert_int_equal(targets_update(t, clock_mono_us()), 0);
        before = targets_groups(t);
        fresh = open_targets_asking(&r->host, &r->fs, TARGETS_ALL, true, false, &log);
        now = targets_groups(fresh);
        targets_free(fresh);
        if (now == before)
            return true;
        usleep(10000);
    }
    return false;
}

static void churn_leaks_nothing(void **state) {
    struct targets *t;
    struct real r;
    struct log log;
    unsigned fds;

    (void)state;
    if (!real_init(&r))
        skip();
    /* without asking: pipes to children that name other containers would come and go */
    t = open_targets_asking(&r.host, &r.fs, TARGETS_ALL, true, false, &log);
    assert_int_equal(targets_update(t, clock_mono_us()), 0);
    fds = open_fds();
    for (int i = 0; i < 200; i++) {
        char name[16];

        for (int k = 0; k < 20; k++) {
            snprintf(name, sizeof(name), "/g%d", k);
            make(&r, name);
        }
        if (i % 3 == 0)
            assert_int_equal(targets_update(t, clock_mono_us()), 0);
        for (int k = 0; k < 20; k++) {
            snprintf(name, sizeof(name), "/g%d", k);
            drop(&r, name);
        }
        if (i % 2 == 0)
            assert_int_equal(targets_update(t, clock_mono_us()), 0);
    }
    assert_int_equal(targets_update(t, clock_mono_us()), 0);
    assert_int_equal(open_fds(), fds);
    assert_null(find_below(t, &r, "/g0"));
    assert_true(knows_what_is_there(t, &r));
    targets_free(t);
    real_done(&r);
}

static uint64_t read_number(const char *path) {
    char text[32] = "";
    FILE *file = fopen(path, "re");

    if (file) {
        if (!fgets(text, sizeof(text), file))
            text[0] = '\0';
        fclose(file);
    }
    return strtoull(text, NULL, 10);
}

static void a_lost_event_is_made_good_by_a_rescan(void **state) {
    uint64_t queue = read_number("/proc/sys/fs/inotify/max_queued_events");
    struct targets *t;
    struct real r;
    struct log log;
    int64_t now;

    (void)state;
    if (queue == 0 || queue > 50000 || !real_init(&r))
        skip();
    make(&r, "/old");
    t = open_targets(&r.host, &r.fs, TARGETS_ALL, true, &log);
    now = clock_mono_us();
    for (uint64_t i = 0; i <= queue / 2 + 1; i++) {
        make(&r, "/g");
        drop(&r, "/g");
    }
    make(&r, "/after"); /* nobody hears of it */
    drop(&r, "/old");
    assert_int_equal(targets_update(t, now + 2000000), 0);
    assert_true(targets_health(t).overflows >= 1);
    assert_non_null(find_below(t, &r, "/after"));
    assert_null(find_below(t, &r, "/old"));
    drop(&r, "/after");
    targets_free(t);
    real_done(&r);
}

static int write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

    if (fd >= 0)
        close(fd);
    return n == (ssize_t)strlen(text) ? 0 : -1;
}

/* The limit of watches is one of a user namespace: in one of our own it can be lowered. */
static int few_watches_child(const struct real *r) {
    struct targets *t;
    struct log log;
    int64_t now;

    if (unshare(CLONE_NEWUSER) < 0 || write_file("/proc/self/setgroups", "deny") < 0 ||
        write_file("/proc/self/uid_map", "0 0 1") < 0 ||
        write_file("/proc/self/gid_map", "0 0 1") < 0 ||
        write_file("/proc/sys/user/max_inotify_watches", "1") < 0)
        return 77;
    now = clock_mono_us();
    t = open_targets(&r->host, &r->fs, TARGETS_ALL, true, &log);
    if (!targets_health(t).no_watches)
        return 1;
    make(r, "/unwatched/new");
    if (targets_update(t, now + 300000) < 0 || find_below(t, r, "/unwatched/new"))
        return 2; /* too soon: rescans are rationed */
    if (targets_due_us(t) > now + 15000000)
        return 3;
    if (targets_update(t, now + 15000000) < 0 || !find_below(t, r, "/unwatched/new"))
        return 4;
    drop(r, "/unwatched/new");
    if (targets_update(t, now + 40000000) < 0 || find_below(t, r, "/unwatched/new"))
        return 5;
    targets_free(t);
    return 0;
}

static void without_watches_it_rescans(void **state) {
    struct real r;
    int status;
    pid_t pid;

    (void)state;
    if (!real_init(&r))
        skip();
    make(&r, "/unwatched");
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(few_watches_child(&r));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) != 77) /* no user namespaces here */
        assert_int_equal(WEXITSTATUS(status), 0);
    drop(&r, "/unwatched");
    real_done(&r);
    if (WEXITSTATUS(status) == 77)
        skip();
}

/* Somebody's container that no rule knows: processes in a pid namespace of their own, and a host
 * name of their own, which a child process finds out. */
static void a_container_of_nobody_has_its_host_name(void **state) {
    char path[4400], number[16], go;
    int pipe_fds[2];
    struct targets *t;
    struct real r;
    struct log log;
    const struct target *x;
    pid_t pid;

    (void)state;
    if (!real_init(&r))
        skip();
    make(&r, "/box");
    real_path(&r, "/box/cgroup.procs", path, sizeof(path));
    assert_int_equal(pipe(pipe_fds), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        pid_t inner;

        if (unshare(CLONE_NEWPID | CLONE_NEWUTS) < 0 || sethostname("unit-box", 8) < 0)
            _exit(77);
        inner = fork();
        if (inner == 0) {
            if (write(pipe_fds[1], ".", 1) == 1)
                pause();
            _exit(0);
        }
        snprintf(number, sizeof(number), "%d", (int)inner);
        if (inner < 0 || write_file(path, number) < 0 || write(pipe_fds[1], ".", 1) != 1)
            _exit(78);
        waitpid(inner, NULL, 0);
        _exit(0);
    }
    assert_int_equal(read(pipe_fds[0], &go, 1), 1);
    assert_int_equal(read(pipe_fds[0], &go, 1), 1);
    t = open_targets(&r.host, &r.fs, TARGETS_CONTAINERS, true, &log);
    targets_settle(t, 30000);
    x = find_below(t, &r, "/box");
    assert_non_null(x);
    assert_int_equal(x->kind, TARGET_CONTAINER);
    assert_int_equal(x->runtime, RUNTIME_NONE);
    assert_string_equal(x->name, "unit-box");
    assert_int_equal(x->named_by, SOURCE_HOSTNAME);
    assert_true(x->slot != TARGET_NO_SLOT);
    kill(x->init_pid, SIGKILL);
    targets_free(t);
    waitpid(pid, NULL, 0);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    for (int i = 0; i < 2000 && rmdir((real_path(&r, "/box", path, sizeof(path)), path)) < 0; i++)
        usleep(10000);
    real_done(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(docker_names_from_every_data_root),
        cmocka_unit_test(daemon_json_tells_the_data_root),
        cmocka_unit_test(without_a_name_the_short_id),
        cmocka_unit_test(a_rename_is_seen),
        cmocka_unit_test(containerd_pods_and_their_sandbox),
        cmocka_unit_test(a_container_cannot_hide_as_pause),
        cmocka_unit_test(kubernetes_log_names_serve_everybody),
        cmocka_unit_test(containers_of_containerd_alone),
        cmocka_unit_test(podman_and_crio),
        cmocka_unit_test(machines_and_units),
        cmocka_unit_test(a_run_is_shown_and_hides_nobodys_name),
        cmocka_unit_test(services_are_what_was_started_under_a_name),
        cmocka_unit_test(an_inner_container_gets_no_name_of_the_host),
        cmocka_unit_test(the_outer_shim_speaks_for_the_outer_container),
        cmocka_unit_test(groups_come_and_go_and_slots_stay),
        cmocka_unit_test(only_the_chosen),
        cmocka_unit_test(a_container_of_nobody_ends_with_its_processes),
        cmocka_unit_test(a_pid_that_was_given_again_is_nobodys_init),
        cmocka_unit_test(a_run_that_starts_again_has_another_first_process_soon),
        cmocka_unit_test(inside_a_container_the_top_is_the_target),
        cmocka_unit_test(lack_of_permission_is_counted),
        cmocka_unit_test(hostile_names_are_only_bytes),
        cmocka_unit_test(births_and_deaths_are_seen_at_once),
        cmocka_unit_test(deep_paths),
        cmocka_unit_test(churn_leaks_nothing),
        cmocka_unit_test(a_lost_event_is_made_good_by_a_rescan),
        cmocka_unit_test(without_watches_it_rescans),
        cmocka_unit_test(a_container_of_nobody_has_its_host_name),
    };

    return cmocka_run_group_tests(tests, NULL, real_cleanup);
}
