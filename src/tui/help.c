/* help.c - the keys, from their table, and what signs and words mean. */
#include "base/mem.h"
#include "tui/app.h"
#include "tui/bar.h"

static const struct str words[] = {
    {"", 0},
    STR("Listed are containers and virtual machines, else services, else groups."),
    STR("kind:service, kind:pod, kind:any ... in the filter list others."),
    {"", 0},
    STR("Filter: words that all must hold. A plain word is of the name; also"),
    STR("state: image: pod: runtime: compose: kind: slice: path: label:"),
    STR("label:tier has the label, label:tier=front has it with this value,"),
    STR("state:high,at-limit is one of these, \"two words\" a text with a blank,"),
    STR("web*front has anything for the star, -word must not be."),
    {"", 0},
    STR("USED is what stays when the kernel has reclaimed all it can. The bar's"),
    STR("length is the tightest limit; the load line is where a kill is near."),
    STR("TREND is of the last minutes, up to an hour; FULL IN the time until used"),
    STR("meets the limit at that slope. OOM counts kills."),
    {"", 0},
    STR("Below a container's chart: psi, the share of time that a task waited for"),
    STR("memory; refaults, pages read back after they were reclaimed; minflt and"),
    STR("majflt, page faults without and with a wait for a disk; events: X an OOM"),
    STR("kill, S a start, R a restart, E an end, L another limit, * others."),
    {"", 0},
    STR("States, the worst first:"),
    STR("hung       waits for memory that nobody will free (v1, killing disabled)"),
    STR("at-limit   used is 90 % of the limit or more: the next step is a kill"),
    STR("oom-killed  the kernel killed in it for memory in the last 10 minutes"),
    STR("throttled  used is 90 % of memory.high or more: slowed down"),
    STR("thrashing  reads back what was just reclaimed, and waits for it"),
    STR("stalled    all tasks waited for memory 10 % of the last 10 s or more"),
    STR("swapping   30 % of the swap it may use, or more, is used"),
    STR("high       used is 70 % of the limit or more"),
    STR("cache-bound  full, but mostly of cache that can be dropped"),
    STR("growing, shrinking, steady, ok"),
    {"", 0},
    STR("Narrow terminals leave out columns: CPU, SWAP, USED%, RESTARTS, RUNTIME,"),
    STR("PSI%, the line of USED, FULL IN, OOM, TREND/h, the bar; in this order."),
};

enum { WORDS = sizeof(words) / sizeof(words[0]) };

static void draw_key(struct canvas *c, int y, int x, int width, const struct key_row *k) {
    canvas_text(c, y, x, 14, str_of(k->names), STYLE_KEY);
    canvas_text(c, y, x + 15, width - 15, str_of(k->help), STYLE_NORMAL);
}

/* In two columns where there is room, else in one. */
void help_draw(struct app *a) {
    struct canvas *c = &a->canvas;
    int height = c->rows - 3, columns = c->cols >= 100 ? 2 : 1;
    size_t key_lines = (keys_n + (size_t)columns - 1) / (size_t)columns;
    size_t lines = key_lines + 2 + WORDS;
    size_t last = lines > (size_t)height ? lines - (size_t)height : 0;

    frame_draw(a, "help");
    if (a->help_top > last)
        a->help_top = last;
    for (int y = 0; y < height; y++) {
        size_t line = a->help_top + (size_t)y;

        for (int half = 0; half < columns && line < key_lines; half++)
            if (line + (size_t)half * key_lines < keys_n)
                draw_key(c, y + 2, 2 + half * (c->cols / 2), c->cols / columns - 3,
                         &keys_table[line + (size_t)half * key_lines]);
        if (line == key_lines + 1)
            bar_legend(c, y + 2, 2, c->cols - 3);
        if (line >= key_lines + 2 && line < lines)
            canvas_text(c, y + 2, 2, c->cols - 3, words[line - key_lines - 2], STYLE_NORMAL);
    }
}
