#include "runtime/jvmtext.h"

#include <errno.h>

#include "base/mem.h"

const char *jvm_gc_name(enum jvm_gc gc) {
    static const char *const name[JVM_GCS] = {"",   "Serial", "Parallel",   "CMS",
                                              "G1", "Z",      "Shenandoah", "Epsilon"};

    return name[gc];
}

/* The last line may lack its newline. */
static bool next_line(struct str *rest, struct str *line) {
    if (str_cut(rest, '\n', line))
        return true;
    if (rest->n == 0)
        return false;
    *line = *rest;
    *rest = str_from(*rest, rest->n);
    return true;
}

static uint64_t plus(uint64_t a, uint64_t b) {
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* Without the comma or bracket that closes it. */
static bool next_word(struct str *rest, struct str *word) {
    if (!str_word(rest, word))
        return false;
    while (word->n > 1 && (word->p[word->n - 1] == ',' || word->p[word->n - 1] == ')'))
        word->n--;
    return true;
}

/* "204800K", "1650927KB", "120036Kb", "8M", "512": bytes. */
static int size_of(struct str s, uint64_t *out) {
    static const char units[] = "KMGT";
    uint64_t value, scale = 1;
    int r;

    if (s.n > 0 && (s.p[s.n - 1] == 'B' || s.p[s.n - 1] == 'b'))
        s.n--;
    for (unsigned i = 0; units[i]; i++) {
        if (s.n == 0 || s.p[s.n - 1] != units[i])
            continue;
        s.n--;
        scale = 1ull << 10 * (i + 1);
        break;
    }
    r = str_to_u64(s, &value);
    if (r < 0)
        return r;
    return __builtin_mul_overflow(value, scale, out) ? -ERANGE : 0;
}

/* --- flags ------------------------------------------------------------------------------------ */

bool jvmtext_flag(struct str flags, struct str name, struct str *value) {
    struct str line, word;

    while (next_line(&flags, &line)) {
        while (str_word(&line, &word)) {
            if (!str_skip(&word, STR("-XX:")) || !str_skip(&word, name) ||
                !str_skip(&word, STR("=")))
                continue;
            *value = word;
            return true;
        }
    }
    return false;
}

bool jvmtext_flag_u64(struct str flags, struct str name, uint64_t *out) {
    struct str value;

    return jvmtext_flag(flags, name, &value) && str_to_u64(value, out) == 0;
}

static bool has_switch(struct str flags, struct str sign, struct str name) {
    struct str line, word;

    while (next_line(&flags, &line))
        while (str_word(&line, &word))
            if (str_skip(&word, sign) && str_eq(word, name))
                return true;
    return false;
}

bool jvmtext_flag_on(struct str flags, struct str name) {
    return has_switch(flags, STR("-XX:+"), name);
}

bool jvmtext_flag_off(struct str flags, struct str name) {
    return has_switch(flags, STR("-XX:-"), name);
}

enum jvm_gc jvmtext_gc(struct str flags) {
    static const struct {
        struct str name;
        enum jvm_gc gc;
    } uses[] = {
        {{"UseG1GC", 7}, JVM_GC_G1},
        {{"UseSerialGC", 11}, JVM_GC_SERIAL},
        {{"UseParallelGC", 13}, JVM_GC_PARALLEL},
        {{"UseParallelOldGC", 16}, JVM_GC_PARALLEL},
        {{"UseZGC", 6}, JVM_GC_Z},
        {{"UseShenandoahGC", 15}, JVM_GC_SHENANDOAH},
        {{"UseConcMarkSweepGC", 18}, JVM_GC_CMS},
        {{"UseEpsilonGC", 12}, JVM_GC_EPSILON},
    };

    for (size_t i = 0; i < ARRAY_N(uses); i++)
        if (jvmtext_flag_on(flags, uses[i].name))
            return uses[i].gc;
    return JVM_GC_UNKNOWN;
}

/* --- histogram -------------------------------------------------------------------------------- */

static struct str primitive(char letter) {
    switch (letter) {
    case 'Z':
        return STR("boolean");
    case 'B':
        return STR("byte");
    case 'C':
        return STR("char");
    case 'S':
        return STR("short");
    case 'I':
        return STR("int");
    case 'J':
        return STR("long");
    case 'F':
        return STR("float");
    case 'D':
        return STR("double");
    default:
        return STR("");
    }
}

void jvmtext_add_class(struct buf *out, struct str name) {
    struct str of = name;
    size_t deep = 0;

    while (deep < 255 && str_skip(&of, STR("[")))
        deep++;
    if (deep > 0 && of.n == 1 && primitive(of.p[0]).n > 0)
        of = primitive(of.p[0]);
    else if (deep == 0 || !str_skip(&of, STR("L")) || !str_drop(&of, STR(";"))) {
        buf_add(out, str_head(name, TALLY_NAME));
        return;
    }
    buf_add(out, str_head(of, TALLY_NAME));
    for (size_t i = 0; i < deep; i++)
        buf_add(out, STR("[]"));
}

/* "java.lang.String (java.base@17.0.15)": the module goes. */
static struct str without_module(struct str name) {
    ptrdiff_t at;

    if (!str_ends(name, STR(")")))
        return name;
    at = str_rfind(name, '(');
    return at > 1 && name.p[at - 1] == ' ' ? str_trim(str_head(name, (size_t)at)) : name;
}

struct class_row {
    uint64_t count, bytes;
    struct str name;
};

/* "   1:         52266       46470192  [B (java.base@17.0.15)" */
static bool parse_row(struct str line, struct class_row *out) {
    struct str rank, count, bytes;
    uint64_t number;

    if (!str_word(&line, &rank) || !str_drop(&rank, STR(":")) || str_to_u64(rank, &number) < 0 ||
        !str_word(&line, &count) || str_to_u64(count, &out->count) < 0 ||
        !str_word(&line, &bytes) || str_to_u64(bytes, &out->bytes) < 0)
        return false;
    out->name = without_module(str_trim(line));
    return out->name.n > 0;
}

/* "Total         81315       49559200"; a blank line and "Total:" in some versions. */
static void take_total(struct str line, struct jvm_histogram *h) {
    struct str word, count, bytes;
    uint64_t n, size;

    if (!str_word(&line, &word) || (!str_eq(word, STR("Total")) && !str_eq(word, STR("Total:"))) ||
        !str_word(&line, &count) || !str_word(&line, &bytes) || str_to_u64(count, &n) < 0 ||
        str_to_u64(bytes, &size) < 0)
        return;
    h->said_count = n;
    h->said_bytes = size;
    h->have_said = true;
}

static int add_row(struct tally *types, const struct class_row *row, struct buf *name,
                   struct jvm_histogram *h) {
    int r;

    buf_clear(name);
    jvmtext_add_class(name, row->name);
    r = buf_error(name);
    if (r < 0)
        return r;
    r = tally_add(types, buf_str(name), row->count, row->bytes, true);
    h->cut |= r == -E2BIG;
    h->count = plus(h->count, row->count);
    h->bytes = plus(h->bytes, row->bytes);
    return r == -E2BIG ? 0 : r;
}

int jvmtext_histogram(struct str text, struct tally *types, struct jvm_histogram *out) {
    struct jvm_histogram h = {0};
    struct class_row row;
    struct str line;
    struct buf name;
    size_t rows = 0;
    int r = 0;

    buf_init(&name, TALLY_NAME + 1024);
    while (r == 0 && next_line(&text, &line)) {
        if (!parse_row(line, &row)) {
            take_total(line, &h);
            continue;
        }
        r = add_row(types, &row, &name, &h);
        rows++;
    }
    buf_done(&name);
    if (r < 0)
        return r;
    if (rows == 0)
        return -EBADMSG;
    *out = h;
    return 0;
}

/* --- sizes ------------------------------------------------------------------------------------ */

static void add(struct jvm_sizes *s, enum jvm_size size, uint64_t value) {
    s->value[size] = plus(s->value[size], value);
    s->have |= 1u << size;
}

static void set(struct jvm_sizes *s, enum jvm_size size, uint64_t value) {
    s->value[size] = value;
    s->have |= 1u << size;
}

static int merge(const struct jvm_sizes *from, struct jvm_sizes *into) {
    if (from->have == 0)
        return -EBADMSG;
    for (unsigned i = 0; i < JVM_SIZES; i++)
        if (jvm_sizes_has(from, i))
            set(into, i, from->value[i]);
    return 0;
}

/* The size behind (or, with before, in front of) a word: "used 48397K". */
static bool size_behind(struct str line, struct str key, uint64_t *out) {
    struct str word, before = STR("");

    while (next_word(&line, &word)) {
        if (str_eq(before, key) && size_of(word, out) == 0)
            return true;
        before = word;
    }
    return false;
}

static bool size_before(struct str line, struct str key, uint64_t *out) {
    struct str word, before = STR("");

    while (next_word(&line, &word)) {
        if (str_eq(word, key) && size_of(before, out) == 0)
            return true;
        before = word;
    }
    return false;
}

/* "[0x00000000f3800000, 0x00000000f7aa0000, 0x0000000100000000)", blanks or none between: how many
 * addresses there are, at most three. */
static unsigned addresses(struct str line, uint64_t out[3]) {
    ptrdiff_t at = str_find(line, '[');
    unsigned n = 0;

    if (at < 0)
        return 0;
    line = str_from(line, (size_t)at + 1);
    while (n < 3 && str_skip(&line, STR("0x"))) {
        uint64_t value = 0;
        size_t digits = 0;

        while (digits < line.n && digits < 16 && str_hex(line.p[digits]) >= 0)
            value = value << 4 | (unsigned)str_hex(line.p[digits++]);
        if (digits == 0)
            return n;
        out[n++] = value;
        line = str_from(line, digits);
        if (!str_skip(&line, STR(",")))
            return n;
        str_skip(&line, STR(" "));
    }
    return n;
}

/* Generations lie beside each other. */
static void take_range(struct jvm_sizes *s, uint64_t start, uint64_t end) {
    if (!jvm_sizes_has(s, JVM_HEAP_START) || start < s->value[JVM_HEAP_START])
        set(s, JVM_HEAP_START, start);
    if (!jvm_sizes_has(s, JVM_HEAP_END) || end > s->value[JVM_HEAP_END])
        set(s, JVM_HEAP_END, end);
}

/* A generation of Serial, Parallel or CMS. "total" lacks the survivor space that is empty; the
 * addresses are start, end of what is committed, end of what is reserved. */
static bool take_generation(struct str line, struct jvm_sizes *s) {
    static const struct {
        struct str head;
        bool old;
    } known[] = {
        {{"def new generation ", 19}, false},
        {{"tenured generation ", 19}, true},
        {{"DefNew ", 7}, false},
        {{"Tenured ", 8}, true},
        {{"PSYoungGen ", 11}, false},
        {{"ParOldGen ", 10}, true},
        {{"PSOldGen ", 9}, true},
        {{"par new generation ", 19}, false},
        {{"concurrent mark-sweep generation ", 33}, true},
    };
    uint64_t at[3], size;
    size_t i = 0;

    while (i < ARRAY_N(known) && !str_starts(line, known[i].head))
        i++;
    if (i == ARRAY_N(known))
        return false;
    if (size_behind(line, STR("used"), &size)) {
        add(s, JVM_HEAP_USED, size);
        add(s, known[i].old ? JVM_OLD_USED : JVM_YOUNG_USED, size);
    }
    if (addresses(line, at) == 3 && at[0] <= at[1] && at[1] <= at[2]) {
        add(s, JVM_HEAP_COMMITTED, at[1] - at[0]);
        add(s, JVM_HEAP_MAX, at[2] - at[0]);
        take_range(s, at[0], at[2]);
        for (unsigned k = 0; k < 3 && known[i].old; k++)
            set(s, JVM_OLD_START + k, at[k]);
    } else if (size_behind(line, STR("total"), &size)) {
        add(s, JVM_HEAP_COMMITTED, size);
    }
    return true;
}

/* "to   space 6784K,   0% used [...)" */
static bool take_survivor(struct str line, struct jvm_sizes *s) {
    uint64_t size;

    if (!str_starts(line, STR("to ")) || !size_behind(line, STR("space"), &size))
        return false;
    set(s, JVM_SURVIVOR, size);
    return true;
}

/* "garbage-first heap   total 204800K, used 48397K [0x..., 0x...)"; since JDK 24 "total reserved
 * 204800K, committed 204800K, used 47844K". */
static bool take_g1(struct str line, struct jvm_sizes *s) {
    uint64_t at[3], size;
    bool range;

    if (!str_starts(line, STR("garbage-first heap ")))
        return false;
    range = addresses(line, at) == 2 && at[0] < at[1];
    if (range)
        take_range(s, at[0], at[1]);
    if (size_behind(line, STR("used"), &size))
        set(s, JVM_HEAP_USED, size);
    if (size_behind(line, STR("total"), &size) || size_behind(line, STR("committed"), &size))
        set(s, JVM_HEAP_COMMITTED, size);
    if (size_behind(line, STR("reserved"), &size))
        set(s, JVM_HEAP_MAX, size);
    else if (range)
        set(s, JVM_HEAP_MAX, at[1] - at[0]);
    return true;
}

/* "ZHeap           used 8M, capacity 200M, max capacity 200M" */
static bool take_z(struct str line, struct jvm_sizes *s) {
    struct str word, before = STR(""), earlier = STR("");
    uint64_t size;

    if (!str_starts(line, STR("ZHeap ")))
        return false;
    while (next_word(&line, &word)) {
        if (size_of(word, &size) == 0) {
            if (str_eq(before, STR("used")))
                set(s, JVM_HEAP_USED, size);
            else if (str_eq(before, STR("capacity")))
                set(s, str_eq(earlier, STR("max")) ? JVM_HEAP_MAX : JVM_HEAP_COMMITTED, size);
        }
        earlier = before;
        before = word;
    }
    return true;
}

/* Lines below "Shenandoah Heap" and "Epsilon Heap"; of the former "Reserved region:" and " -
 * [start, end)". */
static void take_shenandoah(struct str line, struct jvm_sizes *s) {
    uint64_t at[3], size;

    if (str_starts(line, STR("- [")) && addresses(line, at) == 2 && at[0] < at[1])
        take_range(s, at[0], at[1]);
    if (!size_before(line, STR("committed"), &size))
        return;
    set(s, JVM_HEAP_COMMITTED, size);
    if (size_before(line, STR("used"), &size))
        set(s, JVM_HEAP_USED, size);
    if (size_before(line, STR("max"), &size) || size_before(line, STR("total"), &size))
        set(s, JVM_HEAP_MAX, size);
}

/* "space 204800K,  24% used [start, used up to, end)" */
static void take_epsilon(struct str line, struct jvm_sizes *s) {
    uint64_t at[3];

    if (!str_starts(line, STR("space ")) || addresses(line, at) != 3 || at[0] > at[1] ||
        at[1] > at[2])
        return;
    set(s, JVM_HEAP_USED, at[1] - at[0]);
    set(s, JVM_HEAP_COMMITTED, at[2] - at[0]);
    take_range(s, at[0], at[2]);
}

/* "Metaspace       used 84K, committed 320K, reserved 1114112K"; "capacity" in JDK 8 to 15. */
static bool take_metaspace(struct str line, struct jvm_sizes *s) {
    uint64_t used, committed;

    if (!str_starts(line, STR("Metaspace ")) || !size_behind(line, STR("used"), &used) ||
        !size_behind(line, STR("committed"), &committed))
        return false;
    set(s, JVM_META_USED, used);
    set(s, JVM_META_COMMITTED, committed);
    return true;
}

int jvmtext_heap_info(struct str text, struct jvm_sizes *out) {
    enum { NOBODY, SHENANDOAH, EPSILON } of = NOBODY;
    struct jvm_sizes s = {0};
    struct str line;

    while (next_line(&text, &line)) {
        line = str_trim(line);
        if (str_starts(line, STR("Shenandoah Heap")))
            of = SHENANDOAH;
        else if (str_starts(line, STR("Epsilon Heap")))
            of = EPSILON;
        else if (!take_generation(line, &s) && !take_survivor(line, &s) && !take_g1(line, &s) &&
                 !take_z(line, &s) && !take_metaspace(line, &s) && of != NOBODY)
            of == SHENANDOAH ? take_shenandoah(line, &s) : take_epsilon(line, &s);
    }
    return merge(&s, out);
}

/* Its head line since JDK 24, whose heap_info has none. */
int jvmtext_metaspace(struct str text, struct jvm_sizes *out) {
    struct jvm_sizes s = {0};
    struct str line;

    while (next_line(&text, &line))
        if (take_metaspace(str_trim(line), &s))
            break;
    return merge(&s, out);
}

/* "CodeHeap 'profiled nmethods': size=120032Kb used=8Kb ..." for each, or one line "CodeCache:
 * size=...". */
static bool code_line(struct str line, uint64_t *size_out, uint64_t *used_out) {
    bool have_size = false, have_used = false;
    struct str word;

    while (next_word(&line, &word)) {
        if (str_skip(&word, STR("size=")))
            have_size = size_of(word, size_out) == 0;
        else if (str_skip(&word, STR("used=")))
            have_used = size_of(word, used_out) == 0;
    }
    return have_size && have_used;
}

int jvmtext_codecache(struct str text, struct jvm_sizes *out) {
    struct jvm_sizes s = {0};
    struct str line;
    uint64_t size, used;

    while (next_line(&text, &line)) {
        bool whole = str_starts(line, STR("CodeCache:"));

        if ((!whole && !str_starts(line, STR("CodeHeap '"))) || !code_line(line, &size, &used))
            continue;
        if (whole)
            s = (struct jvm_sizes){0};
        add(&s, JVM_CODE_SIZE, size);
        add(&s, JVM_CODE_USED, used);
        if (whole)
            break;
    }
    return merge(&s, out);
}

/* --- native memory tracking ------------------------------------------------------------------- */

static enum jvm_size category(struct str name) {
    static const struct {
        struct str name;
        enum jvm_size size;
    } known[] = {
        {{"Java Heap", 9}, JVM_NMT_HEAP},
        {{"Class", 5}, JVM_NMT_CLASS},
        {{"Thread", 6}, JVM_NMT_THREAD},
        {{"Code", 4}, JVM_NMT_CODE},
        {{"GC", 2}, JVM_NMT_GC},
        {{"Compiler", 8}, JVM_NMT_COMPILER},
        {{"Internal", 8}, JVM_NMT_INTERNAL},
        {{"Symbol", 6}, JVM_NMT_SYMBOL},
        {{"Native Memory Tracking", 22}, JVM_NMT_TRACKING},
        {{"Shared class space", 18}, JVM_NMT_CDS},
        {{"Arena Chunk", 11}, JVM_NMT_ARENA},
        {{"Metaspace", 9}, JVM_NMT_METASPACE},
    };

    for (size_t i = 0; i < ARRAY_N(known); i++)
        if (str_eq(known[i].name, name))
            return known[i].size;
    return JVM_NMT_OTHER;
}

/* "reserved=1650927KB, committed=273027KB)" */
static bool nmt_sizes(struct str text, uint64_t *reserved, uint64_t *committed) {
    bool have_reserved = false, have_committed = false;
    struct str word;

    while (next_word(&text, &word)) {
        if (str_skip(&word, STR("reserved=")))
            have_reserved = size_of(word, reserved) == 0;
        else if (str_skip(&word, STR("committed=")))
            have_committed = size_of(word, committed) == 0;
    }
    return have_reserved && have_committed;
}

/* "-                 Java Heap (reserved=204800KB, committed=204800KB)" */
static void take_category(struct str line, struct jvm_sizes *s) {
    uint64_t reserved, committed;
    struct str name;

    if (!str_skip(&line, STR("-")) || !str_cut(&line, '(', &name) ||
        !nmt_sizes(line, &reserved, &committed))
        return;
    add(s, category(str_trim(name)), committed);
}

int jvmtext_nmt(struct str text, struct jvm_sizes *out) {
    struct jvm_sizes s = {0};
    uint64_t reserved, committed;
    struct str line;

    while (next_line(&text, &line)) {
        if (str_starts(line, STR("Native memory tracking is not enabled")))
            return -ENODATA;
        if (str_skip(&line, STR("Total:"))) {
            if (jvm_sizes_has(&s, JVM_NMT_COMMITTED) || !nmt_sizes(line, &reserved, &committed))
                continue;
            set(&s, JVM_NMT_RESERVED, reserved);
            set(&s, JVM_NMT_COMMITTED, committed);
        } else {
            take_category(line, &s);
        }
    }
    return jvm_sizes_has(&s, JVM_NMT_COMMITTED) ? merge(&s, out) : -EBADMSG;
}
