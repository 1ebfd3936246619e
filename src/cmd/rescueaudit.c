#include "cmd/rescueaudit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cmd/cmd.h"
#include "guard/auditlog.h"

int rescueaudit_open(struct rescueaudit *a, struct grip *g, const struct policy *p,
                     const char *path, struct err *err) {
    *a = (struct rescueaudit){.fd = -1, .grip = g, .policy = p};
    if (p->dry_run)
        return 0;
    a->now = calloc(1, sizeof(*a->now));
    a->memory = malloc(AUDITLOG_LINE);
    if (!a->now || !a->memory) {
        rescueaudit_close(a);
        return err_set(err, -ENOMEM, "no memory");
    }
    buf_fixed(&a->room, a->memory, AUDITLOG_LINE);
    a->fd = auditlog_open(path, err);
    if (a->fd < 0) {
        int r = a->fd;

        rescueaudit_close(a);
        return r;
    }
    return 0;
}

void rescueaudit_close(struct rescueaudit *a) {
    if (a->fd >= 0)
        close(a->fd);
    free(a->now);
    free(a->memory);
    *a = (struct rescueaudit){.fd = -1};
}

static void begin(struct rescueaudit *a, enum action action, int32_t pid, const char *why) {
    *a->now = (struct audit){.kind = AUDIT_BEGIN, .action = action, .at_ms = clock_wall_ms()};
    auditlog_id(a->now->id, a->now->at_ms);
    (void)str_copy(STR("rescue"), a->now->by, sizeof(a->now->by));
    (void)str_copy(str_of(a->grip->name), a->now->name, sizeof(a->now->name));
    (void)str_copy(str_of(a->grip->path), a->now->path, sizeof(a->now->path));
    a->now->report.pid = pid;
    if (a->hang)
        a->now->hang = *a->hang;
    (void)str_copy(str_head(str_of(why), REPORT_TEXT - 1), a->now->report.text, REPORT_TEXT);
    a->began_us = clock_mono_us();
}

int rescueaudit_action(struct rescueaudit *a, enum action action, int32_t pid, const char *why,
                       const struct action_report *report) {
    uint64_t used = 0;
    bool have;
    int r;

    if (a->fd < 0)
        return -EBADF;
    if (!report)
        begin(a, action, pid, why);
    have = grip_used(a->grip, &used) == 0;
    (void)grip_read(a->grip, GRIP_STAT | GRIP_EVENTS | GRIP_PSI, &a->now->facts);
    if (report) {
        a->now->kind = AUDIT_END;
        a->now->at_ms = clock_wall_ms();
        a->now->report = *report;
        a->now->have_after = have;
        a->now->after = used;
        a->now->took_us = clock_mono_us() - a->began_us;
    } else {
        a->now->have_before = have;
        a->now->before = used;
    }
    r = auditlog_write(a->fd, a->now, NULL, &a->room);
    if (r < 0 && !a->lost) {
        a->lost = true;
        cmd_warn("the audit cannot be written: %s; nothing more is begun", strerror(-r));
    }
    return a->lost && !report ? -EROFS : 0;
}
