#include "act/hook.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "act/trusted.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "kern/procstat.h"

/* --- a folder that nobody else can write to, as /tmp is not --- */

static char folder[128];

static int make_folder(void **state) {
    const char *home = getenv("HOME");
    int n = snprintf(folder, sizeof(folder), "%s/plimsoll-unit-XXXXXX",
                     geteuid() == 0 || !home ? "/run" : home);

    (void)state;
    umask(022);
    if (n < 0 || (size_t)n >= sizeof(folder) || !mkdtemp(folder))
        folder[0] = '\0';
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at) {
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static int remove_folder(void **state) {
    (void)state;
    return folder[0] ? nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS) : 0;
}

static void need_folder(void) {
    if (!folder[0]) {
        print_message("# skipped: no folder that is ours alone\n");
        skip();
    }
}

static void in_folder(const char *name, char out[256]) {
    assert_true(snprintf(out, 256, "%s/%s", folder, name) < 256);
}

static void write_file(const char *name, const char *text, mode_t mode) {
    char path[256];
    auto_close int fd = -1;

    in_folder(name, path);
    unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
}

static void read_file(const char *name, char out[8192]) {
    char path[256];
    struct str text;

    in_folder(name, path);
    assert_int_equal(file_read_at(AT_FDCWD, path, out, 8191, &text), 0);
    out[text.n] = '\0';
}

/* A shell script as the hook, with the folder as its argument. */
static void hook_of(struct policy *p, const char *script) {
    struct err err = {0};
    char path[256], text[2048];

    need_folder();
    memset(p, 0, sizeof(*p));
    snprintf(text, sizeof(text), "#!/bin/sh\n%s\n", script);
    write_file("hook", text, 0755);
    in_folder("hook", path);
    assert_int_equal(policy_add_text(p->hook, str_of(path), &err), 0);
    assert_int_equal(policy_add_text(p->hook, str_of(folder), &err), 0);
}

static void audit_of(struct audit *a) {
    memset(a, 0, sizeof(*a));
    a->kind = AUDIT_BEGIN;
    a->action = ACTION_NOTIFY;
    a->mark = 2;
    snprintf(a->id, sizeof(a->id), "id-1");
    snprintf(a->name, sizeof(a->name), "web\n\033[31m");
    snprintf(a->path, sizeof(a->path), "/docker/abc");
    snprintf(a->report.text, sizeof(a->report.text), "used 243M of 256M");
    a->facts.value[FACT_USED] = 243 << 20;
    a->facts.have = 1U << FACT_USED;
}

static const struct action_report *run_for(const struct policy *p, int64_t us) {
    static struct action_report report;
    struct audit why;

    audit_of(&why);
    assert_int_equal(hook_run(p, &why, clock_mono_us() + us, &report), 0);
    return &report;
}

static const struct action_report *run(const struct policy *p) {
    return run_for(p, 20000000);
}

/* --- what it gets --- */

static void a_hook_gets_the_facts_and_the_record(void **state) {
    struct policy p;
    char text[8192];

    (void)state;
    hook_of(&p, "env | sort > $1/env; cat > $1/json; echo \"$#\" > $1/n");
    assert_int_equal(run(&p)->outcome, OUTCOME_DONE);
    read_file("env", text);
    assert_non_null(strstr(text, "PATH=/usr/bin:/bin\n"));
    assert_non_null(strstr(text, "PLIMSOLL_ACTION=notify\n"));
    assert_non_null(strstr(text, "PLIMSOLL_LIMIT=\n")); /* not known */
    assert_non_null(strstr(text, "PLIMSOLL_MARK=2\n"));
    assert_non_null(strstr(text, "PLIMSOLL_NAME=web\\n\\x1b[31m\n"));
    assert_non_null(strstr(text, "PLIMSOLL_TARGET=/docker/abc\n"));
    assert_non_null(strstr(text, "PLIMSOLL_USED=254803968\n"));
    assert_non_null(strstr(text, "PLIMSOLL_WHY=used 243M of 256M\n"));
    assert_null(strstr(text, "HOME="));
    read_file("json", text);
    assert_int_equal(text[0], '{');
    assert_non_null(strstr(text, "\"id\":\"id-1\""));
    assert_string_equal(text + strlen(text) - 2, "}\n");
    read_file("n", text);
    assert_string_equal(text, "1\n");
}

