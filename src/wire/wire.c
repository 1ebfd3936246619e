#include "wire/wire.h"

#include "wire/wireint.h"

/* --- writing ---------------------------------------------------------------------------------- */

void wire_begin(struct wire_out *w, void *memory, size_t size, enum wire_kind kind, uint64_t seq) {
    *w = (struct wire_out){.p = memory, .size = size};
    if (size < 1 + VARINT_MAX) {
        w->full = true;
        return;
    }
    w->p[w->n++] = (uint8_t)kind;
    for (; seq >= 0x80; seq >>= 7)
        w->p[w->n++] = (uint8_t)(seq | 0x80);
    w->p[w->n++] = (uint8_t)seq;
}

bool wire_add_target(struct wire_out *w, const struct wire_target *t) {
    size_t from = w->n;

    put(w, t->uid);
    put(w, t->kind);
    put(w, t->runtime);
    put(w, t->qos);
    put(w, t->version);
    put(w, t->limit_certain);
    put_signed(w, t->start_ms);
    put_signed(w, t->init_pid);
    put(w, t->born_ms);
    put(w, t->instance);
    put_text(w, t->path);
    put_text(w, t->name);
    put_text(w, t->id);
    put_text(w, t->image);
    put_text(w, t->pod);
    put_text(w, t->namespace);
    put_text(w, t->container);
    put_text(w, t->unit);
    put_text(w, t->inside);
    put_text(w, t->limit_from);
    put_text(w, t->labels);
    put(w, t->run);
    put_signed(w, t->run_ms);
    put_text(w, t->lang);
    return settle(w, from);
}

bool wire_add_gone(struct wire_out *w, const struct wire_gone *g) {
    size_t from = w->n;

    put(w, g->uid);
    put_signed(w, g->at_ms);
    return settle(w, from);
}

bool wire_add_tick(struct wire_out *w, const struct wire_tick *t) {
    size_t from = w->n;

    put_signed(w, t->at_ms);
    w->flags_at = w->n;
    put(w, t->flags);
    return settle(w, from);
}

void wire_set_more(struct wire_out *w) {
    w->p[w->flags_at] |= WIRE_TICK_MORE; /* flags are one byte */
}

/* Sets of metrics that are told: those of `now`, but what `before` had already. */
static uint64_t changed(const struct sample *before, const struct sample *now) {
    uint64_t set = now->have;

    for (uint64_t both = before->have & now->have; both; both &= both - 1) {
        unsigned m = (unsigned)__builtin_ctzll(both);

        if (before->value[m] == now->value[m])
            set &= ~(1ull << m);
    }
    return set;
}

bool wire_add_change(struct wire_out *w, uint32_t uid, const struct sample *before,
                     const struct sample *now, bool touch) {
    uint64_t set = before ? changed(before, now) : now->have;
    uint64_t lost = before ? before->have & ~now->have : 0;
    size_t from = w->n;

    if (set == 0 && lost == 0 && !touch)
        return true;
    put(w, uid);
    put(w, set);
    put(w, lost);
    for (; set; set &= set - 1)
        put_value(w, now->value[__builtin_ctzll(set)]);
    return settle(w, from);
}

bool wire_add_procs(struct wire_out *w, const struct wire_procs *p) {
    size_t from = w->n;

    put(w, p->uid);
    put_signed(w, p->at_ms);
    put(w, p->total);
    return settle(w, from);
}

#define NUMBER_FIELDS                                                                              \
    (~(PROC_BIT(PROC_COMM) | PROC_BIT(PROC_COMMAND) | PROC_BIT(PROC_CGROUP)) &                     \
     (PROC_BIT(PROC_N) - 1))

bool wire_add_proc(struct wire_out *w, const struct wire_proc *p) {
    uint32_t have = p->have & (PROC_BIT(PROC_N) - 1) & ~PROC_BIT(PROC_CGROUP);
    size_t from = w->n;

    put_signed(w, p->pid);
    put(w, have);
    put(w, p->pss_estimated);
    for (uint32_t set = have & NUMBER_FIELDS; set; set &= set - 1)
        put_value(w, p->value[__builtin_ctz(set)]);
    if (have & PROC_BIT(PROC_COMM))
        put_text(w, p->comm);
    if (have & PROC_BIT(PROC_COMMAND))
        put_text(w, p->command);
    return settle(w, from);
}

