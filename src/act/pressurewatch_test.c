#include "act/pressurewatch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/basetest.h"
#include "base/clock.h"
#include "kern/cgtest.h"

static const int64_t second = 1000000, moment = 200000; /* moment: several looks */
enum { PATIENCE_US = 20000000 }; /* for what takes milliseconds on a machine that has time */

/* --- a run whose group is a folder of files --- */

struct fake {
    struct cgtest t;
    struct place place;
    struct rungroup group;
    struct loop *loop;
    struct pressurewatch *p;
};

static void set_usage(const struct fake *f, const char *bytes) {
    cgtest_write(&f->t, "/g/memory.current", bytes);
}

static void open_fake(struct fake *f, const char *name) {
    char path[200];

    memset(f, 0, sizeof(*f));
    cgtest_init(&f->t);
    cgtest_folders(&f->t, "/g/w/");
    set_usage(f, "10\n");
    f->place.version = CG_V2;
    f->place.dir[0] = f->place.dir[1] = -1;
    snprintf(f->place.shown[PLAN_MEMORY], sizeof(f->place.shown[0]), "/mnt/it's");
    f->group.place = &f->place;
    f->group.limits.limit = 100;
    snprintf(f->group.name, sizeof(f->group.name), "%s-%d", name, (int)getpid());
    snprintf(f->group.rel, sizeof(f->group.rel), "a/plimsoll-run-x");
    f->group.outer[1] = f->group.work[1] = -1;
    cgtest_full(&f->t, "/g", path, sizeof(path));
    f->group.outer[0] = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cgtest_full(&f->t, "/g/w", path, sizeof(path));
    f->group.work[0] = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(f->group.outer[0] >= 0 && f->group.work[0] >= 0);
    assert_int_equal(loop_new(&f->loop), 0);
}

static void close_fake(struct fake *f) {
    pressurewatch_free(f->p);
    loop_free(f->loop);
    close(f->group.outer[0]);
    close(f->group.work[0]);
    cgtest_done(&f->t);
}

static void start(struct fake *f, enum pressure_mode mode) {
    struct err err = {0};

    if (pressurewatch_new(f->loop, &f->group, mode, &f->p, &err) < 0)
        fail_msg("%s", err.text);
}

static int stop(struct loop *loop, uint32_t what, void *ctx) {
    (void)what, (void)ctx;
    loop_stop(loop);
    return 0;
}

static void run_for(struct loop *loop, int64_t us) {
    assert_int_equal(loop_add_timer(loop, us, 0, stop, NULL, NULL), 0);
    assert_int_equal(loop_run(loop), 0);
}

static int connect_to(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0 && path && strlen(path) < sizeof(address.sun_path));
    memcpy(address.sun_path, path, strlen(path) + 1);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* How many times it was told since the last look; -1: hung up. */
static int told(int fd) {
    char bytes[64];
    ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

    return n > 0 ? (int)n : n == 0 ? -1 : 0;
}

/* Told once since then, and again for each second that has passed: none on a machine that has time
 * for us. */
static void told_once(int fd, int64_t since_us) {
    int n = told(fd);

    assert_in_range(n, 1, 1 + (clock_mono_us() - since_us) / second);
}

static void not_told_again(int fd, int64_t since_us) {
    int n = told(fd);

    assert_in_range(n, 0, (clock_mono_us() - since_us) / second);
}

/* Root's sockets are in /run: not every sandbox lets even root write there. */
static void need_folder(struct fake *f) {
    if (geteuid() != 0 || access("/run", W_OK) == 0)
        return;
    print_message("# skipped: /run cannot be written\n");
    close_fake(f);
    skip();
}

/* --- PSI --- */

static int sixbits(char c) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

