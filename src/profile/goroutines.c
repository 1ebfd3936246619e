/* goroutines.c - /debug/pprof/goroutine?debug=1: goroutines grouped by stack, as text. */
#include <errno.h>

#include "base/mem.h"
#include "profile/pprof.h"

enum { LINE_MAX = 64 << 10 };

struct group {
    int64_t count;
    size_t n, addresses; /* frames; all of them, and kept */
    struct profile_frame frame[PROFILE_DEPTH];
    struct str address[PROFILE_DEPTH]; /* of "COUNT @ ADDRESS...": for stacks that name nothing */
};

static int damaged(struct err *err, size_t line, const char *what) {
    return err_set(err, -EBADMSG, "the goroutine profile's line %zu is not understood: %s", line,
                   what);
}

/* "50 @ 0x43b256 0x407e5b" */
static bool begins(struct str line, struct group *g) {
    struct str word;
    uint64_t count;

    if (!str_word(&line, &word) || str_to_u64(word, &count) < 0 || count > INT64_MAX)
        return false;
    if (!str_word(&line, &word) || !str_eq(word, STR("@")))
        return false;
    g->count = (int64_t)count;
    g->n = g->addresses = 0;
    while (g->addresses < PROFILE_DEPTH && str_word(&line, &word))
        g->address[g->addresses++] = word;
    return true;
}

/* The next cell of a line whose columns are apart by one tab or more. */
static struct str cell(struct str *line) {
    struct str head;

    while (str_skip(line, STR("\t")))
        ;
    if (!str_cut(line, '\t', &head)) {
        head = *line;
        *line = STR("");
    }
    return str_trim(head);
}

static bool is_hex(struct str s) {
    for (size_t i = 0; i < s.n; i++)
        if (str_hex(s.p[i]) < 0)
            return false;
    return s.n > 0;
}

/* "#\t0x670efa\tmain.wait+0x1a\t/src/main.go:34"; the last two may be missing. */
static void add_frame(struct group *g, struct str line) {
    struct str address = cell(&line), function = cell(&line), place = cell(&line);
    struct profile_frame f = {.function = function.n ? function : address, .file = place};
    ptrdiff_t plus = str_rfind(f.function, '+'), colon = str_rfind(place, ':');
    uint64_t number;

    if (plus > 0) {
        struct str offset = str_from(f.function, (size_t)plus + 1);

        if (str_skip(&offset, STR("0x")) && is_hex(offset))
            f.function = str_head(f.function, (size_t)plus);
    }
    if (colon > 0 && str_to_u64(str_from(place, (size_t)colon + 1), &number) == 0 &&
        number <= INT64_MAX) {
        f.file = str_head(place, (size_t)colon);
        f.line = (int64_t)number;
    }
    if (g->n < PROFILE_DEPTH)
        g->frame[g->n] = f;
    g->n++;
}

static int add_group(struct profile *p, struct group *g) {
    const int64_t value[PROFILE_TYPES] = {g->count};

    if (g->count == 0)
        return 0;
    if (g->n == 0) {
        for (; g->n < g->addresses; g->n++)
            g->frame[g->n] = (struct profile_frame){.function = g->address[g->n]};
    }
    g->count = 0;
    return profile_add(p, g->frame, g->n, value);
}

static int read_lines(struct str text, struct profile *p, struct group *g, struct err *err) {
    struct str line;
    bool in_group = false;

    for (size_t number = 2; text.n > 0; number++) {
        int r = 0;

        if (!str_cut(&text, '\n', &line)) {
            line = text;
            text = STR("");
        }
        (void)str_drop(&line, STR("\r"));
        if (line.n > LINE_MAX)
            return damaged(err, number, "it is too long");
        if (str_skip(&line, STR("#\t"))) {
            if (!in_group)
                return damaged(err, number, "a frame of no goroutine");
            add_frame(g, line);
        } else if (line.n == 0 || str_starts(line, STR("#"))) {
            continue; /* between groups; "# labels: ..." */
        } else {
            r = add_group(p, g);
            if (r == 0 && !begins(line, g))
                return damaged(err, number, "it is no count of goroutines");
            in_group = true;
        }
        if (r < 0)
            return err_set(err, r, "the goroutine profile holds more than is read");
    }
    return add_group(p, g) < 0 ? err_set(err, -E2BIG, "the goroutine profile is too large") : 0;
}

int goroutines_read(struct str text, struct profile **out, struct err *err) {
    auto_free struct group *g = calloc(1, sizeof(*g));
    struct profile *p = NULL;
    struct str line;
    int r;

    if (!goroutines_is(text) || !str_cut(&text, '\n', &line))
        return err_set(err, -EBADMSG, "no goroutine profile: it does not begin as one");
    if (!g || profile_new(&p) < 0 || profile_add_type(p, STR("goroutines"), STR("count")) < 0) {
        profile_free(p);
        return err_set(err, -ENOMEM, "out of memory");
    }
    r = read_lines(text, p, g, err);
    if (r < 0) {
        profile_free(p);
        return r;
    }
    *out = p;
    return 0;
}

bool goroutines_is(struct str text) {
    return str_starts(text, STR("goroutine profile: total "));
}
