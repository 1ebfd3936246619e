#include "model/labellist.h"

#include <string.h>

#include "base/mem.h"
#include "base/text.h"

#define COMPOSE_DOCKER STR("com.docker.compose.project")
#define COMPOSE_PODMAN STR("io.podman.compose.project")

/* ---- making ---- */

enum rank { RANK_PROJECT, RANK_GROUPING, RANK_OTHER };

static enum rank rank_of(struct str key) {
    static const char *const prefixes[] = {"com.docker.compose.", "io.podman.compose.",
                                           "io.kubernetes."};

    if (str_eq(key, COMPOSE_DOCKER) || str_eq(key, COMPOSE_PODMAN))
        return RANK_PROJECT;
    for (size_t i = 0; i < ARRAY_N(prefixes); i++)
        if (str_starts(key, str_of(prefixes[i])))
            return RANK_GROUPING;
    return RANK_OTHER;
}

static int compare_keys(struct str a, struct str b) {
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n > 0 ? memcmp(a.p, b.p, n) : 0;

    return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

/* Negative: a is the more wanted. */
static int compare_wanted(struct str a, struct str b) {
    enum rank x = rank_of(a), y = rank_of(b);

    return x != y ? (int)x - (int)y : compare_keys(a, b);
}

static char escape_of(char c, bool key) {
    switch (c) {
    case '\\':
        return '\\';
    case '\n':
        return 'n';
    case '\0':
        return '0';
    case '=':
        return key ? 'e' : '\0';
    default:
        return '\0';
    }
}

static size_t escaped_n(struct str s, bool key) {
    size_t n = s.n;

    for (size_t i = 0; i < s.n; i++)
        n += escape_of(s.p[i], key) != '\0';
    return n;
}

static size_t size_of(const struct label *label) {
    return escaped_n(label->key, true) + escaped_n(label->value, false) + sizeof("=\n") - 1;
}

static bool is_utf8(struct str s) {
    while (s.n > 0) {
        uint32_t code;
        size_t n = text_decode(s, &code);

        if (n == 0)
            return false;
        s = str_from(s, n);
    }
    return true;
}

/* Where the first is that is not more wanted. */
static size_t place_of(const struct labellist *l, struct str key) {
    size_t low = 0, high = l->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare_wanted(l->at[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void labellist_add(struct labellist *l, struct str key, struct str value) {
    struct label label = {key, value};
    size_t i;

    if (key.n == 0 || key.n > LABELS_BYTES || value.n > LABELS_BYTES ||
        size_of(&label) > LABELS_BYTES || !is_utf8(key))
        return;
    i = place_of(l, key);
    if (i < l->n && str_eq(key, l->at[i].key)) {
        l->at[i] = label;
        return;
    }
    if (i == LABELS_MAX)
        return;
    if (l->n < LABELS_MAX)
        l->n++;
    memmove(&l->at[i + 1], &l->at[i], (l->n - 1 - i) * sizeof(l->at[0]));
    l->at[i] = label;
}

static void add_escaped(struct buf *out, struct str s, bool key) {
    for (size_t i = 0; i < s.n; i++) {
        char escape = escape_of(s.p[i], key);

        if (escape)
            buf_add_char(out, '\\');
        buf_add_char(out, escape ? escape : s.p[i]);
    }
}

static int by_key(const void *a, const void *b) {
    return compare_keys(((const struct label *)a)->key, ((const struct label *)b)->key);
}

void labellist_write(const struct labellist *l, struct buf *out) {
    size_t left = LABELS_BYTES;
    struct labellist taken = {.n = 0};

    for (size_t i = 0; i < l->n; i++) {
        size_t size = size_of(&l->at[i]);

        if (size > left)
            continue;
        left -= size;
        taken.at[taken.n++] = l->at[i];
    }
    qsort(taken.at, taken.n, sizeof(taken.at[0]), by_key);
    for (size_t i = 0; i < taken.n; i++) {
        add_escaped(out, taken.at[i].key, true);
        buf_add_char(out, '=');
        add_escaped(out, taken.at[i].value, false);
        buf_add_char(out, '\n');
    }
}

/* ---- reading ---- */

static char meant_by(char escape) {
    switch (escape) {
    case 'n':
        return '\n';
    case '0':
        return '\0';
    case 'e':
        return '=';
    default:
        return escape;
    }
}

/* Never longer than what it is made from. */
static struct str unescape(struct str s, char *room) {
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        bool escaped = s.p[i] == '\\' && i + 1 < s.n;

        i += escaped;
        room[n++] = escaped ? meant_by(s.p[i]) : s.p[i];
    }
    return (struct str){room, n};
}

bool labellist_next(struct labelwalk *w) {
    struct str line, key;

    while (str_cut(&w->rest, '\n', &line)) {
        if (line.n > sizeof(w->room) || !str_cut(&line, '=', &key))
            continue;
        w->label.key = unescape(key, w->room);
        w->label.value = unescape(line, w->room + key.n);
        return true;
    }
    return false;
}

bool labellist_find(struct str text, struct str key, struct labelwalk *w) {
    w->rest = text;
    while (labellist_next(w))
        if (str_eq(w->label.key, key))
            return true;
    return false;
}

bool labellist_compose(struct str text, struct labelwalk *w) {
    return (labellist_find(text, COMPOSE_DOCKER, w) && w->label.value.n > 0) ||
           (labellist_find(text, COMPOSE_PODMAN, w) && w->label.value.n > 0);
}

void labellist_add_json(struct json *j, struct str text) {
    struct labelwalk w;

    w.rest = text;
    json_begin_object(j);
    while (labellist_next(&w)) {
        json_key_text(j, w.label.key);
        json_str(j, w.label.value);
    }
    json_end(j);
}
