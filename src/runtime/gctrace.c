#include "runtime/gctrace.h"

#include "base/mem.h"

enum { DIGITS = 18, NS_PER_US = 1000 };

static void put(struct gctrace *g, enum gctrace_field f, uint64_t value) {
    g->value[f] = value;
    g->have |= 1u << f;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* --- values ------------------------------------------------------------------------------------
 */

/* "0.026", "12189", at the text's beginning: times `scale`, rounded down. */
static bool take_decimal(struct str *s, uint64_t scale, uint64_t *out) {
    unsigned __int128 value = 0, unit = scale;
    size_t i = 0, whole;

    while (i < s->n && is_digit(s->p[i]) && i < DIGITS)
        value = value * 10 + (unsigned)(s->p[i++] - '0');
    whole = i;
    if (whole == 0 || (i < s->n && is_digit(s->p[i])))
        return false;
    value *= scale;
    if (i + 1 < s->n && s->p[i] == '.' && is_digit(s->p[i + 1])) {
        for (i++; i < s->n && is_digit(s->p[i]); i++) {
            unit /= 10;
            value += unit * (unsigned)(s->p[i] - '0');
            if (i > whole + DIGITS)
                return false;
        }
    }
    if (value > INT64_MAX)
        return false;
    *s = str_from(*s, i);
    *out = (uint64_t)value;
    return true;
}

static bool take_number(struct str *s, uint64_t *out) {
    return take_decimal(s, 1, out);
}

/* A whole text "0.5+1.2/3/0+0.1": the sum of all, and of the first and the last between '+'. Within
 * a phase there are three parts, or just one. */
static bool read_phases(struct str s, uint64_t scale, uint64_t *sum_out, uint64_t *ends_out,
                        unsigned *n_out) {
    uint64_t sum = 0, ends = 0, phase = 0, part;
    unsigned n = 0, parts = 0;

    for (;;) {
        if (!take_decimal(&s, scale, &part) || part > INT64_MAX / 64)
            return false;
        phase += part;
        parts++;
        if (str_skip(&s, STR("/")))
            continue;
        if (parts != 1 && parts != 3)
            return false;
        parts = 0;
        sum += phase;
        if (n == 0 || s.n == 0)
            ends += phase;
        if (++n > 16)
            return false;
        phase = 0;
        if (s.n == 0)
            break;
        if (!str_skip(&s, STR("+")))
            return false;
    }
    *sum_out = sum;
    *ends_out = ends;
    *n_out = n;
    return true;
}

static uint64_t size_unit(struct str word) {
    static const struct {
        struct str name;
        uint64_t bytes;
    } units[] = {
        {{"B", 1}, 1},         {{"KB", 2}, 1 << 10}, {{"KiB", 3}, 1 << 10}, {{"MB", 2}, 1 << 20},
        {{"MiB", 3}, 1 << 20}, {{"GB", 2}, 1 << 30}, {{"GiB", 3}, 1 << 30},
    };

    for (size_t i = 0; i < ARRAY_N(units); i++)
        if (str_eq(word, units[i].name))
            return units[i].bytes;
    return 0;
}

static uint64_t time_unit(struct str word) {
    if (str_eq(word, STR("ns")))
        return 1;
    if (str_eq(word, STR("us")) || str_eq(word, STR("\xc2\xb5s")))
        return 1000;
    if (str_eq(word, STR("ms")))
        return 1000000;
    return str_eq(word, STR("s")) ? 1000000000 : 0;
}

/* A whole text that is a number of such units. */
static bool read_times(struct str number, uint64_t unit, uint64_t *out) {
    uint64_t value;

    if (!take_number(&number, &value) || number.n > 0 || value > INT64_MAX / unit)
        return false;
    *out = value * unit;
    return true;
}

/* --- items: what stands between commas ---------------------------------------------------------
 */

enum { WORDS = 6 };

struct item {
    struct str word[WORDS];
    unsigned n;
};

/* False: too many words, or blanks where none are written. */
static bool split(struct str text, struct item *out) {
    out->n = 0;
    if (str_ends(text, STR(" ")))
        return false;
    while (text.n > 0) {
        if (out->n == WORDS || text.p[0] == ' ')
            return false;
        if (!str_cut(&text, ' ', &out->word[out->n])) {
            out->word[out->n] = text;
            text.n = 0;
        }
        out->n++;
    }
    return out->n > 0;
}

static bool is_word(struct str s) {
    for (size_t i = 0; i < s.n; i++)
        if (!is_letter(s.p[i]))
            return false;
    return s.n > 0;
}

/* "4->4->0" with a unit. */
static bool read_heap(struct gctrace *g, struct str sizes, struct str unit_word) {
    uint64_t size[3], unit = size_unit(unit_word);
    unsigned n = 0;

    do {
        if (n == 3 || !take_number(&sizes, &size[n]) || unit == 0 || size[n] > INT64_MAX / unit)
            return false;
        size[n++] *= unit;
    } while (str_skip(&sizes, STR("->")));
    if (sizes.n > 0 || n != 3)
        return false;
    put(g, GCTRACE_HEAP_START, size[0]);
    put(g, GCTRACE_HEAP_END, size[1]);
    put(g, GCTRACE_LIVE, size[2]);
    return true;
}

/* The words behind a size, and what they say. */
static const struct {
    struct str name;
    enum gctrace_field field;
} size_names[] = {
    {{"goal", 4}, GCTRACE_GOAL},
    {{"stacks", 6}, GCTRACE_STACKS},
    {{"globals", 7}, GCTRACE_GLOBALS},
};

static bool read_size(struct gctrace *g, const struct item *item) {
    uint64_t unit = item->n == 3 ? size_unit(item->word[1]) : 0, bytes;

    for (size_t i = 0; i < ARRAY_N(size_names) && unit > 0; i++)
        if (str_eq(item->word[2], size_names[i].name)) {
            if (!read_times(item->word[0], unit, &bytes))
                return false;
            put(g, size_names[i].field, bytes);
            return true;
        }
    return false;
}

static bool read_clock(struct gctrace *g, const struct item *item) {
    uint64_t unit = item->n == 3 ? time_unit(item->word[1]) : 0, sum, ends;
    bool clock = item->n == 3 && str_eq(item->word[2], STR("clock"));
    unsigned n;

    if (unit == 0 || (!clock && !str_eq(item->word[2], STR("cpu"))) ||
        !read_phases(item->word[0], unit, &sum, &ends, &n) || n < 3)
        return false;
    if (!clock) {
        put(g, GCTRACE_CPU_NS, sum);
        return true;
    }
    put(g, GCTRACE_CLOCK_NS, sum);
    /* The first and the last phase stop the program. Five of them: Go 1.5 and 1.6, where a forced
     * collection stops it all the time. */
    put(g, GCTRACE_STW_NS, n >= 5 && g->forced ? sum : ends);
    return true;
}

/* "2 P": nothing of the collection's stands behind it but a remark. */
static bool read_procs(struct gctrace *g, const struct item *item) {
    uint64_t n;

    if (item->n != 2 || !str_eq(item->word[1], STR("P")) || !read_times(item->word[0], 1, &n))
        return false;
    put(g, GCTRACE_PROCS, n);
    return true;
}

/* Fields of a Go to come, "7 MB maps": a number and words, none of which begins with one that is
 * known. (That would be a text of the program's, written into the middle of the line.) */
static bool is_new(const struct item *item) {
    struct str number = item->word[0];
    uint64_t value;

    if (item->n < 2 || !take_decimal(&number, 1, &value) || number.n > 0)
        return false;
    for (unsigned i = 1; i < item->n; i++) {
        if (!is_word(item->word[i]))
            return false;
        for (size_t k = 0; k < ARRAY_N(size_names); k++)
            if (str_starts(item->word[i], size_names[k].name))
                return false;
        if (str_starts(item->word[i], STR("P")) || str_starts(item->word[i], STR("clock")) ||
            str_starts(item->word[i], STR("cpu")))
            return false;
    }
    return true;
}

static bool read_item(struct gctrace *g, struct str text, bool is_last) {
    struct item item;

    if (!split(text, &item))
        return false;
    if (item.n == 2 && read_heap(g, item.word[0], item.word[1]))
        return true;
    if (read_clock(g, &item) || read_size(g, &item) || read_procs(g, &item))
        return true;
    return (!is_last || gctrace_has(g, GCTRACE_PROCS)) && is_new(&item);
}

/* --- collections -------------------------------------------------------------------------------
 */

/* Takes " (forced)" and other remarks in brackets off the end. */
static void drop_remarks(struct str *s, bool *forced_out) {
    for (;;) {
        ptrdiff_t open;
        char close = s->n > 0 ? s->p[s->n - 1] : 0;

        if (close != ')' && close != ']')
            return;
        open = str_rfind(*s, close == ')' ? '(' : '[');
        if (open < 1 || s->p[open - 1] != ' ')
            return;
        *forced_out |= str_eq(str_from(*s, (size_t)open), STR("(forced)"));
        s->n = (size_t)open - 1;
    }
}

/* "@0.026s 2%: " */
static bool read_moment(struct gctrace *g, struct str *s) {
    uint64_t us, pct;

    if (!str_skip(s, STR("@")) || !take_decimal(s, 1000000, &us) || !str_skip(s, STR("s ")) ||
        !take_decimal(s, 100, &pct) || !str_skip(s, STR("%: ")))
        return false;
    put(g, GCTRACE_AT_US, us);
    put(g, GCTRACE_GC_CPU, pct);
    return true;
}

/* What every version writes is there, so that no text within it made an unknown field of one that
 * is known. */
static bool is_complete(const struct gctrace *g, bool early) {
    const uint32_t needed = 1u << GCTRACE_CLOCK_NS | 1u << GCTRACE_CPU_NS | 1u << GCTRACE_LIVE |
                            1u << GCTRACE_PROCS | (early ? 0 : 1u << GCTRACE_GOAL);

    return (g->have & needed) == needed &&
           gctrace_has(g, GCTRACE_STACKS) == gctrace_has(g, GCTRACE_GLOBALS);
}

/* Go 1.5 and later, behind "gc ". */
static bool read_collection(struct gctrace *g, struct str s) {
    struct str item;
    uint64_t number;
    bool early = str_skip(&s, STR("#")), more = true; /* 1.5 before its release */

    if (!take_number(&s, &number) || !str_skip(&s, STR(" ")) || !read_moment(g, &s))
        return false;
    put(g, GCTRACE_NUMBER, number);
    drop_remarks(&s, &g->forced);
    while (more) {
        ptrdiff_t comma = str_find(s, ',');

        more = comma >= 0;
        item = more ? str_head(s, (size_t)comma) : s;
        s = str_from(s, more ? (size_t)comma + 1 : s.n);
        if ((more && !str_skip(&s, STR(" "))) || !read_item(g, item, !more))
            return false;
    }
    return is_complete(g, early);
}

/* Go 1.1 to 1.4, behind "gc": "1(4): 3+0+125+1 us, 0 -> 0 MB, 21 (21-0) objects, ...". All of it
 * stops the program. Its end is always the same. */
static bool read_old_collection(struct gctrace *g, struct str s) {
    uint64_t number, procs, sum, ends, from, to, unit;
    struct str phases, sizes;
    unsigned n;

    if (!str_ends(s, STR(" yields")) || !take_number(&s, &number) || !str_skip(&s, STR("(")) ||
        !take_number(&s, &procs) || !str_skip(&s, STR("): ")) || !str_cut(&s, ' ', &phases) ||
        !str_cut(&s, ' ', &sizes))
        return false;
    (void)str_drop(&sizes, STR(","));
    unit = time_unit(sizes);
    if (unit == 0 || !read_phases(phases, unit, &sum, &ends, &n) || !take_number(&s, &from) ||
        !str_skip(&s, STR(" -> ")) || !take_number(&s, &to) || !str_skip(&s, STR(" MB")) ||
        from > INT64_MAX >> 20 || to > INT64_MAX >> 20)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!is_digit(s.p[i]) && !is_letter(s.p[i]) && str_find(STR(" ,()/->"), s.p[i]) < 0)
            return false;
    put(g, GCTRACE_NUMBER, number);
    put(g, GCTRACE_PROCS, procs);
    put(g, GCTRACE_CLOCK_NS, sum);
    put(g, GCTRACE_STW_NS, sum);
    put(g, GCTRACE_HEAP_START, from << 20);
    put(g, GCTRACE_HEAP_END, to << 20);
    put(g, GCTRACE_LIVE, to << 20);
    return true;
}

