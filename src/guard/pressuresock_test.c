#include "guard/pressuresock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "kern/cgtest.h"

/* A /proc of files: a process is in the group that its file says. */
struct world {
    struct cgtest t;
    struct host host;
    struct cgfs fs;
    struct loop *loop;
    struct pressuresock *s;
    struct pressuresock_options o;
    char path[128];
    const char *guarded; /* one group; NULL: none */
    const char *above;   /* one that is; NULL: none is */
};

static struct str guarded(void *ctx, struct str path) {
    const struct world *w = ctx;
    struct str none = {NULL, 0};

    return w->guarded && pressuresock_is_in(path, str_of(w->guarded)) ? str_of(w->guarded) : none;
}

static bool above(void *ctx, struct str path) {
    const struct world *w = ctx;

    return w->above && pressuresock_is_in(path, str_of(w->above));
}

static void put(const struct world *w, pid_t pid, const char *group) {
    char path[64], text[4200];

    snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
    snprintf(text, sizeof(text), "0::%s\n", group);
    cgtest_write(&w->t, path, text);
}

static void begin(struct world *w) {
    char path[128], pid[16];

    memset(w, 0, sizeof(*w));
    cgtest_init(&w->t);
    put(w, getpid(), "/a/b");
    cgtest_full(&w->t, "/proc/self", path, sizeof(path));
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    assert_int_equal(symlink(pid, path), 0);
    cgtest_full(&w->t, "/proc", path, sizeof(path));
    w->host.proc = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(w->host.proc >= 0);
    w->host.live = true;
    w->fs.ctl[CG_MEMORY].version = CG_V2;
    memcpy(w->fs.memory_root, "/", 2);
    assert_int_equal(loop_new(&w->loop), 0);
    cgtest_full(&w->t, "/s", w->path, sizeof(w->path));
    w->o = (struct pressuresock_options){.loop = w->loop,
                                         .host = &w->host,
                                         .fs = &w->fs,
                                         .guarded = guarded,
                                         .above = above,
                                         .ctx = w};
}

static void listens(struct world *w) {
    struct err err = {0};

    if (pressuresock_new(&w->o, w->path, &w->s, &err) < 0)
        fail_msg("%s", err.text);
}

static void end(struct world *w) {
    pressuresock_free(w->s);
    loop_free(w->loop);
    close(w->host.proc);
    cgtest_done(&w->t);
}

static int join(const struct world *w) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    assert_int_equal(str_copy(str_of(w->path), address.sun_path, sizeof(address.sun_path)), 0);
    return connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 ? fd : -1;
}

static void turn(const struct world *w, unsigned times) {
    for (unsigned i = 0; i < times; i++)
        assert_int_equal(loop_turn(w->loop), 0);
}

/* Bytes since the last look; -1: hung up. */
static int told(int fd) {
    char bytes[64];
    ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

    return n > 0 ? (int)n : n == 0 ? -1 : 0;
}