/* RFC 4648. Returns the length. */
static size_t decode(const char *text, char *out) {
    unsigned bits = 0, have = 0;
    size_t n = 0;

    for (; *text && *text != '='; text++) {
        assert_true(sixbits(*text) >= 0);
        bits = bits << 6 | (unsigned)sixbits(*text);
        have += 6;
        if (have >= 8)
            out[n++] = (char)(bits >> (have -= 8) & 0xff);
    }
    return n;
}

static void the_kernels_own_file_is_offered_where_it_is(void **state) {
    static const char trigger[] = "some 200000 2000000";
    char text[64];
    struct fake f;

    (void)state;
    open_fake(&f, "psi");
    cgtest_write(&f.t, "/g/w/memory.pressure", "some avg10=0.00\n");
    start(&f, PRESSURE_AUTO);
    assert_string_equal(pressurewatch_path(f.p), "/mnt/it's/a/plimsoll-run-x/w/memory.pressure");
    assert_int_equal(decode(pressurewatch_write(f.p), text), sizeof(trigger)); /* with the NUL */
    assert_memory_equal(text, trigger, sizeof(trigger));
    pressurewatch_begin(f.p);
    close_fake(&f);
}

static void without_a_cap_there_is_nothing_to_pass(void **state) {
    struct err err = {0};
    struct fake f;

    (void)state;
    open_fake(&f, "nocap");
    f.group.limits.limit = RUNGROUP_UNSET;
    start(&f, PRESSURE_AUTO);
    assert_null(pressurewatch_path(f.p));
    assert_null(pressurewatch_write(f.p));
    pressurewatch_begin(f.p);
    pressurewatch_free(f.p);
    f.p = NULL;
    assert_int_equal(pressurewatch_new(f.loop, &f.group, PRESSURE_SOCKET, &f.p, &err), -EINVAL);
    assert_non_null(strstr(err.text, "-m SIZE"));
    assert_null(f.p);
    start(&f, PRESSURE_OFF);
    assert_null(pressurewatch_path(f.p));
    close_fake(&f);
}

/* --- the socket --- */

static void a_byte_comes_each_time_that_usage_passes_the_mark(void **state) {
    int64_t since_us;
    struct stat st;
    struct fake f;
    int fd, late;

    (void)state;
    open_fake(&f, "pass");
    need_folder(&f);
    start(&f, PRESSURE_AUTO); /* no PSI file: the socket */
    assert_null(pressurewatch_write(f.p));
    assert_int_equal(stat(pressurewatch_path(f.p), &st), 0);
    assert_true(S_ISSOCK(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 0777) == 0600);
    fd = connect_to(pressurewatch_path(f.p));
    run_for(f.loop, 20000);
    assert_int_equal(told(fd), 0);
    set_usage(&f, "89\n");
    run_for(f.loop, moment);
    assert_int_equal(told(fd), 0);
    since_us = clock_mono_us();
    set_usage(&f, "90\n");
    run_for(f.loop, moment);
    told_once(fd, since_us);
    late = connect_to(pressurewatch_path(f.p)); /* while it is above */
    run_for(f.loop, 20000);
    told_once(late, since_us);
    not_told_again(fd, since_us);
    for (unsigned i = 0; i < 3; i++) { /* each passing, however soon after the last */
        set_usage(&f, "50\n");
        run_for(f.loop, moment);
        (void)told(fd);
        (void)told(late);
        since_us = clock_mono_us();
        set_usage(&f, "99\n");
        run_for(f.loop, moment);
        told_once(fd, since_us);
        told_once(late, since_us);
    }
    close(fd);
    close(late);
    close_fake(&f);
}

