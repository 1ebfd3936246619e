#include "kern/proctask.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "kern/procfile.h"
#include "kern/procstat.h"

int proctask_parse_wchan(struct str text, char out[static PROCTASK_NAME]) {
    char name[PROCTASK_NAME];
    int r;

    text = str_trim(text);
    if (str_eq(text, STR("0")))
        text.n = 0;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] <= ' ' || text.p[i] > '~')
            return -EBADMSG;
    r = str_copy(text, name, sizeof(name));
    if (r == 0)
        memcpy(out, name, sizeof(name));
    return r;
}

/* The name of "[<0>] name+0x1a/0x30 [module]"; empty when the kernel gave the address alone. */
static int frame_name(struct str line, struct str *out) {
    struct str head, name;
    ptrdiff_t plus;

    if (!str_skip(&line, STR("[<")) || !str_cut(&line, ']', &head) || !str_drop(&head, STR(">")))
        return -EBADMSG;
    if (!str_word(&line, &name))
        return -EBADMSG;
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] <= ' ' || name.p[i] > '~')
            return -EBADMSG;
    plus = str_find(name, '+');
    *out = plus >= 0 ? str_head(name, (size_t)plus) : str_head(name, 0);
    return 0;
}

static int add_frames(struct str text, struct buf *out) {
    struct str line, name;
    bool first = true;

    while (str_cut(&text, '\n', &line)) {
        int r = frame_name(line, &name);

        if (r < 0)
            return r;
        if (name.n == 0)
            continue;
        if (!first)
            buf_add(out, STR(" < "));
        buf_add(out, name);
        first = false;
    }
    return text.n > 0 ? -EBADMSG : 0; /* cut off */
}

int proctask_parse_stack(struct str text, struct buf *out) {
    size_t before = out->n;
    int r = add_frames(text, out);

    if (r < 0)
        out->n = before;
    return r;
}

int proctask_stack(int proc, int32_t pid, int32_t tid, struct buf *out) {
    char path[PROCFILE_PATH], text[PROCTASK_STACK];
    struct str whole;
    int r;

    (void)snprintf(path, sizeof(path), "%d/task/%d/stack", pid, tid);
    r = file_read_at(proc, path, text, sizeof(text), &whole);
    return r < 0 ? r : proctask_parse_stack(whole, out);
}

struct walk {
    int dir;
    unsigned left;
    bool wchan;
    proctask_fn *each;
    void *ctx;
};

/* Withheld or not read: "". */
static void read_wchan(int dir, struct proctask *t) {
    char path[PROCFILE_PATH], text[256];
    struct str whole;

    if (file_read_at(dir, procfile_path(path, t->tid, "wchan"), text, sizeof(text), &whole) == 0)
        (void)proctask_parse_wchan(whole, t->wchan);
}

static int look_at(void *ctx, const char *name) {
    struct walk *w = ctx;
    struct proctask t = {0};
    struct procstat stat;
    uint64_t tid;

    if (str_to_u64(str_of(name), &tid) < 0 || tid > INT32_MAX ||
        procstat_read(w->dir, (int32_t)tid, &stat) < 0)
        return 0;
    if (w->left == 0)
        return 1;
    w->left--;
    t.tid = (int32_t)tid;
    t.state = stat.state;
    t.comm_n = stat.comm_n;
    memcpy(t.comm, stat.comm, sizeof(t.comm));
    if (w->wchan)
        read_wchan(w->dir, &t);
    return w->each(w->ctx, &t);
}

int proctask_each(int proc, int32_t pid, unsigned most, bool wchan, proctask_fn *each, void *ctx) {
    char path[PROCFILE_PATH];
    auto_close int dir =
        openat(proc, procfile_path(path, pid, "task"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct walk w = {.dir = dir, .left = most, .wchan = wchan, .each = each, .ctx = ctx};

    return dir < 0 ? -errno : procfile_names(dir, look_at, &w);
}
