#include "engine/guardlog.h"

#include <poll.h>
#include <unistd.h>

#include "base/log.h"

enum { LINE = 1000 };

bool guardlog_wants(const struct audit *a) {
    return a->kind == AUDIT_END || a->kind == AUDIT_UNDO || a->kind == AUDIT_HANG;
}

static bool has_room(struct guardlog *g, int64_t now_ms) {
    int64_t more = g->at_ms ? (now_ms - g->at_ms) / GUARDLOG_MS : GUARDLOG_LINES;

    if (more > 0) {
        g->room = more < GUARDLOG_LINES - g->room ? g->room + more : GUARDLOG_LINES;
        g->at_ms = now_ms;
    }
    if (g->room == 0)
        return false;
    g->room--;
    return true;
}

bool guardlog_line(struct guardlog *g, const struct audit *a, int64_t now_ms, struct buf *out) {
    if (!has_room(g, now_ms)) {
        g->left_out++;
        return false;
    }
    buf_add_format(out, "'%s': ", a->name[0] ? a->name : a->path);
    audit_add_line(out, a);
    if (g->left_out > 0)
        buf_add_format(out, " (left out before it, and in the audit: %u)", g->left_out);
    g->left_out = 0;
    return true;
}

/* The pipe to a journal that stands still is full at some time. */
static bool is_read(void) {
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};

    return poll(&out, 1, 0) != 0;
}

/* What has ended something, failed, or hangs is worth being looked at. */
static enum log_level level_of(const struct audit *a) {
    if (a->kind == AUDIT_HANG)
        return a->up ? LOG_WARN : LOG_NOTE;
    if (a->kind != AUDIT_END || a->dry_run)
        return LOG_NOTE;
    return a->action >= ACTION_TERM || a->report.outcome == OUTCOME_FAILED ||
                   a->report.outcome == OUTCOME_REFUSED
               ? LOG_WARN
               : LOG_NOTE;
}

void guardlog_tell(struct guardlog *g, const struct audit *a, int64_t now_ms) {
    char memory[LINE];
    struct buf line;

    if (!guardlog_wants(a))
        return;
    buf_fixed(&line, memory, sizeof(memory));
    if (!is_read())
        g->left_out++;
    else if (guardlog_line(g, a, now_ms, &line))
        log_line(level_of(a), "%.*s", STR_ARG(buf_str(&line)));
}
