#include "runtime/jvmtext.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

#define KIB 1024ull

static const struct tally_row *row_of(const struct tally *t, struct str name) {
    for (size_t i = 0; i < tally_n(t); i++)
        if (str_eq(tally_row(t, i)->name, name))
            return tally_row(t, i);
    return NULL;
}

static void names_of_arrays_are_as_in_a_program(void **state) {
    static const char *const pairs[][2] = {
        {"[B", "byte[]"},
        {"[[I", "int[][]"},
        {"[[Ljava.lang.String;", "java.lang.String[][]"},
        {"java.util.HashMap$Node", "java.util.HashMap$Node"},
        {"App$$Lambda$14/0x0000000800c03000", "App$$Lambda$14/0x0000000800c03000"},
        /* none of these is an array that a JVM names */
        {"[", "["},
        {"[Q", "[Q"},
        {"[Ljava.lang.String", "[Ljava.lang.String"},
        {"[BB", "[BB"},
        {"L;", "L;"},
    };
    struct buf b;

    (void)state;
    buf_init(&b, 4096);
    for (size_t i = 0; i < ARRAY_N(pairs); i++) {
        buf_clear(&b);
        jvmtext_add_class(&b, str_of(pairs[i][0]));
        assert_true(str_eq(buf_str(&b), str_of(pairs[i][1])));
    }
    buf_done(&b);
}

static void rows_with_and_without_a_module_are_read(void **state) {
    struct str text =
        STR(" num     #instances         #bytes  class name (module)\n"
            "-------------------------------------------------------\n"
            "   1:         52266       46470192  [B (java.base@17.0.15)\n"
            "   2:         12345         296280  Garbage$Marker\n"
            "   3:             7            200  java.lang.String (java.base@17.0.15)\n"
            "   4:             1             24  java.lang.String (java.base@17.0.15)\n"
            "Total         64619       46766696\n");
    struct jvm_histogram h;
    struct tally *t;

    (void)state;
    assert_int_equal(tally_new(&t), 0);
    assert_int_equal(jvmtext_histogram(text, t, &h), 0);
    assert_int_equal(tally_n(t), 3);
    assert_int_equal(row_of(t, STR("byte[]"))->bytes, 46470192);
    assert_int_equal(row_of(t, STR("Garbage$Marker"))->count, 12345);
    assert_int_equal(row_of(t, STR("java.lang.String"))->count, 8);
    assert_true(h.have_said && !h.cut);
    assert_int_equal(h.said_bytes, h.bytes);
    assert_int_equal(h.said_count, h.count);
    tally_free(t);
}

static void a_histogram_that_lies_is_seen_to(void **state) {
    struct jvm_histogram h;
    struct tally *t;

    (void)state;
    assert_int_equal(tally_new(&t), 0);
    assert_int_equal(jvmtext_histogram(STR("java.lang.IllegalArgumentException: Unknown\n"), t, &h),
                     -EBADMSG);
    assert_int_equal(jvmtext_histogram(STR(""), t, &h), -EBADMSG);
    assert_int_equal(jvmtext_histogram(STR("1: 5 50 a\n2: -5 50 b\n3: 5 99999999999999999999 c\n"
                                           "x: 1 1 d\n4: 1 1\n5: 1 18446744073709551615 e\n"
                                           "Total 11 60"),
                                       t, &h),
                     0);
    assert_int_equal(tally_n(t), 2);
    assert_true(h.bytes == UINT64_MAX && h.said_bytes == 60);
    tally_free(t);
}

struct sizes {
    const char *text;
    uint64_t used, committed, max, meta_used, meta_committed; /* KiB; 0: not said */
};

static void check(const struct jvm_sizes *s, enum jvm_size which, uint64_t kib) {
    if (jvm_sizes_has(s, which) != (kib > 0) || s->value[which] != kib * KIB)
        print_message("size %u: %lu, want %lu KiB\n", which, s->value[which], kib);
    assert_int_equal(s->value[which], kib * KIB);
    assert_int_equal(jvm_sizes_has(s, which), kib > 0);
}

