#include "kern/maps.h"

#include <errno.h>

#include "kern/procline.h"

/* Lower-case digits, at most 16 of them, as the kernel writes addresses. */
static int parse_hex(struct str s, uint64_t *out) {
    uint64_t value = 0;

    if (s.n == 0)
        return -EBADMSG;
    if (s.n > 16)
        return -ERANGE;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (c >= '0' && c <= '9')
            value = value << 4 | (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (unsigned)(c - 'a' + 10);
        else
            return -EBADMSG;
    }
    *out = value;
    return 0;
}

/* Two hex numbers with a byte between them. */
static int parse_pair(struct str s, char between, uint64_t *first, uint64_t *second) {
    struct str head;
    int r;

    if (!str_cut(&s, between, &head))
        return -EBADMSG;
    r = parse_hex(head, first);
    return r < 0 ? r : parse_hex(s, second);
}

static int parse_perms(struct str s, char perms[static 5]) {
    if (s.n != 4)
        return -EBADMSG;
    for (size_t i = 0; i < 4; i++) {
        if (s.p[i] != '-' && s.p[i] != "rwxp"[i] && !(i == 3 && s.p[i] == 's'))
            return -EBADMSG;
        perms[i] = s.p[i];
    }
    perms[4] = '\0';
    return 0;
}

static int parse_device(struct str s, struct mapping *m) {
    uint64_t major, minor;
    int r = parse_pair(s, ':', &major, &minor);

    if (r < 0)
        return r;
    if (major > UINT32_MAX || minor > UINT32_MAX)
        return -ERANGE;
    m->dev_major = (uint32_t)major;
    m->dev_minor = (uint32_t)minor;
    return 0;
}

int maps_parse_line(struct str line, struct mapping *out) {
    struct mapping m = {0};
    struct str range, perms, offset, device, inode;
    int r;

    if (!str_cut(&line, ' ', &range) || !str_cut(&line, ' ', &perms) ||
        !str_cut(&line, ' ', &offset) || !str_cut(&line, ' ', &device) || !str_word(&line, &inode))
        return -EBADMSG;
    r = parse_pair(range, '-', &m.start, &m.end);
    if (r == 0)
        r = parse_perms(perms, m.perms);
    if (r == 0)
        r = parse_hex(offset, &m.offset);
    if (r == 0)
        r = parse_device(device, &m);
    if (r == 0)
        r = str_to_u64(inode, &m.inode);
    if (r < 0)
        return r;
    if (m.end < m.start)
        return -EBADMSG;
    while (line.n > 0 && line.p[0] == ' ')
        line = str_from(line, 1);
    m.deleted = str_drop(&line, STR(" (deleted)"));
    m.path = line;
    *out = m;
    return 0;
}

int maps_each(int proc, int32_t pid, maps_each_fn *each, void *ctx) {
    struct procline lines;
    struct mapping m;
    struct str line;
    bool cut;
    int r = procline_open(&lines, proc, pid, "maps");

    if (r < 0)
        return r;
    while ((r = procline_next(&lines, &line, &cut)) > 0) {
        r = maps_parse_line(line, &m);
        if (r < 0)
            break;
        m.path_cut = cut;
        r = each(ctx, &m);
        if (r != 0)
            break;
    }
    procline_close(&lines);
    return r;
}