static void it_is_said_again_each_second_that_usage_stays_above(void **state) {
    int64_t since_us, took_us;
    struct fake f;
    int fd, n = 0;

    (void)state;
    open_fake(&f, "again");
    need_folder(&f);
    set_usage(&f, "95\n");
    start(&f, PRESSURE_SOCKET);
    since_us = clock_mono_us();
    fd = connect_to(pressurewatch_path(f.p));
    do {
        run_for(f.loop, moment);
        n += told(fd);
        took_us = clock_mono_us() - since_us;
        assert_in_range(n, 1, 1 + took_us / second);
    } while (n < 4);
    assert_true(took_us < PATIENCE_US);
    set_usage(&f, "10\n");
    run_for(f.loop, second + moment);
    assert_int_equal(told(fd), 0);
    close(fd);
    close_fake(&f);
}

static void what_programs_write_is_taken_and_ignored(void **state) {
    static const char bytes[4096];
    int64_t since_us;
    struct fake f;
    int fd;

    (void)state;
    open_fake(&f, "write");
    need_folder(&f);
    start(&f, PRESSURE_SOCKET);
    fd = connect_to(pressurewatch_path(f.p));
    for (unsigned i = 0; i < 500; i++) {
        (void)!send(fd, bytes, sizeof(bytes), MSG_DONTWAIT); /* more than a socket holds */
        run_for(f.loop, 200);
    }
    since_us = clock_mono_us();
    set_usage(&f, "95\n");
    run_for(f.loop, moment);
    told_once(fd, since_us);
    close(fd);
    close_fake(&f);
}

static void sixteen_are_served_and_the_others_wait_unharmed(void **state) {
    int fd[40], served = 0, n[40] = {0};
    struct fake f;

    (void)state;
    open_fake(&f, "many");
    need_folder(&f);
    set_usage(&f, "95\n");
    start(&f, PRESSURE_SOCKET);
    for (unsigned i = 0; i < ARRAY_N(fd); i++)
        fd[i] = connect_to(pressurewatch_path(f.p)); /* none has to wait */
    for (unsigned round = 0; round < 10; round++) {
        run_for(f.loop, 20000);
        for (unsigned i = 0; i < ARRAY_N(fd); i++) {
            int more = told(fd[i]);

            assert_true(more >= 0); /* nobody is sent away: that would read as pressure for ever */
            served += n[i] == 0 && more > 0;
            n[i] += more;
        }
    }
    assert_int_equal(served, 16);
    for (unsigned i = 0; i < 10; i++)
        close(fd[i]);
    for (unsigned round = 0; round < 10; round++)
        run_for(f.loop, 20000);
    for (unsigned i = 16; i < ARRAY_N(fd); i++)
        assert_int_equal(told(fd[i]) > 0, i < 26);
    for (unsigned i = 10; i < ARRAY_N(fd); i++)
        close(fd[i]);
    run_for(f.loop, 100000);
    close_fake(&f);
}

static void who_does_not_read_is_told_yet_and_holds_up_nobody(void **state) {
    struct pollfd wait = {.events = POLLIN};
    struct fake f;

    (void)state;
    open_fake(&f, "lazy");
    need_folder(&f);
    start(&f, PRESSURE_SOCKET);
    wait.fd = connect_to(pressurewatch_path(f.p));
    run_for(f.loop, 20000);
    alarm(30);
    for (unsigned i = 0; i < 3; i++) {
        set_usage(&f, "95\n");
        run_for(f.loop, moment);
        set_usage(&f, "10\n");
        run_for(f.loop, moment);
    }
    alarm(0);
    assert_int_equal(poll(&wait, 1, 0), 1);
    assert_int_equal(told(wait.fd), 1);
    close(wait.fd);
    close_fake(&f);
}

