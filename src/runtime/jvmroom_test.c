#include "runtime/jvmroom.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MIB (1ull << 20)

static struct jvm_sizes heap_of(const char *text) {
    struct jvm_sizes s = {0};

    assert_int_equal(jvmtext_heap_info(str_of(text), &s), 0);
    return s;
}

/* 256 MiB in a young generation of 400, nothing in an old one of 624, all of it committed. */
static const char parallel[] =
    " PSYoungGen      total 358400K, used 262144K [0x00000000e7000000, 0x0000000100000000, "
    "0x0000000100000000)\n"
    "  eden space 307200K, 85% used [0x1,0x2,0x3)\n"
    "  from space 51200K, 0% used [0x1,0x2,0x3)\n"
    "  to   space 51200K, 0% used [0x1,0x2,0x3)\n"
    " ParOldGen       total 638976K, used 0K [0x00000000c0000000, 0x00000000e7000000, "
    "0x00000000e7000000)\n"
    "  object space 638976K, 0% used [0x1,0x2,0x3)\n";

static void copies_of_the_young_need_room(void **state) {
    struct jvm_sizes s = heap_of(parallel);

    (void)state;
    assert_int_equal(jvmroom_need(JVM_GC_PARALLEL, &s, 0), (256 + 50 + 8 + 4) * MIB);
    assert_int_equal(jvmroom_need(JVM_GC_PARALLEL, &s, 200 * MIB), (56 + 50 + 8 + 4) * MIB);
    assert_int_equal(jvmroom_need(JVM_GC_PARALLEL, &s, 700 * MIB), (50 + 8 + 4) * MIB);
    assert_int_equal(jvmroom_need(JVM_GC_SERIAL, &s, 0), (256 + 8 + 4) * MIB);
}

static void no_more_than_fits_into_the_old(void **state) {
    struct jvm_sizes s = heap_of("DefNew total 1K, used 262144K [0x10000000, 0x30000000, "
                                 "0x30000000)\n"
                                 "Tenured total 1K, used 20480K [0x30000000, 0x33000000, "
                                 "0x37000000)\n"); /* 20 used, 48 committed, 112 reserved */

    (void)state;
    assert_in_range(jvmroom_need(JVM_GC_SERIAL, &s, 0), 72 * MIB, 73 * MIB);
    assert_in_range(jvmroom_need(JVM_GC_CMS, &s, 0), 104 * MIB, 105 * MIB);
}

static void others_need_less(void **state) {
    struct jvm_sizes s = heap_of("garbage-first heap   total 327680K, used 245760K [0x1, 0x2)\n");

    (void)state;
    assert_int_equal(jvmroom_need(JVM_GC_G1, &s, 0), (10 + 40 + 4) * MIB);
    s = heap_of("ZHeap used 128M, capacity 200M, max capacity 200M\n");
    assert_int_equal(jvmroom_need(JVM_GC_Z, &s, 0), (64 + 4 + 4) * MIB);
    assert_int_equal(jvmroom_need(JVM_GC_EPSILON, &s, 0), 0);
    /* Of a heap without generations that is not known: all of it. */
    assert_int_equal(jvmroom_need(JVM_GC_UNKNOWN, &s, 0), (128 + 4 + 4) * MIB);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_of_the_young_need_room),
        cmocka_unit_test(no_more_than_fits_into_the_old),
        cmocka_unit_test(others_need_less),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
