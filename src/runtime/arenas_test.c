#include "runtime/arenas.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

static const uint64_t mib = 1 << 20;

static void add(struct arenas *a, const char *line, uint64_t resident, arenas_read_fn *read) {
    struct mapping m;

    assert_int_equal(maps_parse_line(str_of(line), &m), 0);
    m.smaps = (struct smaps){.have = 1u << SMAPS_RSS | 1u << SMAPS_SWAP};
    m.smaps.value[SMAPS_RSS] = resident;
    arenas_add(a, &m, read, NULL);
}

static void parts_are_told_by_their_shape(void **state) {
    struct arenas a = {0};

    (void)state;
    add(&a, "55a000000000-55a000001000 r-xp 00000000 08:01 77 /bin/x", 4096, NULL);
    add(&a, "55a000100000-55a001100000 rw-p 00000000 00:00 0 [heap]", 3 * mib, NULL);
    /* An arena with 1 MiB in use, and one that is used up to its end. */
    add(&a, "7f0004000000-7f0004100000 rw-p 00000000 00:00 0 ", mib, NULL);
    add(&a, "7f0004100000-7f0008000000 ---p 00000000 00:00 0 ", 0, NULL);
    add(&a, "7f000c000000-7f0010000000 rw-p 00000000 00:00 0 ", 5 * mib, NULL);
    /* A stack with its guard, and memory that has neither. */
    add(&a, "7f0020000000-7f0020001000 ---p 00000000 00:00 0 ", 0, NULL);
    add(&a, "7f0020001000-7f0020801000 rw-p 00000000 00:00 0 ", 8192, NULL);
    add(&a, "7f0030001000-7f0030002000 rw-p 00000000 00:00 0 ", 4096, NULL);
    /* Begins like an arena, but is none. */
    add(&a, "7f0040000000-7f0040100000 rw-p 00000000 00:00 0 ", 4096, NULL);
    add(&a, "7f0050000000-7f0050001000 rw-s 00000000 00:01 5 /memfd:x (deleted)", 4096, NULL);
    add(&a, "7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0 [stack]", 12288, NULL);
    arenas_end(&a);

    assert_int_equal(a.part[ARENA_MAIN].resident, 3 * mib);
    assert_int_equal(a.part[ARENA_MAIN].size, 16 * mib);
    assert_int_equal(a.part[ARENA_OTHER].count, 2);
    assert_int_equal(a.part[ARENA_OTHER].resident, 6 * mib);
    assert_int_equal(a.part[ARENA_OTHER].size, 128 * mib);
    assert_int_equal(a.part[ARENA_STACKS].count, 2);
    assert_int_equal(a.part[ARENA_STACKS].resident, 8192 + 12288);
    assert_int_equal(a.part[ARENA_ANON].count, 2);
    assert_int_equal(a.part[ARENA_ANON].resident, 8192);
    assert_int_equal(a.part[ARENA_FILES].count, 1);
    assert_int_equal(a.part[ARENA_SHARED].count, 1);
}

/* Two blocks of malloc side by side: a page and eight. */
static int read_blocks(void *ctx, uint64_t address, void *out, size_t n) {
    uint64_t head[2] = {0, 4096 | 2};

    (void)ctx;
    if (address == 0x7f0030002000)
        head[1] = 8 * 4096 | 2;
    memcpy(out, head, n);
    return 0;
}

static int read_nothing(void *ctx, uint64_t address, void *out, size_t n) {
    (void)ctx;
    (void)address;
    (void)out;
    (void)n;
    return -EFAULT;
}

/* A header that leads behind the mapping. */
static int read_lies(void *ctx, uint64_t address, void *out, size_t n) {
    uint64_t head[2] = {0, UINT64_MAX - 4095 + 2};

    (void)ctx;
    (void)address;
    memcpy(out, head, n);
    return 0;
}

static void blocks_are_told_by_their_headers(void **state) {
    const char *line = "7f0030001000-7f003000a000 rw-p 00000000 00:00 0 ";
    struct arenas a = {0};

    (void)state;
    add(&a, line, 9 * 4096, read_blocks);
    assert_int_equal(a.part[ARENA_BLOCKS].count, 2);
    assert_int_equal(a.part[ARENA_BLOCKS].size, 9 * 4096);
    add(&a, line, 4096, read_nothing);
    add(&a, line, 4096, read_lies);
    assert_int_equal(a.part[ARENA_BLOCKS].count, 2);
    assert_int_equal(a.part[ARENA_ANON].count, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_told_by_their_shape),
        cmocka_unit_test(blocks_are_told_by_their_headers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
