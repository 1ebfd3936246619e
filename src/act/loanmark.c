#include "act/loanmark.h"

#include <errno.h>
#include <sys/xattr.h>

#include "act/ctlfile.h"
#include "base/buf.h"
#include "kern/cgroup.h"

static const char name[] = "trusted.plimsoll.lent";

enum { MARK_SIZE = 4 * WARDEN_VALUE };

void loanmark_write(int fd, const struct loanmark *m) {
    const uint64_t value[] = {m->limit, m->memsw, m->high, m->lent};
    char room[MARK_SIZE], text[WARDEN_VALUE];
    struct buf b;

    buf_fixed(&b, room, sizeof(room));
    for (size_t i = 0; i < sizeof(value) / sizeof(value[0]); i++) {
        ctlfile_spell(value[i], text);
        buf_add_format(&b, "%s ", text);
    }
    (void)fsetxattr(fd, name, room, b.n, 0);
}

void loanmark_remove(int fd) {
    (void)fremovexattr(fd, name);
}

int loanmark_read(int fd, struct loanmark *out) {
    uint64_t *const value[] = {&out->limit, &out->memsw, &out->high, &out->lent};
    char room[MARK_SIZE];
    ssize_t n = fgetxattr(fd, name, room, sizeof(room));
    struct str rest = {room, n > 0 ? (size_t)n : 0}, word;

    if (n < 0)
        return -errno;
    for (size_t i = 0; i < sizeof(value) / sizeof(value[0]); i++)
        if (!str_cut(&rest, ' ', &word) || cgroup_parse_number(word, value[i]) < 0)
            return -EBADMSG;
    return out->lent == CGROUP_NO_LIMIT || out->limit == CGROUP_NO_LIMIT ? -EBADMSG : 0;
}
