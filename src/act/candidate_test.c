#include "act/candidate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOBODY = 65534 };

/* What a process does to itself before it lives for a while. */
enum way { PLAIN, ANOTHER_USER, REAL_USER, OWN_NAMESPACE };

struct told {
    int32_t pid, parent;
};

static bool become(enum way way) {
    if (way == ANOTHER_USER)
        return setresuid(NOBODY, NOBODY, NOBODY) == 0;
    if (way == REAL_USER)
        return setresuid(NOBODY, (uid_t)-1, (uid_t)-1) == 0;
    return way != OWN_NAMESPACE || unshare(CLONE_NEWPID) == 0;
}

static void live(void) {
    alarm(20);
    for (;;)
        pause();
}

/* In the end it is the child of one that is no child of ours. */
static void be_parent(enum way way, int out) {
    struct told told = {.parent = (int32_t)getpid()};

    alarm(20);
    told.pid = become(way) ? (int32_t)fork() : -1;
    if (told.pid == 0)
        live();
    if (told.pid < 0 || write(out, &told, sizeof(told)) != sizeof(told))
        _exit(1);
    (void)waitpid(told.pid, NULL, 0);
    _exit(0);
}

static struct told start(enum way way) {
    struct told told = {0};
    int ends[2];
    pid_t pid;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0) {
        if (fork() == 0)
            be_parent(way, ends[1]);
        _exit(0);
    }
    close(ends[1]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    if (read(ends[0], &told, sizeof(told)) != sizeof(told))
        told.pid = 0;
    close(ends[0]);
    return told;
}

static bool is_ours(enum way way) {
    struct candidate_own own;
    struct err err = {0};
    struct host host;
    struct told told = start(way);
    bool ours;

    if (told.pid == 0) {
        print_message("# skipped: this needs root\n");
        skip();
    }
    assert_int_equal(host_open(NULL, &host, &err), 0);
    candidate_own_init(&own);
    ours = candidate_is_ours(&host, &own, told.pid);
    host_done(&host);
    kill(told.pid, SIGKILL);
    return ours;
}

static void our_executable_is_ours_only_of_our_user_in_our_namespace(void **state) {
    (void)state;
    assert_true(is_ours(PLAIN));
    assert_false(is_ours(ANOTHER_USER));
    assert_false(is_ours(REAL_USER));
    assert_false(is_ours(OWN_NAMESPACE));
}

static bool came_in(enum way way, bool parent_inside) {
    struct pidlist inside = {0};
    struct told told = start(way);
    struct err err = {0};
    struct host host;
    bool came;

    if (told.pid == 0) {
        print_message("# skipped: this needs root\n");
        skip();
    }
    assert_int_equal(host_open(NULL, &host, &err), 0);
    assert_int_equal(pidlist_add(&inside, told.pid), 0);
    if (parent_inside)
        assert_int_equal(pidlist_add(&inside, told.parent), 0);
    pidlist_sort(&inside);
    came = candidate_came_in(&host, &inside, told.pid);
    pidlist_done(&inside);
    host_done(&host);
    kill(told.pid, SIGKILL);
    return came;
}

static void who_was_put_in_from_outside_is_known(void **state) {
    (void)state;
    assert_true(came_in(PLAIN, false));
    assert_true(came_in(OWN_NAMESPACE, false));
    assert_false(came_in(PLAIN, true));
    assert_false(came_in(OWN_NAMESPACE, true));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_executable_is_ours_only_of_our_user_in_our_namespace),
        cmocka_unit_test(who_was_put_in_from_outside_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
