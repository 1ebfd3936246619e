#include "act/exitcause.h"

#include <signal.h>
#include <string.h>

#include "base/num.h"
#include "base/text.h"

const char *exitcause_kind_name(enum exit_kind kind) {
    static const char *const names[EXIT_CAUSE_N] = {
        [EXIT_CAUSE_EXITED] = "exited",       [EXIT_CAUSE_OOM] = "oom",
        [EXIT_CAUSE_OOM_CHILD] = "oom-child", [EXIT_CAUSE_STOPPED] = "stopped",
        [EXIT_CAUSE_KILLED] = "killed",       [EXIT_CAUSE_SIGNAL] = "signal",
        [EXIT_CAUSE_CRASHED] = "crashed",     [EXIT_CAUSE_NO_START] = "no-start",
    };

    return names[kind];
}

const char *exitcause_whose_name(enum oom_whose whose) {
    static const char *const names[WHOSE_N] = {
        [WHOSE_UNKNOWN] = "unknown", [WHOSE_OWN] = "own",   [WHOSE_ANCESTOR] = "ancestor",
        [WHOSE_INSIDE] = "inside",   [WHOSE_HOST] = "host",
    };

    return names[whose];
}

/* --- decision --- */

static bool is_crash(int signal) {
    static const int crashes[] = {SIGSEGV, SIGABRT, SIGBUS,  SIGILL, SIGFPE,
                                  SIGSYS,  SIGTRAP, SIGXCPU, SIGXFSZ};

    for (size_t i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++)
        if (signal == crashes[i])
            return true;
    return false;
}

/* Killed for memory, but for how sure the kind is. */
static void set_oom(const struct exit_facts *facts, enum exit_kind kind, bool sure,
                    struct exit_cause *out) {
    out->kind = kind;
    out->whose = facts->oom.whose;
    out->sure = sure && (facts->oom.whose == WHOSE_UNKNOWN || facts->oom.sure_whose);
}

static void decide_exited(const struct exit_facts *facts, struct exit_cause *out) {
    out->exit_code = facts->status;
    out->sure = true;
    /* TERM explains an end; HUP and INT often are for something else. */
    if (facts->status == 128 + SIGKILL && out->child_kills + facts->oom.earlier > 0 &&
        facts->stop_signal != SIGTERM)
        set_oom(facts, EXIT_CAUSE_OOM_CHILD, true, out);
    else if (facts->stop_signal != 0)
        out->kind = EXIT_CAUSE_STOPPED;
    else
        out->kind = EXIT_CAUSE_EXITED;
    if (out->kind == EXIT_CAUSE_OOM_CHILD && out->child_kills == 0)
        out->child_kills = facts->oom.earlier;
}

/* Who sent the SIGKILL? The counters know whether the kernel killed anybody here, its log whom. */
static void decide_killed(const struct exit_facts *facts, struct exit_cause *out) {
    const struct oom_evidence *oom = &facts->oom;
    bool ours = facts->stop_signal == SIGKILL;
    enum exit_kind killed = facts->began ? EXIT_CAUSE_OOM : EXIT_CAUSE_NO_START;
    bool some = !oom->have_kills || oom->kills > 0; /* as far as the counters know */

    if (oom->main == MAYBE_YES) {
        set_oom(facts, killed, true, out);
    } else if (oom->main == MAYBE_NO || !some) {
        out->kind = ours ? EXIT_CAUSE_STOPPED : EXIT_CAUSE_KILLED;
        out->sure = true;
    } else if (ours) {
        out->kind = EXIT_CAUSE_STOPPED;
    } else if (oom->have_kills) {
        /* Before it began there was nobody else. */
        set_oom(facts, killed, !facts->began, out);
    } else {
        out->kind = EXIT_CAUSE_KILLED;
    }
}

/* One of the kills that were counted was the main process, surely or probably. */
static bool counts_main(const struct exit_facts *facts, const struct exit_cause *cause) {
    return facts->oom.main == MAYBE_YES || cause->kind == EXIT_CAUSE_OOM ||
           cause->kind == EXIT_CAUSE_NO_START;
}

void exitcause_decide(const struct exit_facts *facts, struct exit_cause *out) {
    struct exit_cause made = {.child_kills = facts->oom.have_kills ? facts->oom.kills : 0};

    if (facts->code == CLD_EXITED) {
        decide_exited(facts, &made);
    } else {
        made.signal = facts->status;
        made.exit_code = 128 + facts->status;
        made.core = facts->code == CLD_DUMPED;
        if (facts->status == SIGKILL) {
            decide_killed(facts, &made);
        } else {
            made.sure = true;
            if (is_crash(facts->status))
                made.kind = EXIT_CAUSE_CRASHED;
            else
                made.kind = facts->stop_signal ? EXIT_CAUSE_STOPPED : EXIT_CAUSE_SIGNAL;
        }
    }
    if (made.child_kills > 0 && counts_main(facts, &made))
        made.child_kills--;
    *out = made;
}

