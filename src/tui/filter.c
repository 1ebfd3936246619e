#include "tui/filter.h"

#include <string.h>

#include "model/labellist.h"

static const struct str fields[FILTER_FIELD_N] = {
    [FILTER_NAME] = {"name", 4},       [FILTER_STATE] = {"state", 5},
    [FILTER_IMAGE] = {"image", 5},     [FILTER_POD] = {"pod", 3},
    [FILTER_RUNTIME] = {"runtime", 7}, [FILTER_COMPOSE] = {"compose", 7},
    [FILTER_KIND] = {"kind", 4},       [FILTER_SLICE] = {"slice", 5},
    [FILTER_PATH] = {"path", 4},       [FILTER_LABEL] = {"label", 5},
};

static const struct str any_kind = {"any", 3};

static const char no_such_kind[] = "kinds are any, container, vm, pod, service, session, group, "
                                   "slice, sandbox, helper";

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool starts(struct str text, struct str word) {
    size_t n = 0;

    while (n < word.n && n < text.n && lower(text.p[n]) == lower(word.p[n]))
        n++;
    return n == word.n;
}

/* The whole text; a star stands for anything. Where a star was last is where it goes on when the
 * rest does not fit. */
static bool glob(struct str text, struct str pattern) {
    size_t t = 0, p = 0, star = SIZE_MAX, from = 0;

    while (t < text.n) {
        if (p < pattern.n && pattern.p[p] == '*') {
            star = p++;
            from = t;
        } else if (p < pattern.n && lower(text.p[t]) == lower(pattern.p[p])) {
            t++;
            p++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++from;
        } else {
            return false;
        }
    }
    while (p < pattern.n && pattern.p[p] == '*')
        p++;
    return p == pattern.n;
}

static bool holds(struct str text, struct str word) {
    if (str_find(word, '*') >= 0)
        return glob(text, word);
    for (size_t i = 0; i + word.n <= text.n; i++)
        if (starts(str_from(text, i), word))
            return true;
    return false;
}

/* --- reading ---------------------------------------------------------------------------------- */

struct word {
    bool excludes, have_field, quoted, open;
    struct str field, value;
};

/* Copies a word's field and value to `place` and moves past it. At most as much is written as is
 * read. */
static struct word read_word(struct str *rest, char **place) {
    struct word w = {.excludes = str_skip(rest, STR("-")), .value = {*place, 0}};

    for (; rest->n > 0; *rest = str_from(*rest, 1)) {
        char c = rest->p[0];

        if (c == '"') {
            w.open = !w.open;
            w.quoted = true;
        } else if (!w.open && (c == ' ' || c == '\t')) {
            break;
        } else if (!w.open && c == ':' && !w.have_field && !w.quoted) {
            w.have_field = true;
            w.field = w.value;
            w.value = (struct str){*place, 0};
        } else {
            *(*place)++ = c;
            w.value.n++;
        }
    }
    return w;
}

static enum filter_field field_of(const struct word *w) {
    for (unsigned i = 0; w->have_field && i < FILTER_FIELD_N; i++)
        if (w->field.n == fields[i].n && starts(w->field, fields[i]))
            return (enum filter_field)i;
    return w->have_field ? FILTER_FIELD_N : FILTER_NAME;
}

static bool is_some_state(struct str word) {
    for (unsigned i = STATE_OK; i < STATE_N; i++)
        if (holds(str_of(state_name((enum state)i)), word))
            return true;
    return false;
}

static bool is_some_kind(struct str word) {
    for (unsigned i = 0; i < TARGET_KIND_N; i++)
        if (holds(str_of(target_kind_name((enum target_kind)i)), word))
            return true;
    return holds(any_kind, word);
}

/* Every part of it is a state or kind, or the name of some. */
static bool are_known(enum filter_field field, struct str value, bool several) {
    bool (*is_some)(struct str) = field == FILTER_STATE ? is_some_state : is_some_kind;
    struct str part;

    while (several && str_cut(&value, ',', &part))
        if (part.n > 0 && !is_some(part))
            return false;
    return value.n == 0 || is_some(value);
}

static bool is_empty(struct str value, bool several) {
    while (several && value.n > 0 && value.p[0] == ',')
        value = str_from(value, 1);
    return value.n == 0;
}

