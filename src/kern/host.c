#include "kern/host.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "kern/meminfo.h"

int host_open(const char *root, struct host *out, struct err *err) {
    bool live = !root || str_eq(str_of(root), STR("/"));
    auto_close int dir = open(live ? "/" : root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    auto_close int proc = -1;
    struct str prefix = str_of(live ? "" : root);
    char text[sizeof(out->prefix)];
    int r;

    if (dir < 0)
        return err_set(err, -errno, "cannot open '%s':", root);
    while (prefix.n > 1 && str_ends(prefix, STR("/")))
        prefix.n--;
    r = str_copy(prefix, text, sizeof(text));
    if (r < 0)
        return err_set(err, r, "cannot open '%s':", root);
    proc = openat(dir, "proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (proc < 0)
        return err_set(err, -errno, "cannot open '%s/proc':", text);
    *out = (struct host){.root = take_fd(&dir), .proc = take_fd(&proc), .live = live};
    memcpy(out->prefix, text, prefix.n + 1);
    return 0;
}

void host_done(struct host *h) {
    if (h->root >= 0)
        close(h->root);
    if (h->proc >= 0)
        close(h->proc);
    h->root = h->proc = -1;
}

int host_mem_total(const struct host *h, uint64_t *out) {
    struct meminfo m;
    int r = meminfo_read(h->proc, &m);

    if (r < 0)
        return r;
    if (!meminfo_has(&m, MEMINFO_TOTAL))
        return -ENODATA;
    *out = m.value[MEMINFO_TOTAL];
    return 0;
}
