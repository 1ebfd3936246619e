/* The handle, measuring this process alone (PLIM_SELF): no control group is needed. Control groups
 * are looked at in tests/system/test_lib.py. */
#include "lib/plim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define MIB ((uint64_t)1 << 20)

/* Without the groups of whoever runs the tests. */
static void only_self(struct plim *p) {
    struct level self = p->level[p->levels - 1];

    assert_int_equal(self.kind, LEVEL_SELF);
    p->levels--;
    levels_close(p);
    p->level[p->levels++] = self;
}

static uint64_t used_now(void) {
    struct plim_options o = {.size = sizeof(o), .limit = 1ull << 40, .flags = PLIM_SELF};
    struct plim_usage u = {.size = sizeof(u)};
    struct plim *p;

    assert_int_equal(plim_open(&o, &p), 0);
    only_self(p);
    assert_int_equal(plim_usage(p, &u), 0);
    plim_close(p);
    return u.used;
}

/* `room` bytes above what is used now. */
static struct plim *open_with_room(uint64_t room) {
    struct plim_options o = {.size = sizeof(o),
                             .limit = used_now() + room,
                             .flags = PLIM_SELF,
                             .gate = 100,
                             .critical = 100,
                             .poll_ms = 20};
    struct plim *p;

    assert_int_equal(plim_open(&o, &p), 0);
    only_self(p);
    return p;
}

static char *grow(uint64_t bytes) {
    char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_true(p != MAP_FAILED);
    memset(p, 1, bytes);
    return p;
}

static void callers_of_other_versions_are_understood(void **state) {
    struct {
        struct plim_options o;
        char later[16];
    } newer = {.o = {.size = sizeof(newer), .limit = 1ull << 40, .flags = PLIM_SELF}};
    struct plim_options old = {.size = offsetof(struct plim_options, gate)};
    struct plim *p = NULL;

    (void)state;
    assert_int_equal(plim_open(&newer.o, &p), 0);
    plim_close(p);
    newer.later[15] = 1; /* it asks for what we cannot */
    assert_int_equal(plim_open(&newer.o, &p), -E2BIG);
    old.gate = 7777; /* behind its end: not there */
    old.limit = 1ull << 40;
    assert_int_equal(plim_open(&old, &p), 0);
    plim_close(p);
}

static void options_that_mean_nothing_are_refused(void **state) {
    struct plim_options bad[] = {
        {.size = 0},
        {.size = 1},
        {.size = sizeof(bad[0]), .gate = 101},
        {.size = sizeof(bad[0]), .critical = 200},
        {.size = sizeof(bad[0]), .flags = 2},
        {.size = sizeof(bad[0]), .flags = PLIM_SELF},
    };
    struct plim *p = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(plim_open(&bad[i], &p), -EINVAL);
    assert_int_equal(plim_open(NULL, NULL), -EINVAL);
    assert_null(p);
    assert_int_equal(plim_close(NULL), 0);
    assert_int_equal(plim_dispatch(NULL), -EINVAL);
    assert_int_equal(plim_fd(NULL), -EINVAL);
    assert_int_equal(plim_gate(NULL, 1, 0), -EINVAL);
    assert_int_equal(plim_trim(NULL, NULL), 0);
}

static void what_is_used_follows_what_is_touched(void **state) {
    struct plim *p = open_with_room(400 * MIB);
    struct plim_usage before = {.size = sizeof(before)}, after = {.size = sizeof(after)};
    char *more;

    (void)state;
    assert_int_equal(plim_usage(p, &before), 0);
    more = grow(20 * MIB);
    assert_int_equal(plim_usage(p, &after), 0);
    assert_true(after.used - before.used >= 20 * MIB && after.used - before.used < 30 * MIB);
    assert_true(after.room == after.limit - after.used && after.usage >= after.used);
    munmap(more, 20 * MIB);
    after.size = offsetof(struct plim_usage, room);
    after.room = 77; /* an older caller has no such member */
    assert_int_equal(plim_usage(p, &after), 0);
    assert_true(after.room == 77);
    plim_close(p);
}

struct told {
    unsigned above, below;
    uint32_t percent;
    struct plim *p;
};

static void remember(void *ctx, const struct plim_event *event) {
    struct told *told = ctx;

    told->above += event->above;
    told->below += !event->above;
    told->percent = event->percent;
    assert_int_equal(plim_close(told->p), -EBUSY); /* not from here */
    assert_int_equal(plim_dispatch(told->p), 0);
}

/* Dispatches for as long as it takes, as a program's loop would. */
static void loop_until(struct plim *p, const unsigned *count, unsigned wanted) {
    int64_t until = clock_mono_us() + 20000000;

    while (*count < wanted && clock_mono_us() < until) {
        struct pollfd wait = {.fd = plim_fd(p), .events = POLLIN};

        assert_true(wait.fd >= 0);
        (void)poll(&wait, 1, 20);
        assert_true(plim_dispatch(p) >= 0);
    }
    assert_int_equal(*count, wanted);
}

