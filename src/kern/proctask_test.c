#include "kern/proctask.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>

#include <cmocka.h>

#include "kern/proctest.h"

static void wchan_is_a_name_or_none(void **state) {
    char out[PROCTASK_NAME] = "untouched";

    (void)state;
    assert_int_equal(proctask_parse_wchan(STR("two\x01names"), out), -EBADMSG);
    assert_int_equal(proctask_parse_wchan(STR("two names"), out), -EBADMSG);
    assert_string_equal(out, "untouched");
    assert_int_equal(proctask_parse_wchan(STR("mem_cgroup_oom_synchronize"), out), 0);
    assert_string_equal(out, "mem_cgroup_oom_synchronize");
    assert_int_equal(proctask_parse_wchan(STR("do_wait\n"), out), 0);
    assert_string_equal(out, "do_wait");
    assert_int_equal(proctask_parse_wchan(STR("0"), out), 0);
    assert_string_equal(out, "");
}

static void check_stack(struct str text, int want, const char *frames) {
    struct buf out;

    buf_init(&out, 4096);
    buf_add_char(&out, '>');
    assert_int_equal(proctask_parse_stack(text, &out), want);
    buf_add_char(&out, '\0');
    assert_string_equal(out.p + 1, frames);
    buf_done(&out);
}

static void stacks_are_names_innermost_first(void **state) {
    (void)state;
    check_stack(STR("[<0>] mem_cgroup_oom_synchronize+0x1a/0x30\n"
                    "[<0>] pagefault_out_of_memory+0x5/0x10\n"),
                0, "mem_cgroup_oom_synchronize < pagefault_out_of_memory");
    check_stack(STR("[<ffffffff8108b3b9>] do_wait+0x1/0x2 [fuse]\n"
                    "[<ffffffff8108b3b9>] 0xffffffffffffffff\n"),
                0, "do_wait");
    check_stack(STR(""), 0, "");
    check_stack(STR("[<0>] a+0x1/0x2\nnonsense\n"), -EBADMSG, "");
    check_stack(STR("[<0>] a+0x1/0x2\n[<0>] b"), -EBADMSG, "");
    check_stack(STR("[<0>] a\x1b+0x1/0x2\n"), -EBADMSG, "");
    check_stack(STR("[<0>]\n"), -EBADMSG, "");
}

struct seen {
    unsigned threads, named;
    char wchan[PROCTASK_NAME];
};

static int see(void *ctx, const struct proctask *t) {
    struct seen *s = ctx;
    static const char name[] = "a) R 1 1";

    s->threads++;
    if (t->comm_n == sizeof(name) - 1 && memcmp(t->comm, name, t->comm_n) == 0) {
        s->named++;
        memcpy(s->wchan, t->wchan, sizeof(s->wchan));
    }
    return 0;
}

static int pipe_of_thread[2];

static void *wait_in_pipe(void *unused) {
    char byte;

    prctl(PR_SET_NAME, "a) R 1 1");
    (void)!write(pipe_of_thread[1], "x", 1);
    (void)!read(*(int *)unused, &byte, 1);
    return NULL;
}

static void own_threads_are_seen(void **state) {
    int held[2], proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct seen seen = {0};
    pthread_t thread;
    struct buf out;
    char byte;
    int r = 0;

    (void)state;
    assert_int_equal(pipe(held), 0);
    assert_int_equal(pipe(pipe_of_thread), 0);
    assert_int_equal(pthread_create(&thread, NULL, wait_in_pipe, &held[0]), 0);
    assert_int_equal(read(pipe_of_thread[0], &byte, 1), 1);
    for (int i = 0; i < 500 && !seen.wchan[0] && geteuid() == 0; i++) {
        seen = (struct seen){0};
        r = proctask_each(proc, getpid(), 100, true, see, &seen);
        usleep(1000);
    }
    if (geteuid() != 0)
        r = proctask_each(proc, getpid(), 100, true, see, &seen);
    assert_int_equal(r, 0);
    assert_int_equal(seen.threads, 2);
    assert_int_equal(seen.named, 1);
    seen = (struct seen){0};
    assert_int_equal(proctask_each(proc, getpid(), 1, false, see, &seen), 1);
    assert_int_equal(seen.threads, 1);
    assert_int_equal(seen.wchan[0], '\0');
    buf_init(&out, 4096);
    r = proctask_stack(proc, getpid(), getpid(), &out);
    assert_true(r == 0 || r == -EACCES || r == -EPERM || r == -ENOENT);
    buf_done(&out);
    assert_int_equal(write(held[1], "x", 1), 1);
    pthread_join(thread, NULL);
    assert_int_equal(proctask_each(proc, INT32_MAX, 1, true, see, &seen), -ENOENT);
    close(proc);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wchan_is_a_name_or_none),
        cmocka_unit_test(stacks_are_names_innermost_first),
        cmocka_unit_test(own_threads_are_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
