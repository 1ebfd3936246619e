#include "cmd/session.h"

#include <errno.h>
#include <stdio.h>

static void on_added(void *ctx, const struct target *t) {
    struct session *s = ctx;

    s->changes++;
    if (s->ticker && ticker_add(s->ticker, t) < 0)
        s->failed = true;
}

static void on_removed(void *ctx, const struct target *t) {
    struct session *s = ctx;

    s->changes++;
    if (s->ticker)
        ticker_remove(s->ticker, t);
}

static void on_renamed(void *ctx, const struct target *t) {
    struct session *s = ctx;

    (void)t;
    s->changes++;
}

int session_open(struct session *s, const struct cmd_context *context,
                 const struct session_options *options, struct err *err) {
    struct targets_options table = {
        .scope = options->scope,
        .ask = true,
        .added = on_added,
        .removed = on_removed,
        .renamed = on_renamed,
        .ctx = s,
    };
    struct tick_options tick = {.want = options->want, .all_groups = options->scope == TARGETS_ALL};
    int r;

    *s = (struct session){.host = {.root = -1, .proc = -1}};
    for (unsigned i = 0; i < CG_CTL_N; i++)
        s->fs.ctl[i].dir = -1;
    r = host_open(context->root, &s->host, err);
    if (r == 0)
        r = cgfs_open(&s->host, &s->fs, err);
    if (r == 0 && options->want)
        r = ticker_new(&s->host, &s->fs, &tick, &s->ticker, err);
    table.watch = options->watch && s->host.live;
    table.ask = s->host.live;
    if (r == 0)
        r = targets_new(&s->host, &s->fs, &table, &s->targets, err);
    if (r == 0 && s->failed)
        r = err_set(err, -ENOMEM, "out of memory");
    if (r < 0)
        session_close(s);
    return r;
}

void session_close(struct session *s) {
    targets_free(s->targets);
    ticker_free(s->ticker);
    cgfs_done(&s->fs);
    host_done(&s->host);
    s->targets = NULL;
    s->ticker = NULL;
}

const struct target *session_settled(struct session *s, struct str path) {
    enum { SETTLE_MS = 300 };

    if (targets_choose(s->targets, path) == 0)
        targets_settle(s->targets, SETTLE_MS);
    return targets_find(s->targets, path);
}

enum {
    TOLD_WATCHES = 1 << 0,
    TOLD_FDS = 1 << 1,
    TOLD_DENIED = 1 << 2,
    TOLD_MANY = 1 << 3,
    TOLD_UNCOUNTED = 1 << 4,
};

static void say(struct session *s, unsigned bit, struct buf *out, const char *line) {
    if (s->told & bit)
        return;
    if (!out) {
        s->told |= bit;
        cmd_warn("%s", line);
        return;
    }
    buf_add(out, str_of(line)); /* a screen is drawn anew each time: said as long as it holds */
    buf_add_char(out, '\n');
}

static const char *plural(uint64_t n) {
    return n == 1 ? "" : "s";
}

/* What root would see: one line, whatever it is that is missing. */
static void say_denied(struct session *s, struct buf *out, uint64_t unnamed, unsigned unread) {
    char line[240], names[64] = "", groups[64] = "";

    if (unnamed == 0 && unread == 0)
        return;
    if (unnamed > 0)
        snprintf(names, sizeof(names), "%llu container%s cannot be named",
                 (unsigned long long)unnamed, plural(unnamed));
    if (unread > 0)
        snprintf(groups, sizeof(groups), "%u group%s cannot be read", unread, plural(unread));
    snprintf(line, sizeof(line), "%s%s%s without root; '-' stands for what is unknown%s", names,
             unnamed > 0 && unread > 0 ? ", and " : "", groups,
             unnamed > 0 ? ", an id for a name" : "");
    say(s, TOLD_DENIED, out, line);
}

void session_tell(struct session *s, struct buf *out) {
    struct targets_health h = targets_health(s->targets);
    char line[100];

    if (h.no_watches)
        say(s, TOLD_WATCHES, out,
            "inotify's watches are used up (fs.inotify.max_user_watches): new groups are found by "
            "looking again every few seconds");
    if (s->ticker && ticker_short_of_fds(s->ticker))
        say(s, TOLD_FDS, out,
            "too few open files are allowed (ulimit -n) to keep those of all groups open: they are "
            "opened at each tick, which costs more");
    say_denied(s, out, h.denied_shown, s->ticker ? ticker_denied(s->ticker) : 0);
    if (s->ticker && ticker_uncounted(s->ticker) > 0) {
        unsigned n = ticker_uncounted(s->ticker);

        snprintf(line, sizeof(line),
                 "%u group%s without the memory controller: a group above is charged for %s", n,
                 plural(n), n == 1 ? "it" : "them");
        say(s, TOLD_UNCOUNTED, out, line);
    }
    if (h.too_many == 0)
        return;
    snprintf(line, sizeof(line), "%llu group%s left out: too deep, or too many in one place",
             (unsigned long long)h.too_many, plural(h.too_many));
    say(s, TOLD_MANY, out, line);
}

struct str session_name(const struct target *t) {
    return target_is_container(t) || t->kind == TARGET_POD ? str_of(t->name) : t->path;
}
