#include "runtime/pygc.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"

enum {
    TRIES = 60, /* of one list: a busy program collects everything several times a second */
    TRY_US = 4000 * 1000,
    TRAIL = 64,      /* objects behind us that a walk can go back to */
    REPAIRS = 2000,  /* of one walk of a list */
    YOUNG = 1 << 16, /* objects of the younger lists that are remembered, not to count them twice */
    DEADLINE_EACH = 1 << 12, /* objects between two looks at the clock */
};
static const uint64_t objects_max = 1 << 28;
static const uint64_t flags = 3; /* in the lowest bits of both pointers, while it collects */

/* --- the state -------------------------------------------------------------------------------- */

static uint64_t list_head(uint64_t gc, unsigned list) {
    if (list == PYGC_FROZEN)
        return gc + PY_GC_PERMANENT;
    return gc + PY_GC_GENERATION + (uint64_t)list * PY_GC_GENERATION_SIZE;
}

static void part(const char *raw, size_t at, void *out, size_t n) {
    memcpy(out, raw + at, n);
}

static bool is_sane(const struct pygc_state *s, uint64_t gc, const char *raw) {
    uint64_t first;

    part(raw, PY_GC_GENERATION0, &first, sizeof(first));
    if (first != list_head(gc, 0))
        return false;
    for (unsigned i = 0; i < PY_GENERATIONS; i++)
        if (s->collections[i] < 0 || s->collected[i] < 0 || s->uncollectable[i] < 0)
            return false;
    for (unsigned i = 0; i < PYGC_LISTS; i++) {
        uint64_t next;

        part(raw, list_head(0, i), &next, sizeof(next));
        if (!pygcread_is_place(next & ~flags))
            return false;
    }
    return true;
}

int pygc_state(struct pygcread *r, uint64_t gc, struct pygc_state *out) {
    char raw[PY_GC_SIZE];
    struct pygc_state s = {0};
    int32_t word;
    int err = pygcread_is_place(gc) ? r->fn(r->ctx, gc, raw, sizeof(raw)) : -EBADMSG;

    if (err < 0)
        return err;
    part(raw, PY_GC_ENABLED, &word, sizeof(word));
    s.enabled = word != 0;
    part(raw, PY_GC_COLLECTING, &word, sizeof(word));
    s.collecting = word != 0;
    for (unsigned i = 0; i < PY_GENERATIONS; i++) {
        size_t stats = PY_GC_STATS + (size_t)i * PY_GC_STATS_SIZE;

        part(raw, list_head(PY_THRESHOLD, i), &s.threshold[i], 4);
        part(raw, list_head(PY_COUNT, i), &s.count[i], 4);
        part(raw, stats, &s.collections[i], 8);
        part(raw, stats + 8, &s.collected[i], 8);
        part(raw, stats + 16, &s.uncollectable[i], 8);
    }
    part(raw, PY_GC_LONG_TOTAL, &s.long_total, 8);
    part(raw, PY_GC_LONG_PENDING, &s.long_pending, 8);
    if (!is_sane(&s, gc, raw))
        return -EBADMSG;
    *out = s;
    return 0;
}

/* --- objects of younger lists ----------------------------------------------------------------- */

struct young {
    uint64_t slot[YOUNG * 2];
    size_t n;
};

