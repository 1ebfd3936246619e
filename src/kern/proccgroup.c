#include "kern/proccgroup.h"

#include <errno.h>

#include "kern/procfile.h"

enum { KERNEL_MAX = 4095 }; /* PATH_MAX and its NUL: a longer path is cut there without a word */

static bool has_controller(struct str list, struct str controller) {
    struct str one;

    while (str_cut(&list, ',', &one))
        if (str_eq(one, controller))
            return true;
    return str_eq(list, controller);
}

/* ID:LIST:PATH */
static int parse_line(struct str line, struct str *list, struct str *path) {
    struct str id;
    uint64_t number;

    if (!str_cut(&line, ':', &id) || str_to_u64(id, &number) < 0 || !str_cut(&line, ':', list))
        return -EBADMSG;
    if (!str_starts(line, STR("/")))
        return -EBADMSG;
    *path = line;
    return 0;
}

int proccgroup_parse(struct str text, struct str controller, struct proccgroup *out) {
    struct proccgroup found = {0};
    struct str line, list, path;

    while (str_cut(&text, '\n', &line)) {
        int r = parse_line(line, &list, &path);

        if (r < 0)
            return r;
        if (found.path.n > 0 || !has_controller(list, controller))
            continue;
        /* The empty list is also what a v1 hierarchy without controllers and name would have, but
         * the kernel refuses to mount one. */
        if (path.n >= KERNEL_MAX)
            return -ENAMETOOLONG;
        found.deleted = str_drop(&path, STR(" (deleted)")) && path.n > 0;
        found.path = path;
    }
    if (text.n > 0)
        return -EBADMSG;
    if (found.path.n == 0)
        return -ENODATA;
    *out = found;
    return 0;
}

int proccgroup_read(int proc, int32_t pid, char *buf, size_t size, struct str *out) {
    return procfile_read(proc, pid, "cgroup", buf, size, out);
}
