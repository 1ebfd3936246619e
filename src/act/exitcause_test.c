#include "act/exitcause.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>

#include "base/basetest.h"
#include "base/mem.h"

#define MIB (1024ull * 1024)

/* The evidence of a case: kills < 0: not countable. */
#define LOG(n, who, whose_limit, sure)                                                             \
    {                                                                                              \
        .have_kills = (n) >= 0, .kills = (n) >= 0 ? (uint64_t)(n) : 0, .main = MAYBE_##who,        \
        .whose = WHOSE_##whose_limit, .sure_whose = (sure), .limit = 60 * MIB                      \
    }

static const struct {
    const char *what;
    struct exit_facts facts;
    struct exit_cause wanted;
    const char *text;
} cases[] = {
    {"exited",
     {CLD_EXITED, 0, true, 0, LOG(0, NO, UNKNOWN, false)},
     {EXIT_CAUSE_EXITED, 0, 0, WHOSE_UNKNOWN, true, false, 0},
     "exited with code 0"},
    {"exited, nothing is countable",
     {CLD_EXITED, 3, true, 0, LOG(-1, UNKNOWN, UNKNOWN, false)},
     {EXIT_CAUSE_EXITED, 0, 3, WHOSE_UNKNOWN, true, false, 0},
     "exited with code 3"},
    {"exited, a child was killed before",
     {CLD_EXITED, 1, true, 0, LOG(1, NO, OWN, true)},
     {EXIT_CAUSE_EXITED, 0, 1, WHOSE_UNKNOWN, true, false, 1},
     "exited with code 1 (another process of it was OOM-killed)"},
    {"two children",
     {CLD_EXITED, 0, true, 0, LOG(2, NO, OWN, true)},
     {EXIT_CAUSE_EXITED, 0, 0, WHOSE_UNKNOWN, true, false, 2},
     "exited with code 0 (2 other processes of it were OOM-killed)"},
    {"a wrapper",
     {CLD_EXITED, 137, true, 0, LOG(1, NO, OWN, true)},
     {EXIT_CAUSE_OOM_CHILD, 0, 137, WHOSE_OWN, true, false, 1},
     "exited with code 137 when a process that it waited for was OOM-killed at its own limit of "
     "60.0M"},
    {"a wrapper, whose limit is guessed",
     {CLD_EXITED, 137, true, 0, LOG(1, UNKNOWN, HOST, false)},
     {EXIT_CAUSE_OOM_CHILD, 0, 137, WHOSE_HOST, false, false, 1},
     "exited with code 137 when a process that it waited for was OOM-killed, probably because the "
     "machine ran out of memory"},
    {"a wrapper that took its time: the kill was told already",
     {CLD_EXITED,
      137,
      true,
      0,
      {.have_kills = true,
       .earlier = 2,
       .main = MAYBE_NO,
       .whose = WHOSE_OWN,
       .sure_whose = true,
       .limit = 60 * MIB}},
     {EXIT_CAUSE_OOM_CHILD, 0, 137, WHOSE_OWN, true, false, 2},
     "exited with code 137 when a process that it waited for was OOM-killed at its own limit of "
     "60.0M"},
    {"another code, long after a kill",
     {CLD_EXITED, 1, true, 0, {.have_kills = true, .earlier = 2, .main = MAYBE_NO}},
     {EXIT_CAUSE_EXITED, 0, 1, WHOSE_UNKNOWN, true, false, 0},
     "exited with code 1"},
    {"from outside, long after a kill",
     {CLD_KILLED, SIGKILL, true, 0, {.have_kills = true, .earlier = 2, .main = MAYBE_NO}},
     {EXIT_CAUSE_KILLED, SIGKILL, 137, WHOSE_UNKNOWN, true, false, 0},
     "killed by SIGKILL from outside, not by the kernel's OOM killer"},
    {"137 without a kill",
     {CLD_EXITED, 137, true, 0, LOG(0, NO, UNKNOWN, false)},
     {EXIT_CAUSE_EXITED, 0, 137, WHOSE_UNKNOWN, true, false, 0},
     "exited with code 137"},
    {"137, not countable",
     {CLD_EXITED, 137, true, 0, LOG(-1, UNKNOWN, UNKNOWN, false)},
     {EXIT_CAUSE_EXITED, 0, 137, WHOSE_UNKNOWN, true, false, 0},
     "exited with code 137"},
    {"stopped, exits by itself",
     {CLD_EXITED, 0, true, SIGTERM, LOG(0, NO, UNKNOWN, false)},
     {EXIT_CAUSE_STOPPED, 0, 0, WHOSE_UNKNOWN, true, false, 0},
     "stopped with exit code 0"},
    {"stopped, a child was killed, 137",
     {CLD_EXITED, 137, true, SIGTERM, LOG(1, NO, OWN, true)},
     {EXIT_CAUSE_STOPPED, 0, 137, WHOSE_UNKNOWN, true, false, 1},
     "stopped with exit code 137 (another process of it was OOM-killed)"},
    {"a child was killed after HUP, 137",
     {CLD_EXITED, 137, true, SIGHUP, LOG(1, NO, OWN, true)},
     {EXIT_CAUSE_OOM_CHILD, 0, 137, WHOSE_OWN, true, false, 1},
     "exited with code 137 when a process that it waited for was OOM-killed at its own limit of "
     "60.0M"},
    {"stopped with TERM",
     {CLD_KILLED, SIGTERM, true, SIGTERM, LOG(0, NO, UNKNOWN, false)},
     {EXIT_CAUSE_STOPPED, SIGTERM, 143, WHOSE_UNKNOWN, true, false, 0},
     "stopped with SIGTERM"},
    {"stopped with KILL after the grace",
     {CLD_KILLED, SIGKILL, true, SIGKILL, LOG(0, NO, UNKNOWN, false)},
     {EXIT_CAUSE_STOPPED, SIGKILL, 137, WHOSE_UNKNOWN, true, false, 0},
     "stopped with SIGKILL"},
    {"we sent KILL, the TERM of before was faster",
     {CLD_KILLED, SIGTERM, true, SIGKILL, LOG(0, NO, UNKNOWN, false)},
     {EXIT_CAUSE_STOPPED, SIGTERM, 143, WHOSE_UNKNOWN, true, false, 0},
     "stopped with SIGTERM"},
    {"we sent KILL, a child was killed for memory",
     {CLD_KILLED, SIGKILL, true, SIGKILL, LOG(1, NO, OWN, true)},
     {EXIT_CAUSE_STOPPED, SIGKILL, 137, WHOSE_UNKNOWN, true, false, 1},
     "stopped with SIGKILL (another process of it was OOM-killed)"},
    {"we sent KILL, somebody was killed for memory, who is not known",
     {CLD_KILLED, SIGKILL, true, SIGKILL, LOG(1, UNKNOWN, OWN, true)},
     {EXIT_CAUSE_STOPPED, SIGKILL, 137, WHOSE_UNKNOWN, false, false, 1},
     "stopped with SIGKILL (another process of it was OOM-killed)"},
    {"we sent KILL, the kernel was faster",
     {CLD_KILLED, SIGKILL, true, SIGKILL, LOG(1, YES, OWN, true)},
     {EXIT_CAUSE_OOM, SIGKILL, 137, WHOSE_OWN, true, false, 0},
     "OOM-killed at its own limit of 60.0M"},
    {"asked to stop, killed for memory",
     {CLD_KILLED, SIGKILL, true, SIGTERM, LOG(1, YES, OWN, true)},
     {EXIT_CAUSE_OOM, SIGKILL, 137, WHOSE_OWN, true, false, 0},
     "OOM-killed at its own limit of 60.0M"},
    {"asked to stop, killed by somebody",
     {CLD_KILLED, SIGKILL, true, SIGTERM, LOG(0, NO, UNKNOWN, false)},
     {EXIT_CAUSE_KILLED, SIGKILL, 137, WHOSE_UNKNOWN, true, false, 0},
     "killed by SIGKILL from outside, not by the kernel's OOM killer"},
    {"own limit",
     {CLD_KILLED, SIGKILL, true, 0, LOG(1, YES, OWN, true)},
     {EXIT_CAUSE_OOM, SIGKILL, 137, WHOSE_OWN, true, false, 0},
     "OOM-killed at its own limit of 60.0M"},
    {"own limit, by the log alone",
     {CLD_KILLED, SIGKILL, true, 0, LOG(-1, YES, OWN, true)},
     {EXIT_CAUSE_OOM, SIGKILL, 137, WHOSE_OWN, true, false, 0},
     "OOM-killed at its own limit of 60.0M"},
    {"own limit, children too",
     {CLD_KILLED, SIGKILL, true, 0, LOG(3, YES, OWN, true)},
     {EXIT_CAUSE_OOM, SIGKILL, 137, WHOSE_OWN, true, false, 2},
     "OOM-killed at its own limit of 60.0M (2 other processes of it too)"},
    {"own limit, probably",
     {CLD_KILLED, SIGKILL, true, 0, LOG(1, YES, OWN, false)},
     {EXIT_CAUSE_OOM, SIGKILL, 137, WHOSE_OWN, false, false, 0},
     "OOM-killed, probably at its own limit of 60.0M"},
    {"the host",
     {CLD_KILLED, SIGKILL, true, 0, LOG(1, YES, HOST, true)},
     {EXIT_CAUSE_OOM, SIGKILL, 137, WHOSE_HOST, true, false, 0},
     "OOM-killed because the machine ran out of memory"},
    {"at nobody knows whose limit",
     {CLD_KILLED, SIGKILL, true, 0, LOG(1, YES, UNKNOWN, false)},
     {EXIT_CAUSE_OOM, SIGKILL, 137, WHOSE_UNKNOWN, true, false, 0},
     "OOM-killed at a limit that is not known"},
    {"a group around it, its name not known",
     {CLD_KILLED, SIGKILL, true, 0, LOG(1, YES, ANCESTOR, true)},
     {EXIT_CAUSE_OOM, SIGKILL, 137, WHOSE_ANCESTOR, true, false, 0},
     "OOM-killed at the limit of a group around it (60.0M)"},
    {"a group inside it",
     {CLD_KILLED, SIGKILL, true, 0, LOG(1, YES, INSIDE, false)},
     {EXIT_CAUSE_OOM, SIGKILL, 137, WHOSE_INSIDE, false, false, 0},
     "OOM-killed, probably at the limit of a group inside it (60.0M)"},
    {"a counter moved, the log says nothing",
     {CLD_KILLED, SIGKILL, true, 0, LOG(1, UNKNOWN, OWN, true)},
     {EXIT_CAUSE_OOM, SIGKILL, 137, WHOSE_OWN, false, false, 0},
     "killed by SIGKILL, probably OOM-killed at its own limit of 60.0M"},
    {"no counter moved, the log cannot be read",
     {CLD_KILLED, SIGKILL, true, 0, LOG(0, UNKNOWN, UNKNOWN, false)},
     {EXIT_CAUSE_KILLED, SIGKILL, 137, WHOSE_UNKNOWN, true, false, 0},
     "killed by SIGKILL from outside, not by the kernel's OOM killer"},
    {"from outside, right after a child's kill",
     {CLD_KILLED, SIGKILL, true, 0, LOG(1, NO, OWN, true)},
     {EXIT_CAUSE_KILLED, SIGKILL, 137, WHOSE_UNKNOWN, true, false, 1},
     "killed by SIGKILL from outside, not by the kernel's OOM killer (another process of it was "
     "OOM-killed)"},
    {"no witness at all",
     {CLD_KILLED, SIGKILL, true, 0, LOG(-1, UNKNOWN, UNKNOWN, false)},
     {EXIT_CAUSE_KILLED, SIGKILL, 137, WHOSE_UNKNOWN, false, false, 0},
     "killed by SIGKILL, who sent it is not known"},
    {"not countable, but the log is whole",
     {CLD_KILLED, SIGKILL, true, 0, LOG(-1, NO, UNKNOWN, false)},
     {EXIT_CAUSE_KILLED, SIGKILL, 137, WHOSE_UNKNOWN, true, false, 0},
     "killed by SIGKILL from outside, not by the kernel's OOM killer"},
    {"before it began",
     {CLD_KILLED, SIGKILL, false, 0, LOG(1, YES, OWN, true)},
     {EXIT_CAUSE_NO_START, SIGKILL, 137, WHOSE_OWN, true, false, 0},
     "OOM-killed before the program began at its own limit of 60.0M, which is too small for it"},
    {"before it began, by the counters alone",
     {CLD_KILLED, SIGKILL, false, 0, LOG(1, UNKNOWN, OWN, true)},
     {EXIT_CAUSE_NO_START, SIGKILL, 137, WHOSE_OWN, true, false, 0},
     "OOM-killed before the program began at its own limit of 60.0M, which is too small for it"},
    {"before it began, by somebody",
     {CLD_KILLED, SIGKILL, false, 0, LOG(0, NO, UNKNOWN, false)},
     {EXIT_CAUSE_KILLED, SIGKILL, 137, WHOSE_UNKNOWN, true, false, 0},
     "killed by SIGKILL from outside, not by the kernel's OOM killer"},
    {"HUP from outside",
     {CLD_KILLED, SIGHUP, true, 0, LOG(0, NO, UNKNOWN, false)},
     {EXIT_CAUSE_SIGNAL, SIGHUP, 129, WHOSE_UNKNOWN, true, false, 0},
     "killed by SIGHUP"},
    {"QUIT leaves a core and is no crash",
     {CLD_DUMPED, SIGQUIT, true, 0, LOG(0, NO, UNKNOWN, false)},
     {EXIT_CAUSE_SIGNAL, SIGQUIT, 131, WHOSE_UNKNOWN, true, true, 0},
     "killed by SIGQUIT, core dumped"},
    {"a signal without a name",
     {CLD_KILLED, 40, true, 0, LOG(0, NO, UNKNOWN, false)},
     {EXIT_CAUSE_SIGNAL, 40, 168, WHOSE_UNKNOWN, true, false, 0},
     "killed by signal 40"},
    {"crash",
     {CLD_DUMPED, SIGSEGV, true, 0, LOG(0, NO, UNKNOWN, false)},
     {EXIT_CAUSE_CRASHED, SIGSEGV, 139, WHOSE_UNKNOWN, true, true, 0},
     "crashed with SIGSEGV, core dumped"},
    {"crash after a child's kill",
     {CLD_KILLED, SIGABRT, true, 0, LOG(1, NO, OWN, true)},
     {EXIT_CAUSE_CRASHED, SIGABRT, 134, WHOSE_UNKNOWN, true, false, 1},
     "crashed with SIGABRT (another process of it was OOM-killed)"},
    {"crash while being stopped",
     {CLD_KILLED, SIGBUS, true, SIGTERM, LOG(0, NO, UNKNOWN, false)},
     {EXIT_CAUSE_CRASHED, SIGBUS, 135, WHOSE_UNKNOWN, true, false, 0},
     "crashed with SIGBUS"},
    {"killed for memory while it dumped its core",
     {CLD_KILLED, SIGSEGV, true, 0, LOG(1, YES, OWN, true)},
     {EXIT_CAUSE_CRASHED, SIGSEGV, 139, WHOSE_UNKNOWN, true, false, 0},
     "crashed with SIGSEGV"},
};

