/* pylayout.h - where CPython keeps what we read: offsets within its structs, for the series whose
 * headers were compared and whose programs were read and counted.
 *
 * Within a series the structs do not change any more once it is released; a program built otherwise
 * (debugging, without a GIL) is found out by python_look, which checks what must hold.
 */
#pragma once
#include "base/buf.h"

struct pylayout {
    uint32_t series; /* 0x030b: 3.11 */
    const char *name;
    /* _PyRuntimeState */
    uint16_t initialized, finalizing, interpreters;
    /* PyInterpreterState */
    uint16_t interp_next, interp_id, interp_finalizing, interp_threads, interp_runtime, interp_gc;
    /* The lock that lets one thread at a time run Python: within the runtime, or pointed to by an
     * interpreter; 0: the other */
    uint16_t runtime_gil, interp_gil;
    /* PyHeapTypeObject */
    uint16_t heap_qualname;
    /* str: where its characters begin */
    uint16_t text_ascii, text_wide;
    uint32_t preheader; /* flags of types whose objects have two pointers before their GC head */
};

/* The same in all of them; bytes, 64-bit. */
enum {
    PY_THREAD_PREV = 0,
    PY_THREAD_NEXT = 8,
    PY_THREAD_INTERP = 16,

    PY_GIL_HOLDER = 8, /* the last one */
    PY_GIL_LOCKED = 16,
    PY_GIL_SWITCHES = 24,
    PY_GIL_SIZE = 32,

    PY_GC_ENABLED = 12, /* within interp->gc */
    PY_GC_GENERATION = 24,
    PY_GC_GENERATION_SIZE = 24,
    PY_GC_GENERATION0 = 96,
    PY_GC_PERMANENT = 104,
    PY_GC_STATS = 128,
    PY_GC_STATS_SIZE = 24,
    PY_GC_COLLECTING = 200,
    PY_GC_LONG_TOTAL = 224,
    PY_GC_LONG_PENDING = 232,
    PY_GC_SIZE = 240,
    PY_GENERATIONS = 3,
    PY_THRESHOLD = 16, /* within a generation */
    PY_COUNT = 20,

    PY_HEAD = 16, /* PyGC_Head: next, prev; the object stands behind it */
    PY_OB_TYPE = 8,
    PY_OB_SIZE = 16,

    PY_TYPE_NAME = 24,
    PY_TYPE_BASIC = 32,
    PY_TYPE_ITEM = 40,
    PY_TYPE_FLAGS = 168,
    PY_TYPE_BASE = 256,
    PY_TYPE_DICT = 264,
    PY_TYPE_READ = 272, /* as much of it as is read */

    PY_LIST_ALLOCATED = 32,
    PY_DICT_KEYS = 32,
    PY_SET_MASK = 32,
    PY_SET_TABLE = 40,
    PY_SET_SMALL = 64,

    PY_KEYS_LOG2_SIZE = 8,
    PY_KEYS_LOG2_INDEX = 9,
    PY_KEYS_KIND = 10,
    PY_KEYS_N = 24,
    PY_KEYS_INDICES = 32,

    PY_TEXT_LENGTH = 16,
    PY_TEXT_STATE = 32,
};

/* Of a version as Py_Version has it (0x030b02f0 is 3.11.2); NULL when it is not in the table.
 * Releases only, no alphas, betas or candidates: their structs still change. */
const struct pylayout *pylayout_find(uint64_t version);

/* "3.11, 3.12 and 3.13". */
void pylayout_add_known(struct buf *out);