static void a_mark_is_told_on_the_way_up_and_down(void **state) {
    struct plim *p = open_with_room(64 * MIB);
    uint64_t limit;
    struct told told = {.p = p};
    struct plim_usage u = {.size = sizeof(u)};
    uint32_t pct;
    char *more;

    (void)state;
    assert_int_equal(plim_limit(p, &limit), 0);
    assert_int_equal(plim_usage(p, &u), 0);
    pct = (uint32_t)((u.used + 32 * MIB) * 100 / limit);
    assert_int_equal(plim_on(p, pct, 1, remember, &told), 0);
    assert_int_equal(plim_dispatch(p), 0);
    more = grow(48 * MIB);
    loop_until(p, &told.above, 1);
    assert_int_equal(told.percent, pct);
    munmap(more, 48 * MIB);
    loop_until(p, &told.below, 1);
    assert_int_equal(told.above, 1);
    assert_int_equal(plim_on(p, pct, 1, NULL, NULL), 0);
    assert_int_equal(p->marks, 0);
    assert_int_equal(plim_on(p, 101, 0, remember, &told), -EINVAL);
    assert_int_equal(plim_on(p, 10, 11, remember, &told), -EINVAL);
    assert_int_equal(plim_close(p), 0);
}

static void sixteen_callbacks_fit(void **state) {
    struct plim *p = open_with_room(64 * MIB);
    struct told told = {.p = p};

    (void)state;
    for (unsigned i = 0; i < PLIM_MARKS; i++)
        assert_int_equal(plim_on(p, 1 + i, 0, remember, &told), 0);
    assert_int_equal(plim_on(p, 99, 0, remember, &told), -ENOSPC);
    plim_close(p);
}

static void the_gate_says_no_before_it_is_too_late(void **state) {
    struct plim *p = open_with_room(64 * MIB);
    int64_t begin = clock_mono_us();
    char *more = grow(32 * MIB);

    (void)state;
    assert_int_equal(plim_gate(p, 16 * MIB, 0), 0);
    assert_int_equal(plim_gate(p, 16 * MIB, 0), 0); /* the first was used, or given up */
    assert_int_equal(plim_gate(p, 48 * MIB, 0), -EAGAIN);
    assert_int_equal(plim_gate(p, 48 * MIB, 30), -EAGAIN);
    assert_true(clock_mono_us() - begin >= 30000);
    assert_int_equal(plim_gate(p, 1ull << 40, 0), -E2BIG);
    assert_int_equal(plim_gate(p, UINT64_MAX, 0), -E2BIG);
    munmap(more, 32 * MIB);
    assert_int_equal(plim_gate(p, 48 * MIB, 0), 0);
    plim_close(p);
}

static void *pass_gate(void *ctx) {
    assert_int_equal(plim_gate(ctx, 40 * MIB, 0), 0);
    return NULL;
}

/* False: it was forgotten before we asked. */
static bool a_promise_counts(void) {
    struct plim *p = open_with_room(64 * MIB);
    int64_t begin = clock_mono_us();
    pthread_t thread;
    bool in_time;
    int much, little;

    assert_int_equal(pthread_create(&thread, NULL, pass_gate, p), 0);
    pthread_join(thread, NULL);
    for (unsigned i = 0; i < PLIM_GRANTS; i++) /* as if that thread were another one, still there */
        if (p->live->grant[i].thread)
            p->live->grant[i].thread = 1;
    much = plim_gate(p, 40 * MIB, 0);
    little = plim_gate(p, 8 * MIB, 0);
    in_time = clock_mono_us() - begin < 200000; /* so long is it kept */
    if (in_time) {
        assert_int_equal(much, -EAGAIN);
        assert_int_equal(little, 0);
    }
    assert_int_equal(plim_gate(p, 40 * MIB, 20000), 0); /* promises are forgotten after a while */
    plim_close(p);
    return in_time;
}

static void what_others_were_promised_counts(void **state) {
    bool told = false;

    (void)state;
    for (unsigned i = 0; i < 20 && !told; i++)
        told = a_promise_counts();
    assert_true(told);
}

static void the_reserve_goes_when_it_is_needed_and_comes_back(void **state) {
    struct plim *p = open_with_room(200 * MIB);
    char *more;

    (void)state;
    assert_int_equal(plim_reserve(p, 300 * MIB), -EAGAIN);
    assert_int_equal(plim_reserve(p, 20 * MIB), 0);
    assert_true(p->reserve_held);
    p->critical_pct = 90;
    more = grow(190 * MIB);
    assert_true(plim_dispatch(p) >= 0);
    assert_false(p->reserve_held);
    munmap(more, 190 * MIB);
    assert_true(plim_dispatch(p) >= 0);
    assert_true(p->reserve_held);
    assert_int_equal(plim_reserve(p, 0), 0);
    assert_null(p->reserve);
    plim_close(p);
}