static uint64_t *young_at(struct young *y, uint64_t object) {
    size_t at = (size_t)((object >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 40) % (YOUNG * 2);

    while (y->slot[at] && y->slot[at] != object)
        at = (at + 1) % (YOUNG * 2);
    return &y->slot[at];
}

static void young_add(struct young *y, uint64_t object) {
    uint64_t *at;

    if (y->n == YOUNG)
        return;
    at = young_at(y, object);
    y->n += *at == 0;
    *at = object;
}

/* --- a list ----------------------------------------------------------------------------------- */

struct walk {
    struct pygcread *read;
    struct pygctypes *types;
    struct young *young;
    int64_t deadline_us;
    uint64_t gc;
    unsigned list;
    uint64_t trail[TRAIL]; /* heads of the objects behind us; the n-th is at n % TRAIL */
    uint64_t n, counted, unread;
    unsigned repairs;
};

/* PyGC_Head, and the object's count and type behind it. */
struct node {
    uint64_t next, prev, refs, type;
};

static int count_node(struct walk *w, uint64_t at, const struct node *node) {
    uint64_t object = at + PY_HEAD;
    int err;

    if (w->young->n > 0 && w->list >= 1 && *young_at(w->young, object) == object)
        return 0;
    err = pygctypes_count(w->types, object, node->type);
    if (err == -EBADMSG)
        w->unread++;
    else if (err < 0)
        return err;
    w->counted++;
    return 0;
}

static bool was_here(const struct walk *w, uint64_t from, uint64_t at) {
    for (uint64_t i = from; i < w->n; i++)
        if (w->trail[i % TRAIL] == at)
            return true;
    return false;
}

static bool links_back(const struct node *node, uint64_t prev) {
    return (node->prev & ~flags) == prev && !(node->next & flags) && pygcread_is_place(node->next);
}

/* Finds the last object behind us that is still in the list, and makes what follows it now the next
 * one: *prev, *at. Objects that were counted already are passed by. */
static int step_back(struct walk *w, uint64_t head, uint64_t *prev, uint64_t *at) {
    uint64_t back = w->n < TRAIL ? w->n : TRAIL;

    if (++w->repairs > REPAIRS)
        return -EAGAIN;
    if (clock_mono_us() > w->deadline_us)
        return -ETIMEDOUT;
    /* The oldest of the trail has nothing behind it to be compared with. */
    for (uint64_t i = w->n; i > w->n - back + (back == TRAIL); i--) {
        uint64_t here = w->trail[(i - 1) % TRAIL];
        uint64_t behind = i == 1 ? head : w->trail[(i - 2) % TRAIL];
        uint64_t next = here, before = behind;
        struct node node;

        for (unsigned steps = 0; steps <= TRAIL; steps++) {
            if (pygcread_fresh(w->read, next, &node, sizeof(node)) < 0 ||
                !links_back(&node, before))
                break;
            before = next;
            next = node.next;
            if (next == head || !was_here(w, i, next)) {
                *prev = before;
                *at = next;
                return 0;
            }
        }
    }
    return -EAGAIN;
}

static int walk_list(struct walk *w) {
    uint64_t head = list_head(w->gc, w->list), prev = head, at;
    int err = pygcread_u64(w->read, head, &at);

    if (err < 0)
        return err;
    while (at != head) {
        struct node node;

        if (!pygcread_is_place(at) || pygcread_get(w->read, at, &node, sizeof(node)) < 0 ||
            !links_back(&node, prev)) {
            if (w->n > 0)
                pygcread_fresh(w->read, at, &node, sizeof(node));
            err = w->n > 0 ? step_back(w, head, &prev, &at) : -EAGAIN;
            if (err < 0)
                return err;
            continue;
        }
        err = count_node(w, at, &node);
        if (err < 0)
            return err;
        w->trail[w->n++ % TRAIL] = at;
        if (w->n > objects_max)
            return -EBADMSG;
        if (w->n % DEADLINE_EACH == 0 && clock_mono_us() > w->deadline_us)
            return -ETIMEDOUT;
        prev = at;
        at = node.next;
    }
    return 0;
}

/* Only collecting this generation or an older one takes objects out of the list or leaves other
 * things than pointers in it; younger ones append. */
static bool was_collected(const struct pygc_state *a, const struct pygc_state *b, unsigned list) {
    for (unsigned i = list; i < PY_GENERATIONS; i++)
        if (a->collections[i] != b->collections[i])
            return true;
    return false;
}

static int wait_until_idle(struct walk *w, struct pygc_state *out) {
    struct timespec pause = {.tv_nsec = 300 * 1000};

    for (;;) {
        int err = pygc_state(w->read, w->gc, out);

        if (err < 0 || !out->collecting)
            return err;
        if (clock_mono_us() > w->deadline_us)
            return -ETIMEDOUT;
        (void)nanosleep(&pause, NULL);
    }
}

/* 0: walked; -EAGAIN: not this time. */
static int try_list(struct walk *w) {
    struct pygc_state before, after;
    int err = wait_until_idle(w, &before);

    w->n = w->counted = w->unread = 0;
    w->repairs = 0;
    if (err < 0)
        return err;
    pygcread_forget(w->read);
    err = walk_list(w);
    if (err == -ENOMEM || err == -E2BIG || err == -ETIMEDOUT || err == -ESRCH || err == -EPERM)
        return err;
    if (err == 0)
        err = pygc_state(w->read, w->gc, &after);
    if (err < 0 || was_collected(&before, &after, w->list))
        return err == -EBADMSG ? err : -EAGAIN;
    return 0;
}

/* The next of younger lists are told by the trail only as far as that goes; so they are walked
 * once more to be remembered. Cheap: they are in the cache. */
static void remember(struct walk *w) {
    uint64_t head = list_head(w->gc, w->list), at = 0;

    if (w->list >= 2 || pygcread_u64(w->read, head, &at) < 0)
        return;
    for (uint64_t i = 0; i < w->n && at != head && pygcread_is_place(at); i++) {
        young_add(w->young, at + PY_HEAD);
        if (pygcread_u64(w->read, at, &at) < 0)
            return;
    }
}

static int one_list(struct walk *w, struct pygc_walk *out) {
    int64_t until = clock_mono_us() + TRY_US;
    int err = -EAGAIN;

    for (unsigned i = 0; i < TRIES && err == -EAGAIN && clock_mono_us() < until; i++) {
        out->again += i > 0;
        pygctypes_drop(w->types);
        err = try_list(w);
    }
    if (err == -EAGAIN) {
        pygctypes_drop(w->types);
        out->missed |= 1u << w->list;
        return 0;
    }
    if (err < 0)
        return err;
    remember(w);
    pygctypes_keep(w->types);
    out->objects[w->list] += w->counted;
    out->unread += w->unread;
    return 0;
}

int pygc_walk(struct pygcread *r, uint64_t gc, struct pygctypes *types, int64_t deadline_us,
              struct pygc_walk *out) {
    auto_free struct young *young = calloc(1, sizeof(*young));
    struct walk w = {
        .read = r, .types = types, .young = young, .deadline_us = deadline_us, .gc = gc};
    int err = young ? 0 : -ENOMEM;

    for (unsigned list = 0; list < PYGC_LISTS && err == 0; list++) {
        w.list = list;
        err = one_list(&w, out);
    }
    return err;
}
