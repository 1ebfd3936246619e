/* number.h - a number of the command line: digits and nothing else, at most `max`. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

static inline bool parse_number(const char *text, uint64_t max, uint64_t *out) {
    uint64_t value = 0;

    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10 + (uint64_t)(*text - '0');
        if (value > max)
            return false;
    }
    *out = value;
    return true;
}