/* Another process that connects, from the group that is said; its end of it is ours, too. */
static pid_t other(const struct world *w, const char *group, int *fd_out) {
    int pair[2], go[2];
    char byte = 'x';
    pid_t pid;

    *fd_out = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(pipe2(pair, O_CLOEXEC) + pipe2(go, O_CLOEXEC), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        (void)str_copy(str_of(w->path), address.sun_path, sizeof(address.sun_path));
        if (read(go[0], &byte, 1) != 1 ||
            connect(*fd_out, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
            write(pair[1], &byte, 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    if (group)
        put(w, pid, group);
    assert_int_equal(write(go[1], &byte, 1), 1);
    assert_int_equal(read(pair[0], &byte, 1), 1);
    for (unsigned i = 0; i < 2; i++) {
        close(pair[i]);
        close(go[i]);
    }
    return pid;
}

static void ended(pid_t pid, int fd) {
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(fd);
}

static void each_is_told_of_its_own_group_and_those_above(void **state) {
    static const char *const group[] = {"/a", "/ab", "/", "/a/b/c", "/../x", NULL};
    static const int of_a[] = {1, 0, 0, 1, -1, -1}, of_b[] = {0, 0, 0, 1};
    pid_t pid[ARRAY_N(group)];
    int fd[ARRAY_N(group)], own;
    struct world w;

    (void)state;
    begin(&w);
    listens(&w);
    own = join(&w);
    for (unsigned i = 0; i < ARRAY_N(group); i++)
        pid[i] = other(&w, group[i], &fd[i]);
    turn(&w, 20);
    assert_int_equal(pressuresock_tell(w.s, STR("/a")), 3);
    assert_int_equal(told(own), 1);
    for (unsigned i = 0; i < ARRAY_N(group); i++)
        assert_int_equal(told(fd[i]), of_a[i]);
    assert_int_equal(pressuresock_tell(w.s, STR("/a/b")), 2);
    assert_int_equal(told(own), 1);
    for (unsigned i = 0; i < ARRAY_N(of_b); i++)
        assert_int_equal(told(fd[i]), of_b[i]);
    for (unsigned i = 0; i < ARRAY_N(group); i++)
        ended(pid[i], fd[i]);
    close(own);
    assert_int_equal(pressuresock_tell(w.s, STR("/a")), 0); /* gone, not noticed yet */
    end(&w);
}

static void who_has_ended_before_we_looked_is_not_taken_for_its_heir(void **state) {
    struct world w;
    pid_t pid;
    int fd, peer;
    socklen_t n = sizeof(peer);

    (void)state;
    begin(&w);
    listens(&w);
    pid = other(&w, "/a", &fd);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid); /* its file stays, as if another had its pid */
    turn(&w, 5);
    if (getsockopt(fd, SOL_SOCKET, 77 /* SO_PEERPIDFD */, &peer, &n) < 0) {
        print_message("# not asked: this kernel has no SO_PEERPIDFD\n");
    } else {
        close(peer);
        assert_int_equal(told(fd), -1);
    }
    close(fd);
    end(&w);
}

static void a_groups_share_is_bounded(void **state) {
    int fd[PRESSURESOCK_GROUP + 2], deeper;
    struct rlimit limit;
    struct world w;
    pid_t pid;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < 2048) {
        limit.rlim_cur = limit.rlim_max < 2048 ? limit.rlim_max : 2048;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    }
    if (limit.rlim_cur < 2048)
        skip();
    begin(&w);
    w.guarded = "/a";
    listens(&w);
    for (unsigned i = 0; i < ARRAY_N(fd); i++)
        fd[i] = join(&w);
    turn(&w, 200);
    for (unsigned i = 0; i < ARRAY_N(fd); i++)
        assert_int_equal(told(fd[i]), i < PRESSURESOCK_GROUP ? 0 : -1);
    pid = other(&w, "/a/c", &deeper); /* of the same guarded group */
    turn(&w, 5);
    assert_int_equal(told(deeper), -1);
    ended(pid, deeper);
    pid = other(&w, "/b", &deeper);
    turn(&w, 5);
    assert_int_equal(told(deeper), 0);
    ended(pid, deeper);
    for (unsigned i = 0; i < ARRAY_N(fd); i++)
        close(fd[i]);
    turn(&w, 200);
    fd[0] = join(&w);
    turn(&w, 5);
    assert_int_equal(pressuresock_tell(w.s, STR("/a")), 1);
    close(fd[0]);
    end(&w);
}

static void refused(struct world *w, const char *path, int code, const char *words) {
    struct pressuresock *s = NULL;
    struct err err = {0};

    assert_int_equal(pressuresock_new(&w->o, path, &s, &err), code);
    assert_non_null(strstr(err.text, words));
    assert_non_null(strstr(err.text, path[0] == '/' && strlen(path) < 100 ? w->t.top : path));
}

/* As somebody who is killed leaves it. */
static void leave(struct world *w) {
    char other_place[200];
    struct stat st;

    snprintf(other_place, sizeof(other_place), "%.*s/m", (int)str_rfind(str_of(w->path), '/'),
             w->path);
    assert_int_equal(rename(w->path, other_place), 0);
    assert_false(pressuresock_is_at(w->s, w->path));
    pressuresock_free(w->s); /* it has another name now: nothing of ours is there */
    w->s = NULL;
    assert_int_equal(stat(other_place, &st), 0);
    assert_int_equal(rename(other_place, w->path), 0);
}

static void a_group_is_in_itself_and_in_those_above(void **state) {
    (void)state;
    assert_true(pressuresock_is_in(STR("/a/b"), STR("/")));
    assert_true(pressuresock_is_in(STR("/"), STR("/")));
    assert_true(pressuresock_is_in(STR("/a/b"), STR("/a")));
    assert_true(pressuresock_is_in(STR("/a"), STR("/a")));
    assert_false(pressuresock_is_in(STR("/ab"), STR("/a")));
    assert_false(pressuresock_is_in(STR("/a"), STR("/a/b")));
    assert_false(pressuresock_is_in(STR("/"), STR("/a")));
}

static void who_comes_above_the_mark_is_told_at_once(void **state) {
    struct world w;
    pid_t pid;
    int fd, beside;

    (void)state;
    begin(&w);
    w.above = "/a";
    listens(&w);
    fd = join(&w);
    pid = other(&w, "/ab", &beside);
    turn(&w, 5);
    assert_int_equal(told(fd), 1);
    assert_int_equal(told(beside), 0);
    ended(pid, beside);
    close(fd);
    end(&w);
}

/* Who comes and goes is let in so often a second; others are, all the same. */
static void a_groups_turns_are_bounded(void **state) {
    unsigned in = 0, again = 0;
    int64_t since, until;
    struct world w;
    pid_t pid;
    int fd;

    (void)state;
    begin(&w);
    w.guarded = "/b";
    listens(&w);
    since = clock_mono_us();
    for (unsigned i = 0; i < 4 * PRESSURESOCK_CAME; i++) {
        fd = join(&w);
        turn(&w, 2);
        in += told(fd) == 0;
        close(fd);
        turn(&w, 1);
    }
    assert_in_range(in, PRESSURESOCK_CAME, /* a second may end meanwhile */
                    PRESSURESOCK_CAME * (2 + (clock_mono_us() - since) / 1000000));
    pid = other(&w, "/b", &fd);
    turn(&w, 3);
    assert_int_equal(pressuresock_tell(w.s, STR("/b")), 1);
    ended(pid, fd);
    for (until = clock_mono_us() + 20000000; clock_mono_us() < until && again == 0; usleep(50000)) {
        fd = join(&w);
        turn(&w, 3);
        again = told(fd) == 0;
        close(fd);
        turn(&w, 1);
    }
    assert_int_equal(again, 1); /* in the next second */
    end(&w);
}

/* One that is left is replaced however long its name, and however high the descriptors are. */
static void a_name_may_be_as_long_as_an_address(void **state) {
    char folder[] = "/tmp/pXXXXXX"; /* shorter than what names a folder by its descriptor */
    int fd[40];
    struct stat st;
    struct world w;

    (void)state;
    begin(&w);
    assert_non_null(mkdtemp(folder));
    snprintf(w.path, sizeof(w.path), "%s/%0*d", folder, 107 - (int)sizeof(folder), 0);
    for (unsigned i = 0; i < ARRAY_N(fd); i++)
        fd[i] = dup(w.host.proc);
    listens(&w);
    assert_int_equal(stat(w.path, &st), 0);
    assert_true(pressuresock_is_at(w.s, w.path));
    refused(&w, w.path, -EADDRINUSE, "another program listens at");
    leave(&w);
    listens(&w);
    pressuresock_free(w.s);
    w.s = NULL;
    assert_int_equal(stat(w.path, &st), -1);
    for (unsigned i = 0; i < ARRAY_N(fd); i++)
        close(fd[i]);
    assert_int_equal(rmdir(folder), 0);
    end(&w);
}

static void nothing_but_what_is_left_is_replaced(void **state) {
    char path[200];
    struct stat st;
    struct world w;
    int fd;

    (void)state;
    begin(&w);
    listens(&w);
    assert_int_equal(stat(w.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0666);
    refused(&w, w.path, -EADDRINUSE, "another program listens at");
    leave(&w);
    listens(&w); /* left by somebody: replaced */
    fd = join(&w);
    assert_true(fd >= 0);
    close(fd);
    pressuresock_free(w.s);
    w.s = NULL;
    assert_int_equal(stat(w.path, &st), -1);
    cgtest_write(&w.t, "/file", "mine");
    cgtest_full(&w.t, "/file", path, sizeof(path));
    refused(&w, path, -EEXIST, "is there and no socket");
    assert_int_equal(symlink("file", w.path), 0);
    refused(&w, w.path, -EEXIST, "is there and no socket");
    cgtest_full(&w.t, "/none/s", path, sizeof(path));
    refused(&w, path, -ENOENT, "cannot open the folder");
    cgtest_folders(&w.t, "/open/");
    cgtest_full(&w.t, "/open", path, sizeof(path));
    assert_int_equal(chmod(path, 0777), 0);
    cgtest_full(&w.t, "/open/s", path, sizeof(path));
    refused(&w, path, -EPERM, "can be changed by other users");
    refused(&w, "s", -EINVAL, "not the full path");
    cgtest_full(&w.t, "/..", path, sizeof(path));
    refused(&w, path, -EINVAL, "not the full path");
    memset(path, 'x', sizeof(path));
    path[0] = '/';
    path[150] = '\0';
    refused(&w, path, -ENAMETOOLONG, "longer than");
    w.fs.memory_root[0] = '\0';
    refused(&w, w.path, -ENODATA, "from above our namespace");
    w.host.live = false;
    refused(&w, w.path, -EXDEV, "another pid namespace");
    end(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_told_of_its_own_group_and_those_above),
        cmocka_unit_test(who_has_ended_before_we_looked_is_not_taken_for_its_heir),
        cmocka_unit_test(a_group_is_in_itself_and_in_those_above),
        cmocka_unit_test(who_comes_above_the_mark_is_told_at_once),
        cmocka_unit_test(a_groups_share_is_bounded),
        cmocka_unit_test(a_groups_turns_are_bounded),
        cmocka_unit_test(a_name_may_be_as_long_as_an_address),
        cmocka_unit_test(nothing_but_what_is_left_is_replaced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
