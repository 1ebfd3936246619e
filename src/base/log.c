#include "base/log.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

enum { LINE = 600, SHOWN = 4 * LINE, REMEMBERED = 16, AGAIN_US = 60 * 1000000 };

/* The lines said last, by a sum of their format and text. */
static struct {
    const char *name;
    int journal;
    struct {
        uint64_t sum;
        int64_t at_us;
        unsigned left_out;
    } said[REMEMBERED];
    unsigned next;
} state = {.name = "plimsoll"};

void log_open(const char *name, int journal) {
    state.name = name;
    state.journal = journal;
}

static uint64_t sum_of(const char *text) {
    uint64_t sum = 14695981039346656037u; /* FNV-1a: nobody gains from making two lines alike */

    for (; *text; text++)
        sum = (sum ^ (uint8_t)*text) * 1099511628211u;
    return sum;
}

/* How often the line was left out since it was said, or -1 when it is to be left out now. */
static int repeats(const char *text) {
    uint64_t sum = sum_of(text);
    int64_t now_us = clock_mono_us();

    for (unsigned i = 0; i < REMEMBERED; i++) {
        int left_out = (int)state.said[i].left_out;

        if (state.said[i].sum != sum)
            continue;
        if (now_us - state.said[i].at_us < AGAIN_US) {
            state.said[i].left_out++;
            return -1;
        }
        state.said[i].at_us = now_us;
        state.said[i].left_out = 0;
        return left_out;
    }
    state.said[state.next].sum = sum;
    state.said[state.next].at_us = now_us;
    state.said[state.next].left_out = 0;
    state.next = (state.next + 1) % REMEMBERED;
    return 0;
}

static size_t at_most(int n, size_t most) {
    return n < 0 ? 0 : (size_t)n < most ? (size_t)n : most;
}

void log_line(enum log_level level, const char *format, ...) {
    char line[LINE], shown[SHOWN]; /* a byte becomes four at most */
    struct buf out;
    size_t head, n;
    int again;
    va_list args;

    head = at_most(state.journal ? snprintf(line, 100, "<%d>plimsoll: %s: ", level, state.name)
                                 : snprintf(line, 100, "plimsoll: %s: ", state.name),
                   99);
    va_start(args, format);
    n = head + at_most(vsnprintf(line + head, sizeof(line) - head - 40, format, args),
                       sizeof(line) - head - 41);
    va_end(args);
    again = repeats(line + head);
    if (again < 0)
        return;
    if (again > 0)
        n += at_most(snprintf(line + n, 38, " (%d times since)", again), 37);
    buf_fixed(&out, shown, sizeof(shown));
    buf_add(&out, (struct str){line, head});
    text_add_visible(&out, (struct str){line + head, n - head}, false);
    buf_add_char(&out, '\n');
    /* One write: lines of the agent's processes do not mix. */
    if (write(STDERR_FILENO, out.p, out.n) < 0)
        return;
}
