#include "act/signals.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <unistd.h>

static void what_is_sent_is_taken_in_and_the_old_mask_told(void **state) {
    sigset_t inherited;
    struct signal_got got;
    int fd = signals_open(&inherited);

    (void)state;
    assert_true(fd >= 0);
    assert_false(sigismember(&inherited, SIGTERM));
    assert_int_equal(signals_next(fd, &got), 0);
    assert_int_equal(kill(getpid(), SIGTERM), 0);
    assert_int_equal(kill(getpid(), SIGRTMIN + 3), 0);
    assert_int_equal(signals_next(fd, &got), 1);
    assert_int_equal(got.number, SIGTERM);
    assert_false(got.from_terminal);
    assert_int_equal(signals_next(fd, &got), 1);
    assert_int_equal(got.number, SIGRTMIN + 3);
    assert_int_equal(signals_next(fd, &got), 0);
    assert_int_equal(sigprocmask(SIG_SETMASK, &inherited, NULL), 0);
    close(fd);
}

static void an_inherited_ignore_of_SIGCHLD_does_not_take_exit_statuses_away(void **state) {
    struct sigaction now;
    sigset_t inherited;
    int fd;

    (void)state;
    signal(SIGCHLD, SIG_IGN);
    fd = signals_open(&inherited);
    assert_true(fd >= 0);
    assert_int_equal(sigaction(SIGCHLD, NULL, &now), 0);
    assert_ptr_equal(now.sa_handler, SIG_DFL);
    assert_int_equal(sigprocmask(SIG_SETMASK, &inherited, NULL), 0);
    close(fd);
}

static void what_was_ignored_stays_ignored(void **state) {
    struct signal_got got;
    sigset_t inherited;
    int fd;

    (void)state;
    signal(SIGHUP, SIG_IGN); /* nohup */
    fd = signals_open(&inherited);
    assert_true(fd >= 0);
    assert_int_equal(kill(getpid(), SIGHUP), 0);
    assert_int_equal(signals_next(fd, &got), 0);
    assert_int_equal(kill(getpid(), SIGXFSZ), 0); /* as from a write beyond our own limit */
    assert_int_equal(signals_next(fd, &got), 1);
    assert_int_equal(got.number, SIGXFSZ);
    assert_true(got.from_self);
    assert_int_equal(sigprocmask(SIG_SETMASK, &inherited, NULL), 0);
    signal(SIGHUP, SIG_DFL);
    close(fd);
}

static void signals_have_names(void **state) {
    char buf[16];

    (void)state;
    assert_string_equal(signals_name(SIGTERM, buf), "TERM");
    assert_string_equal(signals_name(SIGKILL, buf), "KILL");
    assert_string_equal(signals_name(SIGRTMIN + 3, buf), "RTMIN+3");
    assert_string_equal(signals_name(32, buf), "signal 32");
    assert_true(signals_ends(SIGTERM) && signals_ends(SIGHUP));
    assert_false(signals_ends(SIGUSR1) || signals_ends(SIGCONT));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sent_is_taken_in_and_the_old_mask_told),
        cmocka_unit_test(an_inherited_ignore_of_SIGCHLD_does_not_take_exit_statuses_away),
        cmocka_unit_test(what_was_ignored_stays_ignored),
        cmocka_unit_test(signals_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
