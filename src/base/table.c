#include "base/table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

enum { MAX_COLUMNS = 48, LEAST_SHRUNK = 16 };

void table_init(struct table *t, const struct table_column *column, size_t columns, size_t max) {
    assert(columns > 0 && columns <= MAX_COLUMNS);
    *t = (struct table){.column = column, .columns = columns};
    buf_init(&t->cells, max);
}

void table_done(struct table *t) {
    buf_done(&t->cells);
    free(t->end);
    free(t->mark);
    t->end = NULL;
    t->mark = NULL;
    t->count = t->size = 0;
}

void table_clear(struct table *t) {
    buf_clear(&t->cells);
    t->count = 0;
    t->error = 0;
}

struct buf *table_cell(struct table *t) {
    return &t->cells;
}

static int grow(struct table *t) {
    size_t size = t->size ? 2 * t->size : 256;
    uint32_t *end = realloc(t->end, size * sizeof(*end));
    uint8_t *mark;

    if (!end)
        return -ENOMEM;
    t->end = end;
    mark = realloc(t->mark, size);
    if (!mark)
        return -ENOMEM;
    t->mark = mark;
    t->size = size;
    return 0;
}

void table_next(struct table *t) {
    if (t->count == t->size && grow(t) < 0) {
        t->error = -ENOMEM;
        return;
    }
    t->mark[t->count] = (uint8_t)t->next_mark;
    t->end[t->count++] = (uint32_t)t->cells.n;
    t->next_mark = TABLE_UNMARKED;
}

void table_mark(struct table *t, enum table_mark mark) {
    t->next_mark = mark;
}

void table_unknown(struct table *t) {
    buf_add_char(&t->cells, '-');
    table_next(t);
}

static struct str cell(const struct table *t, size_t row, size_t column) {
    size_t i = row * t->columns + column;
    size_t from = i ? t->end[i - 1] : 0;

    return (struct str){t->cells.p + from, t->end[i] - from};
}

/* Nearly all cells are ASCII, whose columns are their bytes. */
static size_t columns_of(struct str s) {
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x80)
            return text_columns(s);
    return s.n;
}

static size_t total_width(const size_t *width, const bool *dropped, size_t n, unsigned gap) {
    size_t total = 0;

    for (size_t c = 0; c < n; c++)
        if (!dropped[c])
            total += width[c] + gap;
    return total > gap ? total - gap : 0;
}

static bool drop_one(const struct table *t, bool *dropped) {
    size_t worst = t->columns;

    for (size_t c = 0; c < t->columns; c++)
        if (!dropped[c] && t->column[c].weight > 0 &&
            (worst == t->columns || t->column[c].weight >= t->column[worst].weight))
            worst = c;
    if (worst == t->columns)
        return false;
    dropped[worst] = true;
    return true;
}

/* Takes what is too much from the columns that may shrink, but leaves each its head and `floor`
 * columns (a floor of 1: not even the head). True when it fits now. */
static bool shrink(const struct table *t, size_t limit, unsigned gap, size_t floor, size_t *width,
                   const bool *dropped) {
    size_t total = total_width(width, dropped, t->columns, gap);
    size_t over = total > limit ? total - limit : 0;

    for (size_t c = t->columns; c-- > 0 && over > 0;) { /* the first column, the name, last */
        size_t head = floor > 1 ? strlen(t->column[c].head) : 0;
        size_t least = head > floor ? head : floor;
        size_t spare = width[c] > least ? width[c] - least : 0;

        if (dropped[c] || t->column[c].cut == TABLE_WHOLE)
            continue;
        spare = spare < over ? spare : over;
        width[c] -= spare;
        over -= spare;
    }
    return over == 0;
}

/* Shrinks long names down to LEAST_SHRUNK, then drops columns, and only then cuts names more. What
 * a dropped column leaves over, the names have back. */
static void fit(const struct table *t, size_t limit, unsigned gap, size_t *width, bool *dropped) {
    size_t natural[MAX_COLUMNS];

    memcpy(natural, width, t->columns * sizeof(*width));
    while (!shrink(t, limit, gap, LEAST_SHRUNK, width, dropped)) {
        if (!drop_one(t, dropped)) {
            (void)shrink(t, limit, gap, 1, width, dropped);
            return;
        }
        memcpy(width, natural, t->columns * sizeof(*width));
    }
}

