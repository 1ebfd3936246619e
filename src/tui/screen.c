#include "tui/screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

/* behind our own headers: it defines short macros */
#define NCURSES_WIDECHAR 1
#include <curses.h>

#include "base/text.h"
#include "tui/keys.h"

static SCREEN *terminal;
static bool colours, many; /* there are colours; 256 of them */
static FILE *in, *out;

enum { SELECTED_256 = 237 }; /* the chosen row's background */

/* Blue and orange rather than red and green, where there are 256 colours. */
static const struct {
    short colour8, colour256;
    attr_t attributes, plain; /* plain: where there are no colours */
} looks[STYLE_N] = {
    [STYLE_NORMAL] = {-1, -1, 0, 0},
    [STYLE_DIM] = {-1, 245, A_DIM, A_DIM},
    [STYLE_BOLD] = {-1, -1, A_BOLD, A_BOLD},
    [STYLE_HEAD] = {-1, -1, A_REVERSE, A_REVERSE},
    [STYLE_KEY] = {COLOR_CYAN, 80, A_BOLD, A_BOLD},
    [STYLE_GOOD] = {COLOR_CYAN, 74, 0, 0},
    [STYLE_WARN] = {COLOR_YELLOW, 214, 0, 0},
    [STYLE_BAD] = {COLOR_RED, 203, A_BOLD, A_BOLD},
    [STYLE_SPARK] = {COLOR_CYAN, 74, 0, 0},
    [STYLE_USED] = {COLOR_BLUE, 68, 0, 0},
    [STYLE_RECLAIM] = {COLOR_CYAN, 110, 0, A_DIM},
    [STYLE_LIMIT] = {COLOR_RED, 203, A_BOLD, A_BOLD},
    [STYLE_HIGH] = {COLOR_YELLOW, 214, 0, 0},
    [STYLE_PART + PART_ANON] = {COLOR_BLUE, 68, 0, 0},
    [STYLE_PART + PART_SHMEM] = {COLOR_MAGENTA, 175, 0, 0},
    [STYLE_PART + PART_KERNEL] = {COLOR_YELLOW, 214, 0, 0},
    [STYLE_PART + PART_OTHER] = {COLOR_WHITE, 245, 0, 0},
    [STYLE_PART + PART_SLAB] = {COLOR_GREEN, 36, 0, 0},
    [STYLE_PART + PART_ACTIVE] = {COLOR_CYAN, 74, 0, 0},
    [STYLE_PART + PART_INACTIVE] = {COLOR_CYAN, 117, 0, A_DIM},
};

static void start_colours(bool no_color) {
    colours = !no_color && has_colors() && start_color() == OK;
    if (!colours)
        return;
    use_default_colors();
    many = COLORS >= 256 && COLOR_PAIRS > 2 * STYLE_N;
    for (int i = 0; i < STYLE_N; i++) {
        if (i > 0)
            init_pair((short)i, many ? looks[i].colour256 : looks[i].colour8, -1);
        if (many)
            init_pair((short)(STYLE_N + i), looks[i].colour256, SELECTED_256);
    }
}

int screen_open(bool no_color, struct err *err) {
    const char *type = getenv("TERM");

    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return err_set(err, -ENOTTY,
                       "the screen needs a terminal; `plimsoll stats` writes tables anywhere");
    /* streams of our own: curses changes how the given one is buffered */
    in = fdopen(dup(STDIN_FILENO), "r");
    out = fdopen(dup(STDOUT_FILENO), "w");
    terminal = in && out ? newterm(type && type[0] ? type : "unknown", out, in) : NULL;
    if (!terminal) {
        screen_close();
        return err_set(err, -ENODEV,
                       "cannot draw on a terminal of type '%s'; is TERM right and its terminfo "
                       "installed?",
                       type ? type : "");
    }
    set_term(terminal);
    start_colours(no_color);
    cbreak();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    set_escdelay(50);
    curs_set(0);
    return 0;
}

void screen_close(void) {
    if (terminal) {
        /* where there is no other screen to go back to, the shell's prompt comes here */
        move(LINES - 1, 0);
        clrtoeol();
        refresh();
        endwin();
        delscreen(terminal);
    }
    terminal = NULL;
    if (in)
        fclose(in);
    if (out)
        fclose(out);
    in = out = NULL;
}

void screen_size(int *rows_out, int *cols_out) {
    struct winsize size = {0};

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0 &&
        is_term_resized(size.ws_row, size.ws_col))
        resizeterm(size.ws_row, size.ws_col);
    *rows_out = LINES;
    *cols_out = COLS;
}