static void assert_cause(const char *what, const struct exit_cause *c, const struct exit_cause *w) {
    if (c->kind != w->kind || c->signal != w->signal || c->exit_code != w->exit_code ||
        c->whose != w->whose || c->sure != w->sure || c->core != w->core ||
        c->child_kills != w->child_kills)
        fail_msg("%s: %s signal %d code %d whose %s sure %d core %d children %d", what,
                 exitcause_kind_name(c->kind), c->signal, c->exit_code,
                 exitcause_whose_name(c->whose), c->sure, c->core, (int)c->child_kills);
}

static void each_case_has_its_cause_and_its_sentence(void **state) {
    struct buf b;

    (void)state;
    buf_init(&b, 4096);
    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        struct exit_cause cause;

        exitcause_decide(&cases[i].facts, &cause);
        assert_cause(cases[i].what, &cause, &cases[i].wanted);
        exitcause_add_text(&cause, &cases[i].facts.oom, &b);
        basetest_holds(&b, cases[i].text);
    }
    buf_done(&b);
}

static void the_sentence_names_the_group_and_the_victim(void **state) {
    static const struct {
        enum exit_kind kind;
        enum oom_whose whose;
        uint64_t limit;
        const char *path;
        int32_t pid;
        const char *comm, *wanted;
    } t[] = {
        {EXIT_CAUSE_OOM, WHOSE_ANCESTOR, 512 * MIB, "/batch", 0, "",
         "OOM-killed at the limit of /batch (512M), a group around it"},
        {EXIT_CAUSE_OOM, WHOSE_ANCESTOR, 0, "/ba\x1b[31mtch", 0, "",
         "OOM-killed at the limit of /ba\\x1b[31mtch, a group around it"},
        {EXIT_CAUSE_OOM, WHOSE_INSIDE, 20 * MIB, "/plimsoll-run-x/w/sub", 0, "",
         "OOM-killed at the limit of /plimsoll-run-x/w/sub (20.0M), a group inside it"},
        {EXIT_CAUSE_OOM, WHOSE_OWN, 0, "/a", 0, "", "OOM-killed at its own limit"},
        {EXIT_CAUSE_OOM_CHILD, WHOSE_OWN, 60 * MIB, "", 4711, "py\nthon",
         "exited with code 137 when a process that it waited for was OOM-killed (pid 4711, "
         "py\\nthon) at its own limit of 60.0M"},
        {EXIT_CAUSE_OOM_CHILD, WHOSE_HOST, 0, "", 4711, "",
         "exited with code 137 when a process that it waited for was OOM-killed (pid 4711) "
         "because the machine ran out of memory"},
    };
    struct buf b;

    (void)state;
    buf_init(&b, 4096);
    for (size_t i = 0; i < ARRAY_N(t); i++) {
        struct exit_cause cause = {.kind = t[i].kind,
                                   .exit_code = 137,
                                   .signal = t[i].kind == EXIT_CAUSE_OOM ? SIGKILL : 0,
                                   .whose = t[i].whose,
                                   .sure = true};
        struct oom_evidence oom = {
            .have_kills = true, .sure_whose = true, .limit = t[i].limit, .pid = t[i].pid};

        snprintf(oom.path, sizeof(oom.path), "%s", t[i].path);
        snprintf(oom.comm, sizeof(oom.comm), "%s", t[i].comm);
        exitcause_add_text(&cause, &oom, &b);
        basetest_holds(&b, t[i].wanted);
    }
    buf_done(&b);
}