static void a_thread_dispatches_when_asked_for(void **state) {
    struct plim *p = open_with_room(64 * MIB);
    struct told told = {.p = p};
    char *more = grow(8 * MIB);

    (void)state;
    assert_int_equal(plim_on(p, 5, 0, remember, &told), 0);
    assert_int_equal(plim_thread(p, 1), 0);
    assert_int_equal(plim_thread(p, 1), 0);
    for (int i = 0; i < 3000 && __atomic_load_n(&told.above, __ATOMIC_RELAXED) == 0; i++)
        usleep(10000);
    assert_int_equal(plim_thread(p, 0), 0);
    assert_int_equal(told.above, 1);
    assert_int_equal(plim_thread(p, 0), 0);
    assert_int_equal(plim_thread(p, 1), 0);
    assert_int_equal(plim_close(p), 0); /* ends it */
    munmap(more, 8 * MIB);
}

/* What a child may do; its exit code says what went wrong. */
static int as_child(struct plim *p) {
    struct told told = {.p = p};

    if (plim_dispatch(p) != -ECHILD || plim_fd(p) != -ECHILD || plim_thread(p, 1) != -ECHILD ||
        plim_on(p, 5, 0, remember, &told) != -ECHILD || plim_reserve(p, 1) != -ECHILD)
        return 1;
    if (p->live->lock != 0)
        return 2;
    return plim_close(p) == 0 ? 0 : 3;
}

static void a_child_gets_no_events_and_takes_none(void **state) {
    struct plim *p = open_with_room(64 * MIB);
    struct told told = {.p = p};
    char *more = grow(8 * MIB);
    int status = -1;
    pid_t child;

    (void)state;
    plim_lock(p); /* as another thread would hold it */
    child = fork();
    if (child == 0)
        _exit(as_child(p));
    plim_unlock(p);
    assert_true(waitpid(child, &status, 0) == child);
    assert_int_equal(status, 0);
    assert_int_equal(plim_on(p, 5, 0, remember, &told), 0); /* the parent's still work */
    loop_until(p, &told.above, 1);
    assert_int_equal(plim_close(p), 0);
    munmap(more, 8 * MIB);
}

static unsigned count_open(void) {
    unsigned n = 0;

    for (int fd = 0; fd < 512; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void nothing_stays_open(void **state) {
    unsigned before = count_open();
    struct plim *p = open_with_room(64 * MIB);

    (void)state;
    assert_int_equal(plim_on(p, 50, 0, remember, NULL), 0);
    assert_int_equal(plim_thread(p, 1), 0);
    assert_int_equal(plim_close(p), 0);
    assert_int_equal(count_open(), before);
}

/* As a daemon does; then it opens files of its own, under all of our numbers. */
static void a_program_that_closed_us_is_left_alone(void **state) {
    struct plim *p = open_with_room(64 * MIB);
    struct plim_usage u = {.size = sizeof(u)};
    int ends[2], theirs[400];
    struct told told = {.p = p};
    char byte;

    (void)state;
    assert_int_equal(plim_on(p, 99, 0, remember, &told), 0);
    for (int fd = 3; fd < 400; fd++)
        close(fd);
    assert_int_equal(plim_usage(p, &u), -EBADF);
    assert_int_equal(plim_dispatch(p), -EBADF);
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    for (int fd = 10; fd < 400; fd++)
        theirs[fd] = dup2(ends[fd % 2], fd);
    assert_int_equal(plim_usage(p, &u), -EBADF);
    assert_int_equal(plim_dispatch(p), -EBADF);
    assert_int_equal(plim_fd(p), -EBADF);
    assert_int_equal(plim_gate(p, 1, 0), -EBADF);
    assert_int_equal(plim_on(p, 5, 0, remember, &told), -EBADF);
    assert_int_equal(plim_reserve(p, MIB), -EBADF);
    assert_int_equal(plim_thread(p, 1), -EBADF);
    assert_int_equal(plim_close(p), 0);
    for (int fd = 10; fd < 400; fd++)
        assert_true(theirs[fd] == fd && fcntl(fd, F_GETFD) >= 0);
    assert_int_equal(read(ends[0], &byte, 1), -1); /* and nothing was written into it */
    for (int fd = 10; fd < 400; fd++)
        close(fd);
    close(ends[0]);
    close(ends[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(callers_of_other_versions_are_understood),
        cmocka_unit_test(options_that_mean_nothing_are_refused),
        cmocka_unit_test(what_is_used_follows_what_is_touched),
        cmocka_unit_test(a_mark_is_told_on_the_way_up_and_down),
        cmocka_unit_test(sixteen_callbacks_fit),
        cmocka_unit_test(the_gate_says_no_before_it_is_too_late),
        cmocka_unit_test(what_others_were_promised_counts),
        cmocka_unit_test(the_reserve_goes_when_it_is_needed_and_comes_back),
        cmocka_unit_test(a_thread_dispatches_when_asked_for),
        cmocka_unit_test(a_child_gets_no_events_and_takes_none),
        cmocka_unit_test(nothing_stays_open),
        cmocka_unit_test(a_program_that_closed_us_is_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