/* --- text --- */

static void add_signal(struct buf *b, int signal) {
    const char *name = sigabbrev_np(signal);

    if (name)
        buf_add_format(b, "SIG%s", name);
    else
        buf_add_format(b, "signal %d", signal);
}

/* " at the limit of /batch (512M), a group around it" */
static void add_group(struct buf *b, const char *relation, const struct oom_evidence *oom) {
    buf_add(b, STR(" at the limit of "));
    if (oom->path[0])
        text_add_visible(b, str_of(oom->path), false);
    else
        buf_add(b, str_of(relation));
    if (oom->limit > 0) {
        buf_add(b, STR(" ("));
        num_add_iec(b, oom->limit);
        buf_add_char(b, ')');
    }
    if (oom->path[0]) {
        buf_add(b, STR(", "));
        buf_add(b, str_of(relation));
    }
}

static void add_whose(struct buf *b, const struct exit_cause *cause,
                      const struct oom_evidence *oom) {
    if (cause->whose != WHOSE_UNKNOWN && !oom->sure_whose)
        buf_add(b, STR(", probably"));
    switch (cause->whose) {
    case WHOSE_OWN:
        buf_add(b, STR(" at its own limit"));
        if (oom->limit > 0) {
            buf_add(b, STR(" of "));
            num_add_iec(b, oom->limit);
        }
        break;
    case WHOSE_ANCESTOR:
        add_group(b, "a group around it", oom);
        break;
    case WHOSE_INSIDE:
        add_group(b, "a group inside it", oom);
        break;
    case WHOSE_HOST:
        buf_add(b, STR(" because the machine ran out of memory"));
        break;
    case WHOSE_UNKNOWN:
    case WHOSE_N:
        buf_add(b, STR(" at a limit that is not known"));
        break;
    }
}

static void add_victim(struct buf *b, const struct oom_evidence *oom) {
    if (oom->pid <= 0)
        return;
    buf_add_format(b, " (pid %d", oom->pid);
    if (oom->comm[0]) {
        buf_add(b, STR(", "));
        text_add_visible(b, str_of(oom->comm), false);
    }
    buf_add_char(b, ')');
}

static void add_stopped(struct buf *b, const struct exit_cause *cause) {
    if (cause->signal == 0) {
        buf_add_format(b, "stopped with exit code %d", cause->exit_code);
        return;
    }
    buf_add(b, STR("stopped with "));
    add_signal(b, cause->signal);
}

static void add_others(struct buf *b, const struct exit_cause *cause) {
    bool too = cause->kind == EXIT_CAUSE_OOM || cause->kind == EXIT_CAUSE_NO_START;

    if (cause->child_kills == 0)
        return;
    if (cause->child_kills == 1)
        buf_add(b, STR(" (another process of it"));
    else
        buf_add_format(b, " (%llu other processes of it", (unsigned long long)cause->child_kills);
    /* Whether that was before it ended, or with it or after, as by memory.oom.group, is not known.
     */
    if (too)
        buf_add(b, STR(" too)"));
    else
        buf_add(b, cause->child_kills == 1 ? STR(" was OOM-killed)") : STR(" were OOM-killed)"));
}

void exitcause_add_text(const struct exit_cause *cause, const struct oom_evidence *oom,
                        struct buf *out) {
    bool certain = cause->sure || oom->main == MAYBE_YES;

    switch (cause->kind) {
    case EXIT_CAUSE_EXITED:
    case EXIT_CAUSE_N:
        buf_add_format(out, "exited with code %d", cause->exit_code);
        break;
    case EXIT_CAUSE_OOM:
        buf_add(out, certain ? STR("OOM-killed") : STR("killed by SIGKILL, probably OOM-killed"));
        add_whose(out, cause, oom);
        break;
    case EXIT_CAUSE_OOM_CHILD:
        buf_add_format(out, "exited with code %d when a process that it waited for was OOM-killed",
                       cause->exit_code);
        add_victim(out, oom);
        add_whose(out, cause, oom);
        return;
    case EXIT_CAUSE_STOPPED:
        add_stopped(out, cause);
        break;
    case EXIT_CAUSE_KILLED:
        buf_add(out, cause->sure
                         ? STR("killed by SIGKILL from outside, not by the kernel's OOM killer")
                         : STR("killed by SIGKILL, who sent it is not known"));
        break;
    case EXIT_CAUSE_SIGNAL:
        buf_add(out, STR("killed by "));
        add_signal(out, cause->signal);
        break;
    case EXIT_CAUSE_CRASHED:
        buf_add(out, STR("crashed with "));
        add_signal(out, cause->signal);
        break;
    case EXIT_CAUSE_NO_START:
        buf_add(out, STR("OOM-killed before the program began"));
        add_whose(out, cause, oom);
        if (cause->whose == WHOSE_OWN)
            buf_add(out, STR(", which is too small for it"));
        break;
    }
    if (cause->core)
        buf_add(out, STR(", core dumped"));
    add_others(out, cause);
}