/* What must hold whatever is put together. */
static void assert_sane(const struct exit_facts *f, const struct exit_cause *c) {
    bool oom = c->kind == EXIT_CAUSE_OOM || c->kind == EXIT_CAUSE_NO_START ||
               c->kind == EXIT_CAUSE_OOM_CHILD;
    bool none = f->oom.have_kills && f->oom.kills == 0 && f->oom.main != MAYBE_YES;
    bool nobody_told = f->oom.main != MAYBE_YES && !f->oom.have_kills;

    if (none || nobody_told || (f->oom.main == MAYBE_NO && f->status == SIGKILL))
        assert_false(oom); /* SIGKILL alone proves nothing */
    if (f->code == CLD_KILLED && f->status == SIGKILL && f->oom.main == MAYBE_YES)
        assert_true(oom && (c->sure || (f->oom.whose != WHOSE_UNKNOWN && !f->oom.sure_whose)));
    if (c->kind == EXIT_CAUSE_KILLED && c->sure)
        assert_true(none || f->oom.main == MAYBE_NO);
    if (c->kind == EXIT_CAUSE_STOPPED)
        assert_true(f->stop_signal != 0);
    assert_int_equal(c->exit_code, f->code == CLD_EXITED ? f->status : 128 + f->status);
    assert_int_equal(c->signal, f->code == CLD_EXITED ? 0 : f->status);
    assert_true(oom || c->whose == WHOSE_UNKNOWN);
    assert_true(c->child_kills <= (f->oom.have_kills ? f->oom.kills : 0));
}

