/* filter.h - which rows are shown: words that all must hold. The language is that of the page.
 *
 *   web  "two words"  name:web     in the name
 *   state:growing  image:nginx  pod:shop  runtime:docker  compose:shop  kind:vm  slice:... path:...
 *   state:high,at-limit            one of these; kind: too
 *   label:tier  label:tier=front   has the label; has it with this value
 *   -word  -state:ok               must not hold
 *   web*front                      with *: the whole value, * stands for anything
 *
 * ASCII letters match in either case. Pure, allocates nothing.
 */
#pragma once
#include "tui/source.h"

enum { FILTER_TEXT_MAX = 120, FILTER_TERMS_MAX = 16 };

enum filter_field {
    FILTER_NAME,
    FILTER_STATE,
    FILTER_IMAGE,
    FILTER_POD,
    FILTER_RUNTIME,
    FILTER_COMPOSE,
    FILTER_KIND,
    FILTER_SLICE,
    FILTER_PATH,
    FILTER_LABEL,
    FILTER_FIELD_N,
};

struct filter {
    char text[FILTER_TEXT_MAX];
    size_t n;
    char value[FILTER_TEXT_MAX]; /* of the terms, without quotes */
    struct {
        enum filter_field field;
        bool excludes, several; /* several: separated by commas */
        struct str value;       /* into `value`: a filter is not copied */
    } term[FILTER_TERMS_MAX];
    size_t terms;
    const char *complaint; /* what a part of it cannot do, or NULL; that part is left out */
};

/* Any text makes a filter; what is too long is cut. */
void filter_parse(struct filter *f, struct str text);

bool filter_match(const struct filter *f, const struct tui_row *row);

/* It says itself which kinds of targets are listed. */
bool filter_names_kinds(const struct filter *f);

/* Whether it has words that filter_match_name does not look at. */
bool filter_has_more_than_names(const struct filter *f);

/* The words on names alone; of events. */
bool filter_match_name(const struct filter *f, struct str name);
