/* flame.c - the flame graph's page: its data as JSON that is text to the browser, between the two
 * halves of the page.
 */
#include <errno.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "profile/flamepage.h"
#include "profile/flametree.h"
#include "profile/profile.h"

enum {
    NODES = 30000, /* that are drawn; smaller ones could hardly be seen */
    NAME = 500,    /* bytes of a name */
    TOP = 200,
    DATA_MAX = 96 << 20,
};

/* Made visible: nothing in a name may turn the text around or hide. */
static void add_name(struct json *j, struct str name) {
    struct buf b;

    buf_init(&b, NAME * 16);
    text_add_visible(&b, str_head(name, NAME), false);
    if (name.n > NAME)
        buf_add(&b, STR("..."));
    json_str(j, buf_str(&b));
    buf_done(&b);
}

/* The first of a node and its next ones that is drawn. */
static uint32_t first_drawn(const struct flametree *t, uint32_t at, const bool *drawn) {
    while (at != FLAMETREE_NONE && !drawn[at])
        at = t->node[at].next;
    return at;
}

static uint32_t next_node(const struct flametree *t, uint32_t at, const bool *drawn,
                          uint32_t *depth) {
    uint32_t child = first_drawn(t, t->node[at].child, drawn);

    if (child != FLAMETREE_NONE) {
        ++*depth;
        return child;
    }
    for (; at != FLAMETREE_NONE; at = t->node[at].parent, --*depth) {
        uint32_t next = first_drawn(t, t->node[at].next, drawn);

        if (next != FLAMETREE_NONE)
            return next;
    }
    return FLAMETREE_NONE;
}

/* Numbers of names as the page has them: in the order of their first use. */
static int add_nodes(struct json *j, const struct profile *p, const struct flametree *t) {
    auto_free uint32_t *number = calloc(profile_texts(p) + 1, sizeof(*number)); /* + 1 */
    auto_free uint32_t *used = calloc(profile_texts(p) + 1, sizeof(*used));
    auto_free bool *drawn = NULL;
    uint32_t names = 0, depth = 0;
    size_t n_drawn = 0;

    if (!number || !used || flametree_widest(t, NODES, &drawn) < 0)
        return -ENOMEM;
    json_key(j, "nodes");
    json_begin_array(j);
    for (uint32_t at = 0; at != FLAMETREE_NONE; at = next_node(t, at, drawn, &depth)) {
        const struct flamenode *n = &t->node[at];

        if (n->name != FLAMETREE_NONE && number[n->name] == 0) {
            used[names] = n->name;
            number[n->name] = ++names;
        }
        json_u64(j, n->name == FLAMETREE_NONE ? 0 : number[n->name]);
        json_u64(j, depth);
        json_u64(j, n->width);
        json_i64(j, n->change);
        n_drawn++;
    }
    json_end(j);
    json_key_u64(j, "left", t->n > n_drawn ? t->n - n_drawn : 0);
    json_key(j, "names");
    json_begin_array(j);
    json_str(j, STR("all"));
    for (uint32_t i = 0; i < names; i++)
        add_name(j, profile_text(p, used[i]));
    json_end(j);
    return 0;
}

static int add_top(struct json *j, const struct profile *p, unsigned type) {
    auto_free struct profile_top *top = NULL;
    size_t n;
    int r = profile_top(p, type, &top, &n);

    if (r < 0)
        return r;
    json_key(j, "top");
    json_begin_array(j);
    for (size_t i = 0; i < n && i < TOP; i++) {
        json_begin_array(j);
        add_name(j, top[i].function);
        json_i64(j, top[i].flat);
        json_i64(j, top[i].cum);
        json_end(j);
    }
    json_end(j);
    return 0;
}

static int make_data(const struct profile *p, const struct flame_options *o, struct buf *out) {
    struct flametree tree;
    struct json j;
    int r = flametree_make(p, o->type, &tree);

    if (r < 0)
        return r;
    json_start(&j, out);
    json_begin_object(&j);
    json_key(&j, "title");
    add_name(&j, str_of(o->title));
    json_key(&j, "type");
    add_name(&j, profile_type(p, o->type).type);
    json_key(&j, "unit");
    add_name(&j, profile_type(p, o->type).unit);
    json_key(&j, "diff");
    json_bool(&j, o->diff);
    r = add_nodes(&j, p, &tree);
    if (r == 0)
        r = add_top(&j, p, o->type);
    if (r == 0)
        json_end(&j);
    flametree_done(&tree);
    return r < 0 ? r : buf_error(out);
}

/* In JSON a '<' stands in texts alone, where it can be written so that no tag ever ends or begins
 * in the page. */
static void add_without_tags(struct buf *out, struct str json) {
    ptrdiff_t at;

    while ((at = str_find(json, '<')) >= 0) {
        buf_add(out, str_head(json, (size_t)at));
        buf_add(out, STR("\\u003c"));
        json = str_from(json, (size_t)at + 1);
    }
    buf_add(out, json);
}

int profile_add_flame(struct buf *out, const struct profile *p, const struct flame_options *o) {
    struct buf data;
    int r;

    buf_init(&data, DATA_MAX);
    r = make_data(p, o, &data);
    if (r == 0) {
        buf_add(out, flamepage_before);
        add_without_tags(out, buf_str(&data));
        buf_add(out, flamepage_after);
        r = buf_error(out);
    }
    buf_done(&data);
    return r;
}
