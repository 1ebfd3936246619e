#include "act/killer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kern/cgtest.h"
#include "kern/procstat.h"

/* Victims are no children of ours and run another executable, or they would be spared as ours: a
 * nursery does it, a copy of this program that nobody started. */
struct wish {
    enum { MAKE, END, LIVES } what;
    int32_t pid;     /* MAKE: which it is to get; 0: any */
    size_t bytes;    /* that it holds */
    bool inside;     /* in the group */
    bool leaderless; /* its first thread ends before the others */
    bool ns;         /* pid 1 of a namespace of its own, with a child that holds child_bytes */
    size_t child_bytes;
    char name[16]; /* "" : the program's */
};

static struct cgtest_real real;
static struct grip grip;
static struct killer *killer;
static int nursery = -1;
static bool may_choose_pids = true;

static unsigned tries(void) {
    const char *text = getenv("PLIMSOLL_TRIES");
    uint64_t n;

    return text && str_to_u64(str_of(text), &n) == 0 && n > 0 && n < 1u << 30 ? (unsigned)n : 100;
}

/* --- in the nursery --------------------------------------------------------------------------- */

static void hold_bytes(size_t n) {
    char *p =
        n == 0 ? NULL : mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p && p != MAP_FAILED)
        memset(p, 1, n);
}

static void *stay(void *ctx) {
    const int *ready = ctx;

    usleep(20000); /* the first thread is on its way */
    if (write(*ready, "!", 1) != 1)
        _exit(1);
    for (;;)
        pause();
    return NULL;
}

