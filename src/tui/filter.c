#include "tui/filter.h"

#include <string.h>

static const struct {
    struct str prefix;
    enum filter_field field;
} prefixes[] = {
    {{"name:", 5}, FILTER_NAME},       {{"state:", 6}, FILTER_STATE},
    {{"image:", 6}, FILTER_IMAGE},     {{"pod:", 4}, FILTER_POD},
    {{"runtime:", 8}, FILTER_RUNTIME}, {{"compose:", 8}, FILTER_COMPOSE},
    {{"slice:", 6}, FILTER_SLICE},     {{"path:", 5}, FILTER_PATH},
    {{"label:", 6}, FILTER_LABEL},
};

static void add_term(struct filter *f, struct str word) {
    enum filter_field field = FILTER_NAME;
    bool excludes = word.n > 1 && str_skip(&word, STR("-"));

    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        if (str_skip(&word, prefixes[i].prefix)) {
            field = prefixes[i].field;
            break;
        }
    if (field == FILTER_LABEL) {
        f->complaint = "labels are not known here; label: is left out";
        return;
    }
    if (f->terms == FILTER_TERMS_MAX) {
        f->complaint = "too many words; the last ones are left out";
        return;
    }
    if (word.n == 0) /* still being typed */
        return;
    f->term[f->terms].field = field;
    f->term[f->terms].excludes = excludes;
    f->term[f->terms++].word = word;
}

void filter_parse(struct filter *f, struct str text) {
    struct str rest, word;

    text = str_head(text, text.n < FILTER_TEXT_MAX ? text.n : FILTER_TEXT_MAX);
    memmove(f->text, text.p ? text.p : "", text.n);
    f->n = text.n;
    f->terms = 0;
    f->complaint = NULL;
    rest = (struct str){f->text, f->n};
    while (str_word(&rest, &word))
        add_term(f, word);
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool holds(struct str text, struct str word) {
    for (size_t i = 0; i + word.n <= text.n; i++) {
        size_t n = 0;

        while (n < word.n && lower(text.p[i + n]) == lower(word.p[n]))
            n++;
        if (n == word.n)
            return true;
    }
    return false;
}

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
    case FILTER_SLICE:
        return row->slice;
    case FILTER_PATH:
        return row->path;
    case FILTER_NAME:
    case FILTER_LABEL:
    case FILTER_FIELD_N:
        break;
    }
    return row->name;
}

bool filter_match(const struct filter *f, const struct tui_row *row) {
    for (size_t i = 0; i < f->terms; i++)
        if (holds(value_of(row, f->term[i].field), f->term[i].word) == f->term[i].excludes)
            return false;
    return true;
}

bool filter_match_name(const struct filter *f, struct str name) {
    for (size_t i = 0; i < f->terms; i++)
        if (f->term[i].field == FILTER_NAME && holds(name, f->term[i].word) == f->term[i].excludes)
            return false;
    return true;
}
