#include "web/regex.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

enum {
    NODES = 2 * REGEX_TEXT + 8,
    RANGES = 2 * REGEX_TEXT,
    DEPTH = 100,
    REPEAT = 1000,
    WORK_MAX = 100000
};

/* What a byte that is not UTF-8 counts as: nothing that a pattern can name. */
enum { NO_CHARACTER = 0x110000 };

enum node_kind { NODE_EMPTY, NODE_SET, NODE_JOIN, NODE_EITHER, NODE_REPEAT };

struct node {
    enum node_kind kind;
    uint32_t a, b;     /* JOIN, EITHER, REPEAT: children. SET: its ranges */
    uint32_t min, max; /* REPEAT; max UINT32_MAX: no end */
    bool negated;
};

struct range {
    uint32_t from, to;
};

enum step_kind { STEP_SET, STEP_SPLIT, STEP_MATCH };

/* A step of the machine. SPLIT goes on at both x and y. */
struct step {
    enum step_kind kind;
    uint32_t x, y;
};

struct list {
    uint32_t n;
    uint32_t at[REGEX_STEPS];
};

struct regex {
    struct node node[NODES];
    struct range range[RANGES];
    struct step step[REGEX_STEPS];
    uint32_t nodes, ranges, steps, work;
    /* while it is parsed */
    struct str rest, pattern;
    struct err *err;
    int error;
    unsigned depth;
    /* while it matches */
    struct list now, next;
    uint32_t seen[REGEX_STEPS], round;
    uint32_t stack[REGEX_STEPS];
};

/* --- from text to a tree ------------------------------------------------------------------------
 */

static uint32_t fail(struct regex *r, int code, const char *text) {
    if (r->error == 0)
        r->error = err_set(r->err, code, "regular expression '%.*s': %s at %zu",
                           STR_ARG(str_head(r->pattern, 100)), text, r->pattern.n - r->rest.n + 1);
    return 0;
}

static uint32_t add_node(struct regex *r, struct node node) {
    if (r->nodes == NODES)
        return fail(r, -E2BIG, "too long");
    r->node[r->nodes] = node;
    return r->nodes++;
}

static void add_range(struct regex *r, uint32_t from, uint32_t to) {
    if (r->ranges == RANGES)
        (void)fail(r, -E2BIG, "too many characters");
    else
        r->range[r->ranges++] = (struct range){from, to};
}

static bool next_is(const struct regex *r, char c) {
    return r->rest.n > 0 && r->rest.p[0] == c;
}

static bool skip(struct regex *r, char c) {
    if (!next_is(r, c))
        return false;
    r->rest = str_from(r->rest, 1);
    return true;
}

static uint32_t take(struct regex *r) {
    uint32_t c = 0;
    size_t n = r->rest.n ? text_decode(r->rest, &c) : 0;

    if (n == 0)
        return fail(r, -EBADMSG, r->rest.n ? "no UTF-8" : "it ends too early");
    r->rest = str_from(r->rest, n);
    return c;
}

/* \d \w \s: adds the ranges. */
static bool add_named(struct regex *r, char name) {
    switch (name) {
    case 'w':
        add_range(r, 'A', 'Z');
        add_range(r, 'a', 'z');
        add_range(r, '_', '_');
        add_range(r, '0', '9');
        return true;
    case 'd':
        add_range(r, '0', '9');
        return true;
    case 's':
        add_range(r, '\t', '\n');
        add_range(r, '\f', '\r');
        add_range(r, ' ', ' ');
        return true;
    default:
        return false;
    }
}

/* What a backslash with this behind it stands for; 0: nothing. */
static uint32_t escaped(uint32_t c) {
    if (c == 'n')
        return '\n';
    if (c == 't')
        return '\t';
    if (c == 'r')
        return '\r';
    if (c > ' ' && c < 0x7f && strchr("\\.+*?()|[]{}^$-/\"'`~!@#%&_=:;,<>", (int)c))
        return c;
    return 0;
}

