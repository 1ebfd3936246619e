/* table.h - rows of cells to aligned columns, tab-separated text, or as many columns as fit.
 *
 * Cells are written into one buffer and addressed by offset, so a table of a thousand rows makes
 * no thousand allocations, and it is kept from tick to tick.
 */
#pragma once
#include "base/buf.h"

enum table_align { TABLE_LEFT, TABLE_RIGHT };

/* How a cell is to be seen: in colour where there is colour, and never by colour alone. */
enum table_mark { TABLE_UNMARKED, TABLE_WARN, TABLE_BAD };

enum table_cut {
    TABLE_WHOLE, /* never cut, but when nothing else is left */
    TABLE_CUT_END,
    TABLE_CUT_PATH, /* of a path ("/...") the end is kept, which tells it from others */
};

struct table_column {
    const char *head;
    enum table_align align;
    unsigned char weight; /* which columns go first when the terminal is too narrow: the highest;
                             0 = never dropped */
    enum table_cut cut;   /* how a long text is cut, with a '+', before columns are dropped */
};

struct table_layout {
    bool plain;       /* tab-separated, all columns, no alignment */
    bool head;        /* print the line of column heads */
    unsigned gap;     /* blanks between columns (0 means 2) */
    unsigned minimum; /* least width of a column, its gap included (Docker: 10) */
    size_t width;     /* columns of the terminal; 0 = no limit */
    bool colour;      /* show marks by ANSI colours */
};

struct table {
    const struct table_column *column;
    size_t columns;
    struct buf cells; /* the text of all cells, one after the other */
    uint32_t *end;    /* where each cell ends; row after row */
    uint8_t *mark;    /* of each cell: enum table_mark */
    enum table_mark next_mark;
    size_t count, size; /* cells in use, room */
    int error;
};

void table_init(struct table *t, const struct table_column *column, size_t columns, size_t max);
void table_done(struct table *t);
void table_clear(struct table *t);

/* Writes a cell: append to table_cell(t), then table_next(t). After the last column comes the next
 * row. Unknown values are table_unknown: "-". */
struct buf *table_cell(struct table *t);
void table_next(struct table *t);
void table_mark(struct table *t, enum table_mark mark); /* of the cell that is being written */
void table_unknown(struct table *t);

/* Formats everything into `out`. 0, or -ENOMEM/-EFBIG when a cell was lost on the way. */
int table_print(struct table *t, const struct table_layout *layout, struct buf *out);