/* Nothing of ours that happens to be open, no signal that we block or ignore. */
static void a_hook_inherits_nothing(void **state) {
    auto_close int spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int kept = fcntl(spare, F_DUPFD, 40); /* without CLOEXEC */
    sigset_t term, before;
    struct policy p;
    char text[8192];

    (void)state;
    need_folder();
    assert_true(kept >= 40);
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, &before);
    signal(SIGPIPE, SIG_IGN);
    hook_of(&p, "ls /proc/$$/fd > $1/fds; pwd > $1/pwd; grep SigIgn /proc/$$/status > $1/ign; "
                "kill -TERM $$");
    assert_non_null(strstr(run(&p)->text, "ended by signal 15"));
    sigprocmask(SIG_SETMASK, &before, NULL);
    signal(SIGPIPE, SIG_DFL);
    close(kept);
    read_file("fds", text);
    assert_null(strstr(text, "40"));
    read_file("pwd", text);
    assert_string_equal(text, "/\n");
    read_file("ign", text);
    assert_non_null(strstr(text, "0000000000000000"));
}

static void number_from(const char *name, char out[32]) {
    char text[8192];

    read_file(name, text);
    snprintf(out, 32, "%.*s", (int)strcspn(text, "\n"), text);
}

/* A guard goes first, and is spared by the kernel's OOM killer. */
static void a_hook_is_not_preferred(void **state) {
    auto_close int adj = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
    char now[32] = "", text[32];
    struct policy p;
    bool lowered;

    (void)state;
    need_folder();
    assert_true(adj >= 0 && pread(adj, now, sizeof(now) - 1, 0) > 0);
    lowered = pwrite(adj, "-500", 4, 0) == 4;
    if (setpriority(PRIO_PROCESS, 0, -5) < 0)
        skip();
    hook_of(&p, "nice > $1/nice; cat /proc/self/oom_score_adj > $1/adj");
    assert_int_equal(run(&p)->outcome, OUTCOME_DONE);
    assert_int_equal(setpriority(PRIO_PROCESS, 0, 0), 0);
    number_from("nice", text);
    assert_string_equal(text, "0");
    number_from("adj", text);
    if (lowered) {
        assert_string_equal(text, "0");
        assert_true(pwrite(adj, now, strlen(now), 0) > 0);
    } else {
        print_message("# oom_score_adj cannot be lowered here\n");
    }
}

/* --- how it ends --- */

static void a_failure_is_told(void **state) {
    struct policy p;

    (void)state;
    hook_of(&p, "exit 3");
    assert_int_equal(run(&p)->outcome, OUTCOME_FAILED);
    assert_non_null(strstr(run(&p)->text, "ended with 3"));
    write_file("hook", "#!/no/such/interpreter\n", 0755);
    assert_int_equal(run(&p)->outcome, OUTCOME_FAILED);
    assert_non_null(strstr(run(&p)->text, "could not be executed (No such file"));
}

/* Also when nobody has taken note of it yet: whoever gets orphans here may be slow. */
static bool has_ended(pid_t pid) {
    auto_close int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct procstat stat;
    int r = procstat_read(proc, pid, &stat);

    assert_true(proc >= 0);
    return r < 0 ? r == -ESRCH || r == -ENOENT : stat.state == 'Z' || stat.state == 'X';
}

static bool is_gone(const char *name) {
    char text[8192];
    struct str digits;
    uint64_t pid;

    read_file(name, text);
    digits = str_trim(str_of(text));
    assert_int_equal(str_to_u64(digits, &pid), 0);
    for (unsigned i = 0; i < 2000 && !has_ended((pid_t)pid); i++)
        usleep(10000);
    return has_ended((pid_t)pid);
}

