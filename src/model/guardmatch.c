#include "model/guardmatch.h"

#include "model/labellist.h"

static const char *const names[GUARDMATCH_N] = {
    [GUARDMATCH_NAME] = "name",           [GUARDMATCH_IMAGE] = "image",
    [GUARDMATCH_CGROUP] = "cgroup",       [GUARDMATCH_UNIT] = "unit",
    [GUARDMATCH_NAMESPACE] = "namespace", [GUARDMATCH_POD] = "pod",
};

const char *guardmatch_field_name(enum guardmatch_field f) {
    return names[f];
}

/* --- one pattern --------------------------------------------------------------------------------
 */

/* Behind the ']' of the set that begins at p, "[...]"; NULL: it has none. As in a shell, a ']' that
 * is the first of a set is one of it. */
static const char *behind_set(const char *p) {
    p++;
    if (*p == '!')
        p++;
    if (*p == ']')
        p++;
    while (*p && *p != ']')
        p++;
    return *p ? p + 1 : NULL;
}

static bool in_set(const char *p, const char *end, unsigned char byte) {
    bool invert = p[1] == '!', found = false;

    for (p += invert ? 2 : 1; p < end - 1; p++) {
        unsigned char from = (unsigned char)p[0], to = from;

        if (p[1] == '-' && p + 2 < end - 1) {
            to = (unsigned char)p[2];
            p += 2;
        }
        found |= byte >= from && byte <= to;
    }
    return found != invert;
}

/* Whether the one element of the pattern at *p takes this byte; *p is moved behind it then. */
static bool takes(const char **p, char byte, bool path) {
    const char *end;

    if (path && byte == '/' && **p != '/')
        return false;
    if (**p == '[') {
        end = behind_set(*p);
        if (!end || !in_set(*p, end, (unsigned char)byte))
            return false;
        *p = end;
        return true;
    }
    if (**p != '?' && **p != byte)
        return false;
    (*p)++;
    return true;
}

/* Where to go on when it does not fit: the last star takes a byte more, and when it may not, or the
 * text ends, the last star that crosses '/' does. No earlier one can do better. */
struct star {
    const char *behind; /* of the pattern; NULL: there was none */
    size_t at;          /* of the text: it has taken what is before */
};

static bool again(struct star *s, struct str text, bool stop, const char **p, size_t *i) {
    if (!s->behind || s->at >= text.n || (stop && text.p[s->at] == '/'))
        return false;
    *i = ++s->at;
    *p = s->behind;
    return true;
}

bool guardmatch_glob(const char *pattern, struct str text, bool path) {
    struct star one = {NULL, 0}, two = {NULL, 0};
    const char *p = pattern;
    size_t i = 0;

    for (;;) {
        if (*p == '*') {
            bool crosses = p[1] == '*' || !path;

            while (*p == '*')
                p++;
            if (crosses) {
                two = (struct star){p, i};
                one.behind = NULL;
            } else
                one = (struct star){p, i};
            continue;
        }
        if (i == text.n ? !*p : *p && takes(&p, text.p[i], path)) {
            if (i++ == text.n)
                return true;
            continue;
        }
        if (again(&one, text, path, &p, &i))
            continue;
        one.behind = NULL;
        if (!again(&two, text, false, &p, &i))
            return false;
    }
}

bool guardmatch_glob_is_good(const char *pattern) {
    while (*pattern) {
        pattern = *pattern == '[' ? behind_set(pattern) : pattern + 1;
        if (!pattern)
            return false;
    }
    return true;
}

/* --- all of them --------------------------------------------------------------------------------
 */

bool guardmatch_is_empty(const struct guardmatch *m) {
    for (unsigned i = 0; i < GUARDMATCH_N; i++)
        if (m->glob[i][0])
            return false;
    return m->labels == 0;
}

static bool label_matches(const struct guardmatch_label *l, struct str labels) {
    struct labelwalk walk;

    return labellist_find(labels, str_of(l->key), &walk) &&
           guardmatch_glob(l->glob, walk.label.value, false);
}

bool guardmatch_matches(const struct guardmatch *m, const struct guardmatch_target *t) {
    if (guardmatch_is_empty(m))
        return false;
    for (unsigned i = 0; i < GUARDMATCH_N; i++)
        if (m->glob[i][0] && (t->field[i].n == 0 ||
                              !guardmatch_glob(m->glob[i], t->field[i], i == GUARDMATCH_CGROUP)))
            return false;
    for (unsigned i = 0; i < m->labels; i++)
        if (!label_matches(&m->label[i], t->labels))
            return false;
    return true;
}
