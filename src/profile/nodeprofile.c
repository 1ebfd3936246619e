#include "profile/nodeprofile.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>

#include "base/mem.h"

/* The way from the root to a node: the stack, its root first. */
struct way {
    struct profile *out;
    const char *name;
    uint32_t frame[PROFILE_DEPTH];
    size_t depth;
    bool below_root;
    struct err *err;
};

static int damaged(const char *name, const char *what, struct err *err) {
    return err_set(err, -EBADMSG, "'%s' is no sampling heap profile: %s", name, what);
}

static struct str text_of(const json_t *object, const char *key) {
    const json_t *text = json_object_get(object, key);

    return (struct str){json_is_string(text) ? json_string_value(text) : "",
                        json_string_length(text)};
}

/* As the developer tools call it, with the place: there are many of them. */
static struct str anonymous(struct str url, int64_t line, char text[static 128]) {
    struct str file = str_from(url, (size_t)(str_rfind(url, '/') + 1));
    int n;

    if (file.n == 0 || line == 0)
        return STR("(anonymous)");
    n = snprintf(text, 128, "(anonymous %.*s:%lld)", file.n > 80 ? 80 : (int)file.n, file.p,
                 (long long)line);
    return (struct str){text, n > 0 ? (size_t)n : 0};
}

static int add_frame(struct way *w, const json_t *call, uint32_t *id) {
    struct profile_frame f = {text_of(call, "functionName"), text_of(call, "url"), 0};
    const json_t *line = json_object_get(call, "lineNumber");
    char name[128];

    if (json_is_integer(line) && json_integer_value(line) >= 0 &&
        json_integer_value(line) < INT32_MAX)
        f.line = json_integer_value(line) + 1; /* counted from 0 there */
    if (f.function.n == 0)
        f.function = anonymous(f.file, f.line, name);
    return profile_add_frame(w->out, &f, id);
}

/* A size may be written with a fraction. */
static bool size_of(const json_t *node, int64_t *out) {
    const json_t *size = json_object_get(node, "selfSize");
    double value = json_number_value(size);

    if (!json_is_number(size) || !isfinite(value) || value < 0 || value > 9e18)
        return false;
    *out = json_is_integer(size) ? json_integer_value(size) : (int64_t)value;
    return true;
}

static int add_stack(struct way *w, int64_t size) {
    const int64_t value[PROFILE_TYPES] = {size};
    uint32_t leaf_first[PROFILE_DEPTH];

    for (size_t i = 0; i < w->depth; i++)
        leaf_first[i] = w->frame[w->depth - 1 - i];
    return profile_add_stack(w->out, leaf_first, w->depth, value);
}

static int walk(struct way *w, const json_t *node);

static int walk_children(struct way *w, const json_t *node) {
    const json_t *children = json_object_get(node, "children"), *child;
    size_t i;
    int r = 0;

    json_array_foreach(children, i, child) {
        r = walk(w, child);
        if (r < 0)
            break;
    }
    return r;
}

static int walk(struct way *w, const json_t *node) {
    const json_t *call = json_object_get(node, "callFrame");
    int64_t size;
    int r;

    if (!json_is_object(call) || !size_of(node, &size))
        return damaged(w->name, "a node without its function or size", w->err);
    /* V8's root is no function. */
    if (w->depth == 0 && size == 0 && str_eq(text_of(call, "functionName"), STR("(root)")) &&
        !w->below_root) {
        w->below_root = true;
        return walk_children(w, node);
    }
    if (w->depth == PROFILE_DEPTH)
        return err_set(w->err, -E2BIG, "'%s' has stacks of more than %d frames", w->name,
                       PROFILE_DEPTH);
    r = add_frame(w, call, &w->frame[w->depth]);
    w->depth++;
    if (r == 0 && size > 0)
        r = add_stack(w, size);
    if (r < 0)
        return err_set(w->err, r, "'%s' holds more than is read:", w->name);
    r = walk_children(w, node);
    w->depth--;
    return r;
}

static const json_t *find_head(const json_t *root) {
    const json_t *inner = json_object_get(root, "result");

    if (json_is_object(inner))
        root = inner;
    inner = json_object_get(root, "profile");
    if (json_is_object(inner))
        root = inner;
    return json_object_get(root, "head");
}

static int read_root(struct way *w, const json_t *root) {
    const json_t *head = find_head(root);

    if (profile_new(&w->out) < 0 || profile_add_type(w->out, STR("inuse_space"), STR("bytes")) < 0)
        return err_set(w->err, -ENOMEM, "out of memory");
    if (!json_is_object(head))
        return damaged(w->name, "it has no head", w->err);
    return walk(w, head);
}

int nodeprofile_read(struct str json, const char *name, struct profile **out, struct err *err) {
    auto_free struct way *w = calloc(1, sizeof(*w));
    json_error_t where;
    json_t *root;
    int r;

    if (!w)
        return err_set(err, -ENOMEM, "out of memory");
    w->name = name;
    w->err = err;
    if (json.n > NODEPROFILE_MAX)
        return err_set(err, -EFBIG, "'%s' is larger than %d MiB", name, NODEPROFILE_MAX >> 20);
    root = json_loadb(json.p ? json.p : "", json.n, JSON_ALLOW_NUL, &where);
    if (!root)
        return damaged(name, where.text[0] ? where.text : "it takes too much memory", err);
    r = read_root(w, root);
    json_decref(root);
    if (r == 0)
        *out = w->out;
    else
        profile_free(w->out);
    return r;
}
