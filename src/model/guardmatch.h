/* guardmatch.h - which targets a guard of the configuration is for: patterns, all of which must
 * match. Pure, plain data without pointers.
 *
 * '*' is any number of bytes, '?' one, '[a-z]' and '[!a-z]' one of a set; in the path of a control
 * group neither crosses a '/', and '**' does. A pattern for something that the target does not have
 * (an image, of a service) does not match. Compared are bytes, nothing is escaped.
 */
#pragma once
#include "base/str.h"

enum {
    GUARDMATCH_TEXT = 512, /* bytes of a pattern, its NUL included */
    GUARDMATCH_LABELS = 8,
};

enum guardmatch_field {
    GUARDMATCH_NAME,
    GUARDMATCH_IMAGE,
    GUARDMATCH_CGROUP, /* path below the mount: "/docker/4f2a..." */
    GUARDMATCH_UNIT,
    GUARDMATCH_NAMESPACE,
    GUARDMATCH_POD,
    GUARDMATCH_N,
};

struct guardmatch {
    char glob[GUARDMATCH_N][GUARDMATCH_TEXT]; /* "": any, or none */
    struct guardmatch_label {
        char key[GUARDMATCH_TEXT], glob[GUARDMATCH_TEXT];
    } label[GUARDMATCH_LABELS];
    unsigned labels;
};

struct guardmatch_target {
    struct str field[GUARDMATCH_N]; /* empty: it has none */
    struct str labels;              /* as in labellist.h */
};

/* False as well for a match without a pattern: who means everything says so. */
bool guardmatch_matches(const struct guardmatch *m, const struct guardmatch_target *t);
bool guardmatch_is_empty(const struct guardmatch *m);

/* "name", "image", "cgroup", "unit", "namespace", "pod": keys of the configuration. */
const char *guardmatch_field_name(enum guardmatch_field f);

/* One pattern over one text. `path`: neither '*' nor '?' nor a set is a '/'. Its time is bounded by
 * the product of the lengths. */
bool guardmatch_glob(const char *pattern, struct str text, bool path);

/* A pattern that can match nothing as it stands, an unclosed '[': false. */
bool guardmatch_glob_is_good(const char *pattern);
