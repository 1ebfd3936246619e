/* Each case confines a forked child, as the front or as the remote writer, and looks from there.
 * As root the whole of it, else what is left: landlock and the filter of calls.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "front/confine.h"

static char folder[64];
static struct confine_user user;

/* A listening socket and its port, made before anybody is confined. */
static int listener;
static struct sockaddr_in place;

static int set_up(void **state) {
    socklen_t size = sizeof(place);
    struct err err;

    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/plimsoll-confine-%d/state", (int)getpid());
    confine_user(&user);
    if (confine_own_dir(folder, &user, &err) < 0)
        return -1;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    place = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    if (bind(listener, (struct sockaddr *)&place, sizeof(place)) < 0 || listen(listener, 8) < 0)
        return -1;
    return getsockname(listener, (struct sockaddr *)&place, &size);
}

static int tear_down(void **state) {
    static const char *const names[] = {"db", "db-wal", "db-shm", "sub"};
    char path[128];

    (void)state;
    close(listener);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        (void)(unlink(path) < 0 && rmdir(path));
    }
    if (rmdir(folder) < 0)
        return -1;
    *strrchr(folder, '/') = '\0';
    return rmdir(folder);
}

/* What a child found: 0, or the line of the check that failed. */
#define NEED(claim)                                                                                \
    do {                                                                                           \
        if (!(claim)) {                                                                            \
            dprintf(STDERR_FILENO, "# line %d: %s (errno %d)\n", __LINE__, #claim, errno);         \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

/* The wait status of a child that was confined and then did that. */
static int status_of(bool connects, int (*act)(void)) {
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        struct confine_options options = {.dir = folder, .chroot = !connects, .connect = connects};
        struct buf told;
        struct err err;

        buf_init(&told, 4096);
        if (confine(&options, &user, &told, &err) < 0) {
            dprintf(STDERR_FILENO, "# %s\n", err.text);
            _exit(99);
        }
        if (told.n > 0) /* the kernel lacks something: the cases tell what that changes */
            dprintf(STDERR_FILENO, "# %.*s", STR_ARG(buf_str(&told)));
        _exit(act());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void expect_fine(bool connects, int (*act)(void)) {
    int status = status_of(connects, act);

    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("the child ended with status %#x", status);
}

static void expect_killed(bool connects, int (*act)(void)) {
    int status = status_of(connects, act);

    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
        fail_msg("the child ended with status %#x, not by SIGSYS", status);
}

/* --- what has to work ------------------------------------------------------------------------- */

static struct str own(const char *name) {
    static char path[128];
    bool is_root = access(folder, F_OK) < 0; /* of the front's file system */
    int n = snprintf(path, sizeof(path), "%s/%s", is_root ? "" : folder, name);

    return (struct str){path, (size_t)n};
}

static int work_with_files(void) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 120, .l_len = 1};
    char page[4096] = "page", again[4096];
    int fd = open(own("db").p, O_RDWR | O_CREAT | O_CLOEXEC, 0600), shared;
    struct stat st;
    uint32_t *map;

    NEED(fd >= 0);
    NEED(pwrite(fd, page, sizeof(page), 4096) == sizeof(page));
    NEED(pread(fd, again, sizeof(again), 4096) == sizeof(again) && memcmp(page, again, 4096) == 0);
    NEED(fcntl(fd, F_SETLK, &lock) == 0);
    NEED(fstat(fd, &st) == 0 && st.st_size == 8192 && st.st_uid == geteuid());
    NEED(fsync(fd) == 0 && fdatasync(fd) == 0 && ftruncate(fd, 4096) == 0);
    shared = open(own("db-shm").p, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    NEED(shared >= 0 && fallocate(shared, 0, 0, 32768) == 0);
    map = mmap(NULL, 32768, PROT_READ | PROT_WRITE, MAP_SHARED, shared, 0);
    NEED(map != MAP_FAILED);
    map[7] = 7;
    NEED(msync(map, 32768, MS_SYNC) == 0 && munmap(map, 32768) == 0);
    NEED(close(shared) == 0 && unlink(own("db-shm").p) == 0);
    NEED(access(own("db-wal").p, F_OK) < 0 && errno == ENOENT);
    NEED(mkdir(own("sub").p, 0700) == 0 && rmdir(own("sub").p) == 0);
    NEED(stat(own("db").p, &st) == 0);
    NEED(close(fd) == 0);
    return 0;
}

static int work_with_sqlite(void) {
    sqlite3 *db = NULL;

    NEED(sqlite3_open(own("db").p, &db) == SQLITE_OK);
    NEED(sqlite3_exec(db,
                      "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                      "CREATE TABLE IF NOT EXISTS t (a INTEGER PRIMARY KEY, b BLOB);"
                      "BEGIN; INSERT INTO t (b) VALUES (randomblob(100000)); COMMIT;"
                      "PRAGMA wal_checkpoint(TRUNCATE); DELETE FROM t; VACUUM;",
                      NULL, NULL, NULL) == SQLITE_OK);
    NEED(sqlite3_close(db) == SQLITE_OK);
    return 0;
}

static int accept_and_answer(void) {
    struct itimerspec in_10_ms = {.it_value = {.tv_nsec = 10000000}};
    struct epoll_event event = {.events = EPOLLIN};
    int loop = epoll_create1(EPOLL_CLOEXEC), yes = 1, timer, fd;
    char text[16];

    NEED(loop >= 0);
    NEED(fcntl(listener, F_SETFL, O_NONBLOCK) == 0);
    NEED(epoll_ctl(loop, EPOLL_CTL_ADD, listener, &event) == 0);
    NEED(epoll_wait(loop, &event, 1, 5000) == 1);
    fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    NEED(fd >= 0);
    NEED(setsockopt(fd, IPPROTO_TCP, 1, &yes, sizeof(yes)) == 0);
    NEED(recv(fd, text, sizeof(text), 0) == 3);
    NEED(send(fd, "you", 3, MSG_NOSIGNAL) == 3 && shutdown(fd, SHUT_WR) == 0);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    NEED(timer >= 0 && timerfd_settime(timer, 0, &in_10_ms, NULL) == 0);
    NEED(epoll_ctl(loop, EPOLL_CTL_ADD, timer, &event) == 0);
    NEED(epoll_wait(loop, &event, 1, 5000) == 1);
    return 0;
}

static int use_memory_and_time(void) {
    struct rusage usage;
    struct timespec now;
    char random[32];
    size_t n = 64 << 20;
    char *p = malloc(n), *grown;

    NEED(p != NULL);
    memset(p, 1, n);
    grown = realloc(p, 2 * n);
    if (!grown)
        free(p);
    NEED(grown != NULL && grown[n - 1] == 1);
    free(grown);
    NEED(clock_gettime(CLOCK_REALTIME, &now) == 0 && now.tv_sec > 0);
    NEED(getrandom(random, sizeof(random), 0) == sizeof(random));
    NEED(getrusage(RUSAGE_SELF, &usage) == 0);
    NEED(sysconf(_SC_NPROCESSORS_ONLN) > 0);
    return 0;
}

static int end_by_abort(void) {
    abort();
}

static void *in_thread(void *given) {
    *(int *)given = 7;
    return given;
}

static int start_thread(void) {
    pthread_t thread;
    int value = 0;

    NEED(pthread_create(&thread, NULL, in_thread, &value) == 0);
    NEED(pthread_join(thread, NULL) == 0 && value == 7);
    return 0;
}

static int resolve_and_connect(void) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *found = NULL;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    NEED(fd >= 0);
    NEED(connect(fd, (struct sockaddr *)&place, sizeof(place)) == 0);
    NEED(getaddrinfo("localhost", "80", &hints, &found) == 0);
    freeaddrinfo(found);
    NEED(access("/etc/passwd", R_OK) == 0);
    return 0;
}

/* --- what has to fail ------------------------------------------------------------------------- */

#define REFUSED(call) NEED((call) < 0 && (errno == EPERM || errno == EACCES || errno == ENOENT))

static int try_files(void) {
    REFUSED(open("/etc/shadow", O_RDONLY));
    REFUSED(open("/proc/1/environ", O_RDONLY));
    REFUSED(open("/proc/self/mem", O_RDWR));
    REFUSED(open("/../../etc/shadow", O_RDONLY));
    REFUSED(open("../../../../etc/shadow", O_RDONLY));
    REFUSED(open("/tmp", O_RDWR | O_TMPFILE, 0600));
    REFUSED(mkdir("/tmp/plimsoll-confine-out", 0700));
    REFUSED(symlink("/etc/shadow", own("link").p));
    REFUSED(mknod(own("pipe").p, S_IFIFO | 0600, 0));
    REFUSED(chown(own("db").p, 0, 0));
    REFUSED(chmod(own("db").p, 04755));
    return 0;
}

static int try_files_connected(void) {
    REFUSED(open("/etc/shadow", O_RDONLY));
    REFUSED(open("/proc/1/environ", O_RDONLY));
    REFUSED(open("/etc/plimsoll-new", O_RDWR | O_CREAT, 0600));
    REFUSED(open("/tmp", O_RDONLY | O_DIRECTORY));
    REFUSED(open("/root", O_RDONLY | O_DIRECTORY));
    return 0;
}

static int try_rights(void) {
    struct rlimit none = {0, 0};

    REFUSED(setuid(0));
    REFUSED(setresuid(0, 0, 0));
    REFUSED(setgid(0));
    REFUSED(setpriority(PRIO_PROCESS, 0, -5));
    REFUSED(kill(getppid(), 0));
    REFUSED(setrlimit(RLIMIT_NOFILE, &none));
    REFUSED(prctl(PR_SET_DUMPABLE, 1));
    REFUSED(prctl(PR_CAPBSET_DROP, CAP_CHOWN));
    NEED(geteuid() != 0 && getuid() != 0 && getegid() != 0);
    return 0;
}

static int try_processes(void) {
    pthread_t thread;

    REFUSED(fork());
    REFUSED(syscall(SYS_clone3, NULL, 0));
    NEED(pthread_create(&thread, NULL, in_thread, NULL) != 0);
    return 0;
}

static int try_network(void) {
    struct sockaddr_in other = {.sin_family = AF_INET};

    REFUSED(socket(AF_INET, SOCK_STREAM, 0));
    REFUSED(socket(AF_UNIX, SOCK_STREAM, 0));
    REFUSED(socket(AF_NETLINK, SOCK_RAW, 0));
    REFUSED(connect(listener, (struct sockaddr *)&place, sizeof(place)));
    REFUSED(bind(listener, (struct sockaddr *)&other, sizeof(other)));
    return 0;
}

static int try_network_connected(void) {
    REFUSED(fork());
    REFUSED(socket(AF_PACKET, SOCK_RAW, 0));
    REFUSED(socket(AF_NETLINK, SOCK_RAW, 12)); /* netfilter */
    REFUSED(syscall(SYS_mprotect, 0, 4096, PROT_READ | PROT_EXEC));
    return 0;
}

static int try_code(void) {
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    NEED(p != MAP_FAILED);
    REFUSED(mprotect(p, 4096, PROT_READ | PROT_EXEC));
    NEED(mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
         MAP_FAILED);
    NEED(errno == EPERM);
    return 0;
}

static int try_execve(void) {
    char *const args[] = {NULL};

    return execve("/bin/true", args, args);
}

static int try_ptrace(void) {
    return (int)ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}

static int try_process_vm(void) {
    char byte;
    struct iovec local = {&byte, 1}, remote = {&byte, 1};

    return (int)process_vm_readv(getppid(), &local, 1, &remote, 1, 0);
}

static int try_bpf(void) {
    return (int)syscall(SYS_bpf, 0, NULL, 0);
}

static int try_module(void) {
    return (int)syscall(SYS_finit_module, -1, "", 0);
}

static int try_mount(void) {
    return mount("none", "/", "tmpfs", 0, NULL);
}

static int try_unshare(void) {
    return unshare(CLONE_NEWUSER);
}

/* --- the cases -------------------------------------------------------------------------------- */

static void the_front_works_on_its_files(void **state) {
    char path[128];

    (void)state;
    expect_fine(false, work_with_files);
    expect_fine(false, work_with_files); /* and on those it left */
    snprintf(path, sizeof(path), "%s/db", folder);
    assert_int_equal(unlink(path), 0);
    expect_fine(false, work_with_sqlite);
    expect_fine(false, work_with_sqlite);
    assert_int_equal(unlink(path), 0);
}

static void the_front_answers_on_its_sockets(void **state) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char text[16];

    (void)state;
    assert_int_equal(connect(fd, (struct sockaddr *)&place, sizeof(place)), 0);
    assert_int_equal(send(fd, "who", 3, 0), 3);
    expect_fine(false, accept_and_answer);
    assert_int_equal(recv(fd, text, sizeof(text), 0), 3);
    close(fd);
}

static void the_front_has_memory_and_time(void **state) {
    int status;

    (void)state;
    expect_fine(false, use_memory_and_time);
    status = status_of(false, end_by_abort);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void the_front_reaches_nothing_else(void **state) {
    (void)state;
    expect_fine(false, try_files);
    expect_fine(false, try_processes);
    expect_fine(false, try_network);
    expect_fine(false, try_code);
}

static void nobody_becomes_root_again(void **state) {
    (void)state;
    if (geteuid() != 0)
        skip();
    expect_fine(false, try_rights);
    expect_fine(true, try_rights);
}

static void intruders_are_ended(void **state) {
    static int (*const acts[])(void) = {try_execve, try_ptrace, try_process_vm, try_bpf,
                                        try_module, try_mount,  try_unshare};

    (void)state;
    for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
        expect_killed(false, acts[i]);
        expect_killed(true, acts[i]);
    }
}

static void the_remote_writer_connects(void **state) {
    (void)state;
    expect_fine(true, start_thread);
    expect_fine(true, resolve_and_connect);
    expect_fine(true, work_with_files);
}

static void the_remote_writer_reaches_little_else(void **state) {
    (void)state;
    expect_fine(true, try_files_connected);
    expect_fine(true, try_network_connected);
}

static void a_directory_of_others_is_not_taken(void **state) {
    char path[200], file[220];
    struct stat st;
    struct err err;
    int fd;

    (void)state;
    assert_int_equal(stat(folder, &st), 0);
    assert_int_equal(st.st_uid, user.uid);
    assert_int_equal(st.st_mode & 07777, 0700);

    snprintf(path, sizeof(path), "%s-other", folder);
    assert_int_equal(symlink(folder, path), 0);
    assert_int_equal(confine_own_dir(path, &user, &err), -ENOTDIR);
    assert_int_equal(unlink(path), 0);

    assert_int_equal(mkdir(path, 0755), 0);
    snprintf(file, sizeof(file), "%s/precious", path);
    fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    close(fd);
    if (geteuid() == 0) {
        assert_int_equal(confine_own_dir(path, &user, &err), -ENOTEMPTY);
        assert_non_null(strstr(err.text, "is not empty and has no plimsoll.db"));
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_uid, 0);
    }
    assert_int_equal(unlink(file), 0);
    snprintf(file, sizeof(file), "%s/plimsoll.db", path); /* of the user that it was before */
    fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(confine_own_dir(path, &user, &err), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_uid, user.uid);
    close(fd);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(path), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_front_works_on_its_files),
        cmocka_unit_test(the_front_answers_on_its_sockets),
        cmocka_unit_test(the_front_has_memory_and_time),
        cmocka_unit_test(the_front_reaches_nothing_else),
        cmocka_unit_test(nobody_becomes_root_again),
        cmocka_unit_test(intruders_are_ended),
        cmocka_unit_test(the_remote_writer_connects),
        cmocka_unit_test(the_remote_writer_reaches_little_else),
        cmocka_unit_test(a_directory_of_others_is_not_taken),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
