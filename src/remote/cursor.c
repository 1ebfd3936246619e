#include "remote/cursor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"

enum { FILE_MAX = 512 };

#define FIRST_LINE "plimsoll remote 1"

void cursor_name(struct str url, unsigned before, char out[CURSOR_NAME]) {
    uint64_t sum = 14695981039346656037u; /* FNV-1a: the urls are the administrator's */

    for (size_t i = 0; i < url.n; i++)
        sum = (sum ^ (uint8_t)url.p[i]) * 1099511628211u;
    snprintf(out, CURSOR_NAME, "%016llx-%u.cursor", (unsigned long long)sum, before);
}

static bool take_line(struct str *rest, struct str name, int64_t *out) {
    struct str line;

    return str_cut(rest, '\n', &line) && str_skip(&line, name) && str_skip(&line, STR(" ")) &&
           str_to_i64(line, out) == 0 && *out >= 0;
}

int cursor_parse(struct str text, struct cursor *out) {
    struct cursor c;
    struct str line;
    int64_t uid;

    if (!str_cut(&text, '\n', &line) || !str_eq(line, STR(FIRST_LINE)))
        return -EBADMSG;
    if (!take_line(&text, STR("key_row"), &c.key_row) ||
        !take_line(&text, STR("sent_ms"), &c.sent_ms) ||
        !take_line(&text, STR("part_ms"), &c.part_ms) || !take_line(&text, STR("part_uid"), &uid) ||
        text.n > 0 || uid > UINT32_MAX)
        return -EBADMSG;
    c.part_uid = (uint32_t)uid;
    *out = c;
    return 0;
}

int cursor_load(int dir, const char *name, struct cursor *out) {
    char text[FILE_MAX];
    struct str s;
    int r = file_read_at(dir, name, text, sizeof(text), &s);

    return r == -EFBIG ? -EBADMSG : r < 0 ? r : cursor_parse(s, out);
}

static int write_file(int dir, const char *name, struct buf *text) {
    auto_close int fd =
        openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int r;

    if (fd < 0)
        return -errno;
    r = buf_flush(text, fd);
    return r < 0 ? r : fsync(fd) < 0 ? -errno : 0;
}

int cursor_save(int dir, const char *name, const struct cursor *c) {
    char other[CURSOR_NAME + 8];
    struct buf text;
    int r;

    snprintf(other, sizeof(other), "%s.new", name);
    buf_init(&text, FILE_MAX);
    buf_add_format(&text, FIRST_LINE "\nkey_row %lld\nsent_ms %lld\npart_ms %lld\npart_uid %u\n",
                   (long long)c->key_row, (long long)c->sent_ms, (long long)c->part_ms,
                   c->part_uid);
    r = write_file(dir, other, &text);
    buf_done(&text);
    if (r < 0)
        return r;
    if (renameat(dir, other, dir, name) < 0)
        return -errno;
    return fsync(dir) < 0 ? -errno : 0;
}