bool wire_add_oom(struct wire_out *w, const struct wire_oom *o) {
    size_t from = w->n;

    put(w, o->uid);
    put_signed(w, o->at_ms);
    put(w, o->kills);
    put(w, (unsigned)o->sure | (unsigned)o->outside << 1);
    put_signed(w, o->victim_pid);
    put_value(w, o->anon);
    put_value(w, o->file);
    put_value(w, o->shmem);
    put_text(w, o->comm);
    put_text(w, o->limit_path);
    return settle(w, from);
}

bool wire_add_self(struct wire_out *w, const uint64_t value[WIRE_SELF_N]) {
    size_t from = w->n;

    for (unsigned i = 0; i < WIRE_SELF_N; i++)
        put_value(w, value[i]);
    return settle(w, from);
}

bool wire_add_start(struct wire_out *w, const struct wire_start *s) {
    size_t from = w->n;

    put(w, s->boot);
    put(w, (unsigned)s->ask | (unsigned)s->resumed << 1);
    put_signed(w, s->start_ms);
    return settle(w, from);
}

bool wire_add_hello(struct wire_out *w, const struct wire_hello *h) {
    size_t from = w->n;

    put(w, WIRE_VERSION);
    put(w, h->boot);
    put(w, h->last_seq);
    put(w, h->interval_ms);
    put(w, h->fastest_ms);
    put(w, h->adaptive);
    put(w, h->targets);
    put(w, h->processes);
    return settle(w, from);
}

bool wire_add_ack(struct wire_out *w, const struct wire_ack *a) {
    size_t from = w->n;

    put(w, a->seq);
    return settle(w, from);
}

/* --- reading ---------------------------------------------------------------------------------- */

int wire_read_head(struct wire_in *in, struct wire_head *out) {
    struct reader r = {.in = *in};
    uint64_t kind = get(&r), seq = get(&r);

    if (r.bad || kind == 0 || kind >= WIRE_KIND_END || (kind > WIRE_POLICIES && kind < WIRE_HELLO))
        return -EBADMSG;
    *out = (struct wire_head){(enum wire_kind)kind, seq};
    return finish(&r, in);
}

int wire_read_target(struct wire_in *in, struct wire_target *out) {
    struct reader r = {.in = *in};
    struct wire_target t = {0};
    int result;

    t.uid = (uint32_t)get_at_most(&r, UINT32_MAX);
    t.kind = (enum target_kind)get_at_most(&r, TARGET_KIND_N - 1);
    t.runtime = (enum runtime)get_at_most(&r, RUNTIME_N - 1);
    t.qos = (enum target_qos)get_at_most(&r, QOS_N - 1);
    t.version = (enum cg_word)get_at_most(&r, WIRE_CG_V2);
    t.limit_certain = get_at_most(&r, 1);
    t.start_ms = get_signed(&r);
    t.init_pid = get_pid(&r);
    t.born_ms = get(&r);
    t.instance = get(&r);
    t.path = get_text(&r);
    t.name = get_text(&r);
    t.id = get_text(&r);
    t.image = get_text(&r);
    t.pod = get_text(&r);
    t.namespace = get_text(&r);
    t.container = get_text(&r);
    t.unit = get_text(&r);
    t.inside = get_text(&r);
    t.limit_from = get_text(&r);
    if (r.in.n > 0) /* logs of before there were labels end here */
        t.labels = get_text(&r);
    if (r.in.n > 0) { /* ... and those of before there were runs here */
        t.run = get(&r);
        t.run_ms = get_signed(&r);
    }
    if (r.in.n > 0) /* ... and those of before runtimes were looked at here */
        t.lang = get_text(&r);
    result = finish_whole(&r, in);
    if (result == 0)
        *out = t;
    return result;
}

int wire_read_gone(struct wire_in *in, struct wire_gone *out) {
    struct reader r = {.in = *in};
    struct wire_gone g = {.uid = (uint32_t)get_at_most(&r, UINT32_MAX)};
    int result;

    g.at_ms = get_signed(&r);
    result = finish_whole(&r, in);
    if (result == 0)
        *out = g;
    return result;
}

int wire_read_tick(struct wire_in *in, struct wire_tick *out) {
    struct reader r = {.in = *in};
    int64_t at_ms = get_signed(&r);
    uint64_t flags = get_at_most(&r, WIRE_TICK_KEY | WIRE_TICK_ROUND | WIRE_TICK_MORE);
    int result = finish(&r, in);

    if (result == 0)
        *out = (struct wire_tick){at_ms, (unsigned)flags};
    return result;
}