/* What this terminal's locale would draw in another width, or not at all, is a question mark: a
 * row's columns stay aligned. */
static bool draws_as_wide(uint32_t code, unsigned columns) {
    return code < 0x80 || wcwidth((wchar_t)code) == (int)columns;
}

/* The chosen row has a background of its own where there are enough colours, and is reversed in one
 * piece where not. */
static attr_t look_of(unsigned style, short *pair_out) {
    unsigned look = style & (STYLE_SELECTED - 1);

    *pair_out = 0;
    if (style & STYLE_REVERSE || (style & STYLE_SELECTED && !many))
        return A_REVERSE | (look == STYLE_BOLD || look == STYLE_BAD ? A_BOLD : 0);
    if (colours)
        *pair_out = (short)(look + (style & STYLE_SELECTED ? STYLE_N : 0));
    if (look == STYLE_DIM && many) /* grey is enough */
        return 0;
    return colours ? looks[look].attributes : looks[look].plain;
}

static void put(int y, int x, const struct cell *cell) {
    short pair;
    attr_t attributes = look_of(cell->style, &pair);
    wchar_t text[4] = {(wchar_t)cell->code[0], 0};
    cchar_t shown;
    size_t n = 1;

    if (!draws_as_wide(cell->code[0], cell->columns))
        text[0] = '?';
    for (size_t i = 1; i < 3 && cell->code[i] && text[0] != '?'; i++)
        if (wcwidth((wchar_t)cell->code[i]) == 0)
            text[n++] = (wchar_t)cell->code[i];
    text[n] = 0;
    setcchar(&shown, text, attributes, pair, NULL);
    mvadd_wch(y, x, &shown);
    if (text[0] == '?' && cell->columns == 2)
        mvaddch(y, x + 1, ' ');
}

void screen_show(const struct canvas *c, bool anew) {
    for (int y = 0; y < c->rows && y < LINES; y++)
        for (int x = 0; x < c->cols && x < COLS; x++) {
            const struct cell *cell = &c->cell[(size_t)y * (size_t)c->cols + (size_t)x];

            if (cell->columns > 0)
                put(y, x, cell);
        }
    if (anew)
        clearok(curscr, TRUE);
    refresh();
}

static uint32_t named(wint_t key) {
    static const struct {
        wint_t from;
        uint32_t to;
    } keys[] = {
        {KEY_UP, KEYS_UP},         {KEY_DOWN, KEYS_DOWN},
        {KEY_LEFT, KEYS_LEFT},     {KEY_RIGHT, KEYS_RIGHT},
        {KEY_PPAGE, KEYS_PAGE_UP}, {KEY_NPAGE, KEYS_PAGE_DOWN},
        {KEY_HOME, KEYS_HOME},     {KEY_END, KEYS_END},
        {KEY_ENTER, KEYS_ENTER},   {KEY_BACKSPACE, KEYS_BACKSPACE},
    };

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (keys[i].from == key)
            return keys[i].to;
    return KEYS_OTHER;
}

int screen_key(uint32_t *key_out) {
    struct pollfd terminal_gone = {.fd = STDIN_FILENO, .events = POLLIN};
    wint_t key = 0;
    int r = get_wch(&key);

    *key_out = 0;
    if (r == KEY_CODE_YES) {
        *key_out = named(key);
    } else if (r == OK) {
        *key_out = key == '\r' || key == '\n'   ? (uint32_t)KEYS_ENTER
                   : key == 0x7f || key == '\b' ? (uint32_t)KEYS_BACKSPACE
                   : key == 0                   ? (uint32_t)KEYS_OTHER
                                                : (uint32_t)key;
    } else if (poll(&terminal_gone, 1, 0) > 0 && terminal_gone.revents & (POLLHUP | POLLERR)) {
        return -ENODATA;
    }
    return 0;
}

/* By SIGTSTP, which the kernel drops when there is no shell that could ever continue us. */
static void stop(void) {
    struct sigaction usual = {.sa_handler = SIG_DFL}, before;
    sigset_t only, mask;

    sigemptyset(&only);
    sigaddset(&only, SIGTSTP);
    sigaction(SIGTSTP, &usual, &before);
    raise(SIGTSTP);
    sigprocmask(SIG_UNBLOCK, &only, &mask);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    sigaction(SIGTSTP, &before, NULL);
}

void screen_suspend(void) {
    endwin();
    stop();
    screen_resume();
}

void screen_resume(void) {
    endwin(); /* who stopped us otherwise has left a shell's modes and its lines on our screen */
    refresh();
    curs_set(0);
}