static const char *add_term(struct filter *f, const struct word *w) {
    enum filter_field field = field_of(w);
    bool few = field == FILTER_STATE || field == FILTER_KIND, several = few && !w->quoted;

    if (field == FILTER_FIELD_N)
        return "known are name: state: label: image: pod: runtime: compose: kind: slice: path:";
    if (is_empty(w->value, several)) /* still being typed */
        return NULL;
    if (few && !are_known(field, w->value, several))
        return field == FILTER_STATE ? "there is no such state; ? lists them" : no_such_kind;
    if (f->terms == FILTER_TERMS_MAX)
        return "too many words; the last ones are left out";
    f->term[f->terms].field = field;
    f->term[f->terms].excludes = w->excludes;
    f->term[f->terms].several = several;
    f->term[f->terms++].value = w->value;
    return NULL;
}

void filter_parse(struct filter *f, struct str text) {
    char *place = f->value;
    struct str rest;

    text = str_head(text, text.n < FILTER_TEXT_MAX ? text.n : FILTER_TEXT_MAX);
    memmove(f->text, text.p ? text.p : "", text.n);
    f->n = text.n;
    f->terms = 0;
    f->complaint = NULL;
    rest = (struct str){f->text, f->n};
    while (rest.n > 0) {
        struct word w;
        const char *complaint;

        if (str_skip(&rest, STR(" ")) || str_skip(&rest, STR("\t")))
            continue;
        w = read_word(&rest, &place);
        complaint = add_term(f, &w);
        f->complaint = complaint ? complaint : f->complaint;
        if (w.open)
            f->complaint = "a quote is not closed";
    }
}

/* --- matching --------------------------------------------------------------------------------- */

static struct str value_of(const struct tui_row *row, enum filter_field field) {
    switch (field) {
    case FILTER_STATE:
        return str_of(state_name(row->state));
    case FILTER_IMAGE:
        return row->image;
    case FILTER_POD:
        return row->pod;
    case FILTER_RUNTIME:
        return row->runtime;
    case FILTER_COMPOSE:
        return row->compose;
    case FILTER_KIND:
        return row->kind;
    case FILTER_SLICE:
        return row->slice;
    case FILTER_PATH:
        return row->path;
    case FILTER_LABEL:
        return row->labels;
    case FILTER_NAME:
    case FILTER_FIELD_N:
        break;
    }
    return row->name;
}

static bool equal(struct str text, struct str word) {
    return text.n == word.n && starts(text, word);
}

/* "tier", or "tier=front": the whole value, where a star stands for anything. */
static bool label_holds(struct str labels, struct str word) {
    struct labelwalk walk;
    struct str key;
    bool any = !str_cut(&word, '=', &key);

    walk.rest = labels;
    while (labellist_next(&walk)) {
        if (any && equal(walk.label.key, word))
            return true;
        if (!any && equal(walk.label.key, key) && glob(walk.label.value, word))
            return true;
    }
    return false;
}

static bool value_holds(enum filter_field field, struct str text, struct str word) {
    if (field == FILTER_LABEL)
        return label_holds(text, word);
    return holds(text, word) || (field == FILTER_KIND && equal(any_kind, word));
}

static bool one_holds(const struct filter *f, size_t i, struct str text) {
    struct str rest = f->term[i].value, part;

    while (f->term[i].several && str_cut(&rest, ',', &part))
        if (part.n > 0 && value_holds(f->term[i].field, text, part))
            return true;
    return rest.n > 0 && value_holds(f->term[i].field, text, rest);
}

bool filter_match(const struct filter *f, const struct tui_row *row) {
    for (size_t i = 0; i < f->terms; i++)
        if (one_holds(f, i, value_of(row, f->term[i].field)) == f->term[i].excludes)
            return false;
    return true;
}

bool filter_names_kinds(const struct filter *f) {
    for (size_t i = 0; i < f->terms; i++)
        if (f->term[i].field == FILTER_KIND && !f->term[i].excludes)
            return true;
    return false;
}

bool filter_has_more_than_names(const struct filter *f) {
    for (size_t i = 0; i < f->terms; i++)
        if (f->term[i].field != FILTER_NAME)
            return true;
    return false;
}

bool filter_match_name(const struct filter *f, struct str name) {
    for (size_t i = 0; i < f->terms; i++)
        if (f->term[i].field == FILTER_NAME && one_holds(f, i, name) == f->term[i].excludes)
            return false;
    return true;
}
