#include "kern/kmsg.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/mem.h"

static bool is_escaped(struct str text) {
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < ' ' || text.p[i] > '~')
            return false;
    return true;
}

/* The head may be longer than these four fields (",caller=T123"). */
static int parse_head(struct str head, struct kmsg_record *out) {
    struct str field;
    uint64_t priority;
    int r;

    if (!str_cut(&head, ',', &field))
        return -EBADMSG;
    r = str_to_u64(field, &priority);
    if (r < 0)
        return r;
    if (!str_cut(&head, ',', &field))
        return -EBADMSG;
    r = str_to_u64(field, &out->seq);
    if (r < 0)
        return r;
    if (!str_cut(&head, ',', &field))
        return -EBADMSG;
    r = str_to_i64(field, &out->at_us);
    if (r < 0)
        return r;
    if (head.n == 0 || (head.n > 1 && head.p[1] != ','))
        return -EBADMSG;
    out->from_kernel = priority < 8;
    out->more = head.p[0] == 'c' || head.p[0] == '+'; /* '+': before Linux 4.10 */
    return 0;
}

int kmsg_parse(struct str record, struct kmsg_record *out) {
    struct kmsg_record made = {0};
    struct str head;
    int r;

    if (!str_cut(&record, ';', &head))
        return -EBADMSG;
    r = parse_head(head, &made);
    if (r < 0)
        return r;
    if (!str_cut(&record, '\n', &made.text) || !is_escaped(made.text))
        return -EBADMSG;
    *out = made;
    return 0;
}

int kmsg_open(const char *path) {
    auto_close int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

    if (fd < 0 || lseek(fd, 0, SEEK_END) < 0)
        return -errno;
    return take_fd(&fd);
}

int kmsg_next(int fd, char *buf, size_t size, struct kmsg_record *out) {
    ssize_t n = read(fd, buf, size);
    int r;

    if (n <= 0)
        return n == 0 || errno == EAGAIN || errno == EINTR ? 0 : -errno;
    r = kmsg_parse((struct str){buf, (size_t)n}, out);
    return r < 0 ? r : 1;
}

static int hex_of(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t kmsg_unescape(struct str s, char *dst) {
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        int high = -1, low = -1;

        if (s.n - i >= 4 && s.p[i] == '\\' && s.p[i + 1] == 'x') {
            high = hex_of(s.p[i + 2]);
            low = hex_of(s.p[i + 3]);
        }
        if (high >= 0 && low >= 0) {
            dst[n++] = (char)(high << 4 | low);
            i += 3;
        } else {
            dst[n++] = s.p[i];
        }
    }
    return n;
}