/* --- the scavenger -----------------------------------------------------------------------------
 */

/* "inuse: 3, idle: 60, sys: 63, released: 60, consumed: 3 (MB)" */
static bool read_sums(struct gctrace *g, struct str s) {
    static const struct {
        struct str name;
        enum gctrace_field field;
    } names[] = {
        {{"inuse", 5}, GCTRACE_INUSE},       {{"idle", 4}, GCTRACE_IDLE},
        {{"sys", 3}, GCTRACE_SYS},           {{"released", 8}, GCTRACE_RELEASED},
        {{"consumed", 8}, GCTRACE_CONSUMED},
    };
    ptrdiff_t open = str_rfind(s, '(');
    struct str unit_word = str_from(s, open >= 0 ? (size_t)open + 1 : s.n), name;
    uint64_t unit = str_drop(&unit_word, STR(")")) ? size_unit(unit_word) : 0, value;

    if (unit == 0 || open < 1 || s.p[open - 1] != ' ')
        return false;
    s.n = (size_t)open - 1;
    do {
        size_t i = 0;

        if (!str_cut(&s, ':', &name) || !str_skip(&s, STR(" ")) || !take_number(&s, &value) ||
            value > INT64_MAX / unit || !is_word(name))
            return false;
        while (i < ARRAY_N(names) && !str_eq(name, names[i].name))
            i++;
        if (i < ARRAY_N(names))
            put(g, names[i].field, value * unit);
    } while (str_skip(&s, STR(", ")));
    return s.n == 0 && gctrace_has(g, GCTRACE_SYS);
}

