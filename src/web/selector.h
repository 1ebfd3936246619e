/* selector.h - a plain selector as Prometheus writes it: NAME{label="value",other=~"a|b"}.
 *
 * Nothing else of its language is known yet; what else there is is told with its place.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "web/regex.h"

enum { SELECTOR_MATCHERS = 16, SELECTOR_TEXT = 4096 };

enum selector_op { SELECTOR_EQ, SELECTOR_NE, SELECTOR_RE, SELECTOR_NRE };

struct selector_matcher {
    struct str label; /* points into `text` */
    enum selector_op op;
    struct str value;
    struct regex *regex; /* RE, NRE */
};

struct selector {
    struct selector_matcher m[SELECTOR_MATCHERS]; /* a name in front is one of __name__ */
    unsigned n;
    char *text;
};

/* 0; -EBADMSG, -E2BIG or -ENOMEM with a text. The selector keeps nothing of the caller's text. */
int selector_parse(struct str text, struct selector *out, struct err *err);
void selector_done(struct selector *s); /* legal on a zeroed struct */

/* Whether a label of that name may have that value; a label that is missing is the empty text. */
bool selector_allows(struct selector *s, struct str label, struct str value);
