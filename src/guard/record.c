#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "guard/guardsint.h"

enum { ROOM_TO_ACT = 8 * AUDITLOG_LINE / 4 }; /* for some more records */

void record_new(struct audit *a, const struct guarded *x, enum audit_kind kind,
                const struct facts *f) {
    const struct guards *g = x->owner;

    memset(a, 0, sizeof(*a));
    a->kind = kind;
    a->at_ms = clock_wall_ms();
    auditlog_id(a->id, a->at_ms);
    (void)str_copy(str_head(str_of(g->o.by), sizeof(a->by) - 1), a->by, sizeof(a->by));
    (void)str_copy(str_head(str_of(x->grip.name), sizeof(a->name) - 1), a->name, sizeof(a->name));
    (void)str_copy(str_head(str_of(x->grip.path), sizeof(a->path) - 1), a->path, sizeof(a->path));
    memcpy(a->guard, x->policy->name, sizeof(a->guard));
    a->dry_run = x->policy->dry_run;
    a->hang = x->hang;
    if (f)
        a->facts = *f;
}

void record_tell(struct guards *g) {
    unsigned n = g->to_tell;

    g->to_tell = 0;
    for (unsigned i = 0; g->o.tell && i < n; i++)
        g->o.tell(g->o.ctx, &g->told[i]);
}

bool record_may_act(struct guards *g) {
    return !g->scribe || scribe_room(g->scribe) >= ROOM_TO_ACT;
}

static void write_down(struct guards *g, const struct audit *a, const struct policy *policy) {
    int r;

    buf_clear(&g->line);
    audit_add_json(&g->line, a, policy);
    buf_add_char(&g->line, '\n');
    r = buf_error(&g->line);
    if (r == 0)
        r = scribe_write(g->scribe, buf_str(&g->line));
    if (r == 0)
        return;
    g->dropped++;
    log_line(LOG_BAD, "a record of the audit is lost: %s (%u so far)", strerror(-r), g->dropped);
}

void record_only(struct guarded *x, const struct audit *a) {
    struct guards *g = x->owner;

    if (g->scribe)
        write_down(g, a, NULL);
}

void record(struct guarded *x, const struct audit *a, const struct policy *policy) {
    struct guards *g = x->owner;

    if (g->scribe)
        write_down(g, a, policy);
    if (g->to_tell == TOLD_MOST)
        record_tell(g);
    g->told[g->to_tell++] = *a;
}