static void live(const struct wish *w, int ready, int group) {
    if (w->inside && write(group, "0", 1) != 1)
        _exit(1);
    if (w->name[0])
        prctl(PR_SET_NAME, w->name);
    hold_bytes(w->bytes);
    if (w->ns && fork() == 0) {
        hold_bytes(w->child_bytes);
        if (write(ready, "!", 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    if (w->leaderless) {
        pthread_t thread;

        if (pthread_create(&thread, NULL, stay, &ready) != 0)
            _exit(1);
        (void)syscall(SYS_exit, 0); /* of this thread alone */
    }
    if (!w->ns && write(ready, "!", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

static int32_t make(const struct wish *w, int group) {
    pid_t wanted = w->pid;
    struct clone_args args = {
        .flags = w->ns ? CLONE_NEWPID : 0,
        .exit_signal = SIGCHLD,
        .set_tid = w->pid ? (uint64_t)(uintptr_t)&wanted : 0,
        .set_tid_size = w->pid ? 1 : 0,
    };
    int ends[2];
    char byte;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
    if (pid == 0)
        live(w, ends[1], group);
    pid = pid < 0 ? -errno : pid;
    close(ends[1]);
    if (pid > 0 && read(ends[0], &byte, 1) != 1)
        pid = -EIO;
    close(ends[0]);
    return pid;
}

/* Whoever has the pid of one that has ended is not ours. */
static int32_t end_child(pid_t pid) {
    siginfo_t info;

    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
        return -errno;
    kill(pid, SIGKILL);
    return waitpid(pid, NULL, 0) == pid ? 0 : -errno;
}

static int32_t grant(const struct wish *w, int group) {
    if (w->what == MAKE)
        return make(w, group);
    if (w->what == LIVES)
        return waitpid(w->pid, NULL, WNOHANG) == 0;
    return end_child(w->pid);
}

/* argv: "nursery", the file of the group to join. The socket is descriptor 3. */
static int run_nursery(const char *group_file) {
    int group = open(group_file, O_WRONLY | O_CLOEXEC);
    struct wish w;

    prctl(PR_SET_NAME, "nursery");
    while (recv(3, &w, sizeof(w), 0) == sizeof(w)) {
        int32_t answer = grant(&w, group);

        if (send(3, &answer, sizeof(answer), MSG_NOSIGNAL) != sizeof(answer))
            break;
    }
    return kill(0, SIGKILL); /* with what is left: it has a session of its own */
}

/* --- here ------------------------------------------------------------------------------------- */

static int32_t ask(const struct wish *w) {
    int32_t answer = -EIO;

    assert_int_equal(send(nursery, w, sizeof(*w), MSG_NOSIGNAL), sizeof(*w));
    assert_int_equal(recv(nursery, &answer, sizeof(answer), 0), sizeof(answer));
    return answer;
}

/* -EPERM, -EEXIST: the pid cannot be chosen at all, somebody else was given it meanwhile. */
static int32_t born(struct wish w) {
    int32_t pid;

    w.what = MAKE;
    pid = ask(&w);
    if ((pid == -EPERM || pid == -EEXIST) && w.pid) {
        may_choose_pids = may_choose_pids && pid != -EPERM;
        return pid;
    }
    if (pid <= 0)
        fail_msg("no process: %s", strerror(-pid));
    return pid;
}

static bool lives(int32_t pid) {
    struct wish w = {.what = LIVES, .pid = pid};

    return ask(&w) == 1;
}

static void end(int32_t pid) {
    struct wish w = {.what = END, .pid = pid};

    (void)ask(&w);
}

static bool dies(int32_t pid) {
    for (unsigned i = 0; i < 5000; i++) {
        if (!lives(pid))
            return true;
        usleep(2000);
    }
    return false;
}

static int copy_of_us(void) {
    int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), to = memfd_create("nursery", 0);
    struct stat st;

    assert_true(from >= 0 && to >= 0 && fstat(from, &st) == 0);
    while (sendfile(to, from, NULL, (size_t)st.st_size) > 0)
        ;
    close(from);
    return to;
}

static void be_nursery(int socket, int exe, const char *group_file) {
    char name[] = "nursery", file[512];
    char *argv[] = {name, file, NULL};

    snprintf(file, sizeof(file), "%s", group_file);
    if (fork() != 0) /* its parent goes: it is nobody's child then */
        _exit(0);
    setsid();
    exe = fcntl(exe, F_DUPFD, 100);
    if (dup2(socket, 3) < 0)
        _exit(1);
    close_range(4, 99, 0);
    fexecve(exe, argv, environ);
    _exit(1);
}

static int open_all(void **state) {
    struct err err = {0};
    char file[512];
    int ends[2], exe;
    pid_t pid;

    (void)state;
    cgtest_real_init(&real);
    cgtest_real_mkdir(&real, "/g");
    cgtest_real_mkdir(&real, "/g/below");
    assert_int_equal(cgtest_real_write(&real, "/g/memory.limit_in_bytes", "200M"), 0);
    cgtest_real_path(&real, "/g/below/cgroup.procs", file, sizeof(file));
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    exe = copy_of_us();
    pid = fork();
    if (pid == 0)
        be_nursery(ends[1], exe, file);
    close(ends[1]);
    close(exe);
    waitpid(pid, NULL, 0);
    nursery = ends[0];
    snprintf(file, sizeof(file), "%s/g", real.group);
    if (grip_open(&real.host, &real.fs, str_of(file), &grip, &err) < 0)
        fail_msg("%s", err.text);
    return killer_new(&killer);
}

static int close_all(void **state) {
    struct action_report report;
    struct policy p;

    policy_defaults(&p);
    if (killer)
        (void)killer_all(killer, &grip, &p, false, &report);
    if (nursery >= 0)
        close(nursery);
    killer_free(killer);
    killer = NULL;
    nursery = -1;
    grip_done(&grip);
    cgtest_real_rmdir(&real, "/g/below");
    cgtest_real_rmdir(&real, "/g");
    cgtest_real_done(&real);
    return cgtest_real_sweep(state);
}

static struct policy plain_policy(void) {
    struct policy p;

    policy_defaults(&p);
    return p;
}

static void text_has(const char *text, const char *part) {
    if (!strstr(text, part))
        fail_msg("'%s' does not say '%s'", text, part);
}

static uint64_t start_of(int32_t pid) {
    struct procstat stat;

    assert_int_equal(procstat_read(real.host.proc, pid, &stat), 0);
    return stat.start_ticks;
}

enum { MIB = 1 << 20 };

static void the_largest_is_ended_and_nobody_else(void **state) {
    int32_t small = born((struct wish){.inside = true, .bytes = 12 * MIB}),
            large = born((struct wish){.inside = true, .bytes = 24 * MIB}),
            outside = born((struct wish){.bytes = 48 * MIB});
    struct policy p = plain_policy();
    struct action_report r;

    (void)state;
    killer_kill(killer, &grip, &p, true, &r);
    assert_int_equal(r.outcome, OUTCOME_DRY);
    assert_int_equal(r.pid, large);
    assert_true(lives(large));
    killer_kill(killer, &grip, &p, false, &r);
    assert_int_equal(r.outcome, OUTCOME_DONE);
    assert_int_equal(r.pid, large);
    text_has(r.text, "of 2 processes");
    assert_true(dies(large));
    assert_true(lives(small));
    assert_true(lives(outside));
    killer_kill(killer, &grip, &p, false, &r);
    assert_int_equal(r.pid, small);
    assert_true(dies(small));
    killer_kill(killer, &grip, &p, false, &r); /* what was to be reached is reached */
    assert_int_equal(r.outcome, OUTCOME_DONE);
    assert_int_equal(r.pid, 0);
    text_has(r.text, "nothing runs in it any more");
    assert_string_equal(r.next, "");
    end(outside);
}

/* Its memory, group and command line are told by its other threads. */
static void one_whose_first_thread_has_ended_is_ended_too(void **state) {
    int32_t small = born((struct wish){.inside = true, .bytes = 12 * MIB, .name = "db"}),
            large = born(
                (struct wish){.inside = true, .bytes = 24 * MIB, .name = "db", .leaderless = true});
    struct policy p = plain_policy();
    struct action_report r;
    struct err err = {0};

    (void)state;
    policy_add_text(p.protect, STR("nurs?ry"), &err);
    killer_kill(killer, &grip, &p, true, &r);
    assert_int_equal(r.outcome, OUTCOME_REFUSED);
    text_has(r.text, "protected by a rule");
    p = plain_policy();
    killer_kill(killer, &grip, &p, false, &r);
    assert_int_equal(r.outcome, OUTCOME_DONE);
    assert_int_equal(r.pid, large);
    assert_true(dies(large));
    assert_true(lives(small));
    end(small);
}

static void what_may_not_be_ended_is_refused(void **state) {
    int32_t outside = born((struct wish){.bytes = MIB}),
            inside = born((struct wish){.inside = true, .bytes = 8 * MIB, .name = "db [x]"});
    uint64_t self = start_of(getpid());
    struct policy p = plain_policy();
    struct action_report r;
    int ready[2];
    pid_t child;
    char byte;

    (void)state;
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    child = fork();
    if (child == 0) {
        char path[512];
        int fd;

        cgtest_real_path(&real, "/g/below/cgroup.procs", path, sizeof(path));
        fd = open(path, O_WRONLY);
        if (fd < 0 || write(fd, "0", 1) != 1)
            _exit(1);
        hold_bytes(16 * MIB);
        if (write(ready[1], "!", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    assert_int_equal(killer_send(&grip, 1, start_of(1), SIGKILL), -EPERM);
    assert_int_equal(killer_send(&grip, 0, 1, SIGKILL), -EPERM);
    assert_int_equal(killer_send(&grip, -inside, 1, SIGKILL), -EPERM);
    assert_int_equal(killer_send(&grip, getpid(), self, SIGKILL), -EPERM);
    assert_int_equal(killer_send(&grip, child, start_of(child), SIGKILL), -EPERM);
    assert_int_equal(killer_send(&grip, outside, start_of(outside), SIGKILL), -ESRCH);
    assert_int_equal(killer_send(&grip, inside, start_of(inside) + 1, SIGKILL), -ESRCH);
    assert_int_equal(killer_send(&grip, inside, 0, SIGKILL), -ESRCH);
    assert_true(lives(inside));
    assert_true(lives(outside));

    killer_kill(killer, &grip, &p, true, &r);
    assert_int_equal(r.pid, inside); /* our child is larger, and spared */
    assert_int_equal(policy_add_text(p.protect, STR("db*"), NULL), 0);
    killer_kill(killer, &grip, &p, false, &r);
    assert_int_equal(r.outcome, OUTCOME_REFUSED);
    text_has(r.text, "one of ours");
    p = plain_policy();
    killer_all(killer, &grip, &p, false, &r);
    assert_int_equal(r.outcome, OUTCOME_REFUSED);
    assert_int_equal(r.pid, child);
    assert_int_equal(waitpid(child, NULL, WNOHANG), 0);
    killer_term(killer, &grip, &p, false, &r);
    assert_int_equal(r.outcome, OUTCOME_REFUSED);
    assert_true(lives(inside));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_int_equal(killer_send(&grip, inside, start_of(inside), SIGKILL), 0);
    assert_true(dies(inside));
    end(outside);
}

static void a_namespaces_init_is_ended_only_if_it_is_to_blame(void **state) {
    struct wish w = {.inside = true, .ns = true, .bytes = 24 * MIB, .child_bytes = 32 * MIB};
    const struct candidate *c;
    struct policy p = plain_policy();
    struct action_report r;
    int32_t init = born(w);
    size_t n;

    (void)state;
    assert_int_equal(killer_look(killer, &grip, &c, &n), 0);
    assert_int_equal(n, 2);
    assert_true(c[0].pid == init ? c[0].init && !c[1].init : c[1].init && !c[0].init);
    /* the child was forked from it and has its pages too: it is the larger one */
    killer_kill(killer, &grip, &p, false, &r);
    assert_int_equal(r.outcome, OUTCOME_DONE);
    assert_true(r.pid != init);
    for (unsigned i = 0; i < 5000 && killer_look(killer, &grip, &c, &n) == 0 && n == 2; i++)
        usleep(2000);
    assert_true(lives(init));
    killer_kill(killer, &grip, &p, false, &r); /* alone */
    assert_int_equal(r.pid, init);
    assert_true(dies(init));
}

static void a_term_goes_to_the_main_process_and_tells_who_is_deaf(void **state) {
    struct policy p = plain_policy();
    struct action_report r;
    int32_t plain = born((struct wish){.inside = true}), init;

    (void)state;
    killer_term(killer, &grip, &p, true, &r);
    assert_int_equal(r.outcome, OUTCOME_DRY);
    assert_true(lives(plain));
    killer_term(killer, &grip, &p, false, &r);
    assert_int_equal(r.outcome, OUTCOME_DONE);
    assert_int_equal(r.pid, plain);
    assert_true(dies(plain));
    init = born((struct wish){.inside = true, .ns = true});
    plain = born((struct wish){.inside = true});
    killer_term(killer, &grip, &p, false, &r);
    assert_int_equal(r.outcome, OUTCOME_PARTLY);
    assert_int_equal(r.pid, init); /* not to what somebody executed in the container */
    text_has(r.text, "no handler");
    assert_true(lives(plain));
    assert_true(lives(init));
    killer_all(killer, &grip, &p, false, &r);
    assert_int_equal(r.outcome, OUTCOME_DONE);
    assert_true(dies(init));
    assert_true(dies(plain));
    killer_all(killer, &grip, &p, false, &r);
    assert_int_equal(r.outcome, OUTCOME_REFUSED);
}

/* As if this machine had no cgroup.kill. */
static void all_are_ended_one_by_one_as_well(void **state) {
    int32_t pid[20];
    int kept = grip.kill;
    struct policy p = plain_policy();
    struct action_report r;

    (void)state;
    for (unsigned i = 0; i < ARRAY_N(pid); i++)
        pid[i] = born((struct wish){.inside = true});
    grip.kill = -1;
    killer_all(killer, &grip, &p, true, &r);
    assert_int_equal(r.outcome, OUTCOME_DRY);
    killer_all(killer, &grip, &p, false, &r);
    grip.kill = kept;
    assert_int_equal(r.outcome, OUTCOME_DONE);
    text_has(r.text, "SIGKILL to 20 processes");
    for (unsigned i = 0; i < ARRAY_N(pid); i++)
        assert_true(dies(pid[i]));
}

/* In a pid namespace of our own, with the /proc of another: every pid there means somebody else. */
static void pids_of_another_namespace_are_not_taken_for_ours(void **state) {
    int32_t inside = born((struct wish){.inside = true, .bytes = 8 * MIB});
    uint64_t start = start_of(inside);
    pid_t child = fork();
    int status;

    (void)state;
    if (child == 0) {
        struct policy p = plain_policy();
        struct action_report r;

        if (unshare(CLONE_NEWPID) < 0)
            _exit(77);
        if (fork() == 0)
            _exit(killer_send(&grip, inside, start, SIGKILL) != -EPERM ||
                  (killer_kill(killer, &grip, &p, false, &r), r.outcome != OUTCOME_REFUSED) ||
                  (killer_all(killer, &grip, &p, false, &r), r.outcome != OUTCOME_REFUSED) ||
                  (killer_term(killer, &grip, &p, false, &r), r.outcome != OUTCOME_REFUSED) ||
                  !strstr(r.text, "another pid namespace"));
        wait(&status);
        _exit(WEXITSTATUS(status));
    }
    waitpid(child, &status, 0);
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_true(lives(inside));
    end(inside);
}

/* --- pids that are given again ---------------------------------------------------------------- */

enum { BATCH = 100 };

struct reuse {
    unsigned done, wrong;
    enum killer_point at;
    bool inside;
    int32_t successor;
};

/* The one that was looked at ends, and another one gets its pid. */
static void replace(void *ctx, enum killer_point at, int32_t pid) {
    struct reuse *u = ctx;
    struct wish w = {.pid = pid, .inside = u->inside, .name = "spared"};

    if (at != u->at || u->successor)
        return;
    end(pid);
    u->successor = born(w);
}

static void one_kill_with_a_replacement(struct reuse *u, const struct policy *p) {
    int32_t pid = born((struct wish){.inside = true, .bytes = MIB});
    struct action_report r;

    u->successor = 0;
    killer_on_pause(killer, replace, u);
    killer_kill(killer, &grip, p, false, &r);
    killer_on_pause(killer, NULL, NULL);
    if (u->successor != pid) {
        end(pid);
        return;
    }
    u->done++;
    usleep(r.outcome == OUTCOME_DONE ? 2000 : 0);
    u->wrong += (r.outcome == OUTCOME_DONE && r.pid != 0) || !lives(pid);
    end(pid);
}

static void a_pid_that_is_given_again_is_not_killed_by_choice(void **state) {
    struct policy p = plain_policy();
    unsigned wanted = tries();

    (void)state;
    assert_int_equal(policy_add_text(p.protect, STR("spared"), NULL), 0);
    for (unsigned kind = 0; kind < 4 && may_choose_pids; kind++) {
        struct reuse u = {.at = kind & 1 ? KILLER_HELD : KILLER_CHOSEN, .inside = kind & 2};

        for (unsigned i = 0; i < wanted / 4 && may_choose_pids; i++)
            one_kill_with_a_replacement(&u, &p);
        print_message("# %s, successor %s the group: %u reuses, %u wrong kills\n",
                      kind & 1 ? "after the hold" : "before the hold",
                      kind & 2 ? "in" : "outside of", u.done, u.wrong);
        assert_true(!may_choose_pids || u.done > wanted / 4 * 9 / 10);
        assert_int_equal(u.wrong, 0);
    }
    if (!may_choose_pids)
        skip();
}

/* A batch at once: those that are looked at must be older than a tick of the clock. */
static void reuse_batch(struct reuse *u, bool wait) {
    const struct candidate *c;
    struct candidate seen[BATCH];
    size_t n;

    for (unsigned i = 0; i < BATCH; i++)
        (void)born((struct wish){.inside = true});
    if (wait)
        usleep(20000);
    assert_int_equal(killer_look(killer, &grip, &c, &n), 0);
    assert_int_equal(n, BATCH);
    memcpy(seen, c, sizeof(seen));
    for (unsigned i = 0; i < BATCH; i++)
        assert_true(!wait || seen[i].start_ticks != 0);
    for (unsigned i = 0; i < BATCH; i++) {
        struct wish w = {.pid = seen[i].pid, .inside = true};
        int32_t heir;

        end(seen[i].pid);
        heir = born(w);
        if (heir == -EEXIST) {
            seen[i].pid = 0;
            continue;
        }
        if (heir != seen[i].pid)
            return;
        u->wrong += killer_send(&grip, seen[i].pid, seen[i].start_ticks, SIGKILL) != -ESRCH;
        u->done++;
    }
    for (unsigned i = 0; i < BATCH; i++) {
        if (seen[i].pid == 0)
            continue;
        u->wrong += !lives(seen[i].pid);
        end(seen[i].pid);
    }
}

static void a_pid_that_is_given_again_is_not_the_one_that_was_seen(void **state) {
    struct reuse old = {0}, young = {0};

    (void)state;
    while (old.done < tries() && may_choose_pids)
        reuse_batch(&old, true);
    while (young.done < tries() / 4 && may_choose_pids)
        reuse_batch(&young, false);
    print_message("# by pid and start: %u reuses, %u wrong kills; %u at once, %u wrong kills\n",
                  old.done, old.wrong, young.done, young.wrong);
    assert_int_equal(old.wrong + young.wrong, 0);
    if (!may_choose_pids)
        skip();
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_largest_is_ended_and_nobody_else, open_all, close_all),
        cmocka_unit_test_setup_teardown(one_whose_first_thread_has_ended_is_ended_too, open_all,
                                        close_all),
        cmocka_unit_test_setup_teardown(what_may_not_be_ended_is_refused, open_all, close_all),
        cmocka_unit_test_setup_teardown(a_namespaces_init_is_ended_only_if_it_is_to_blame, open_all,
                                        close_all),
        cmocka_unit_test_setup_teardown(a_term_goes_to_the_main_process_and_tells_who_is_deaf,
                                        open_all, close_all),
        cmocka_unit_test_setup_teardown(all_are_ended_one_by_one_as_well, open_all, close_all),
        cmocka_unit_test_setup_teardown(pids_of_another_namespace_are_not_taken_for_ours, open_all,
                                        close_all),
        cmocka_unit_test_setup_teardown(a_pid_that_is_given_again_is_not_killed_by_choice, open_all,
                                        close_all),
        cmocka_unit_test_setup_teardown(a_pid_that_is_given_again_is_not_the_one_that_was_seen,
                                        open_all, close_all),
    };

    if (argc == 2 && strcmp(argv[0], "nursery") == 0)
        return run_nursery(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