/* Cut to `width` with a '+' where something is missing. */
static size_t add_cut(struct buf *out, struct str text, size_t width, enum table_cut cut) {
    size_t room = width ? width - 1 : 0;

    if (cut == TABLE_CUT_PATH && str_starts(text, STR("/"))) {
        while (columns_of(text) > room) {
            uint32_t code;
            size_t n = text_decode(text, &code);

            text = str_from(text, n ? n : 1);
        }
        buf_add_char(out, '+');
        buf_add(out, text);
    } else {
        text = text_head(text, room);
        buf_add(out, text);
        buf_add_char(out, '+');
    }
    return columns_of(text) + 1;
}

static void add_cell(struct buf *out, struct str text, size_t width,
                     const struct table_column *column, bool last) {
    size_t used = columns_of(text);

    if (column->align == TABLE_RIGHT && used < width)
        buf_add_fill(out, ' ', width - used);
    if (used > width)
        used = add_cut(out, text, width, column->cut);
    else
        buf_add(out, text);
    if (column->align == TABLE_LEFT && used < width && !last)
        buf_add_fill(out, ' ', width - used);
}

static void print_plain(const struct table *t, const struct table_layout *layout, struct buf *out) {
    size_t rows = t->count / t->columns;

    for (size_t c = 0; layout->head && c < t->columns; c++) {
        buf_add(out, str_of(t->column[c].head));
        buf_add_char(out, c + 1 < t->columns ? '\t' : '\n');
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < t->columns; c++) {
            buf_add(out, cell(t, r, c));
            buf_add_char(out, c + 1 < t->columns ? '\t' : '\n');
        }
}

struct look {
    const size_t *width;
    const bool *dropped;
    unsigned gap;
    bool colour;
};

static void add_marked(const struct table *t, size_t row, size_t c, const struct look *look,
                       bool last, struct buf *out) {
    static const struct str colour[] = {
        [TABLE_WARN] = {"\033[33m", 5}, [TABLE_BAD] = {"\033[1;31m", 7}};
    enum table_mark mark = look->colour ? t->mark[row * t->columns + c] : TABLE_UNMARKED;

    if (mark != TABLE_UNMARKED)
        buf_add(out, colour[mark]);
    add_cell(out, cell(t, row, c), look->width[c], &t->column[c], last);
    if (mark != TABLE_UNMARKED)
        buf_add(out, STR("\033[0m"));
}

/* Row number `row`, or the heads. */
static void print_line(const struct table *t, size_t row, bool head, const struct look *look,
                       struct buf *out) {
    size_t last = 0, start = out->n;

    for (size_t c = 0; c < t->columns; c++)
        if (!look->dropped[c])
            last = c;
    for (size_t c = 0; c <= last; c++) {
        if (look->dropped[c])
            continue;
        if (head)
            add_cell(out, str_of(t->column[c].head), look->width[c], &t->column[c], c == last);
        else
            add_marked(t, row, c, look, c == last, out);
        if (c != last)
            buf_add_fill(out, ' ', look->gap);
    }
    while (!buf_error(out) && out->n > start && out->p[out->n - 1] == ' ')
        out->n--; /* behind empty cells */
    buf_add_char(out, '\n');
}

int table_print(struct table *t, const struct table_layout *layout, struct buf *out) {
    size_t width[MAX_COLUMNS] = {0}, rows = t->count / t->columns;
    bool dropped[MAX_COLUMNS] = {false};
    unsigned gap = layout->gap ? layout->gap : 2;
    struct look look = {width, dropped, gap, layout->colour};

    if (t->error || buf_error(&t->cells))
        return t->error ? t->error : buf_error(&t->cells);
    if (layout->plain) {
        print_plain(t, layout, out);
        return 0;
    }
    for (size_t c = 0; c < t->columns; c++)
        width[c] = layout->head ? strlen(t->column[c].head) : 0;
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < t->columns; c++) {
            size_t used = columns_of(cell(t, r, c));

            if (used > width[c])
                width[c] = used;
        }
    for (size_t c = 0; c < t->columns; c++)
        if (layout->minimum > gap && width[c] + gap < layout->minimum)
            width[c] = layout->minimum - gap;
    if (layout->width)
        fit(t, layout->width, gap, width, dropped);
    if (layout->head)
        print_line(t, 0, true, &look, out);
    for (size_t r = 0; r < rows; r++)
        print_line(t, r, false, &look, out);
    return 0;
}