/* Behind "scvg": "0: inuse: ...", "-1: 4 MB released", and from 1.13 ": 8 KB released". */
static bool read_scvg(struct gctrace *g, struct str s) {
    bool negative = str_skip(&s, STR("-"));
    uint64_t number, bytes, unit;
    struct item item;

    if (s.n > 0 && is_digit(s.p[0])) {
        if (!take_number(&s, &number))
            return false;
        if (!negative)
            put(g, GCTRACE_NUMBER, number);
    } else if (negative) {
        return false;
    }
    if (!str_skip(&s, STR(": ")))
        return false;
    if (split(s, &item) && item.n == 3 && str_eq(item.word[2], STR("released"))) {
        unit = size_unit(item.word[1]);
        if (unit == 0 || !read_times(item.word[0], unit, &bytes))
            return false;
        put(g, GCTRACE_WORK, bytes);
        return true;
    }
    return read_sums(g, s);
}

/* "0: GC forced" of Go 1.1 to 1.4. */
static bool is_forced_scvg(struct str s) {
    uint64_t number;

    return take_number(&s, &number) && str_eq(s, STR(": GC forced"));
}

/* An item of a scav line: "1 KiB work", "7 1 KiB work" with the cycle's number (1.15), "0 KiB work
 * (bg)", "4344 KiB now", "2 KiB total", "99% util". */
