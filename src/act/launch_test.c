#include "act/launch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"

extern char **environ;

/* No groups: what is left is fork, exec and the report. */
static struct place nowhere = {.version = CG_V1};
static struct rungroup no_group = {
    .place = &nowhere, .outer = {-1, -1}, .work = {-1, -1}, .parent = {-1, -1}};

struct outcome {
    int reported; /* of launch_report */
    struct launch_failure failure;
    siginfo_t info;
};

static struct outcome outcome_of(char *const *argv, const struct rungroup *group) {
    struct launch l = {.group = group, .argv = argv, .env = environ};
    struct launched child;
    struct outcome o = {.reported = -EAGAIN};
    struct err err;
    struct pollfd wait;

    sigemptyset(&l.mask);
    assert_int_equal(launch(&l, &child, &err), 0);
    wait = (struct pollfd){child.report, POLLIN, 0};
    assert_int_equal(poll(&wait, 1, 10000), 1);
    o.reported = launch_report(child.report, &o.failure);
    if (child.pidfd >= 0) {
        wait = (struct pollfd){child.pidfd, POLLIN, 0};
        assert_int_equal(poll(&wait, 1, 10000), 1); /* readable when it ended */
        close(child.pidfd);
    }
    assert_int_equal(waitid(P_PID, (id_t)child.pid, &o.info, WEXITED), 0);
    close(child.report);
    return o;
}

static void a_program_is_started_and_its_code_is_its_own(void **state) {
    char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char[]){"exit 7"}, NULL};
    struct outcome o = outcome_of(argv, &no_group);

    (void)state;
    assert_int_equal(o.reported, 0);
    assert_int_equal(o.info.si_code, CLD_EXITED);
    assert_int_equal(o.info.si_status, 7);
}

/* What is said of a program, and with which exit code. */
static void check_refusal(const char *program, int code, const char *text) {
    char name[128];
    char *argv[] = {name, NULL};
    struct outcome o;
    struct err err;

    snprintf(name, sizeof(name), "%s", program);
    o = outcome_of(argv, &no_group);
    assert_int_equal(o.reported, 1);
    assert_int_equal(o.failure.stage, LAUNCH_EXEC);
    assert_int_equal(launch_explain(&o.failure, program, &err), code);
    if (!strstr(err.text, text))
        fail_msg("'%s' says '%s', not '%s'", program, err.text, text);
}

static void write_file(const char *path, const char *text, mode_t mode) {
    auto_close int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
}

static void why_exec_failed_is_told_exactly(void **state) {
    char dir[] = "/tmp/plimsoll-launch-XXXXXX";
    char path[64];

    (void)state;
    assert_non_null(mkdtemp(dir));
    check_refusal("no-such-program-anywhere", 127, "not found in PATH");
    check_refusal("/no/such/program", 127, "was not found");
    check_refusal(dir, 126, "is a directory");
    snprintf(path, sizeof(path), "%s/x", dir);
    write_file(path, "#!/bin/sh\n", 0600);
    check_refusal(path, 126, "not executable (try: chmod +x)");
    write_file(path, "#! /no/such/interpreter -x\n", 0700);
    check_refusal(path, 126, "its interpreter '/no/such/interpreter' was not found");
    unlink(path);
    rmdir(dir);
}

static void a_child_that_cannot_join_its_group_runs_nothing(void **state) {
    char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char[]){"exit 0"}, NULL};
    struct rungroup group = no_group;
    struct outcome o;
    struct err err;

    (void)state;
    group.work[PLAN_MEMORY] = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* no cgroup */
    o = outcome_of(argv, &group);
    close(group.work[PLAN_MEMORY]);
    assert_int_equal(o.reported, 1);
    assert_int_equal(o.failure.stage, LAUNCH_JOIN);
    assert_int_equal(launch_explain(&o.failure, "sh", &err), 125);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_is_started_and_its_code_is_its_own),
        cmocka_unit_test(why_exec_failed_is_told_exactly),
        cmocka_unit_test(a_child_that_cannot_join_its_group_runs_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
