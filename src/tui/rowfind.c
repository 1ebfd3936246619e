#include "tui/rowfind.h"

#include <errno.h>

#include "base/mem.h"
#include "base/text.h"

enum {
    ID_MIN = 3,     /* digits of an id that are enough */
    LISTED_MAX = 6, /* candidates in an error's text */
};

/* One way to be called so; the first way that fits anything decides. */
typedef bool is_called(const struct tui_row *row, struct str word);

struct matches {
    const struct tui_row *row[LISTED_MAX];
    size_t n;
};

static bool is_container(const struct tui_row *row) {
    return str_eq(row->kind, STR("container")) || str_eq(row->kind, STR("vm"));
}

static bool by_key(const struct tui_row *row, struct str word) {
    return str_find(word, ':') > 0 && str_eq(row->key, word);
}

static bool by_path(const struct tui_row *row, struct str word) {
    while (word.n > 1 && str_drop(&word, STR("/")))
        continue;
    return row->path.n > 0 && str_eq(row->path, word);
}

static bool by_container_name(const struct tui_row *row, struct str word) {
    return is_container(row) && str_eq(row->name, word);
}

/* A key ends in "namespace/pod/container". */
static bool by_pod(const struct tui_row *row, struct str word) {
    size_t before = row->key.n - word.n - 1;

    if (!is_container(row) || row->pod.n == 0 || str_find(word, '/') <= 0 || row->key.n <= word.n ||
        !str_ends(row->key, word))
        return false;
    return row->key.p[before] == ':' || row->key.p[before] == '/';
}

static bool by_name(const struct tui_row *row, struct str word) {
    return str_eq(row->name, word);
}

/* Of a unit the name may be its path. */
static bool by_unit(const struct tui_row *row, struct str word) {
    ptrdiff_t slash = str_rfind(row->path, '/');
    struct str unit = str_from(row->path, (size_t)(slash + 1));

    if (is_container(row))
        return false;
    return str_eq(unit, word) || (str_drop(&unit, STR(".service")) && str_eq(unit, word));
}

static bool is_hex(struct str s) {
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
            return false;
    return true;
}

/* "/docker/4f2a..", "/machine.slice/libpod-4f2a..scope": the engine's id is the last part. */
static bool by_id(const struct tui_row *row, struct str word) {
    ptrdiff_t slash = str_rfind(row->path, '/');
    struct str last = str_from(row->path, (size_t)(slash + 1));
    ptrdiff_t dash = str_rfind(last, '-');

    return is_container(row) && word.n >= ID_MIN && is_hex(word) &&
           (str_starts(last, word) ||
            (dash >= 0 && str_starts(str_from(last, (size_t)dash + 1), word)));
}

static void find(const struct tui_source *source, is_called *is, struct str word, bool inside,
                 struct matches *out) {
    *out = (struct matches){.n = 0};
    for (size_t i = 0; i < source->rows(source->ctx); i++) {
        const struct tui_row *row = source->row(source->ctx, i);

        if (row->is_inside != inside || !is(row, word))
            continue;
        if (out->n < LISTED_MAX)
            out->row[out->n] = row;
        out->n++;
    }
}

static int ambiguous(struct str word, const struct matches *m, struct err *err) {
    struct buf b;
    int r;

    buf_init(&b, 65536);
    for (size_t i = 0; i < m->n && i < LISTED_MAX; i++) {
        buf_add(&b, i > 0 ? STR(", ") : STR(""));
        text_add_visible(&b, m->row[i]->name, false);
        buf_add(&b, STR(" ("));
        text_add_visible(&b, str_head(m->row[i]->path, 40), false);
        buf_add_char(&b, ')');
    }
    if (m->n > LISTED_MAX)
        buf_add_format(&b, " and %zu more", m->n - LISTED_MAX);
    r = err_set(err, -ENOTUNIQ, "'%.*s' may mean %.*s", STR_ARG(str_head(word, 64)),
                STR_ARG(buf_str(&b)));
    buf_done(&b);
    return r;
}

int rowfind_word(const struct tui_source *source, struct str word, const struct tui_row **out,
                 struct err *err) {
    static is_called *const ways[] = {by_key,  by_path, by_container_name, by_pod, by_name,
                                      by_unit, by_id};
    struct matches m = {.n = 0};

    for (unsigned inside = 0; inside < 2; inside++)
        for (size_t i = 0; word.n > 0 && m.n == 0 && i < ARRAY_N(ways); i++)
            find(source, ways[i], word, inside > 0, &m);
    if (m.n > 1)
        return ambiguous(word, &m, err);
    if (m.n == 0)
        return err_set(err, -ENOENT, "there is no '%.*s' among those listed",
                       STR_ARG(str_head(word, 160)));
    *out = m.row[0];
    return 0;
}

const struct tui_row *rowfind_path(const struct tui_source *source, struct str path, bool above) {
    while (path.n > 1) {
        ptrdiff_t slash = str_rfind(path, '/');

        for (size_t i = 0; i < source->rows(source->ctx); i++)
            if (str_eq(source->row(source->ctx, i)->path, path))
                return source->row(source->ctx, i);
        if (!above || slash <= 0)
            break;
        path = str_head(path, (size_t)slash);
    }
    return NULL;
}

const struct tui_row *rowfind_name(const struct tui_source *source, struct str name) {
    struct matches all = {.n = 0};

    find(source, by_name, name, false, &all);
    if (all.n == 0)
        find(source, by_name, name, true, &all);
    return all.n == 1 ? all.row[0] : NULL;
}
