/* process.c - a container's processes as a tree. */
#include "base/num.h"
#include "tui/app.h"
#include "tui/units.h"

enum {
    COMMAND_MIN = 16,
    TREE_BRANCH = 0x251c,
    TREE_LAST = 0x2514,
    TREE_BAR = 0x2502,
    DASH = 0x2500
};

/* The last go first where it is narrow. */
static const struct column {
    const char *head;
    enum proc_field field; /* PROC_N: the pid */
    int width;
} columns[] = {
    {"PID", PROC_N, 8},     {"RSS", PROC_RES, 7},     {"PSS", PROC_PSS, 7}, {"USS", PROC_USS, 7},
    {"SWAP", PROC_SWAP, 7}, {"THR", PROC_THREADS, 4}, {"FDS", PROC_FDS, 4},
};

enum { COLUMNS = sizeof(columns) / sizeof(columns[0]) };

static bool is_count(enum proc_field field) {
    return field == PROC_THREADS || field == PROC_FDS;
}

/* How many of the columns fit: later ones are dropped first. */
static int fitting(int cols) {
    int n = 0, x = 0;

    while (n < COLUMNS && x + columns[n].width + 1 + COMMAND_MIN <= cols)
        x += columns[n++].width + 1;
    return n;
}

static void add_cell(struct buf *text, const struct tui_process *p, enum proc_field field) {
    if (field == PROC_N) {
        buf_add_format(text, "%d", (int)p->pid);
        return;
    }
    if (!(p->have & PROC_BIT(field))) {
        buf_add_char(text, '-');
        return;
    }
    if (p->pss_estimated && (field == PROC_PSS || field == PROC_USS))
        buf_add_char(text, '~');
    if (is_count(field))
        units_add_count(text, p->value[field]);
    else
        num_add_iec(text, p->value[field]);
}

/* The branches before a command: the columns they take. */
static int draw_branches(struct canvas *c, int y, int x, const struct proctree_node *node) {
    for (unsigned d = 1; d < node->depth; d++)
        if (node->bars & 1U << d)
            canvas_put(c, y, x + 2 * (int)(d - 1), TREE_BAR, '|', STYLE_DIM);
    if (node->depth == 0)
        return 0;
    x += 2 * (node->depth - 1);
    canvas_put(c, y, x, node->last ? TREE_LAST : TREE_BRANCH, node->last ? '`' : '|', STYLE_DIM);
    canvas_put(c, y, x + 1, DASH, '-', STYLE_DIM);
    return 2 * node->depth;
}

static void draw_process(struct app *a, int y, int n, const struct proctree_node *node) {
    const struct tui_process *p = &a->detail.process[node->index];
    struct canvas *c = &a->canvas;
    struct buf text;
    int x = 0;

    buf_init(&text, 128);
    for (int i = 0; i < n; i++) {
        buf_clear(&text);
        add_cell(&text, p, columns[i].field);
        canvas_right(c, y, x, columns[i].width, buf_str(&text), STYLE_NORMAL);
        x += columns[i].width + 1;
    }
    buf_done(&text);
    x += 1 + draw_branches(c, y, x + 1, node);
    canvas_name(c, y, x, c->cols - x, p->command.n ? p->command : p->comm, STYLE_NORMAL);
}

static void draw_heads(struct canvas *c, int y, int n, size_t processes) {
    int x = 0;

    canvas_fill(c, y, STYLE_BOLD);
    for (int i = 0; i < n; i++) {
        canvas_right(c, y, x, columns[i].width, str_of(columns[i].head), STYLE_BOLD);
        x += columns[i].width + 1;
    }
    canvas_format(c, y, x + 1, c->cols - x, STYLE_BOLD, "COMMAND (%zu)", processes);
}

void process_draw(struct app *a, int y, int height) {
    struct detail *d = &a->detail;
    struct canvas *c = &a->canvas;
    int n = fitting(c->cols);
    size_t lines = height > 1 ? (size_t)height - 1 : 0;

    if (lines == 0)
        return;
    draw_heads(c, y, n, d->tree.n);
    if (d->cursor < d->top)
        d->top = d->cursor;
    if (d->cursor >= d->top + lines)
        d->top = d->cursor + 1 - lines;
    if (d->top + lines > d->tree.n)
        d->top = d->tree.n > lines ? d->tree.n - lines : 0;
    if (d->tree.n == 0)
        canvas_name(c, y + 1, 2, c->cols - 4,
                    d->trouble[0] ? str_of(d->trouble)
                                  : STR("no processes are known at this moment"),
                    STYLE_DIM);
    for (size_t i = 0; i < lines && d->top + i < d->tree.n; i++) {
        draw_process(a, y + 1 + (int)i, n, &d->tree.node[d->top + i]);
        if (d->top + i == d->cursor)
            canvas_select(c, y + 1 + (int)i, columns[0].width);
    }
}
