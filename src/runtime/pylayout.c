#include "runtime/pylayout.h"

#include "base/mem.h"

enum { MANAGED_WEAKREF = 1 << 3, MANAGED_DICT = 1 << 4 };

static const struct pylayout table[] = {
    {
        .series = 0x030b,
        .name = "3.11",
        .initialized = 16,
        .finalizing = 24,
        .interpreters = 40,
        .interp_next = 0,
        .interp_id = 48,
        .interp_finalizing = 84,
        .interp_threads = 16,
        .interp_runtime = 40,
        .interp_gc = 648,
        .runtime_gil = 360,
        .heap_qualname = 864,
        .text_ascii = 48,
        .text_wide = 72,
        .preheader = MANAGED_DICT,
    },
    {
        .series = 0x030c,
        .name = "3.12",
        .initialized = 16,
        .finalizing = 24,
        .interpreters = 40,
        .interp_next = 0,
        .interp_id = 8,
        .interp_finalizing = 44,
        .interp_threads = 72,
        .interp_runtime = 96,
        .interp_gc = 112,
        .interp_gil = 384,
        .heap_qualname = 872,
        .text_ascii = 40,
        .text_wide = 56,
        .preheader = MANAGED_DICT | MANAGED_WEAKREF,
    },
    {
        .series = 0x030d,
        .name = "3.13",
        .initialized = 600,
        .finalizing = 608,
        .interpreters = 632,
        .interp_next = 7264,
        .interp_id = 7272,
        .interp_finalizing = 7320,
        .interp_threads = 7344,
        .interp_runtime = 7376,
        .interp_gc = 7400,
        .interp_gil = 16,
        .heap_qualname = 872,
        .text_ascii = 40,
        .text_wide = 56,
        .preheader = MANAGED_DICT | MANAGED_WEAKREF,
    },
};

const struct pylayout *pylayout_find(uint64_t version) {
    bool is_release = version >> 4 != 0 && (version >> 4 & 0xf) == 0xf;

    for (size_t i = 0; is_release && i < ARRAY_N(table); i++)
        if (version >> 16 == table[i].series)
            return &table[i];
    return NULL;
}

void pylayout_add_known(struct buf *out) {
    for (size_t i = 0; i < ARRAY_N(table); i++) {
        if (i > 0)
            buf_add(out, i + 1 < ARRAY_N(table) ? STR(", ") : STR(" and "));
        buf_add(out, str_of(table[i].name));
    }
}