static uint32_t take_escape(struct regex *r) {
    uint32_t c = take(r), meant = escaped(c);

    return meant || r->error ? meant : fail(r, -EBADMSG, "an unknown escape before the sign");
}

static uint32_t set_from(struct regex *r, uint32_t first, bool negated) {
    return add_node(r, (struct node){NODE_SET, first, r->ranges, 0, 0, negated});
}

static uint32_t parse_class(struct regex *r) {
    uint32_t first = r->ranges, from, to;
    bool negated = skip(r, '^'), begun = false;

    while (r->error == 0 && (!begun || !next_is(r, ']'))) {
        begun = true;
        if (skip(r, '\\')) {
            if (r->rest.n > 0 && add_named(r, r->rest.p[0])) {
                r->rest = str_from(r->rest, 1);
                continue;
            }
            from = take_escape(r);
        } else if (next_is(r, '[') && r->rest.n > 1 && r->rest.p[1] == ':') {
            return fail(r, -EBADMSG, "classes by name are not known");
        } else {
            from = take(r);
        }
        to = from;
        if (next_is(r, '-') && r->rest.n > 1 && r->rest.p[1] != ']') {
            (void)skip(r, '-');
            to = skip(r, '\\') ? take_escape(r) : take(r);
        }
        if (from > to)
            return fail(r, -EBADMSG, "a range that runs backwards");
        add_range(r, from, to);
    }
    if (!skip(r, ']'))
        return fail(r, -EBADMSG, "a class without its end");
    return set_from(r, first, negated);
}

static uint32_t parse_backslash(struct regex *r) {
    uint32_t first = r->ranges, c;
    char name = r->rest.n ? r->rest.p[0] : 0, small = (char)(name | 0x20);
    bool negated = name >= 'A' && name <= 'Z';

    if ((negated || (name >= 'a' && name <= 'z')) && add_named(r, small)) {
        r->rest = str_from(r->rest, 1);
        return set_from(r, first, negated);
    }
    c = take_escape(r);
    add_range(r, c, c);
    return set_from(r, first, false);
}

static uint32_t parse_either(struct regex *r);

static uint32_t parse_group(struct regex *r) {
    uint32_t inner;

    if (skip(r, '?') && !skip(r, ':'))
        return fail(r, -EBADMSG, "flags are not known");
    if (++r->depth > DEPTH)
        return fail(r, -E2BIG, "too deep");
    inner = parse_either(r);
    r->depth--;
    if (r->error == 0 && !skip(r, ')'))
        return fail(r, -EBADMSG, "a group without its end");
    return inner;
}

static uint32_t parse_atom(struct regex *r) {
    uint32_t first = r->ranges, c;

    if (skip(r, '('))
        return parse_group(r);
    if (skip(r, '['))
        return parse_class(r);
    if (skip(r, '\\'))
        return parse_backslash(r);
    if (skip(r, '.')) {
        add_range(r, '\n', '\n');
        return set_from(r, first, true);
    }
    /* At the ends they say what holds anyway; elsewhere nothing would match. */
    if (next_is(r, '^') || next_is(r, '$')) {
        bool at_end = next_is(r, '^') ? r->rest.n == r->pattern.n : r->rest.n == 1;

        if (!at_end)
            return fail(r, -EBADMSG, "^ and $ stand at the ends only");
        r->rest = str_from(r->rest, 1);
        return add_node(r, (struct node){.kind = NODE_EMPTY});
    }
    if (next_is(r, '*') || next_is(r, '+') || next_is(r, '?') || next_is(r, '{'))
        return fail(r, -EBADMSG, "nothing to repeat");
    c = take(r);
    add_range(r, c, c);
    return set_from(r, first, false);
}