static void heaps_of_every_collector_are_read(void **state) {
    static const struct sizes known[] = {
        {" garbage-first heap   total 204800K, used 48397K [0x00000000f3800000, "
         "0x0000000100000000)\n  region size 1024K, 4 young (4096K), 2 survivors (2048K)\n"
         " Metaspace       used 84K, committed 320K, reserved 1114112K\n"
         "  class space    used 4K, committed 128K, reserved 1048576K\n",
         48397, 204800, 204800, 84, 320},
        {"garbage-first heap   total reserved 204800K, committed 4096K, used 47844K [0x1, 0x2)\n",
         47844, 4096, 204800, 0, 0},
        {" def new generation   total 61440K, used 50513K [0x00000000f3800000, "
         "0x00000000f7aa0000, 0x00000000f7aa0000)\n  eden space 54656K,  92% used [0x1, 0x2, 0x3)\n"
         " tenured generation   total 136576K, used 1K [0x00000000f7aa0000, 0x0000000100000000, "
         "0x0000000100000000)\n"
         " Metaspace       used 2425K, capacity 4486K, committed 4864K, reserved 1056768K\n",
         50514, 68224 + 136576, 204800, 2425, 4864},
        {"DefNew     total 4992K, used 0K [0x687400000, 0x687960000, 0x704d50000)\n"
         "Tenured    total 10948K, used 5698K [0x704d50000, 0x705801000, 0x800000000)\n",
         5698, 5504 + 10948, 6172672, 0, 0},
        {" PSYoungGen      total 59904K, used 48743K "
         "[0x00000000fbd80000,0x0000000100000000,0x0000000100000000)\n"
         " ParOldGen       total 136704K, used 0K "
         "[0x00000000f3800000,0x00000000fbd80000,0x00000000fbd80000)\n",
         48743, 68096 + 136704, 204800, 0, 0},
        {" par new generation   total 10K, used 3K\n concurrent mark-sweep generation total 20K, "
         "used 4K\n",
         7, 30, 0, 0, 0},
        {" ZHeap           used 8M, capacity 100M, max capacity 200M\n", 8192, 102400, 204800, 0,
         0},
        {"Shenandoah Heap\n 200M max, 150M soft max, 100M committed, 47360K used\n 800 x 256K "
         "regions\n",
         47360, 102400, 204800, 0, 0},
        {"Shenandoah Heap\n 200M total, 100M committed, 40M used\n", 40960, 102400, 204800, 0, 0},
        {"Epsilon Heap\nAllocation space:\n space 204800K,  24% used [0x00000000f3800000, "
         "0x00000000f689f400, 0x0000000100000000)\n",
         49789, 204800, 0, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(known); i++) {
        struct jvm_sizes s = {0};

        assert_int_equal(jvmtext_heap_info(str_of(known[i].text), &s), 0);
        check(&s, JVM_HEAP_USED, known[i].used);
        check(&s, JVM_HEAP_COMMITTED, known[i].committed);
        check(&s, JVM_HEAP_MAX, known[i].max);
        check(&s, JVM_META_USED, known[i].meta_used);
        check(&s, JVM_META_COMMITTED, known[i].meta_committed);
    }
}

static void the_place_of_the_heap_spans_its_generations(void **state) {
    struct jvm_sizes s = {0};

    (void)state;
    assert_int_equal(
        jvmtext_heap_info(STR("Tenured total 1K, used 0K [0x705000, 0x706000, 0x800000)\n"
                              "DefNew  total 1K, used 0K [0x600000, 0x601000, 0x705000)\n"),
                          &s),
        0);
    assert_int_equal(s.value[JVM_HEAP_START], 0x600000);
    assert_int_equal(s.value[JVM_HEAP_END], 0x800000);
    s = (struct jvm_sizes){0};
    assert_int_equal(jvmtext_heap_info(STR("Shenandoah Heap\n 2M max, 2M committed, 1M used\n"
                                           "Reserved region:\n - [0xf3800000, 0x100000000) \n"),
                                       &s),
                     0);
    assert_int_equal(s.value[JVM_HEAP_END] - s.value[JVM_HEAP_START], 200 << 20);
    s = (struct jvm_sizes){0};
    assert_int_equal(jvmtext_heap_info(STR("ZHeap used 8M, capacity 9M\n"), &s), 0);
    assert_false(jvm_sizes_has(&s, JVM_HEAP_START));
}

static void what_is_no_heap_leaves_the_output_alone(void **state) {
    struct jvm_sizes s = {.value[JVM_HEAP_USED] = 5, .have = 1u << JVM_HEAP_USED};

    (void)state;
    assert_int_equal(jvmtext_heap_info(STR(""), &s), -EBADMSG);
    assert_int_equal(jvmtext_heap_info(STR("heap used 5K\nUnknown diagnostic command\n"), &s),
                     -EBADMSG);
    assert_int_equal(jvmtext_heap_info(STR("garbage-first heap total 99999999999999999999K, used "
                                           "18014398509481984K [0x2, 0x1)\n"),
                                       &s),
                     -EBADMSG);
    assert_int_equal(s.value[JVM_HEAP_USED], 5);
    assert_int_equal(s.have, 1u << JVM_HEAP_USED);
}

static void native_memory_adds_up_to_its_total(void **state) {
    char text[16384];
    struct jvm_sizes s = {0};
    struct str whole;
    uint64_t sum = 0;

    (void)state;
    assert_int_equal(
        file_read_at(AT_FDCWD, "fuzz/corpus/jvmtext/nmt-17", text, sizeof(text), &whole), 0);
    assert_int_equal(jvmtext_nmt(whole, &s), 0);
    for (unsigned i = JVM_NMT_HEAP; i <= JVM_NMT_OTHER; i++)
        sum += s.value[i];
    assert_int_equal(s.value[JVM_NMT_COMMITTED], 273027 * KIB);
    assert_int_equal(s.value[JVM_NMT_RESERVED], 1650927 * KIB);
    assert_int_equal(s.value[JVM_NMT_HEAP], 204800 * KIB);
    assert_int_equal(s.value[JVM_NMT_GC], 45135 * KIB);
    assert_int_equal(s.value[JVM_NMT_CDS], 12060 * KIB);
    assert_in_range(sum, 273020 * KIB, 273034 * KIB); /* each is rounded */
    assert_int_equal(jvmtext_nmt(STR("Native memory tracking is not enabled\n"), &s), -ENODATA);
    assert_int_equal(jvmtext_nmt(STR("Native Memory Tracking:\n"), &s), -EBADMSG);
}

static void code_is_summed_or_taken_from_the_sum(void **state) {
    struct jvm_sizes s = {0};

    (void)state;
    assert_int_equal(jvmtext_codecache(STR("CodeHeap 'a b': size=100Kb used=4Kb max_used=9Kb\n"
                                           " bounds [0x1, 0x2]\n"
                                           "CodeHeap 'c': size=50Kb used=8Kb max_used=8Kb\n"),
                                       &s),
                     0);
    check(&s, JVM_CODE_SIZE, 150);
    check(&s, JVM_CODE_USED, 12);
    assert_int_equal(jvmtext_codecache(STR("CodeHeap 'c': size=50Kb used=8Kb max_used=8Kb\n"
                                           "CodeCache: size=245764Kb, used=1277Kb, free=1Kb\n"),
                                       &s),
                     0);
    check(&s, JVM_CODE_SIZE, 245764);
    check(&s, JVM_CODE_USED, 1277);
    assert_int_equal(jvmtext_codecache(STR("CodeCache: size=Kb used=4\n"), &s), -EBADMSG);
}

static void flags_are_whole_words(void **state) {
    struct str flags = STR("-XX:MaxHeapSize=209715200 -XX:-UseSerialGC -XX:+UseG1GCs "
                           "-XX:+UseShenandoahGC -XX:Name= -XX:-ZUncommit\n");
    struct str value;
    uint64_t size;

    (void)state;
    assert_true(jvmtext_flag_u64(flags, STR("MaxHeapSize"), &size));
    assert_int_equal(size, 209715200);
    assert_false(jvmtext_flag_u64(flags, STR("HeapSize"), &size));
    assert_false(jvmtext_flag_u64(flags, STR("MaxHeap"), &size));
    assert_true(jvmtext_flag(flags, STR("Name"), &value) && value.n == 0);
    assert_false(jvmtext_flag_on(flags, STR("UseSerialGC")));
    assert_true(jvmtext_flag_off(flags, STR("ZUncommit")));
    assert_int_equal(jvmtext_gc(flags), JVM_GC_SHENANDOAH);
    assert_int_equal(jvmtext_gc(STR("-XX:+Use")), JVM_GC_UNKNOWN);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_arrays_are_as_in_a_program),
        cmocka_unit_test(rows_with_and_without_a_module_are_read),
        cmocka_unit_test(a_histogram_that_lies_is_seen_to),
        cmocka_unit_test(heaps_of_every_collector_are_read),
        cmocka_unit_test(the_place_of_the_heap_spans_its_generations),
        cmocka_unit_test(what_is_no_heap_leaves_the_output_alone),
        cmocka_unit_test(native_memory_adds_up_to_its_total),
        cmocka_unit_test(code_is_summed_or_taken_from_the_sum),
        cmocka_unit_test(flags_are_whole_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
