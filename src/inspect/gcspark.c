#include "inspect/gcspark.h"

#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"
#include "inspect/gcsay.h"

enum { ROWS_LEAST = 5, COLUMNS_LEAST = 20, WORDS_COLUMNS = 70, BARS_MOST = 60 };

/* The sizes at the ends of the newest collections: what the heap grows to and falls from. */
static void add_bars(const struct gcstats *s, bool utf8, size_t bars, struct buf *out) {
    static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char ascii[] = "_.-:=+*#";
    uint64_t from = s->points_n > bars ? s->points_n - bars : 0, most = 1;

    for (uint64_t i = from; i < s->points_n; i++)
        if (s->point[i].end > most)
            most = s->point[i].end;
    buf_add_fill(out, ' ', bars - (size_t)(s->points_n - from));
    for (uint64_t i = from; i < s->points_n; i++) {
        size_t level = (size_t)((double)s->point[i].end / (double)most * 7.0 + 0.5);

        if (utf8)
            buf_add(out, str_of(blocks[level]));
        else
            buf_add_char(out, ascii[level]);
    }
}

static void add_size(struct buf *out, const struct gctrace *g, enum gctrace_field f) {
    num_add_iec(out, g->value[f]);
}

static void add_pause(struct buf *out, const struct gctrace *g, enum gctrace_field f) {
    gcsay_time(out, g->value[f]);
}

static void add_share(struct buf *out, const struct gctrace *g, enum gctrace_field f) {
    num_add_centi(out, g->value[f], 0);
    buf_add_char(out, '%');
}

/* As many as there is room for, none of them in part. */
static void add_words(const struct gcstats *s, size_t columns, struct buf *out) {
    static const struct {
        const char *name;
        enum gctrace_field field;
        void (*add)(struct buf *out, const struct gctrace *g, enum gctrace_field f);
    } words[] = {
        {"heap", GCTRACE_HEAP_END, add_size}, {"live", GCTRACE_LIVE, add_size},
        {"goal", GCTRACE_GOAL, add_size},     {"pause", GCTRACE_STW_NS, add_pause},
        {"cpu", GCTRACE_GC_CPU, add_share},
    };
    size_t from = out->n, kept;

    for (size_t i = 0; i <= ARRAY_N(words); i++) {
        kept = out->n;
        if (i == ARRAY_N(words)) {
            buf_add_format(out, "  #%llu", (unsigned long long)s->sum.collections);
        } else if (gctrace_has(&s->last, words[i].field)) {
            buf_add_format(out, "  %s ", words[i].name);
            words[i].add(out, &s->last, words[i].field);
        }
        if (text_columns(str_from(buf_str(out), from)) > columns) {
            out->n = kept;
            return;
        }
    }
}

void gcspark_line(const struct gcstats *s, bool utf8, unsigned columns, struct buf *out) {
    size_t room = columns > WORDS_COLUMNS ? columns - WORDS_COLUMNS : 0, at = out->n;
    struct str head;

    room = room < BARS_MOST ? room : BARS_MOST;
    if (s->sum.collections == 0) {
        buf_add(out, STR("gctrace: no collection yet"));
    } else {
        if (room > 0)
            add_bars(s, utf8, room, out);
        add_words(s, columns - room, out);
    }
    head = text_head(str_from(buf_str(out), at), columns);
    out->n = at + head.n;
}

/* A region is set with the cursor kept; the rows above move up when it stands in the last one. */
static void set_region(struct gcspark *s, unsigned rows, unsigned columns, struct buf *out) {
    if (s->rows == 0)
        buf_add(out, STR("\033D\033[A")); /* the column stays, too */
    buf_add_format(out, "\0337\033[1;%ur\0338", rows - 1);
    s->rows = rows;
    s->columns = columns;
}

void gcspark_draw(struct gcspark *s, const struct gcstats *stats, unsigned rows, unsigned columns,
                  struct buf *out) {
    if (rows < ROWS_LEAST || columns < COLUMNS_LEAST) {
        gcspark_end(s, out);
        return;
    }
    if (s->rows != rows || s->columns != columns)
        set_region(s, rows, columns, out);
    buf_add_format(out, "\0337\033[%u;1H\033[0m\033[K%s", rows, s->colour ? "\033[36m" : "");
    gcspark_line(stats, s->utf8, columns - 1, out);
    buf_add_format(out, "%s\0338", s->colour ? "\033[0m" : "");
}

void gcspark_end(struct gcspark *s, struct buf *out) {
    if (s->rows == 0)
        return;
    buf_add_format(out, "\0337\033[r\033[%u;1H\033[K\0338", s->rows);
    s->rows = s->columns = 0;
}