static bool take_number(struct regex *r, uint32_t *out) {
    uint32_t value = 0;
    bool any = false;

    while (r->rest.n > 0 && r->rest.p[0] >= '0' && r->rest.p[0] <= '9' && value <= REPEAT) {
        value = value * 10 + (uint32_t)(r->rest.p[0] - '0');
        r->rest = str_from(r->rest, 1);
        any = true;
    }
    *out = value;
    return any;
}

/* {n}, {n,}, {n,m}: what follows the brace. */
static bool take_bounds(struct regex *r, uint32_t *min, uint32_t *max) {
    if (!take_number(r, min))
        return false;
    *max = *min;
    if (skip(r, ',') && !take_number(r, max))
        *max = UINT32_MAX;
    return skip(r, '}') && *min <= *max && *min <= REPEAT && (*max == UINT32_MAX || *max <= REPEAT);
}

static uint32_t parse_repeat(struct regex *r) {
    uint32_t atom = parse_atom(r), min, max;
    bool again = false;

    while (r->error == 0) {
        if (skip(r, '*')) {
            min = 0;
            max = UINT32_MAX;
        } else if (skip(r, '+')) {
            min = 1;
            max = UINT32_MAX;
        } else if (skip(r, '?')) {
            min = 0;
            max = 1;
        } else if (skip(r, '{')) {
            if (!take_bounds(r, &min, &max))
                return fail(r, -EBADMSG, "no count of repetitions");
        } else {
            break;
        }
        if (again)
            return fail(r, -EBADMSG, "a repetition of a repetition");
        (void)skip(r, '?'); /* the lazy form matches the same whole texts */
        atom = add_node(r, (struct node){NODE_REPEAT, atom, 0, min, max, false});
        again = true;
    }
    return atom;
}

static uint32_t parse_join(struct regex *r) {
    uint32_t left = add_node(r, (struct node){.kind = NODE_EMPTY});

    while (r->error == 0 && r->rest.n > 0 && !next_is(r, '|') && !next_is(r, ')'))
        left = add_node(r, (struct node){NODE_JOIN, left, parse_repeat(r), 0, 0, false});
    return left;
}

static uint32_t parse_either(struct regex *r) {
    uint32_t left = parse_join(r);

    while (r->error == 0 && skip(r, '|'))
        left = add_node(r, (struct node){NODE_EITHER, left, parse_join(r), 0, 0, false});
    return left;
}

/* --- from the tree to steps ---------------------------------------------------------------------
 */

static uint32_t add_step(struct regex *r, enum step_kind kind, uint32_t x, uint32_t y) {
    if (r->steps == REGEX_STEPS)
        return fail(r, -E2BIG, "too many steps");
    r->step[r->steps] = (struct step){kind, x, y};
    return r->steps++;
}

static void build(struct regex *r, uint32_t node);

/* So often that it must, then so often that it may. */
static void build_repeat(struct regex *r, const struct node *n) {
    uint32_t split;

    for (uint32_t i = 0; i < n->min && r->error == 0; i++)
        build(r, n->a);
    if (n->max == UINT32_MAX) {
        split = add_step(r, STEP_SPLIT, r->steps + 1, 0);
        build(r, n->a);
        (void)add_step(r, STEP_SPLIT, split, split);
        r->step[split].y = r->steps;
        return;
    }
    for (uint32_t i = n->min; i < n->max && r->error == 0; i++) {
        split = add_step(r, STEP_SPLIT, r->steps + 1, 0);
        build(r, n->a);
        r->step[split].y = r->steps;
    }
}

