/* heapview.h - what a runtime says of its heap: named figures, sentences, and a tally of what is in
 * it by type. The same shape for every runtime, so that one printer and one diff serve all.
 */
#pragma once
#include "base/buf.h"
#include "runtime/rt.h"

/* Things of one type, class or constructor. */
struct tally_row {
    struct str name; /* raw bytes, cut to TALLY_NAME */
    uint64_t count, bytes;
    bool have_bytes;
};

enum { TALLY_NAME = 512, TALLY_ROWS = 200000 };

/* Bounded: names are copied; a name that comes again is added to its row. */
struct tally;
int tally_new(struct tally **out);
void tally_free(struct tally *t);
/* 0; -ENOMEM; -E2BIG when there are TALLY_ROWS rows already. */
int tally_add(struct tally *t, struct str name, uint64_t count, uint64_t bytes, bool have_bytes);
size_t tally_n(const struct tally *t);
const struct tally_row *tally_row(const struct tally *t, size_t i); /* in no order */
void tally_sort(struct tally *t); /* by bytes, then count, falling */

enum heap_unit { HEAP_BYTES, HEAP_COUNT, HEAP_US };

struct heap_figure {
    const char *key;  /* of JSON: "heap_used"; static text */
    const char *says; /* what it is, in a few words; static text */
    enum heap_unit unit;
    uint64_t value;
};

enum { HEAP_FIGURES = 96, HEAP_NOTES = 16 };

/* A profile as the runtime gave it, raw. */
struct heap_blob {
    const char *what; /* "heap", "goroutine", "sampling"; static text */
    char *data;       /* owned */
    size_t n;
};

struct heapview {
    struct rt_id id;
    struct heap_figure figure[HEAP_FIGURES];
    unsigned figures;
    char note[HEAP_NOTES]
             [400]; /* sentences: what the figures mean, what could not be had and why */
    unsigned notes;
    struct tally *types;   /* NULL: none. By class, type, constructor */
    const char *types_are; /* "classes", "types", "constructors" */
    const char *types_how; /* "all objects, unreachable ones too (-all)" */
    struct heap_blob blob[3];
    unsigned blobs;
};

void heapview_init(struct heapview *v);
void heapview_done(struct heapview *v);
void heapview_figure(struct heapview *v, const char *key, const char *says, enum heap_unit unit,
                     uint64_t value);
void heapview_note(struct heapview *v, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The value of a figure; false when it is not there. */
bool heapview_value(const struct heapview *v, const char *key, uint64_t *out);