static bool read_scav_item(struct gctrace *g, struct str text) {
    struct item item;
    struct str *w = item.word;
    uint64_t unit, value;

    if (!split(text, &item))
        return false;
    if (item.n == 2 && str_eq(w[1], STR("util")) && take_decimal(&w[0], 100, &value) &&
        str_eq(w[0], STR("%"))) {
        put(g, GCTRACE_UTIL, value);
        return true;
    }
    if (item.n == 4 && read_times(w[0], 1, &value) && size_unit(w[2])) {
        put(g, GCTRACE_NUMBER, value);
        w++;
        item.n--;
    }
    if (item.n == 4 && (str_eq(w[3], STR("(bg)")) || str_eq(w[3], STR("(eager)"))))
        item.n--;
    if (item.n != 3 || (unit = size_unit(w[1])) == 0 || !read_times(w[0], unit, &value))
        return false;
    if (str_eq(w[2], STR("work")))
        put(g, GCTRACE_WORK, value + (gctrace_has(g, GCTRACE_WORK) ? g->value[GCTRACE_WORK] : 0));
    else if (str_eq(w[2], STR("total")) || str_eq(w[2], STR("now")))
        put(g, GCTRACE_RELEASED, value);
    else
        return is_word(w[2]);
    return true;
}

/* Go 1.14 and later, behind "scav "; util ends it. */
static bool read_scav(struct gctrace *g, struct str s) {
    drop_remarks(&s, &g->forced);
    for (;;) {
        ptrdiff_t comma = str_find(s, ',');
        struct str item = comma >= 0 ? str_head(s, (size_t)comma) : s;

        if (!read_scav_item(g, item))
            return false;
        if (comma < 0)
            return gctrace_has(g, GCTRACE_WORK) && gctrace_has(g, GCTRACE_UTIL);
        s = str_from(s, (size_t)comma + 1);
        if (!str_skip(&s, STR(" ")))
            return false;
    }
}

