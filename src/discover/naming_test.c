/* Names that only an engine's socket or a container's own files tell: real groups, a small server
 * in place of an engine. Everything else of the state machine is in targets_test.c. */
#include "discover/naming.h"

#include <errno.h>
#include <ftw.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "discover/targets.h"
#include "discover/testtree.h"

#define A "4f2ab1c09d8e7f6a5b4c3d2e1f00112233445566778899aabbccddeeff001122"
#define B "00112233445566778899aabbccddeeff4f2ab1c09d8e7f6a5b4c3d2e1f001122"
#define ANSWER                                                                                     \
    "HTTP/1.0 200 OK\r\n\r\n[{\"Id\":\"" A "\",\"Names\":[\"/told\"],\"Image\":\"img:3\"},"        \
    "{\"Id\":\"cccc\",\"Names\":[\"/other\"]}]"

static struct {
    struct host host;
    struct cgfs fs;
    char top[64], point[4200], socket[128];
} real;

static int setup(void **state) {
    struct err err = {0};

    (void)state;
    real.host.root = -1;
    if (getuid() != 0 || host_open(NULL, &real.host, &err) < 0)
        return 0;
    if (cgfs_open(&real.host, &real.fs, &err) < 0)
        return 0;
    snprintf(real.top, sizeof(real.top), "/plimsoll-discover-%d", (int)getpid());
    snprintf(real.point, sizeof(real.point), "%s%s", real.fs.memory_point, real.top);
    snprintf(real.socket, sizeof(real.socket), "/tmp/plimsoll-unit-%d.sock", (int)getpid());
    if (mkdir(real.point, 0755) < 0)
        real.point[0] = '\0';
    return 0;
}

static int remove_group(const char *path, const struct stat *st, int kind, struct FTW *level) {
    (void)st;
    (void)level;
    return kind == FTW_DP ? rmdir(path) : 0;
}

/* With what a test that failed has left. */
static int teardown(void **state) {
    (void)state;
    if (real.point[0])
        nftw(real.point, remove_group, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}

static void folder(const char *below, bool make) {
    char path[4400];

    snprintf(path, sizeof(path), "%s%s", real.point, below);
    for (int i = 0; i < 2000; i++) { /* processes leave a group a moment after they have ended */
        if ((make ? mkdir(path, 0755) : rmdir(path)) == 0)
            return;
        usleep(10000);
    }
    fail_msg("%s: %s", path, strerror(errno));
}

static struct targets *open_targets(void) {
    const struct targets_options o = {.scope = TARGETS_CONTAINERS, .watch = true, .ask = true};
    struct err err = {0};
    struct targets *t;

    if (targets_new(&real.host, &real.fs, &o, &t, &err) < 0)
        fail_msg("%s", err.text);
    return t;
}

static const struct target *at(const struct targets *t, const char *below) {
    char path[4400];
    const struct target *found;

    snprintf(path, sizeof(path), "%s%s", real.top, below);
    found = targets_find(t, str_of(path));
    assert_non_null(found);
    return found;
}

/* Answers every request the same, until it is killed. */
static pid_t start_server(const char *path, const char *answer) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pid_t pid;

    unlink(path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 4), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            char request[512];
            int fd = accept(listener, NULL, NULL);

            if (read(fd, request, sizeof(request)) > 0 && answer)
                (void)!write(fd, answer, strlen(answer));
            if (!answer)
                pause(); /* an engine that hangs */
            close(fd);
        }
    }
    close(listener);
    return pid;
}

static void stop_server(pid_t pid) {
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    unlink(real.socket);
    unsetenv("DOCKER_HOST");
}

static void use_server(void) {
    char url[160];

    snprintf(url, sizeof(url), "unix://%s", real.socket);
    setenv("DOCKER_HOST", url, 1);
}

static void a_socket_tells_what_no_file_does(void **state) {
    const struct target *x;
    struct targets *t;
    pid_t server;

    (void)state;
    if (!real.point[0])
        skip(); /* needs root and a memory hierarchy */
    folder("/docker", true);
    folder("/docker/" A, true);
    folder("/docker/" B, true);
    server = start_server(real.socket, ANSWER);
    use_server();
    t = open_targets();
    assert_string_equal(at(t, "/docker/" A)->name, "4f2ab1c09d8e"); /* nobody waits for it */
    targets_settle(t, 30000);
    x = at(t, "/docker/" A);
    assert_string_equal(x->name, "told");
    assert_string_equal(x->image, "img:3");
    assert_int_equal(x->named_by, SOURCE_SOCKET);
    x = at(t, "/docker/" B); /* the engine does not know it */
    assert_string_equal(x->name, "001122334455");
    assert_int_equal(x->named_by, SOURCE_PATH);
    targets_free(t);
    stop_server(server);
    folder("/docker/" B, false);
    folder("/docker/" A, false);
    folder("/docker", false);
}

/* Asked for in every way there is, and then left alone. */
static void a_users_container_without_files_settles(void **state) {
    struct targets *t;
    int64_t start;

    (void)state;
    if (!real.point[0])
        skip();
    folder("/user-54321.slice", true);
    folder("/user-54321.slice/docker-" A ".scope", true);
    t = open_targets();
    start = clock_mono_us();
    targets_settle(t, 60000);
    assert_true(clock_mono_us() - start < 59000000);
    assert_string_equal(at(t, "/user-54321.slice/docker-" A ".scope")->name, "4f2ab1c09d8e");
    assert_int_equal(at(t, "/user-54321.slice/docker-" A ".scope")->named_by, SOURCE_PATH);
    targets_free(t);
    folder("/user-54321.slice/docker-" A ".scope", false);
    folder("/user-54321.slice", false);
}

