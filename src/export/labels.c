#include "export/labels.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "export/prompage.h"
#include "export/promtext.h"

enum { LABELS_MAX = 1 << 20, LABELS = 6 };

struct label {
    const char *name;
    struct str value;
};

static bool is_container(const struct wire_target *t) {
    return t->kind == TARGET_CONTAINER || t->kind == TARGET_VM;
}

/* In the order of their names. A plain group or service has no name and no image here, as in
 * cAdvisor: dashboards tell containers by that. */
static void list_labels(const struct wire_target *t, struct label out[LABELS]) {
    static const struct str none = {"", 0};
    bool is = is_container(t), in_pod = t->pod.n > 0;
    struct str container = t->container.n > 0 ? t->container : t->name;
    const struct label all[LABELS] = {
        {"container", is && in_pod ? container : none},
        {"id", t->uid == WIRE_UID_HOST ? STR("/") : t->path},
        {"image", is || t->kind == TARGET_SANDBOX ? t->image : none},
        {"name", is ? t->name : none},
        {"namespace", in_pod ? t->namespace : none},
        {"pod", t->pod},
    };

    memcpy(out, all, sizeof(all));
}

int prom_labels(const struct wire_target *t, prom_label_fn *take, void *ctx) {
    struct label label[LABELS];
    struct buf clean;
    int r = 0;

    list_labels(t, label);
    buf_init(&clean, LABELS_MAX);
    for (unsigned i = 0; i < LABELS && r == 0; i++) {
        if (label[i].value.n == 0)
            continue;
        buf_clear(&clean);
        promtext_add_clean(&clean, label[i].value);
        r = buf_error(&clean);
        if (r == 0)
            r = take(ctx, label[i].name, buf_str(&clean));
    }
    buf_done(&clean);
    return r;
}

static void add_label(struct buf *b, size_t from, const struct label *l) {
    if (b->n > from)
        buf_add_char(b, ',');
    buf_add(b, str_of(l->name));
    buf_add(b, STR("=\""));
    prom_add_escaped(b, l->value);
    buf_add_char(b, '"');
}

/* id, image and name are always there, the others where they say something. */
static void add_full(struct buf *b, const struct label label[LABELS]) {
    for (unsigned i = 0; i < LABELS; i++)
        if (label[i].value.n > 0 || (i >= 1 && i <= 3))
            add_label(b, 0, &label[i]);
}

/* In a pod the name may hold an id of the instance; a container inside a container may be called
 * like one outside, so it keeps its id. */
static void add_kept(struct buf *b, const struct wire_target *t, const struct label label[LABELS]) {
    bool in_pod = label[5].value.n > 0, named = in_pod || label[3].value.n > 0;
    size_t from = b->n;

    for (unsigned i = 0; i < LABELS; i++) {
        bool is_id = i == 1, is_name = i == 3;

        if (label[i].value.n == 0 || (is_id && named && t->inside.n == 0) || (is_name && in_pod))
            continue;
        add_label(b, from, &label[i]);
    }
}

static uint64_t hash_of(struct str s) {
    static struct hash_key key;
    static bool made;

    if (!made)
        hash_key_init(&key);
    made = true;
    return hash_str(&key, s);
}

const struct labels *labels_get(const struct wire_target *t, void **place) {
    struct label label[LABELS];
    struct labels *l = *place;
    size_t full, kept;
    struct buf b;

    if (l)
        return l;
    list_labels(t, label);
    buf_init(&b, LABELS_MAX);
    add_full(&b, label);
    full = b.n;
    add_kept(&b, t, label);
    kept = b.n;
    for (unsigned i = 4; i < LABELS && label[5].value.n > 0; i++)
        if (label[i].value.n > 0)
            add_label(&b, kept, &label[i]);
    l = buf_error(&b) ? NULL : malloc(sizeof(*l) + b.n);
    if (l) {
        *l = (struct labels){.full_n = (uint32_t)full,
                             .kept_n = (uint32_t)(kept - full),
                             .pod_n = (uint32_t)(b.n - kept)};
        memcpy(l->text, b.p, b.n);
        l->kept_hash = hash_of(labels_kept(l));
        l->pod_hash = hash_of(labels_pod(l));
        *place = l;
    }
    buf_done(&b);
    return l;
}

struct str labels_full(const struct labels *l) {
    return (struct str){l->text, l->full_n};
}

struct str labels_kept(const struct labels *l) {
    return (struct str){l->text + l->full_n, l->kept_n};
}

struct str labels_pod(const struct labels *l) {
    return (struct str){l->text + l->full_n + l->kept_n, l->pod_n};
}