static bool has_said(const char *name) {
    char path[256];
    struct stat st;

    in_folder(name, path);
    return stat(path, &st) == 0 && st.st_size > 0;
}

/* With all that it has started: so it gets as long as a shell needs here to start it. */
static void a_hook_is_killed_at_its_deadline(void **state) {
    struct policy p;
    const struct action_report *report;

    (void)state;
    hook_of(&p, "trap '' TERM INT HUP; sleep 60 & echo $! > $1/below; echo $$ > $1/self; wait");
    for (int64_t us = 300000; us < 20000000 && !has_said("self"); us *= 4) {
        int64_t start = clock_mono_us();

        report = run_for(&p, us);
        assert_int_equal(report->outcome, OUTCOME_FAILED);
        assert_non_null(strstr(report->text, "killed"));
        assert_in_range(clock_mono_us() - start, us, us + 10000000);
    }
    assert_true(is_gone("self"));
    assert_true(is_gone("below"));
}

static void what_it_leaves_running_is_not_awaited(void **state) {
    struct policy p;
    int64_t start = clock_mono_us();
    char text[8192];
    uint64_t pid;

    (void)state;
    hook_of(&p, "sleep 60 & echo $! > $1/below");
    assert_int_equal(run(&p)->outcome, OUTCOME_DONE);
    assert_true(clock_mono_us() - start < 15000000);
    read_file("below", text);
    assert_int_equal(str_to_u64(str_trim(str_of(text)), &pid), 0);
    assert_int_equal(kill((pid_t)pid, SIGKILL), 0);
}

static void its_output_is_made_visible_and_cut(void **state) {
    auto_close int real = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    auto_close int file = -1;
    static char text[64 << 10];
    char path[256];
    struct policy p;
    ssize_t n;

    (void)state;
    hook_of(&p, "printf 'one\\033[31m\\n'; yes two | head -n 100000; exit 0");
    in_folder("stderr", path);
    file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(file >= 0 && dup2(file, STDERR_FILENO) >= 0);
    (void)run(&p);
    assert_true(dup2(real, STDERR_FILENO) >= 0);
    n = pread(file, text, sizeof(text) - 1, 0);
    assert_true(n > 0);
    text[n] = '\0';
    assert_non_null(strstr(text, "hook: one\\x1b[31m\n"));
    assert_non_null(strstr(text, "hook: two\n"));
    assert_non_null(strstr(text, "(more was printed)\n"));
    assert_true(n < HOOK_OUTPUT * 20);
    assert_null(strchr(text, '\033'));
}

/* --- what may be executed --- */

static int check_path(const char *path, char text[400]) {
    struct policy p = {.marks = 0};
    struct err err = {0};
    int r;

    assert_int_equal(policy_add_text(p.hook, str_of(path), &err), 0);
    r = hook_check(&p, &err);
    snprintf(text, 400, "%s", err.text);
    return r;
}

static int check_name(const char *name, char text[400]) {
    char path[256];

    in_folder(name, path);
    return check_path(path, text);
}

static void a_hook_must_be_nobody_elses(void **state) {
    char text[400], path[256];
    struct policy none = {.marks = 0};

    (void)state;
    need_folder();
    assert_int_equal(hook_check(&none, NULL), 0);
    write_file("good", "#!/bin/sh\n", 0755);
    assert_int_equal(check_name("good", text), 0);
    assert_int_equal(check_path("/bin/sh", text), 0); /* through links, where /bin is one */
    assert_int_equal(check_path("bin/sh", text), -EINVAL);
    assert_int_equal(check_path("/", text), -EISDIR);
    assert_int_equal(check_path("/usr/bin", text), -EACCES);
    assert_int_equal(check_path("/usr/bin/env/x", text), -ENOTDIR);
    assert_int_equal(check_name("missing", text), -ENOENT);
    write_file("plain", "#!/bin/sh\n", 0644);
    assert_int_equal(check_name("plain", text), -EACCES);
    write_file("shared", "#!/bin/sh\n", 0775);
    assert_int_equal(check_name("shared", text), -EPERM);
    assert_non_null(strstr(text, "chmod go-w"));
    in_folder("open", path);
    assert_int_equal(mkdir(path, 0755), 0);
    write_file("open/hook", "#!/bin/sh\n", 0755);
    assert_int_equal(check_name("open/hook", text), 0);
    assert_int_equal(chmod(path, 01777), 0);
    assert_int_equal(check_name("open/hook", text), -EPERM);
    assert_non_null(strstr(text, "'open' can be written to"));
    assert_non_null(strstr(text, "put it into a folder that only "));
    assert_null(strstr(text, "chmod"));
    assert_int_equal(chmod(path, 0777), 0);
    assert_int_equal(check_name("open/hook", text), -EPERM);
    assert_non_null(strstr(text, "'open' can be written to by others (try: chmod go-w)"));
}

