#include "tui/canvas.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"

enum { TEXT_MAX = 1 << 20, FORMAT_MAX = 512 };

void canvas_init(struct canvas *c, bool ascii) {
    *c = (struct canvas){.ascii = ascii};
    buf_init(&c->text, TEXT_MAX);
}

void canvas_done(struct canvas *c) {
    free(c->cell);
    c->cell = NULL;
    c->rows = c->cols = 0;
    buf_done(&c->text);
}

int canvas_resize(struct canvas *c, int rows, int cols) {
    size_t n = (size_t)rows * (size_t)cols;
    struct cell *cell = realloc(c->cell, (n ? n : 1) * sizeof(*cell));

    if (!cell)
        return -ENOMEM;
    c->cell = cell;
    c->rows = rows;
    c->cols = cols;
    canvas_clear(c);
    return 0;
}

void canvas_clear(struct canvas *c) {
    for (size_t i = 0; i < (size_t)c->rows * (size_t)c->cols; i++)
        c->cell[i] = (struct cell){{' '}, 1, STYLE_NORMAL};
}

static struct cell *at(const struct canvas *c, int y, int x) {
    if (y < 0 || x < 0 || y >= c->rows || x >= c->cols)
        return NULL;
    return &c->cell[(size_t)y * (size_t)c->cols + (size_t)x];
}

/* What a wide character loses its other half to becomes a blank. */
static void break_wide(struct canvas *c, int y, int x, const struct cell *here) {
    struct cell *other = here->columns == 0   ? at(c, y, x - 1)
                         : here->columns == 2 ? at(c, y, x + 1)
                                              : NULL;

    if (other)
        *other = (struct cell){{' '}, 1, other->style};
}

static void set_one(struct canvas *c, int y, int x, struct cell value) {
    struct cell *cell = at(c, y, x);

    if (!cell)
        return;
    break_wide(c, y, x, cell);
    *cell = value;
}

static void set(struct canvas *c, int y, int x, uint32_t code, unsigned columns, unsigned style) {
    set_one(c, y, x, (struct cell){{code}, (uint8_t)columns, (uint8_t)style});
    if (columns == 2 && x + 1 < c->cols) {
        struct cell *half = at(c, y, x + 1);

        if (half && half->columns == 2)
            break_wide(c, y, x + 1, half);
        if (half)
            *half = (struct cell){{0}, 0, (uint8_t)style};
    }
}

static void combine(struct canvas *c, int y, int x, uint32_t code) {
    struct cell *cell = at(c, y, x);

    if (cell && cell->columns == 0)
        cell = at(c, y, x - 1);
    for (size_t i = 1; cell && i < 3; i++)
        if (!cell->code[i]) {
            cell->code[i] = code;
            return;
        }
}

void canvas_put(struct canvas *c, int y, int x, uint32_t code, char plain, unsigned style) {
    set(c, y, x, c->ascii ? (unsigned char)plain : code, 1, style);
}

int canvas_text(struct canvas *c, int y, int x, int width, struct str text, unsigned style) {
    int used = 0;
    bool cut;

    if (x < 0 || width <= 0)
        return 0;
    if (width > c->cols - x)
        width = c->cols - x;
    cut = width > 0 && text_columns(text) > (size_t)width;
    if (cut)
        text = text_head(text, (size_t)width - 1);
    while (text.n > 0 && width > 0) {
        uint32_t code = 0;
        size_t n = text_decode(text, &code);
        size_t columns = n ? text_columns(str_head(text, n)) : 1;

        if (columns > 0)
            set(c, y, x + used, n ? code : '?', (unsigned)columns, style);
        else if (used > 0)
            combine(c, y, x + used - 1, code);
        used += (int)columns;
        text = str_from(text, n ? n : 1);
    }
    if (cut)
        set(c, y, x + used++, '+', 1, style);
    return used;
}

int canvas_name(struct canvas *c, int y, int x, int width, struct str raw, unsigned style) {
    buf_clear(&c->text);
    text_add_visible(&c->text, str_head(raw, raw.n < 4096 ? raw.n : 4096), c->ascii);
    return canvas_text(c, y, x, width, buf_str(&c->text), style);
}

int canvas_format(struct canvas *c, int y, int x, int width, unsigned style, const char *format,
                  ...) {
    char text[FORMAT_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return canvas_text(c, y, x, width, str_of(text), style);
}

void canvas_right(struct canvas *c, int y, int x, int width, struct str text, unsigned style) {
    int columns = (int)text_columns(text);

    canvas_text(c, y, columns < width ? x + width - columns : x, width, text, style);
}

void canvas_select(struct canvas *c, int y, int strong) {
    struct cell *cell = at(c, y, 0);

    for (int x = 0; cell && x < c->cols; x++)
        cell[x].style |= x < strong ? STYLE_REVERSE : STYLE_SELECTED;
}

void canvas_fill(struct canvas *c, int y, unsigned style) {
    struct cell *cell = at(c, y, 0);

    for (int x = 0; cell && x < c->cols; x++)
        cell[x].style = (uint8_t)style;
}

static void add_utf8(struct buf *out, uint32_t code) {
    if (code < 0x80) {
        buf_add_char(out, (char)code);
        return;
    }
    if (code < 0x800) {
        buf_add_char(out, (char)(0xc0 | code >> 6));
    } else if (code < 0x10000) {
        buf_add_char(out, (char)(0xe0 | code >> 12));
        buf_add_char(out, (char)(0x80 | (code >> 6 & 0x3f)));
    } else {
        buf_add_char(out, (char)(0xf0 | code >> 18));
        buf_add_char(out, (char)(0x80 | (code >> 12 & 0x3f)));
        buf_add_char(out, (char)(0x80 | (code >> 6 & 0x3f)));
    }
    buf_add_char(out, (char)(0x80 | (code & 0x3f)));
}

void canvas_row(const struct canvas *c, int y, struct buf *out) {
    size_t start = out->n;

    for (int x = 0; x < c->cols; x++) {
        const struct cell *cell = at(c, y, x);

        for (size_t i = 0; cell && i < 3 && cell->code[i]; i++)
            add_utf8(out, cell->code[i]);
    }
    while (!buf_error(out) && out->n > start && out->p[out->n - 1] == ' ')
        out->n--;
}
