#include "series/walcheck.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "base/mem.h"

/* The format is SQLite's (its "file format" page, section 4): a head of 32 bytes, then frames of a
 * head of 24 bytes and a page. Numbers are big endian. */
enum { HEAD = 32, FRAME_HEAD = 24, PAGE_MAX = 65536, MAGIC = 0x377f0682, VERSION = 3007000 };

/* Of the head: 0 magic, 4 version, 8 page size, 16 and 20 salts, 24 and 28 checksums. Of a frame: 8
 * and 12 salts, 16 and 20 checksums over everything from the head on. */
enum { SALTS = 16, SUMS = 24, FRAME_SALTS = 8, FRAME_SUMS = 16 };

static uint32_t big(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t little(const uint8_t *p) {
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

struct sums {
    uint32_t a, b;
    bool big;
};

static void add(struct sums *s, const uint8_t *p, size_t n) {
    for (size_t i = 0; i + 8 <= n; i += 8) {
        s->a += (s->big ? big(p + i) : little(p + i)) + s->b;
        s->b += (s->big ? big(p + i + 4) : little(p + i + 4)) + s->a;
    }
}

static bool equals(const struct sums *s, const uint8_t *p) {
    return s->a == big(p) && s->b == big(p + 4);
}

/* n bytes at that place, fewer at the end. */
static ssize_t read_at(int fd, uint8_t *p, size_t n, off_t at) {
    size_t done = 0;

    while (done < n) {
        ssize_t got = pread(fd, p + done, n - done, at + (off_t)done);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

static bool head_is_whole(const uint8_t *head, struct sums *sums) {
    uint32_t size = big(head + 8);

    *sums = (struct sums){.big = head[3] & 1};
    add(sums, head, SUMS);
    return (big(head) & ~1u) == MAGIC && big(head + 4) == VERSION && size >= 512 &&
           size <= PAGE_MAX && (size & (size - 1)) == 0 && equals(sums, head + SUMS);
}

static bool of_this_generation(const uint8_t *frame, const uint8_t *head) {
    return big(frame + FRAME_SALTS) == big(head + SALTS) &&
           big(frame + FRAME_SALTS + 4) == big(head + SALTS + 4);
}

int walcheck(const char *path) {
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    auto_free uint8_t *frame = NULL;
    uint8_t head[HEAD];
    struct sums sums;
    bool whole = true;
    size_t size;
    ssize_t n;

    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    n = read_at(fd, head, sizeof(head), 0);
    if (n < HEAD)
        return n < 0 ? (int)n : 0;
    if (!head_is_whole(head, &sums))
        return 1;
    size = FRAME_HEAD + big(head + 8);
    frame = malloc(size);
    if (!frame)
        return -ENOMEM;
    for (off_t at = HEAD; (n = read_at(fd, frame, size, at)) == (ssize_t)size; at += (off_t)size) {
        if (whole) {
            add(&sums, frame, FRAME_SALTS);
            add(&sums, frame + FRAME_HEAD, size - FRAME_HEAD);
            whole = of_this_generation(frame, head) && equals(&sums, frame + FRAME_SUMS);
        }
        /* The first that does not fit is the end, if nothing of its generation follows. */
        if (!whole && of_this_generation(frame, head))
            return 1;
    }
    return n < 0 ? (int)n : 0;
}
