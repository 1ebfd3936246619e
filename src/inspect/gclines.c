#include "inspect/gclines.h"

#include <string.h>

#include "inspect/logprefix.h"

enum {
    WEAK_US = 100000,    /* for what only might be one */
    STRONG_US = 2000000, /* the machine may be busy, or the program stopped */
    TORN_LINES = 4,      /* of the program's, between two pieces */
};

void gclines_init(struct gclines *l, void (*text)(void *, struct str),
                  void (*line)(void *, const struct gctrace *, struct str), void *ctx) {
    l->text = text;
    l->line = line;
    l->ctx = ctx;
    l->n = l->first = l->newest = 0;
    l->lines = l->torn = 0;
    l->pieces_n = l->log_n = l->others_n = 0;
    l->before_n = 0;
}

/* What stands on the line that is not over yet. A carriage return begins it anew, as progress is
 * told. */
static void remember(struct gclines *l, struct str s) {
    size_t from = s.n;

    while (from > 0 && s.p[from - 1] != '\n' && s.p[from - 1] != '\r')
        from--;
    if (from > 0)
        l->before_n = 0;
    s = str_from(s, from);
    if (l->before_n < sizeof(l->before)) {
        size_t room = sizeof(l->before) - l->before_n;

        memcpy(l->before + l->before_n, s.p, s.n < room ? s.n : room);
    }
    l->before_n += s.n;
}

static void pass(struct gclines *l, struct str s) {
    struct str rest = s, line;

    if (s.n == 0)
        return;
    while (str_cut(&rest, '\n', &line))
        l->lines++;
    remember(l, s);
    l->text(l->ctx, s);
}

static struct str held(const struct gclines *l) {
    return (struct str){l->held, l->n};
}

static void forget(struct gclines *l) {
    l->n = l->first = l->newest = 0;
}

static bool behind_prefix(const struct gclines *l) {
    return l->before_n > 0 && l->before_n <= sizeof(l->before) &&
           logprefix_is((struct str){l->before, l->before_n});
}

/* A line of which the first part went out already: so does its rest. It counts if a log's reader
 * put that part there. */
static void pass_rest(struct gclines *l, const struct gctrace *g) {
    bool counts = g->kind != GCTRACE_OTHER && behind_prefix(l);

    pass(l, held(l));
    forget(l);
    if (counts)
        l->line(l->ctx, g, STR(""));
}

/* --- where one may begin -----------------------------------------------------------------------
 */

/* The first place at or after `from` where a collector's line may begin; s.n: none. */
static size_t find_head(struct str s, size_t from) {
    for (size_t i = from; i < s.n; i++) {
        char c = s.p[i], next = i + 1 < s.n ? s.p[i + 1] : 'c';

        if (((c == 'g' || c == 's') && next == 'c') || (c == 'G' && (next == 'C' || i + 1 == s.n)))
            if (gctrace_head(str_from(s, i)) != GCTRACE_NEVER)
                return i;
    }
    return s.n;
}

/* --- lines that are whole ----------------------------------------------------------------------
 */

/* The collector's line behind a carriage return, in a line that begins like one and is none. */
static bool find_within(struct gclines *l, struct str line) {
    struct gctrace g;

    for (size_t i = find_head(line, 1); i < line.n; i = find_head(line, i + 1)) {
        if (line.p[i - 1] != '\r')
            continue;
        gctrace_parse(str_from(line, i), &g);
        if (g.kind == GCTRACE_OTHER)
            continue;
        pass(l, str_head(line, i));
        l->line(l->ctx, &g, str_from(line, i));
        return true;
    }
    return false;
}

static bool in_number(char c) {
    return (c >= '0' && c <= '9') || c == '.';
}

/* The first line up to a place, and the newest one, as one line: where that is a collector's, and
 * in just one way. The runtime writes each number in one piece. */
