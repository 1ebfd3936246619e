/* keys.h - which key does what: one table for what is done, for help and for the hints below. */
#pragma once
#include "base/str.h"

/* Keys that are no characters, beyond all code points (these end at 0x10ffff). */
enum {
    KEYS_UP = 0x200000,
    KEYS_DOWN,
    KEYS_LEFT,
    KEYS_RIGHT,
    KEYS_PAGE_UP,
    KEYS_PAGE_DOWN,
    KEYS_HOME,
    KEYS_END,
    KEYS_ENTER,
    KEYS_BACKSPACE,
    KEYS_OTHER, /* one that means nothing here */
    KEYS_ESC = 27,
};

enum action {
    ACTION_NONE,
    ACTION_DOWN,
    ACTION_UP,
    ACTION_PAGE_DOWN,
    ACTION_PAGE_UP,
    ACTION_FIRST,
    ACTION_LAST,
    ACTION_OPEN,
    ACTION_BACK,
    ACTION_NEXT,
    ACTION_PREVIOUS,
    ACTION_FILTER,
    ACTION_SORT_NEXT,
    ACTION_SORT_TURN,
    ACTION_SORT_LEFT,
    ACTION_SORT_RIGHT,
    ACTION_GROUP,
    ACTION_OVERVIEW,
    ACTION_EVENTS,
    ACTION_EARLIER,
    ACTION_LATER,
    ACTION_WINDOW_EARLIER,
    ACTION_WINDOW_LATER,
    ACTION_ZOOM_IN,
    ACTION_ZOOM_OUT,
    ACTION_PAUSE,
    ACTION_NOW,
    ACTION_HELP,
    ACTION_REDRAW,
    ACTION_QUIT,
};

struct key_row {
    enum action action;
    uint32_t key[4]; /* 0: no more */
    const char *names, *help;
    const char *hint; /* a word for the line of hints, or NULL */
};

extern const struct key_row keys_table[];
extern const size_t keys_n;

enum action keys_action(uint32_t key);
