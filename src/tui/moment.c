#include "tui/moment.h"

static const int64_t steps_s[] = {60,    120,   300,   600,    900,    1800,   3600,    7200,
                                  14400, 28800, 86400, 172800, 345600, 604800, 1209600, 2592000};

enum { STEPS = sizeof(steps_s) / sizeof(steps_s[0]) };

_Static_assert(MOMENT_WINDOW_MIN_MS == 60000, "the first step");

const char *moment_shift(struct moment *m, const struct tui_host *host, int64_t now_ms,
                         int64_t window_ms, int eighths) {
    int64_t from = m->at_ms ? m->at_ms : m->stopped && host ? host->at_ms : now_ms;
    int64_t to = from + window_ms / 8 * eighths;

    if (eighths < 0 && (!host || !host->agent))
        return "there is no past without the agent: start `plimsoll agent`";
    if (to >= now_ms) {
        bool was_live = m->at_ms == 0;

        m->at_ms = 0;
        m->playing = m->stopped = false;
        return was_live ? "this is now already" : NULL;
    }
    m->stopped = false;
    if (host && host->oldest_ms > 0 && to < host->oldest_ms) {
        m->at_ms = host->oldest_ms < now_ms ? host->oldest_ms : now_ms;
        return "this is as far back as is known";
    }
    m->at_ms = to > 1 ? to : 1;
    return NULL;
}

void moment_zoom(struct moment *m, int64_t shown_ms, int direction) {
    int64_t from_ms = direction < 0 ? shown_ms : m->window_ms;
    int i = 0;

    while (i < STEPS - 1 && steps_s[i] * 1000 < from_ms)
        i++;
    i += direction;
    m->window_ms = steps_s[i < 0 ? 0 : i < STEPS ? i : STEPS - 1] * 1000;
}

void moment_pause(struct moment *m) {
    if (m->at_ms)
        m->playing = !m->playing;
    else
        m->stopped = !m->stopped;
}

void moment_step(struct moment *m, int64_t now_ms, int64_t dt_ms) {
    if (!m->at_ms || !m->playing)
        return;
    m->at_ms += dt_ms;
    if (m->at_ms < now_ms)
        return;
    m->at_ms = 0;
    m->playing = false;
}

int64_t moment_window(const struct moment *m, int64_t end_ms, int64_t oldest_ms) {
    for (int i = 0; oldest_ms > 0 && i < STEPS; i++)
        if (steps_s[i] * 1000 >= end_ms - oldest_ms && steps_s[i] * 1000 < m->window_ms)
            return steps_s[i] * 1000;
    return m->window_ms;
}