static bool mend(struct gclines *l, struct str newest) {
    char whole[GCTRACE_LINE];
    struct gctrace g, found = {.kind = GCTRACE_OTHER};
    struct str text = newest;
    size_t at = 0, length = l->first - 1;

    (void)str_drop(&text, STR("\r"));
    /* How each of them ends: P, (forced), yields, (MB), util, released. */
    if (text.n == 0 || str_find(STR("P)s]ld"), text.p[text.n - 1]) < 0)
        return false;
    for (size_t k = length; k >= 3 && k + newest.n <= sizeof(whole); k--) {
        if (in_number(l->held[k - 1]) && in_number(newest.p[0]))
            continue;
        memcpy(whole, l->held, k);
        memcpy(whole + k, newest.p, newest.n);
        gctrace_parse((struct str){whole, k + newest.n}, &g);
        if (g.kind == GCTRACE_OTHER)
            continue;
        if (found.kind != GCTRACE_OTHER)
            return false;
        found = g;
        at = k;
    }
    if (found.kind == GCTRACE_OTHER)
        return false;
    pass(l, str_head(str_from(held(l), at), l->newest - at));
    memcpy(whole, l->held, at);
    memcpy(whole + at, newest.p, newest.n);
    l->line(l->ctx, &found, (struct str){whole, at + newest.n});
    l->torn++;
    return true;
}

static unsigned lines_held(const struct gclines *l) {
    struct str rest = held(l), line;
    unsigned n = 0;

    while (str_cut(&rest, '\n', &line))
        n++;
    return n;
}

/* The newest held line is whole, its newline is the last byte. */
static void end_line(struct gclines *l) {
    struct str line = {l->held + l->newest, l->n - 1 - l->newest};
    struct gctrace g;

    gctrace_parse(line, &g);
    if (l->before_n > 0 && l->newest == 0) {
        if (g.kind == GCTRACE_OTHER && find_within(l, line))
            forget(l);
        else
            pass_rest(l, &g);
        return;
    }
    if (g.kind != GCTRACE_OTHER) {
        pass(l, str_head(held(l), l->newest));
        l->line(l->ctx, &g, line);
        forget(l);
        return;
    }
    if (l->first > 0 && mend(l, line)) {
        forget(l);
        return;
    }
    if (l->first == 0 && find_within(l, line)) {
        forget(l);
        return;
    }
    if (l->first == 0)
        l->first = l->n;
    l->newest = l->n;
    if (lines_held(l) > TORN_LINES || l->n + GCTRACE_LINE > sizeof(l->held)) {
        pass(l, held(l));
        forget(l);
    }
}

/* --- the stream --------------------------------------------------------------------------------
 */

/* What is held does not begin a collector's line: its first byte goes out, the rest is looked at
 * anew. */
static void let_go(struct gclines *l) {
    char rest[GCLINES_HELD];
    size_t n = l->n - 1;

    memcpy(rest, l->held + 1, n);
    pass(l, str_head(held(l), 1));
    forget(l);
    gclines_feed(l, (struct str){rest, n});
}

/* Lines of the program's that were held for a rest that did not come. */
static void let_go_lines(struct gclines *l) {
    char rest[GCLINES_HELD];
    size_t n = l->n - l->newest;

    memcpy(rest, l->held + l->newest, n);
    pass(l, str_head(held(l), l->newest));
    forget(l);
    gclines_feed(l, (struct str){rest, n});
}

/* Takes bytes to those that are held; how many. */
static size_t hold(struct gclines *l, struct str s) {
    ptrdiff_t newline = str_find(s, '\n');
    size_t room = GCTRACE_LINE + 1 - (l->n - l->newest),
           n = newline >= 0 ? (size_t)newline + 1 : s.n;

    /* While it only might be one, byte by byte. */
    if (l->newest == 0 && gctrace_head(held(l)) == GCTRACE_MAYBE)
        n = 1;
    if (n > room)
        n = room;
    memcpy(l->held + l->n, s.p, n);
    l->n += n;
    return n;
}