static void a_dead_supervisors_socket_is_replaced_a_live_ones_not(void **state) {
    char first[200], expect[220];
    struct pressurewatch *other;
    struct err err = {0};
    struct fake f;
    struct stat st;

    (void)state;
    open_fake(&f, "twice");
    need_folder(&f);
    start(&f, PRESSURE_SOCKET);
    snprintf(first, sizeof(first), "%s", pressurewatch_path(f.p));
    assert_int_equal(pressurewatch_new(f.loop, &f.group, PRESSURE_SOCKET, &other, &err), 0);
    snprintf(expect, sizeof(expect), "%.*s-%d.sock", (int)(strlen(first) - 5), first,
             (int)getpid());
    assert_string_equal(pressurewatch_path(other), expect);
    pressurewatch_free(other);
    assert_int_equal(stat(expect, &st), -1);
    assert_int_equal(stat(first, &st), 0);
    pressurewatch_free(f.p);
    assert_int_equal(stat(first, &st), -1);

    /* what a kill -9 leaves: a name that nobody answers at */
    if (fork() == 0) {
        struct loop *loop;

        if (loop_new(&loop) == 0 &&
            pressurewatch_new(loop, &f.group, PRESSURE_SOCKET, &other, &err) == 0)
            kill(getpid(), SIGKILL);
        _exit(1);
    }
    wait(NULL);
    assert_int_equal(stat(first, &st), 0);
    start(&f, PRESSURE_SOCKET);
    assert_string_equal(pressurewatch_path(f.p), first);
    close(connect_to(first));

    /* another one in its place is not ours to remove */
    assert_int_equal(unlink(first), 0);
    assert_int_equal(mknod(first, S_IFIFO | 0600, 0), 0);
    pressurewatch_free(f.p);
    f.p = NULL;
    assert_int_equal(stat(first, &st), 0);
    assert_int_equal(unlink(first), 0);
    close_fake(&f);
}

/* What a dead supervisor leaves, or something like it. */
static void leave_socket(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0 && strlen(path) < sizeof(address.sun_path));
    memcpy(address.sun_path, path, strlen(path) + 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    close(fd);
}

static bool is_there(const char *path) {
    struct stat st;

    return lstat(path, &st) == 0;
}

static void what_dead_supervisors_left_is_cleared_away_and_nothing_else(void **state) {
    enum { LEFT, OTHER_NAME, NO_SOCKET, LINK, NOT_OURS, N };
    static const char *const names[N] = {"run-left", "left", "run-file", "run-link", "run-other"};
    char path[N][256], folder[200];
    struct pressurewatch *live;
    struct err err = {0};
    struct fake f;

    (void)state;
    open_fake(&f, "sweep");
    need_folder(&f);
    start(&f, PRESSURE_SOCKET);
    snprintf(folder, sizeof(folder), "%s", pressurewatch_path(f.p));
    *strrchr(folder, '/') = '\0';
    for (unsigned i = 0; i < N; i++)
        snprintf(path[i], sizeof(path[i]), "%s/%s-%d.sock", folder, names[i], (int)getpid());
    for (unsigned round = 0; round < 2; round++) {
        leave_socket(path[LEFT]);
        leave_socket(path[OTHER_NAME]);
        leave_socket(path[NOT_OURS]);
        assert_int_equal(mknod(path[NO_SOCKET], S_IFREG | 0600, 0), 0);
        assert_int_equal(symlink(path[OTHER_NAME], path[LINK]), 0);
        if (geteuid() == 0)
            assert_int_equal(chown(path[NOT_OURS], 65534, 65534), 0);
        if (round == 0) /* when another is made, and when one is removed */
            assert_int_equal(pressurewatch_new(f.loop, &f.group, PRESSURE_SOCKET, &live, &err), 0);
        else
            pressurewatch_free(live);
        assert_true(is_there(pressurewatch_path(f.p)));
        assert_false(is_there(path[LEFT]));
        assert_int_equal(is_there(path[NOT_OURS]), geteuid() == 0);
        for (unsigned i = LEFT + 1; i < NOT_OURS; i++)
            assert_true(is_there(path[i]));
        for (unsigned i = 0; i < N; i++)
            unlink(path[i]);
    }
    close_fake(&f);
}

/* --- as a user --- */

