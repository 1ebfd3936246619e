/* jvmtext.h - what HotSpot answers to jcmd's commands, as numbers: class histogram, heap_info,
 * native memory tracking, flags. JDK 8 to 25.
 *
 * Pure; whole answers, at most JVMTEXT_MAX bytes, of a program that may lie: words are looked for,
 * what is not known is skipped, sums saturate. Outputs are written on success only.
 */
#pragma once
#include "runtime/heapview.h"

enum { JVMTEXT_MAX = 64 << 20 };

enum jvm_gc {
    JVM_GC_UNKNOWN,
    JVM_GC_SERIAL,
    JVM_GC_PARALLEL,
    JVM_GC_CMS, /* JDK 8 to 13 */
    JVM_GC_G1,
    JVM_GC_Z,
    JVM_GC_SHENANDOAH,
    JVM_GC_EPSILON,
    JVM_GCS,
};
const char *jvm_gc_name(enum jvm_gc gc); /* "G1"; "" for unknown */

/* --- VM.flags: "-XX:MaxHeapSize=209715200 -XX:+UseG1GC" --- */

bool jvmtext_flag(struct str flags, struct str name, struct str *value); /* "209715200" */
bool jvmtext_flag_u64(struct str flags, struct str name, uint64_t *out);
bool jvmtext_flag_on(struct str flags, struct str name);  /* -XX:+name */
bool jvmtext_flag_off(struct str flags, struct str name); /* -XX:-name */
enum jvm_gc jvmtext_gc(struct str flags);

/* --- GC.class_histogram --- */

struct jvm_histogram {
    uint64_t count, bytes;           /* of all rows */
    uint64_t said_count, said_bytes; /* of its own last line "Total" */
    bool have_said;
    bool cut; /* more classes than TALLY_ROWS: the rest is in count and bytes alone */
};

/* Adds each class under its readable name. 0; -ENOMEM; -EBADMSG: no histogram. */
int jvmtext_histogram(struct str text, struct tally *types, struct jvm_histogram *out);

/* "[B" -> "byte[]", "[[Ljava.lang.String;" -> "java.lang.String[][]"; others as they are. Long ones
 * are cut to about TALLY_NAME. */
void jvmtext_add_class(struct buf *out, struct str name);

/* --- sizes, bytes --- */

enum jvm_size {
    JVM_HEAP_USED,
    JVM_HEAP_COMMITTED,
    JVM_HEAP_MAX,
    JVM_HEAP_START, /* addresses: where it lies; not said by all collectors */
    JVM_HEAP_END,
    JVM_YOUNG_USED, /* of Serial, Parallel and CMS alone, down to SURVIVOR */
    JVM_OLD_USED,
    JVM_OLD_START, /* addresses */
    JVM_OLD_COMMITTED_END,
    JVM_OLD_END,
    JVM_SURVIVOR, /* size of the empty survivor space */
    JVM_META_USED,
    JVM_META_COMMITTED,
    JVM_CODE_USED,
    JVM_CODE_SIZE, /* reserved for code */
    JVM_NMT_RESERVED,
    JVM_NMT_COMMITTED,
    JVM_NMT_HEAP, /* committed, by category, from here on */
    JVM_NMT_CLASS,
    JVM_NMT_THREAD,
    JVM_NMT_CODE,
    JVM_NMT_GC,
    JVM_NMT_COMPILER,
    JVM_NMT_INTERNAL,
    JVM_NMT_SYMBOL,
    JVM_NMT_TRACKING,
    JVM_NMT_CDS,
    JVM_NMT_ARENA,
    JVM_NMT_METASPACE,
    JVM_NMT_OTHER, /* all other categories */
    JVM_SIZES,
};

struct jvm_sizes {
    uint64_t value[JVM_SIZES];
    uint32_t have; /* bit (1u << size) */
};
static inline bool jvm_sizes_has(const struct jvm_sizes *s, enum jvm_size size) {
    return s->have >> size & 1;
}

/* Each adds what it finds to *out. 0; -EBADMSG: nothing of it there. */
int jvmtext_heap_info(struct str text, struct jvm_sizes *out);
int jvmtext_metaspace(struct str text, struct jvm_sizes *out); /* VM.metaspace */
int jvmtext_codecache(struct str text, struct jvm_sizes *out); /* Compiler.codecache */
/* VM.native_memory summary. -ENODATA: it is not enabled. */
int jvmtext_nmt(struct str text, struct jvm_sizes *out);