static void an_engine_that_hangs_delays_nothing(void **state) {
    struct targets *t;
    pid_t server;

    (void)state;
    if (!real.point[0])
        skip();
    folder("/docker", true);
    folder("/docker/" A, true);
    server = start_server(real.socket, NULL);
    use_server();
    t = open_targets();
    for (int i = 0; i < 20; i++) {
        assert_int_equal(targets_update(t, clock_mono_us()), 0);
        usleep(1000);
    }
    assert_string_equal(at(t, "/docker/" A)->name, "4f2ab1c09d8e");
    targets_settle(t, 50); /* no longer than was said */
    targets_free(t);       /* the child that asks is killed */
    stop_server(server);
    folder("/docker/" A, false);
    folder("/docker", false);
}

/* ---- a container inside a container, with an engine's files of its own ---- */

static int put(const char *path, const char *text) {
    FILE *file = fopen(path, "we");

    if (!file)
        return -1;
    fputs(text, file);
    return fclose(file);
}

static int join_group(const char *below) {
    char path[4400], number[16];

    snprintf(path, sizeof(path), "%s%s/cgroup.procs", real.point, below);
    snprintf(number, sizeof(number), "%d", (int)getpid());
    return put(path, number);
}

/* What main() does when it is started under the name of a shim: a child in the inner container's
 * group, in a pid namespace of that. */
static int be_a_shim(void) {
    int ready = (int)strtol(getenv("PLIMSOLL_READY"), NULL, 10);
    pid_t pid;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(real.point, sizeof(real.point), "%s", getenv("PLIMSOLL_POINT"));
    if (unshare(CLONE_NEWPID) < 0)
        return 77;
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (join_group("/lxc.payload.outer/docker/" B) == 0)
            (void)!write(ready, ".", 1);
        pause();
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    return 0;
}

static int copy_program(const char *to) {
    int in = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    ssize_t n;

    while (in >= 0 && out >= 0 && (n = sendfile(out, in, NULL, 1 << 20)) > 0)
        ;
    if (in < 0 || out < 0 || n < 0)
        return -1;
    close(in);
    return close(out);
}

/* The inner engine: its own mount namespace, where /tmp holds its data, in the outer container's
 * group. It becomes the shim. */
static void inner_engine(int ready) {
    static char program[] = "/tmp/containerd-shim-runc-v2", o1[] = "-namespace", v1[] = "moby",
                o2[] = "-id", v2[] = B;
    char *const argv[] = {program, o1, v1, o2, v2, NULL};
    char number[16];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(number, sizeof(number), "%d", ready);
    setenv("PLIMSOLL_READY", number, 1);
    setenv("PLIMSOLL_POINT", real.point, 1);
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", "/tmp", "tmpfs", 0, NULL) < 0 || mkdir("/tmp/bundle", 0755) < 0 ||
        mkdir("/tmp/bundle/" B, 0755) < 0 || mkdir("/tmp/data", 0755) < 0 ||
        mkdir("/tmp/data/" B, 0755) < 0 ||
        put("/tmp/bundle/" B "/config.json",
            "{\"mounts\":[{\"destination\":\"/etc/hostname\",\"source\":\"/tmp/data/" B
            "/hostname\"}]}") < 0 ||
        put("/tmp/data/" B "/config.v2.json",
            "{\"Name\":\"/inner\",\"Config\":{\"Image\":\"in:1\"}}") < 0 ||
        copy_program(program) < 0 || chdir("/tmp/bundle/" B) < 0 ||
        join_group("/lxc.payload.outer/engine") < 0)
        _exit(77);
    execv(program, argv);
    _exit(78);
}

static void an_inner_engine_speaks_for_its_own_containers(void **state) {
    static const char *const groups[] = {"/lxc.payload.outer", "/lxc.payload.outer/engine",
                                         "/lxc.payload.outer/docker",
                                         "/lxc.payload.outer/docker/" B};
    int ready[2], status = 0;
    const struct target *x;
    struct targets *t;
    pid_t engine;
    char one;

    (void)state;
    if (!real.point[0] || real.fs.ctl[CG_MEMORY].version == CG_V2)
        skip(); /* on v2 processes cannot be in inner nodes as easily */
    for (size_t i = 0; i < ARRAY_N(groups); i++)
        folder(groups[i], true);
    assert_int_equal(pipe(ready), 0);
    engine = fork();
    assert_true(engine >= 0);
    if (engine == 0)
        inner_engine(ready[1]);
    close(ready[1]);
    if (read(ready[0], &one, 1) == 1) {
        t = open_targets();
        targets_settle(t, 30000);
        x = at(t, "/lxc.payload.outer/docker/" B);
        assert_int_equal(x->kind, TARGET_CONTAINER);
        assert_string_equal(x->name, "inner");
        assert_string_equal(x->image, "in:1");
        assert_int_equal(x->named_by, SOURCE_DOCKER_FILE);
        assert_string_equal(x->inside->name, "outer");
        targets_free(t);
    } else {
        status = 77; /* no namespaces here */
    }
    kill(engine, SIGKILL);
    waitpid(engine, NULL, 0);
    close(ready[0]);
    for (size_t i = ARRAY_N(groups); i-- > 0;)
        folder(groups[i], false);
    if (status == 77)
        skip();
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_socket_tells_what_no_file_does),
        cmocka_unit_test(a_users_container_without_files_settles),
        cmocka_unit_test(an_engine_that_hangs_delays_nothing),
        cmocka_unit_test(an_inner_engine_speaks_for_its_own_containers),
    };

    if (argc > 1 && strstr(argv[0], "containerd-shim"))
        return be_a_shim();
    return cmocka_run_group_tests(tests, setup, teardown);
}
