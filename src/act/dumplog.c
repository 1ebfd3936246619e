/* What the kernel's log still has about the group: its OOM reports, whole, and who was killed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "act/dumpint.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"
#include "kern/oomreport.h"

enum {
    RECORDS_MAX = 100000,
    READ_US = 300000,
    BLOCK_MAX = 128 << 10,
    LOG_MAX = 1 << 20,
    LINES_MAX = 8, /* kills that the summary tells of: the last */
};

struct log {
    struct dump *d;
    char *group; /* its path as the kernel's log has it */
    struct oomreport *report;
    struct buf out, block; /* block: of the report that is being written */
    bool about;            /* the block names the group */
    unsigned kills;
    struct buf line[LINES_MAX];
};

static bool set_group(struct log *l) {
    struct str root = str_of(l->d->g->fs->memory_root), path = str_of(l->d->g->path);

    if (str_eq(root, STR("/")) || str_starts(root, STR("/..")))
        root.n = 0;
    l->group = malloc(root.n + path.n + 1);
    if (!l->group)
        return false;
    memcpy(l->group, root.p, root.n);
    memcpy(l->group + root.n, path.p, path.n);
    l->group[root.n + path.n] = '\0';
    return true;
}

/* The group itself or one below it. */
static bool is_path_ours(const struct log *l, struct str path) {
    struct str ours = str_of(l->group);

    return ours.n > 1 && str_starts(path, ours) && (path.n == ours.n || path.p[ours.n] == '/');
}

static bool is_ours(const struct log *l, const struct oomkill *k) {
    if (is_path_ours(l, k->task_path) || is_path_ours(l, k->limit_path))
        return true;
    for (size_t i = 0; k->task_path.n == 0 && i < l->d->rows; i++)
        if (l->d->row[i].pid == k->pid)
            return true;
    return false;
}

static void end_block(struct log *l, bool keep) {
    if ((keep || l->about) && l->block.n > 0) {
        buf_add(&l->out, buf_str(&l->block));
        buf_add_char(&l->out, '\n');
    }
    buf_clear(&l->block);
    l->about = false;
}

static void add_record(struct log *l, const struct kmsg_record *r) {
    char plain[KMSG_RECORD];
    size_t n = kmsg_unescape(
        r->text.n <= sizeof(plain) ? r->text : str_head(r->text, sizeof(plain)), plain);

    if (memmem(plain, n, " invoked oom-killer: ", 21))
        end_block(l, false);
    if (str_of(l->group).n > 1 && memmem(plain, n, l->group, strlen(l->group)))
        l->about = true;
    buf_add_format(&l->block, "[%5ld.%06ld] ", r->at_us / 1000000, r->at_us % 1000000);
    buf_add(&l->block, r->text);
    buf_add_char(&l->block, '\n');
    if (buf_error(&l->block)) { /* other records in between, without end */
        buf_clear(&l->block);
        l->about = false;
    }
}

/* The log's clock is the monotonic one, less what the machine slept: good to a second or so. */
static void tell_kill(struct log *l, const struct oomkill *k) {
    struct buf *line = &l->line[l->kills++ % LINES_MAX];

    buf_clear(line);
    clock_add_rfc3339(line, clock_wall_ms() - (clock_mono_us() - k->at_us) / 1000);
    if (line->n == 24) /* without its milliseconds */
        line->n = 19;
    buf_add_format(line, "  killed for memory: %d (", k->pid);
    text_add_visible(line, k->comm, false);
    buf_add(line, STR("), anon "));
    num_add_iec(line, k->anon);
    buf_add(line, STR(", shmem "));
    num_add_iec(line, k->shmem);
    if (k->constraint == OOM_HOST) {
        buf_add(line, STR(", the machine was out of memory"));
    } else if (k->limit_path.n > 0) {
        buf_add(line, STR(", at the limit of "));
        text_add_visible(line, k->limit_path, false);
    }
    buf_add_char(line, '\n');
}

static void read_all(struct log *l, int fd) {
    int64_t until_us = clock_mono_us() + READ_US;
    char text[KMSG_RECORD];

    for (unsigned i = 0; i < RECORDS_MAX && clock_mono_us() < until_us; i++) {
        struct kmsg_record record;
        struct oomkill kill;
        int r = kmsg_next(fd, text, sizeof(text), &record);

        if (r == -EPIPE || r == -EBADMSG || r == -ERANGE)
            continue;
        if (r <= 0)
            break;
        if (!record.from_kernel)
            continue;
        add_record(l, &record);
        if (oomreport_feed(l->report, &record, &kill) == 1) {
            bool ours = is_ours(l, &kill);

            if (ours)
                tell_kill(l, &kill);
            end_block(l, ours);
        }
    }
    end_block(l, false);
}

static void take_lines(struct log *l) {
    unsigned n = l->kills < LINES_MAX ? l->kills : LINES_MAX;

    for (unsigned i = l->kills - n; i < l->kills; i++)
        buf_add(&l->d->log, buf_str(&l->line[i % LINES_MAX]));
}

void dump_log(struct dump *d) {
    struct log l = {.d = d};
    auto_close int fd = kmsg_open("/dev/kmsg");
    int r = fd < 0 ? fd : 0;

    if (r == 0 && (!set_group(&l) || oomreport_new(&l.report) < 0))
        r = -ENOMEM;
    if (r < 0) {
        dump_missed(d, 0, "kernel.log", r);
        free(l.group);
        return;
    }
    buf_init(&l.out, LOG_MAX);
    buf_init(&l.block, BLOCK_MAX);
    for (size_t i = 0; i < LINES_MAX; i++)
        buf_init(&l.line[i], 4096);
    (void)lseek(fd, 0, SEEK_SET);
    read_all(&l, fd);
    take_lines(&l);
    if (l.out.n > 0) {
        r = dumpstore_write(&d->store, d->store.dir, "kernel.log", buf_str(&l.out), NULL);
        if (r < 0)
            dump_missed(d, 0, "kernel.log", r);
    }
    for (size_t i = 0; i < LINES_MAX; i++)
        buf_done(&l.line[i]);
    buf_done(&l.block);
    buf_done(&l.out);
    oomreport_free(l.report);
    free(l.group);
}
