/* Whatever a JVM answers to jcmd's commands, given to each of its parsers. */
#include <assert.h>
#include <string.h>

#include "runtime/jvmtext.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_at_histogram(struct str text) {
    struct jvm_histogram h;
    struct tally *types;
    uint64_t count = 0;

    assert(tally_new(&types) == 0);
    if (jvmtext_histogram(text, types, &h) == 0) {
        assert(tally_n(types) > 0);
        for (size_t i = 0; i < tally_n(types); i++) {
            const struct tally_row *row = tally_row(types, i);

            assert(row->name.n > 0 && row->name.n <= TALLY_NAME);
            if (__builtin_add_overflow(count, row->count, &count))
                count = UINT64_MAX;
        }
        assert(h.cut || count == h.count || h.count == UINT64_MAX);
    }
    tally_free(types);
}

static void look_at_sizes(struct str text, int (*parse)(struct str, struct jvm_sizes *)) {
    struct jvm_sizes s = {.value[0] = 7, .have = 1};
    int r = parse(text, &s);

    assert(r == 0 || (s.have == 1 && s.value[0] == 7));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str text = {(const char *)data, size}, value;
    struct buf name;
    uint64_t number;

    look_at_histogram(text);
    look_at_sizes(text, jvmtext_heap_info);
    look_at_sizes(text, jvmtext_metaspace);
    look_at_sizes(text, jvmtext_codecache);
    look_at_sizes(text, jvmtext_nmt);
    assert(strlen(jvm_gc_name(jvmtext_gc(text))) < 16);
    (void)jvmtext_flag_u64(text, STR("MaxHeapSize"), &number);
    if (jvmtext_flag(text, STR("MaxHeapSize"), &value))
        assert(value.n < size);
    buf_init(&name, TALLY_NAME + 1024);
    jvmtext_add_class(&name, text);
    assert(buf_error(&name) == 0);
    buf_done(&name);
    return 0;
}