static void link_to(const char *target, const char *name) {
    char path[256];

    in_folder(name, path);
    assert_int_equal(symlink(target, path), 0);
}

static void links_are_looked_at_on_their_way(void **state) {
    char text[400], path[256];

    (void)state;
    need_folder();
    write_file("good", "#!/bin/sh\n", 0755);
    link_to("good", "near");
    link_to("/bin/sh", "far");
    link_to("../../../../../../bin/../bin/sh", "dots");
    link_to("loop", "loop");
    assert_int_equal(check_name("near", text), 0);
    assert_int_equal(check_name("far", text), 0);
    assert_int_equal(check_name("dots", text), 0);
    assert_int_equal(check_name("loop", text), -ELOOP);
    in_folder("wide", path);
    assert_int_equal(mkdir(path, 0755), 0);
    link_to("/bin/sh", "wide/sh"); /* whoever may write there says what it points to */
    link_to("wide/sh", "by-wide");
    assert_int_equal(check_name("by-wide", text), 0);
    assert_int_equal(chmod(path, 0777), 0);
    assert_int_equal(check_name("wide/sh", text), -EPERM);
    assert_int_equal(check_name("by-wide", text), -EPERM);
    if (geteuid() == 0) {
        in_folder("theirs", path);
        link_to("/bin/sh", "theirs");
        assert_int_equal(lchown(path, 65534, 65534), 0);
        assert_int_equal(check_name("theirs", text), -EPERM);
        assert_non_null(strstr(text, "belongs to another user"));
    }
}

static void what_may_not_be_executed_is_refused(void **state) {
    struct policy p;
    char path[256];

    (void)state;
    hook_of(&p, "echo > $1/ran");
    in_folder("hook", path);
    assert_int_equal(chmod(path, 0777), 0);
    assert_int_equal(run(&p)->outcome, OUTCOME_REFUSED);
    in_folder("ran", path);
    assert_int_equal(access(path, F_OK), -1);
    memset(&p, 0, sizeof(p));
    assert_int_equal(run(&p)->outcome, OUTCOME_DONE); /* none: the record tells */
}

static void a_dry_run_runs_nothing(void **state) {
    struct action_report report;
    struct audit why;
    struct policy p;
    char path[256];

    (void)state;
    hook_of(&p, "echo > $1/ran-dry");
    audit_of(&why);
    why.dry_run = true;
    assert_int_equal(hook_run(&p, &why, clock_mono_us() + 1000000, &report), 0);
    assert_int_equal(report.outcome, OUTCOME_DRY);
    in_folder("ran-dry", path);
    assert_int_equal(access(path, F_OK), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hook_gets_the_facts_and_the_record),
        cmocka_unit_test(a_hook_inherits_nothing),
        cmocka_unit_test(a_hook_is_not_preferred),
        cmocka_unit_test(a_failure_is_told),
        cmocka_unit_test(a_hook_is_killed_at_its_deadline),
        cmocka_unit_test(what_it_leaves_running_is_not_awaited),
        cmocka_unit_test(its_output_is_made_visible_and_cut),
        cmocka_unit_test(a_hook_must_be_nobody_elses),
        cmocka_unit_test(links_are_looked_at_on_their_way),
        cmocka_unit_test(what_may_not_be_executed_is_refused),
        cmocka_unit_test(a_dry_run_runs_nothing),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
