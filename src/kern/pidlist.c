#include "kern/pidlist.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/mem.h"
#include "kern/procfile.h"

void pidlist_done(struct pidlist *list) {
    free(list->pid);
    *list = (struct pidlist){0};
}

void pidlist_clear(struct pidlist *list) {
    list->n = 0;
}

int pidlist_add(struct pidlist *list, int32_t pid) {
    if (list->n == list->size) {
        size_t size = list->size ? list->size * 2 : 256;
        int32_t *grown = reallocarray(list->pid, size, sizeof(*grown));

        if (!grown)
            return -ENOMEM;
        list->pid = grown;
        list->size = size;
    }
    list->pid[list->n++] = pid;
    return 0;
}

static int by_number(const void *a, const void *b) {
    const int32_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

void pidlist_sort(struct pidlist *list) {
    size_t kept = 0;

    if (list->n == 0)
        return;
    qsort(list->pid, list->n, sizeof(list->pid[0]), by_number);
    for (size_t i = 1; i < list->n; i++)
        if (list->pid[i] != list->pid[kept])
            list->pid[++kept] = list->pid[i];
    list->n = kept + 1;
}

bool pidlist_has(const struct pidlist *sorted, int32_t pid) {
    return sorted->n > 0 &&
           bsearch(&pid, sorted->pid, sorted->n, sizeof(sorted->pid[0]), by_number) != NULL;
}

enum { LONGEST = 10 }; /* digits of a pid */

static int add_number(struct pidlist *list, struct str digits) {
    uint64_t number;

    if (digits.n > LONGEST || str_to_u64(digits, &number) < 0 || number > INT32_MAX)
        return -EBADMSG;
    return number == 0 ? 0 : pidlist_add(list, (int32_t)number);
}

static int add_name(void *ctx, const char *name) {
    int r;

    /* Names that are no number (self, meminfo ...) are not processes. */
    if (name[0] < '1' || name[0] > '9')
        return 0;
    r = add_number(ctx, str_of(name));
    return r == -ENOMEM ? r : 0;
}

int pidlist_add_proc(struct pidlist *list, int proc) {
    return procfile_names(proc, add_name, list);
}

int pidlist_add_text(struct pidlist *list, struct str text, bool last, size_t *used_out) {
    struct str rest = text, line;

    while (str_cut(&rest, '\n', &line)) {
        int r = add_number(list, line);

        if (r < 0)
            return r;
    }
    /* What is longer is no number with its end still to come. */
    if (rest.n > LONGEST || (last && rest.n > 0))
        return -EBADMSG;
    *used_out = text.n - rest.n;
    return 0;
}

int pidlist_add_fd(struct pidlist *list, int fd) {
    char buf[16384];
    size_t have = 0, used;
    off_t at = 0;

    for (;;) {
        ssize_t n = pread(fd, buf + have, sizeof(buf) - have, at);
        int r;

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        have += (size_t)n;
        at += n;
        r = pidlist_add_text(list, (struct str){buf, have}, n == 0, &used);
        if (r < 0 || n == 0)
            return r;
        memmove(buf, buf + used, have - used);
        have -= used;
    }
}

int pidlist_add_file_at(struct pidlist *list, int dir, const char *name) {
    auto_close int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);

    return fd < 0 ? -errno : pidlist_add_fd(list, fd);
}
