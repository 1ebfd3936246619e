#include "web/selector.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct parse {
    struct str whole, rest;
    struct selector *s;
    char *to; /* where the next text of ours goes; texts only get shorter */
    struct err *err;
};

static int fail(const struct parse *p, const char *text) {
    return err_set(p->err, -EBADMSG, "parse error at char %zu: %s", p->whole.n - p->rest.n + 1,
                   text);
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_blanks(struct parse *p) {
    while (p->rest.n > 0 && is_blank(p->rest.p[0]))
        p->rest = str_from(p->rest, 1);
}

static bool skip(struct parse *p, struct str what) {
    skip_blanks(p);
    return str_skip(&p->rest, what);
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* A name off the front; empty when there is none. */
static struct str take_name(struct parse *p, bool colons) {
    struct str name = {p->to, 0};
    size_t n = 0;

    skip_blanks(p);
    while (n < p->rest.n && (is_letter(p->rest.p[n]) || (colons && p->rest.p[n] == ':') ||
                             (n > 0 && p->rest.p[n] >= '0' && p->rest.p[n] <= '9')))
        n++;
    if (n > 0)
        memcpy(p->to, p->rest.p, n);
    name.n = n;
    p->to += n;
    p->rest = str_from(p->rest, n);
    return name;
}

/* What follows a backslash in quotes. */
static int take_escape(struct parse *p) {
    static const char from[] = "abfnrtv\\\"'", to[] = "\a\b\f\n\r\t\v\\\"'";
    const char *at = p->rest.n ? memchr(from, p->rest.p[0], sizeof(from) - 1) : NULL;
    int high, low;

    if (at) {
        *p->to++ = to[at - from];
        p->rest = str_from(p->rest, 1);
        return 0;
    }
    if (p->rest.n < 3 || p->rest.p[0] != 'x')
        return fail(p, "unknown escape sequence");
    high = str_hex(p->rest.p[1]);
    low = str_hex(p->rest.p[2]);
    if (high < 0 || low < 0)
        return fail(p, "unknown escape sequence");
    *p->to++ = (char)(high * 16 + low);
    p->rest = str_from(p->rest, 3);
    return 0;
}

static int take_string(struct parse *p, struct str *out) {
    struct str text = {p->to, 0};
    char quote;

    skip_blanks(p);
    quote = p->rest.n ? p->rest.p[0] : 0;
    if (quote != '"' && quote != '\'' && quote != '`')
        return fail(p, "a quoted value is expected");
    p->rest = str_from(p->rest, 1);
    for (;;) {
        char c;
        int r = 0;

        if (p->rest.n == 0)
            return fail(p, "unterminated quoted string");
        c = p->rest.p[0];
        p->rest = str_from(p->rest, 1);
        if (c == quote)
            break;
        if (c == '\\' && quote != '`')
            r = take_escape(p);
        else if (c == '\n' && quote != '`')
            return fail(p, "a line ends inside of quotes");
        else
            *p->to++ = c;
        if (r < 0)
            return r;
    }
    text.n = (size_t)(p->to - text.p);
    *out = text;
    return 0;
}

static int add(struct parse *p, struct selector_matcher m) {
    int r = 0;

    if (p->s->n == SELECTOR_MATCHERS)
        return err_set(p->err, -E2BIG, "more than %d matchers", SELECTOR_MATCHERS);
    if (m.op == SELECTOR_RE || m.op == SELECTOR_NRE)
        r = regex_new(m.value, &m.regex, p->err);
    if (r == 0)
        p->s->m[p->s->n++] = m;
    return r;
}

static int take_matcher(struct parse *p) {
    struct selector_matcher m = {.label = take_name(p, false)};
    int r;

    if (m.label.n == 0)
        return fail(p, "a label's name is expected");
    if (skip(p, STR("=~")))
        m.op = SELECTOR_RE;
    else if (skip(p, STR("!~")))
        m.op = SELECTOR_NRE;
    else if (skip(p, STR("!=")))
        m.op = SELECTOR_NE;
    else if (skip(p, STR("=")))
        m.op = SELECTOR_EQ;
    else
        return fail(p, "one of = != =~ !~ is expected");
    r = take_string(p, &m.value);
    return r < 0 ? r : add(p, m);
}

static int take_matchers(struct parse *p) {
    while (!skip(p, STR("}"))) {
        int r = take_matcher(p);

        if (r < 0)
            return r;
        if (skip(p, STR(",")))
            continue;
        if (skip(p, STR("}")))
            return 0;
        return fail(p, "a comma or } is expected");
    }
    return 0;
}

/* Prometheus' rule: what matches everything is a mistake. */
static bool narrows(struct selector *s) {
    for (unsigned i = 0; i < s->n; i++) {
        struct selector_matcher *m = &s->m[i];

        if ((m->op == SELECTOR_EQ && m->value.n > 0) || (m->op == SELECTOR_NE && m->value.n == 0) ||
            (m->op == SELECTOR_RE && !regex_matches(m->regex, STR(""))) ||
            (m->op == SELECTOR_NRE && regex_matches(m->regex, STR(""))))
            return true;
    }
    return false;
}

static int parse_all(struct parse *p) {
    struct str name = take_name(p, true);
    bool braces;
    int r = 0;

    if (name.n > 0)
        r = add(p, (struct selector_matcher){STR("__name__"), SELECTOR_EQ, name, NULL});
    braces = r == 0 && skip(p, STR("{"));
    if (braces)
        r = take_matchers(p);
    if (r < 0)
        return r;
    if (name.n == 0 && !braces)
        return fail(p, "a metric's name or { is expected");
    skip_blanks(p);
    if (p->rest.n > 0)
        return fail(p,
                    "only plain selectors are known so far, NAME{label=\"value\"}: no functions, "
                    "operators, ranges or offsets");
    return narrows(p->s) ? 0
                         : err_set(p->err, -EBADMSG,
                                   "a selector must contain at least one non-empty matcher");
}

int selector_parse(struct str text, struct selector *out, struct err *err) {
    struct selector s = {.text = malloc(text.n + 1)};
    struct parse p = {text, text, &s, s.text, err};
    int r;

    if (text.n > SELECTOR_TEXT)
        r = err_set(err, -E2BIG, "a selector is longer than %d bytes", SELECTOR_TEXT);
    else
        r = s.text ? parse_all(&p) : err_set(err, -ENOMEM, "no memory");
    if (r < 0) {
        selector_done(&s);
        return r;
    }
    *out = s;
    return 0;
}

void selector_done(struct selector *s) {
    for (unsigned i = 0; i < s->n; i++)
        regex_free(s->m[i].regex);
    free(s->text);
    *s = (struct selector){.n = 0};
}

static bool allows(struct selector_matcher *m, struct str value) {
    switch (m->op) {
    case SELECTOR_EQ:
        return str_eq(m->value, value);
    case SELECTOR_NE:
        return !str_eq(m->value, value);
    case SELECTOR_RE:
        return regex_matches(m->regex, value);
    case SELECTOR_NRE:
        break;
    }
    return !regex_matches(m->regex, value);
}

bool selector_allows(struct selector *s, struct str label, struct str value) {
    for (unsigned i = 0; i < s->n; i++)
        if (str_eq(s->m[i].label, label) && !allows(&s->m[i], value))
            return false;
    return true;
}