void gclines_feed(struct gclines *l, struct str s) {
    while (s.n > 0) {
        if (l->n == 0) {
            size_t at = find_head(s, 0);

            pass(l, str_head(s, at));
            s = str_from(s, at);
            if (s.n == 0)
                return;
        }
        s = str_from(s, hold(l, s));
        if (l->newest == 0 && gctrace_head(held(l)) == GCTRACE_NEVER)
            let_go(l);
        else if (l->held[l->n - 1] == '\n')
            end_line(l);
        else if (l->n - l->newest > GCTRACE_LINE)
            l->newest > 0 ? let_go_lines(l) : let_go(l);
    }
}

/* --- single writes -----------------------------------------------------------------------------
 */

/* The runtime's first pieces, of all versions. */
static bool begins_line(struct str s) {
    static const char *const first[] = {"gc ",    "gc #",  "gc",       "scvg",
                                        "scvg: ", "scav ", "GC forced"};

    for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++)
        if (str_eq(s, str_of(first[i])))
            return true;
    return false;
}

/* Numbers, and words between them; a line's end alone. A program's line ends with its own. */
static bool is_piece(struct str s) {
    if (str_eq(s, STR("\n")))
        return true;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

        if (!letter && !in_number(c) && str_find(STR(" ,:+-/>@%()[]#"), c) < 0)
            return false;
    }
    return s.n <= 32;
}

/* What came in pieces was no line of the collector's: all of it goes out as it came. */
static void give_up(struct gclines *l) {
    size_t n = l->log_n;

    l->pieces_n = l->log_n = l->others_n = 0;
    gclines_feed(l, (struct str){l->log, n});
}

static void end_pieces(struct gclines *l) {
    struct str line = {l->pieces, l->pieces_n};
    struct gctrace g;

    gctrace_parse(line, &g);
    if (g.kind == GCTRACE_OTHER) {
        give_up(l);
        return;
    }
    l->torn += l->others_n > 0;
    pass(l, (struct str){l->others, l->others_n});
    l->line(l->ctx, &g, line);
    l->pieces_n = l->log_n = l->others_n = 0;
}

void gclines_write(struct gclines *l, struct str s) {
    bool piece = l->pieces_n > 0 ? is_piece(s) : l->n == 0 && begins_line(s);

    if (l->pieces_n == 0 && !piece) {
        gclines_feed(l, s);
        return;
    }
    if (l->log_n + s.n > sizeof(l->log) || (piece && l->pieces_n + s.n > sizeof(l->pieces))) {
        give_up(l);
        gclines_feed(l, s);
        return;
    }
    memcpy(l->log + l->log_n, s.p, s.n);
    l->log_n += s.n;
    if (piece && str_eq(s, STR("\n"))) {
        end_pieces(l);
    } else if (piece) {
        memcpy(l->pieces + l->pieces_n, s.p, s.n);
        l->pieces_n += s.n;
    } else {
        memcpy(l->others + l->others_n, s.p, s.n);
        l->others_n += s.n;
    }
}

int64_t gclines_patience_us(const struct gclines *l) {
    if (l->pieces_n > 0)
        return l->pieces_n > 4 ? STRONG_US : WEAK_US;
    if (l->n == 0)
        return 0;
    return gctrace_head(held(l)) == GCTRACE_BEGUN ? STRONG_US : WEAK_US;
}

void gclines_flush(struct gclines *l, bool end) {
    struct gctrace g;

    if (l->pieces_n > 0)
        give_up(l);
    if (l->n == 0)
        return;
    if (end && l->newest > 0)
        let_go_lines(l);
    gctrace_parse(held(l), &g);
    if (end && l->first == 0 && l->before_n > 0)
        pass_rest(l, &g);
    else if (end && l->first == 0 && g.kind != GCTRACE_OTHER)
        l->line(l->ctx, &g, held(l));
    else
        pass(l, held(l));
    forget(l);
}