/* In a child, as nobody, with that folder as runtime folder. The exit code tells. */
static int try_as_user(struct fake *f, const char *folder, enum pressure_mode mode) {
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        struct err err = {0};
        int r;

        alarm(20);
        if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
            _exit(99);
        if (folder)
            setenv("XDG_RUNTIME_DIR", folder, 1);
        else
            unsetenv("XDG_RUNTIME_DIR");
        r = pressurewatch_new(f->loop, &f->group, mode, &f->p, &err);
        if (r < 0)
            _exit(strlen(err.text) > 20 ? -r : 98);
        r = pressurewatch_path(f->p) ? 0 : 97;
        pressurewatch_free(f->p);
        _exit(r);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_users_socket_is_made_where_only_he_can_write(void **state) {
    char folder[200], path[300];
    struct fake f;

    (void)state;
    if (geteuid() != 0) {
        print_message("# skipped: becoming another user takes root\n");
        skip();
    }
    open_fake(&f, "user");
    cgtest_folders(&f.t, "/run/");
    cgtest_full(&f.t, "/run", folder, sizeof(folder));
    assert_int_equal(chown(folder, 65534, 65534), 0);
    assert_int_equal(chmod(folder, 0700), 0);
    assert_int_equal(try_as_user(&f, folder, PRESSURE_SOCKET), 0);
    assert_int_equal(try_as_user(&f, NULL, PRESSURE_SOCKET), ENOENT);
    assert_int_equal(try_as_user(&f, NULL, PRESSURE_AUTO), 97); /* none, and no failure */
    assert_int_equal(try_as_user(&f, "relative", PRESSURE_SOCKET), ENOENT);
    assert_int_equal(try_as_user(&f, "/nowhere/at/all", PRESSURE_SOCKET), ENOENT);
    /* others can put things there */
    assert_int_equal(chmod(folder, 0770), 0);
    assert_int_equal(try_as_user(&f, folder, PRESSURE_SOCKET), EPERM);
    assert_int_equal(try_as_user(&f, folder, PRESSURE_AUTO), 97);
    assert_int_equal(chmod(folder, 01777), 0); /* as a tmpfs is made: names of ours are safe */
    assert_int_equal(try_as_user(&f, folder, PRESSURE_SOCKET), 0);
    assert_int_equal(chmod(folder, 0700), 0);
    /* our folder is somebody else's, or a link to another */
    snprintf(path, sizeof(path), "%s/plimsoll", folder);
    assert_int_equal(chown(path, 0, 0), 0);
    assert_int_equal(try_as_user(&f, folder, PRESSURE_SOCKET), EPERM);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(symlink("/tmp", path), 0);
    assert_int_equal(try_as_user(&f, folder, PRESSURE_SOCKET), ENOTDIR);
    assert_int_equal(unlink(path), 0);
    /* too long for a socket's address */
    snprintf(path, sizeof(path), "/run/%0100d/", 0);
    cgtest_folders(&f.t, path);
    cgtest_full(&f.t, path, folder, sizeof(folder));
    assert_int_equal(chown(folder, 65534, 65534), 0);
    assert_int_equal(try_as_user(&f, folder, PRESSURE_SOCKET), ENAMETOOLONG);
    close_fake(&f);
}

/* --- the real kernel --- */

static void a_threshold_of_the_kernel_wakes_us(void **state) {
    int fd, status, go[2], n = 0;
    struct cgtest_real real;
    int64_t since_us;
    struct fake f;
    pid_t pid;

    (void)state;
    cgtest_real_init(&real);
    open_fake(&f, "real");
    need_folder(&f);
    close(f.group.outer[0]);
    f.group.outer[0] = open(real.top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    f.place.version = CG_V1;
    f.group.limits.limit = 40 << 20;
    assert_int_equal(cgtest_real_write(&real, "/memory.limit_in_bytes", "41943040"), 0);
    start(&f, PRESSURE_AUTO);
    fd = connect_to(pressurewatch_path(f.p));
    assert_int_equal(pipe(go), 0);
    since_us = clock_mono_us();
    pid = fork();
    if (pid == 0) {
        char byte;
        volatile char *memory =
            mmap(NULL, 37 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (memory == MAP_FAILED || cgtest_real_write(&real, "/cgroup.procs", "0") != 0)
            _exit(1);
        for (size_t i = 0; i < 37 << 20; i += 4096)
            memory[i] = 1;
        _exit(read(go[0], &byte, 1) != 1);
    }
    while (n == 0 && clock_mono_us() - since_us < PATIENCE_US) {
        run_for(f.loop, 20000);
        n = told(fd);
    }
    assert_int_equal(write(go[1], "x", 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    run_for(f.loop, moment);
    n += told(fd);
    assert_in_range(n, 1, 1 + (clock_mono_us() - since_us) / second); /* not on the way down */
    close(go[0]);
    close(go[1]);
    close(fd);
    close_fake(&f);
    cgtest_real_done(&real);
}

/* --- --print --- */

static void the_plan_is_what_a_run_would_set(void **state) {
    struct rungroup_limits limits = {.limit = 100};
    struct place place = {.version = CG_V1, .dir = {-1, -1}, .make = "b"};
    struct cgtest t;
    struct buf out;
    char top[200];

    (void)state;
    cgtest_init(&t);
    cgtest_write(&t, "/memory.pressure", "");
    cgtest_full(&t, "/", top, sizeof(top));
    snprintf(place.shown[PLAN_UNIFIED], sizeof(place.shown[0]), "/u'n");
    buf_init(&out, 1000);
    if (geteuid() == 0) {
        pressurewatch_add_plan(&limits, &place, "web", PRESSURE_AUTO, &out);
        basetest_holds(&out, "export MEMORY_PRESSURE_WATCH='/run/plimsoll/run-web.sock'\n");
    }
    place.dir[PLAN_UNIFIED] = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_true(place.dir[PLAN_UNIFIED] >= 0);
    pressurewatch_add_plan(&limits, &place, "web", PRESSURE_AUTO, &out);
    basetest_holds(&out, "export MEMORY_PRESSURE_WATCH='/u'\\''n/b/plimsoll-run-web/w/"
                         "memory.pressure'\n"
                         "export MEMORY_PRESSURE_WRITE='c29tZSAyMDAwMDAgMjAwMDAwMAA='\n");
    pressurewatch_add_plan(&limits, &place, "web", PRESSURE_OFF, &out);
    basetest_holds(&out, "");
    limits.limit = RUNGROUP_UNSET;
    pressurewatch_add_plan(&limits, &place, "web", PRESSURE_SOCKET, &out);
    basetest_holds(&out, "");
    close(place.dir[PLAN_UNIFIED]);
    buf_done(&out);
    cgtest_done(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_kernels_own_file_is_offered_where_it_is),
        cmocka_unit_test(without_a_cap_there_is_nothing_to_pass),
        cmocka_unit_test(a_byte_comes_each_time_that_usage_passes_the_mark),
        cmocka_unit_test(it_is_said_again_each_second_that_usage_stays_above),
        cmocka_unit_test(what_programs_write_is_taken_and_ignored),
        cmocka_unit_test(sixteen_are_served_and_the_others_wait_unharmed),
        cmocka_unit_test(who_does_not_read_is_told_yet_and_holds_up_nobody),
        cmocka_unit_test(a_dead_supervisors_socket_is_replaced_a_live_ones_not),
        cmocka_unit_test(what_dead_supervisors_left_is_cleared_away_and_nothing_else),
        cmocka_unit_test(a_users_socket_is_made_where_only_he_can_write),
        cmocka_unit_test(a_threshold_of_the_kernel_wakes_us),
        cmocka_unit_test(the_plan_is_what_a_run_would_set),
    };

    return cmocka_run_group_tests(tests, NULL, cgtest_real_sweep);
}
