/* pygctest.h - a small CPython 3.11 heap in a buffer, as its headers say it lies in memory: for the
 * tests of what reads one, and the seeds of its fuzz target.
 */
#pragma once
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "runtime/pythonlook.h"

enum {
    FAKE_BASE = 0x10000,
    FAKE_SIZE = 48 * 1024,
    FAKE_VERSION = 0x030b02f0,
    FAKE_INTERP = 0x400, /* offsets from FAKE_BASE; the runtime is at 0 */
    FAKE_THREAD = 0x300,
    FAKE_HEAP = 0x1000,
};

struct fake {
    char memory[FAKE_SIZE];
    size_t used;
    uint64_t metatype;
    unsigned reads;
    void (*on_read)(struct fake *f); /* NULL: none */
};

static inline uint64_t fake_get(const struct fake *f, uint64_t address) {
    uint64_t value;

    memcpy(&value, f->memory + (address - FAKE_BASE), sizeof(value));
    return value;
}

static inline void fake_put(struct fake *f, uint64_t address, uint64_t value) {
    assert(address >= FAKE_BASE && address + 8 <= FAKE_BASE + FAKE_SIZE);
    memcpy(f->memory + (address - FAKE_BASE), &value, sizeof(value));
}

static inline void fake_put_int(struct fake *f, uint64_t address, int32_t value) {
    memcpy(f->memory + (address - FAKE_BASE), &value, sizeof(value));
}

static inline uint64_t fake_room(struct fake *f, size_t n) {
    uint64_t at = FAKE_BASE + f->used;

    f->used += (n + 15) & ~(size_t)15;
    assert(f->used <= FAKE_SIZE);
    return at;
}

static inline int fake_read(void *ctx, uint64_t address, void *out, size_t n) {
    struct fake *f = ctx;

    if (address < FAKE_BASE || n > FAKE_SIZE || address - FAKE_BASE > FAKE_SIZE - n)
        return -EFAULT;
    memcpy(out, f->memory + (address - FAKE_BASE), n);
    f->reads++;
    if (f->on_read)
        f->on_read(f);
    return 0;
}

static inline uint64_t fake_gc(void) {
    return FAKE_BASE + FAKE_INTERP + 648;
}

static inline uint64_t fake_list(unsigned list) {
    if (list == PYGC_FROZEN)
        return fake_gc() + PY_GC_PERMANENT;
    return fake_gc() + PY_GC_GENERATION + (uint64_t)list * PY_GC_GENERATION_SIZE;
}

static inline uint64_t fake_bytes(struct fake *f, const void *from, size_t n) {
    uint64_t at = fake_room(f, n + 1);

    memcpy(f->memory + (at - FAKE_BASE), from, n);
    return at;
}

/* A str: kind 1 that is ASCII, or kind 2 or 4 of so many characters. */
static inline uint64_t fake_text(struct fake *f, unsigned kind, const void *from, size_t n) {
    size_t head = kind == 1 ? 48 : 72;
    uint64_t at = fake_room(f, head + n * kind);

    fake_put(f, at + PY_TEXT_LENGTH, n);
    fake_put_int(f, at + PY_TEXT_STATE, (int32_t)(kind << 2 | 0x20 | (kind == 1 ? 0x40 : 0)));
    memcpy(f->memory + (at - FAKE_BASE) + head, from, n * kind);
    return at;
}

static inline uint64_t fake_type(struct fake *f, const char *name, uint64_t basic, uint64_t item,
                                 uint64_t flags) {
    uint64_t text = fake_bytes(f, name, strlen(name));
    uint64_t at = fake_room(f, 904);

    fake_put(f, at + PY_OB_TYPE, f->metatype ? f->metatype : at);
    fake_put(f, at + PY_TYPE_NAME, text);
    fake_put(f, at + PY_TYPE_BASIC, basic);
    fake_put(f, at + PY_TYPE_ITEM, item);
    fake_put(f, at + PY_TYPE_FLAGS, flags | 1 << 12);
    return at;
}

/* A class of Python: its dict has one entry, __module__. */
static inline uint64_t fake_class(struct fake *f, uint64_t module, uint64_t qualname,
                                  uint64_t basic) {
    uint64_t at = fake_type(f, "C", basic, 0, 1 << 9);
    uint64_t dict = fake_room(f, 48), keys = fake_room(f, 32 + 8 + 5 * 16);

    fake_put(f, at + 864, qualname);
    fake_put(f, at + PY_TYPE_DICT, dict);
    fake_put(f, dict + PY_DICT_KEYS, keys);
    f->memory[keys - FAKE_BASE + PY_KEYS_LOG2_SIZE] = 3;
    f->memory[keys - FAKE_BASE + PY_KEYS_LOG2_INDEX] = 3;
    f->memory[keys - FAKE_BASE + PY_KEYS_KIND] = 1;
    fake_put(f, keys + PY_KEYS_N, 1);
    fake_put(f, keys + PY_KEYS_INDICES + 8, fake_text(f, 1, "__module__", 10));
    fake_put(f, keys + PY_KEYS_INDICES + 16, module);
    return at;
}

/* An object at the end of a list; its address (not that of its head). */
static inline uint64_t fake_object(struct fake *f, unsigned list, uint64_t type, size_t size) {
    uint64_t at = fake_room(f, PY_HEAD + size), head = fake_list(list);
    uint64_t last = fake_get(f, head + 8);

    fake_put(f, last, at);
    fake_put(f, at, head);
    fake_put(f, at + 8, last);
    fake_put(f, head + 8, at);
    fake_put(f, at + PY_HEAD, 1);
    fake_put(f, at + PY_HEAD + PY_OB_TYPE, type);
    return at + PY_HEAD;
}

static inline void fake_init(struct fake *f) {
    uint64_t interp = FAKE_BASE + FAKE_INTERP, thread = FAKE_BASE + FAKE_THREAD;

    memset(f, 0, sizeof(*f));
    f->used = FAKE_HEAP;
    fake_put_int(f, FAKE_BASE + 16, 1);
    fake_put(f, FAKE_BASE + 40, interp);
    fake_put(f, interp + 40, FAKE_BASE);
    fake_put(f, interp + 16, thread);
    fake_put(f, thread + PY_THREAD_INTERP, interp);
    fake_put_int(f, fake_gc() + PY_GC_ENABLED, 1);
    fake_put(f, fake_gc() + PY_GC_GENERATION0, fake_list(0));
    for (unsigned i = 0; i < PYGC_LISTS; i++) {
        fake_put(f, fake_list(i), fake_list(i));
        fake_put(f, fake_list(i) + 8, fake_list(i));
    }
    for (unsigned g = 0; g < PY_GENERATIONS; g++) {
        fake_put(f, fake_gc() + PY_GC_STATS + g * PY_GC_STATS_SIZE, 10 + g);
        fake_put_int(f, fake_list(g) + PY_THRESHOLD, g ? 10 : 700);
    }
    f->metatype = fake_type(f, "type", 888, 40, UINT64_C(1) << 31);
}