static void build(struct regex *r, uint32_t node) {
    const struct node *n = &r->node[node];
    uint32_t split, jump;

    /* Repetitions of what has no steps cost time all the same. */
    if (++r->work > WORK_MAX)
        (void)fail(r, -E2BIG, "too many repetitions");
    if (r->error < 0)
        return;
    switch (n->kind) {
    case NODE_EMPTY:
        break;
    case NODE_SET:
        (void)add_step(r, STEP_SET, node, 0);
        break;
    case NODE_JOIN:
        build(r, n->a);
        build(r, n->b);
        break;
    case NODE_EITHER:
        split = add_step(r, STEP_SPLIT, r->steps + 1, 0);
        build(r, n->a);
        jump = add_step(r, STEP_SPLIT, 0, 0);
        r->step[split].y = r->steps;
        build(r, n->b);
        r->step[jump].x = r->step[jump].y = r->steps;
        break;
    case NODE_REPEAT:
        build_repeat(r, n);
        break;
    }
}

int regex_new(struct str pattern, struct regex **out, struct err *err) {
    auto_free struct regex *r = calloc(1, sizeof(*r));
    uint32_t top;

    if (!r)
        return err_set(err, -ENOMEM, "no memory for a regular expression");
    r->pattern = r->rest = pattern;
    r->err = err;
    if (pattern.n > REGEX_TEXT)
        (void)fail(r, -E2BIG, "too long");
    top = r->error == 0 ? parse_either(r) : 0;
    if (r->error == 0 && r->rest.n > 0)
        (void)fail(r, -EBADMSG, "a ) without its (");
    build(r, top);
    if (r->error == 0)
        (void)add_step(r, STEP_MATCH, 0, 0);
    if (r->error < 0)
        return r->error;
    r->rest = r->pattern = STR(""); /* the caller's */
    r->err = NULL;
    *out = take_ptr(&r);
    return 0;
}

void regex_free(struct regex *r) {
    free(r);
}

/* --- matching -----------------------------------------------------------------------------------
 */

/* Adds a step and all that it leads to without a character. */
static void follow(struct regex *r, struct list *list, uint32_t from) {
    uint32_t n = 0;

    if (r->seen[from] == r->round)
        return;
    r->seen[from] = r->round;
    r->stack[n++] = from;
    while (n > 0) {
        uint32_t at = r->stack[--n];
        const struct step *s = &r->step[at];
        const uint32_t to[] = {s->y, s->x};

        if (s->kind != STEP_SPLIT) {
            list->at[list->n++] = at;
            continue;
        }
        for (size_t i = 0; i < ARRAY_N(to); i++)
            if (r->seen[to[i]] != r->round) {
                r->seen[to[i]] = r->round;
                r->stack[n++] = to[i];
            }
    }
}

static bool is_in(const struct regex *r, const struct node *set, uint32_t c) {
    bool in = false;

    for (uint32_t i = set->a; i < set->b && !in; i++)
        in = c >= r->range[i].from && c <= r->range[i].to;
    return in != set->negated;
}

static void advance(struct regex *r, uint32_t c) {
    struct list *from = &r->now;

    r->next.n = 0;
    r->round++;
    for (uint32_t i = 0; i < from->n; i++) {
        const struct step *s = &r->step[from->at[i]];

        if (s->kind == STEP_SET && is_in(r, &r->node[s->x], c))
            follow(r, &r->next, from->at[i] + 1);
    }
    memcpy(r->now.at, r->next.at, r->next.n * sizeof(r->next.at[0]));
    r->now.n = r->next.n;
}

bool regex_matches(struct regex *r, struct str text) {
    if (r->round > UINT32_MAX / 2) { /* texts are far shorter than what is left */
        memset(r->seen, 0, sizeof(r->seen));
        r->round = 0;
    }
    r->round++;
    r->now.n = 0;
    follow(r, &r->now, 0);
    while (text.n > 0 && r->now.n > 0) {
        uint32_t c = NO_CHARACTER;
        size_t n = text_decode(text, &c);

        advance(r, n ? c : NO_CHARACTER);
        text = str_from(text, n ? n : 1);
    }
    if (text.n > 0)
        return false;
    for (uint32_t i = 0; i < r->now.n; i++)
        if (r->step[r->now.at[i]].kind == STEP_MATCH)
            return true;
    return false;
}