int wire_read_change(struct wire_in *in, struct wire_change *out) {
    static const uint64_t all = METRIC_N == 64 ? UINT64_MAX : (1ull << METRIC_N) - 1;
    struct reader r = {.in = *in};

    if (in->n == 0)
        return 0;
    out->uid = (uint32_t)get_at_most(&r, UINT32_MAX);
    out->set = get(&r);
    out->lost = get(&r);
    if (out->set & ~all || out->lost & ~all || out->set & out->lost)
        return -EBADMSG;
    for (uint64_t set = out->set; set && !r.bad; set &= set - 1)
        out->value[__builtin_ctzll(set)] = get_value(&r);
    return finish(&r, in) < 0 ? -EBADMSG : 1;
}

int wire_read_procs(struct wire_in *in, struct wire_procs *out) {
    struct reader r = {.in = *in};
    struct wire_procs p = {.uid = (uint32_t)get_at_most(&r, UINT32_MAX)};
    int result;

    p.at_ms = get_signed(&r);
    p.total = get(&r);
    result = finish(&r, in);
    if (result == 0)
        *out = p;
    return result;
}

int wire_read_proc(struct wire_in *in, struct wire_proc *out) {
    struct reader r = {.in = *in};

    if (in->n == 0)
        return 0;
    *out = (struct wire_proc){.pid = get_pid(&r)};
    out->have = (uint32_t)get_at_most(&r, PROC_BIT(PROC_N) - 1);
    out->pss_estimated = get_at_most(&r, 1);
    for (uint32_t set = out->have & NUMBER_FIELDS; set && !r.bad; set &= set - 1)
        out->value[__builtin_ctz(set)] = get_value(&r);
    if (out->have & PROC_BIT(PROC_COMM))
        out->comm = get_text(&r);
    if (out->have & PROC_BIT(PROC_COMMAND))
        out->command = get_text(&r);
    return finish(&r, in) < 0 || out->have & PROC_BIT(PROC_CGROUP) ? -EBADMSG : 1;
}

int wire_read_oom(struct wire_in *in, struct wire_oom *out) {
    struct reader r = {.in = *in};
    struct wire_oom o = {.uid = (uint32_t)get_at_most(&r, UINT32_MAX)};
    uint64_t flags;
    int result;

    o.at_ms = get_signed(&r);
    o.kills = get(&r);
    flags = get_at_most(&r, 3);
    o.sure = flags & 1;
    o.outside = flags >> 1 & 1;
    o.victim_pid = get_pid(&r);
    o.anon = get_value(&r);
    o.file = get_value(&r);
    o.shmem = get_value(&r);
    o.comm = get_text(&r);
    o.limit_path = get_text(&r);
    result = finish_whole(&r, in);
    if (result == 0)
        *out = o;
    return result;
}

int wire_read_self(struct wire_in *in, uint64_t value_out[WIRE_SELF_N]) {
    uint64_t value[WIRE_SELF_N];
    struct reader r = {.in = *in};
    int result;

    for (unsigned i = 0; i < WIRE_SELF_N; i++) /* what is of before there were guards ends early */
        value[i] = i >= WIRE_SELF_GUARDS && r.in.n == 0 && !r.bad ? 0 : get_value(&r);
    result = finish_whole(&r, in);
    if (result == 0)
        memcpy(value_out, value, sizeof(value));
    return result;
}

int wire_read_start(struct wire_in *in, struct wire_start *out) {
    struct reader r = {.in = *in};
    struct wire_start s = {.boot = get(&r)};
    uint64_t flags;
    int result;

    flags = get_at_most(&r, 3);
    s.ask = flags & 1;
    s.resumed = flags >> 1 & 1;
    s.start_ms = get_signed(&r);
    result = finish_whole(&r, in);
    if (result == 0)
        *out = s;
    return result;
}

int wire_read_hello(struct wire_in *in, struct wire_hello *out) {
    struct reader r = {.in = *in};
    uint64_t version = get(&r);
    struct wire_hello h = {.boot = get(&r)};
    int result;

    h.last_seq = get(&r);
    h.interval_ms = get(&r);
    h.fastest_ms = get(&r);
    h.adaptive = get_at_most(&r, 1);
    h.targets = (enum wire_targets)get_at_most(&r, WIRE_TARGETS_ALL);
    h.processes = (uint32_t)get_at_most(&r, UINT32_MAX);
    result = version != WIRE_VERSION ? -EBADMSG : finish_whole(&r, in);
    if (result == 0)
        *out = h;
    return result;
}

int wire_read_ack(struct wire_in *in, struct wire_ack *out) {
    struct reader r = {.in = *in};
    struct wire_ack a = {.seq = get(&r)};
    int result = finish_whole(&r, in);

    if (result == 0)
        *out = a;
    return result;
}