static void every_combination_is_sane_and_has_a_sentence(void **state) {
    static const int ends[][2] = {
        {CLD_EXITED, 0},       {CLD_EXITED, 137},     {CLD_KILLED, SIGKILL}, {CLD_KILLED, SIGTERM},
        {CLD_DUMPED, SIGSEGV}, {CLD_KILLED, SIGXCPU}, {CLD_KILLED, 40}};
    static const int stops[] = {0, SIGTERM, SIGKILL};
    struct buf b;
    unsigned n = 0;

    (void)state;
    buf_init(&b, 4096);
    for (unsigned bits = 0; bits < ARRAY_N(ends) * 3 * 2 * 4 * 3 * WHOSE_N * 2; bits++, n++) {
        unsigned rest = bits;
        struct exit_facts f = {0};
        struct exit_cause c;
        int kills;

        f.code = ends[rest % ARRAY_N(ends)][0], f.status = ends[rest % ARRAY_N(ends)][1];
        rest /= ARRAY_N(ends);
        f.stop_signal = stops[rest % 3], rest /= 3;
        f.began = rest % 2, rest /= 2;
        kills = (int)(rest % 4) - 1, rest /= 4;
        f.oom.have_kills = kills >= 0;
        f.oom.kills = kills > 0 ? (uint64_t)kills : 0;
        f.oom.main = (enum maybe)(rest % 3), rest /= 3;
        f.oom.whose = (enum oom_whose)(rest % WHOSE_N), rest /= WHOSE_N;
        f.oom.sure_whose = rest % 2;
        exitcause_decide(&f, &c);
        assert_sane(&f, &c);
        exitcause_add_text(&c, &f.oom, &b);
        assert_true(buf_str(&b).n > 0 && buf_error(&b) == 0);
        buf_clear(&b);
    }
    assert_int_equal(n, 5040);
    buf_done(&b);
}

static void names_are_words(void **state) {
    (void)state;
    for (unsigned i = 0; i < EXIT_CAUSE_N; i++)
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(exitcause_kind_name((enum exit_kind)i),
                                    exitcause_kind_name((enum exit_kind)j));
    for (unsigned i = 0; i < WHOSE_N; i++)
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(exitcause_whose_name((enum oom_whose)i),
                                    exitcause_whose_name((enum oom_whose)j));
    assert_string_equal(exitcause_kind_name(EXIT_CAUSE_OOM_CHILD), "oom-child");
    assert_string_equal(exitcause_whose_name(WHOSE_ANCESTOR), "ancestor");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_case_has_its_cause_and_its_sentence),
        cmocka_unit_test(the_sentence_names_the_group_and_the_victim),
        cmocka_unit_test(every_combination_is_sane_and_has_a_sentence),
        cmocka_unit_test(names_are_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
