/* The socket of programs that want to be told, and what it asks of the guards. */
#include "guard/guardsint.h"

/* The innermost that is guarded. */
struct str listen_guarded(void *ctx, struct str path) {
    const struct guards *g = ctx;
    struct str best = {NULL, 0};

    for (unsigned i = 0; i < g->n; i++) {
        struct str at = g->at[i] ? str_of(g->at[i]->grip.path) : best;

        if (at.n > best.n && pressuresock_is_in(path, at))
            best = at;
    }
    return best;
}

/* Those who come late are to know it as well, as long as used is above a mark that has notify. */
static bool has_told(const struct guarded *x) {
    const struct policy *p = x->policy;
    const struct ladder *l = &x->ladder;

    if (p->dry_run || l->started_us[ACTION_NOTIFY] == 0)
        return false;
    for (unsigned i = 0; i < l->above && l->used >= policy_mark_bytes(&p->mark[i], l->limit); i++)
        for (unsigned step = i; step < policy_list_end(p, i); step++)
            if (p->action[step] == ACTION_NOTIFY)
                return true;
    return false;
}

bool listen_above(void *ctx, struct str path) {
    const struct guards *g = ctx;

    for (unsigned i = 0; i < g->n; i++)
        if (g->at[i] && has_told(g->at[i]) && pressuresock_is_in(path, str_of(g->at[i]->grip.path)))
            return true;
    return false;
}

int guards_listen(struct guards *g, const char *path, struct err *err) {
    const struct pressuresock_options o = {.loop = g->o.loop,
                                           .host = g->o.host,
                                           .fs = g->o.fs,
                                           .guarded = listen_guarded,
                                           .above = listen_above,
                                           .ctx = g};
    struct pressuresock *new = NULL;
    int r = path ? pressuresock_new(&o, path, &new, err) : 0;

    if (r < 0)
        return r;
    pressuresock_free(g->pressure);
    g->pressure = new;
    return 0;
}

bool guards_listens(const struct guards *g, const char *path) {
    return g->pressure && pressuresock_is_at(g->pressure, path);
}
