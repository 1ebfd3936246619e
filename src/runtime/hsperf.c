#include "runtime/hsperf.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

/* The head: magic (big-endian always), byte order, major, minor, accessible; then in the order of
 * the machine: used, overflow, time (8 bytes), offset of the first entry, how many. */
enum {
    HEAD = 32,
    AT_ORDER = 4,
    AT_MAJOR = 5,
    AT_ACCESSIBLE = 7,
    AT_USED = 8,
    AT_FIRST = 24,
    AT_COUNT = 28,
};

/* An entry: length, offset of the name, length of a vector or 0, type, flags, unit, kind, offset of
 * the value. */
enum {
    ENTRY = 20,
    ENTRY_NAME = 4,
    ENTRY_VECTOR = 8,
    ENTRY_TYPE = 12,
    ENTRY_DATA = 16,
};

struct reading {
    struct hsperf values;
    uint64_t ticks, frequency;
    uint64_t max_sum, max_largest;      /* of the generations */
    bool have_ticks, have_max, divides; /* divides: a part of the heap for each generation */
};

static uint32_t u32_at(struct str s, size_t at) {
    uint32_t value;

    memcpy(&value, s.p + at, sizeof(value));
    return value;
}

static void add(struct hsperf *h, enum hsperf_value which, uint64_t value) {
    uint64_t sum;

    h->value[which] = __builtin_add_overflow(h->value[which], value, &sum) ? UINT64_MAX : sum;
    h->have |= 1u << which;
}

/* PREFIX, a number, SUFFIX. */
static bool is_numbered(struct str name, struct str prefix, struct str suffix) {
    uint64_t number;

    return str_skip(&name, prefix) && str_drop(&name, suffix) && str_to_u64(name, &number) == 0;
}

/* sun.gc.generation.N.space.N.used */
static bool is_space_used(struct str name) {
    struct str generation, middle;
    uint64_t number;

    if (!str_skip(&name, STR("sun.gc.generation.")) || !str_drop(&name, STR(".used")) ||
        !str_cut(&name, '.', &generation) || str_to_u64(generation, &number) < 0)
        return false;
    middle = name;
    return str_skip(&middle, STR("space.")) && str_to_u64(middle, &number) == 0;
}

static void take_long(struct reading *r, struct str name, uint64_t value) {
    struct hsperf *h = &r->values;

    if (value > INT64_MAX) /* a jlong: below zero there is nothing we read */
        return;
    if (is_numbered(name, STR("sun.gc.generation."), STR(".capacity"))) {
        add(h, HSPERF_COMMITTED, value);
    } else if (is_numbered(name, STR("sun.gc.generation."), STR(".maxCapacity"))) {
        r->max_sum = r->max_sum > UINT64_MAX - value ? UINT64_MAX : r->max_sum + value;
        r->max_largest = value > r->max_largest ? value : r->max_largest;
        r->have_max = true;
    } else if (is_space_used(name)) {
        add(h, HSPERF_USED, value);
    } else if (is_numbered(name, STR("sun.gc.collector."), STR(".invocations"))) {
        add(h, HSPERF_GC_COUNT, value);
    } else if (is_numbered(name, STR("sun.gc.collector."), STR(".time"))) {
        r->ticks = r->ticks > UINT64_MAX - value ? UINT64_MAX : r->ticks + value;
        r->have_ticks = true;
    } else if (str_eq(name, STR("sun.os.hrt.frequency"))) {
        r->frequency = value;
    } else if (str_eq(name, STR("java.threads.live"))) {
        add(h, HSPERF_THREADS, value);
    } else if (str_eq(name, STR("sun.gc.metaspace.capacity"))) {
        add(h, HSPERF_META_COMMITTED, value);
    } else if (str_eq(name, STR("sun.gc.metaspace.used"))) {
        add(h, HSPERF_META_USED, value);
    }
}

/* The entry is within the file, and what it points to is within the entry. */
static int take_entry(struct reading *r, struct str entry) {
    uint32_t at = u32_at(entry, ENTRY_NAME), data = u32_at(entry, ENTRY_DATA);
    uint32_t vector = u32_at(entry, ENTRY_VECTOR);
    char type = entry.p[ENTRY_TYPE];
    const char *end;
    struct str name;

    if (at < ENTRY || at >= entry.n || data < ENTRY || data >= entry.n)
        return -EBADMSG;
    end = memchr(entry.p + at, 0, entry.n - at);
    if (!end)
        return -EBADMSG;
    name = (struct str){entry.p + at, (size_t)(end - entry.p) - at};
    if (type == 'J' && vector == 0) {
        uint64_t value;

        if (entry.n - data < sizeof(value))
            return -EBADMSG;
        memcpy(&value, entry.p + data, sizeof(value));
        take_long(r, name, value);
    } else if (type == 'B' && str_eq(name, STR("sun.rt.jvmCapabilities"))) {
        r->values.attach = entry.p[data] == '1' || entry.p[data] == '0' ? entry.p[data] : 0;
    } else if (type == 'B' && str_eq(name, STR("sun.gc.policy.name"))) {
        /* "Copy:MSC", "ParScav:MSC", "ParNew:CMS" have two generations side by side; "GarbageFirst"
         * and those without a policy move the border between them. */
        r->divides = memchr(entry.p + data, ':', strnlen(entry.p + data, entry.n - data)) != NULL;
    }
    return 0;
}

static uint64_t in_us(uint64_t ticks, uint64_t frequency) {
    unsigned __int128 us = (unsigned __int128)ticks * 1000000 / frequency;

    return us > UINT64_MAX ? UINT64_MAX : (uint64_t)us;
}

static int check_head(struct str file) {
    const unsigned char *p = (const unsigned char *)file.p;

    if (file.n < HEAD || p[0] != 0xca || p[1] != 0xfe || p[2] != 0xc0 || p[3] != 0xc0)
        return -EBADMSG;
    if (p[AT_ORDER] != 1 || p[AT_MAJOR] != 2)
        return -EOPNOTSUPP;
    return p[AT_ACCESSIBLE] ? 0 : -EAGAIN;
}

int hsperf_parse(struct str file, struct hsperf *out) {
    struct reading r = {0};
    uint32_t used, at, count;
    int error = check_head(file);

    if (error < 0)
        return error;
    used = u32_at(file, AT_USED);
    at = u32_at(file, AT_FIRST);
    count = u32_at(file, AT_COUNT);
    if (used > file.n || at < HEAD || count > HSPERF_ENTRIES)
        return -EBADMSG;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t length;

        if (at > used || used - at < ENTRY)
            return -EBADMSG;
        length = u32_at(file, at);
        if (length < ENTRY || length > used - at)
            return -EBADMSG;
        error = take_entry(&r, (struct str){file.p + at, length});
        if (error < 0)
            return error;
        at += length;
    }
    if (r.have_ticks && r.frequency > 0)
        add(&r.values, HSPERF_GC_US, in_us(r.ticks, r.frequency));
    if (r.have_max && r.max_largest > 0)
        add(&r.values, HSPERF_HEAP_MAX, r.divides ? r.max_sum : r.max_largest & ~(uint64_t)4095);
    *out = r.values;
    return 0;
}