/* --- all of them -------------------------------------------------------------------------------
 */

static enum gctrace_kind read_line(struct gctrace *g, struct str s) {
    bool forced = false;
    struct str whole = s;

    drop_remarks(&whole, &forced);
    g->forced = forced;
    if (str_skip(&s, STR("gc ")))
        return read_collection(g, s) ? GCTRACE_GC : GCTRACE_OTHER;
    g->forced = false;
    if (str_skip(&s, STR("gc")))
        return read_old_collection(g, s) ? GCTRACE_GC : GCTRACE_OTHER;
    if (str_skip(&s, STR("scvg")))
        return is_forced_scvg(s) ? GCTRACE_PERIODIC
               : read_scvg(g, s) ? GCTRACE_SCVG
                                 : GCTRACE_OTHER;
    if (str_skip(&s, STR("scav ")))
        return read_scav(g, s) ? GCTRACE_SCVG : GCTRACE_OTHER;
    return str_eq(s, STR("GC forced")) ? GCTRACE_PERIODIC : GCTRACE_OTHER;
}

void gctrace_parse(struct str line, struct gctrace *out) {
    static const struct gctrace nothing = {.kind = GCTRACE_OTHER};
    struct gctrace g = nothing;

    (void)str_drop(&line, STR("\r")); /* a terminal's */
    if (line.n >= 8 && line.n <= GCTRACE_LINE)
        g.kind = read_line(&g, line);
    *out = g.kind == GCTRACE_OTHER ? nothing : g;
}

/* --- beginnings --------------------------------------------------------------------------------
 */

/* A pattern: '9' stands for digits, '?' makes what follows it optional, anything else itself. */
static const char *const heads[] = {
    "gc ?#9 @", "gc9(9): ", "scvg?-9: ", "scvg: ", "scav 9 ", "GC forced"};

static enum gctrace_head matches(const char *pattern, struct str s) {
    for (; *pattern; pattern++) {
        bool optional = *pattern == '?';
        size_t n = 0;

        pattern += optional;
        if (s.n == 0)
            return GCTRACE_MAYBE;
        if (*pattern != '9') {
            n = s.p[0] == *pattern;
        } else {
            while (n < s.n && n <= DIGITS && is_digit(s.p[n]))
                n++;
            if (n == s.n && n <= DIGITS)
                return GCTRACE_MAYBE;
        }
        if (n > DIGITS || (n == 0 && !optional))
            return GCTRACE_NEVER;
        s = str_from(s, n);
    }
    return GCTRACE_BEGUN;
}

enum gctrace_head gctrace_head(struct str text) {
    enum gctrace_head best = GCTRACE_NEVER;

    for (size_t i = 0; i < ARRAY_N(heads); i++) {
        enum gctrace_head one = matches(heads[i], text);

        if (one > best)
            best = one;
    }
    return best;
}
