#include "tui/keys.h"

#define CTRL(letter) ((letter)&0x1f)

/* In the order of help. */
const struct key_row keys_table[] = {
    {ACTION_DOWN, {'j', KEYS_DOWN}, "j Down", "next row", NULL},
    {ACTION_UP, {'k', KEYS_UP}, "k Up", "row before", NULL},
    {ACTION_PAGE_DOWN, {KEYS_PAGE_DOWN, CTRL('f')}, "PgDn", "a page on", NULL},
    {ACTION_PAGE_UP, {KEYS_PAGE_UP, CTRL('b')}, "PgUp", "a page back", NULL},
    {ACTION_FIRST, {'g', KEYS_HOME}, "g Home", "first row", NULL},
    {ACTION_LAST, {'G', KEYS_END}, "G End", "last row", NULL},
    {ACTION_OPEN, {KEYS_ENTER, 'l', KEYS_RIGHT}, "Enter", "open the container", "open"},
    {ACTION_BACK, {KEYS_ESC, 'h', KEYS_BACKSPACE, KEYS_LEFT}, "Esc Backspace", "back", NULL},
    {ACTION_NEXT, {'J'}, "J", "next container", NULL},
    {ACTION_PREVIOUS, {'K'}, "K", "previous container", NULL},
    {ACTION_FILTER, {'/'}, "/", "filter", "filter"},
    {ACTION_SORT_NEXT, {'s'}, "s", "sort by the next column", "sort"},
    {ACTION_SORT_TURN, {'S'}, "S", "the other way round", NULL},
    {ACTION_SORT_LEFT, {'<'}, "<", "sort by the column to the left", NULL},
    {ACTION_SORT_RIGHT, {'>'}, ">", "sort by the column to the right", NULL},
    {ACTION_GROUP, {'p'}, "p", "group by pod, compose, slice, not", "group"},
    {ACTION_OVERVIEW, {'o'}, "o", "the overview", NULL},
    {ACTION_EVENTS, {'t'}, "t", "events of all containers", "events"},
    {ACTION_EARLIER, {'['}, "[", "earlier by an eighth of the window", NULL},
    {ACTION_LATER, {']'}, "]", "later by an eighth", NULL},
    {ACTION_WINDOW_EARLIER, {'{'}, "{", "earlier by a window", NULL},
    {ACTION_WINDOW_LATER, {'}'}, "}", "later by a window", NULL},
    {ACTION_ZOOM_IN, {'+', '='}, "+", "shorter window", NULL},
    {ACTION_ZOOM_OUT, {'-', '_'}, "-", "longer window", NULL},
    {ACTION_PAUSE, {' '}, "Space", "stop and go on; past: let time run", "pause"},
    {ACTION_NOW, {'0', 'n'}, "0 n", "back to now", NULL},
    {ACTION_REDRAW, {CTRL('l')}, "Ctrl-L", "draw anew", NULL},
    {ACTION_HELP, {'?'}, "?", "this help", "help"},
    {ACTION_QUIT, {'q'}, "q", "back; on the overview: quit", "quit"},
};

const size_t keys_n = sizeof(keys_table) / sizeof(keys_table[0]);

enum action keys_action(uint32_t key) {
    for (size_t i = 0; key && i < keys_n; i++)
        for (size_t k = 0; k < 4 && keys_table[i].key[k]; k++)
            if (keys_table[i].key[k] == key)
                return keys_table[i].action;
    return ACTION_NONE;
}
