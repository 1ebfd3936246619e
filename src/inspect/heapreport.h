/* heapreport.h - what `plimsoll heap` says, before it is printed: one look at a process or a file,
 * or two and what grew in between.
 */
#pragma once
#include "profile/profile.h"
#include "runtime/heapview.h"

/* One look: at a process, or into a file. */
struct heaplook {
    struct heapview view;  /* of a process; empty for a file */
    struct profile *heap;  /* NULL: none */
    struct profile *tally; /* types as one-frame stacks; NULL: none */
    struct profile *goroutines;
    const char *file;   /* NULL: a process; borrowed */
    int64_t at_ms;      /* wall time; 0: not known */
    uint64_t rss, anon; /* before it was asked */
    bool have_rss;
};

/* Things of one type now and, with a diff, before. */
struct heaprow {
    struct str name;
    bool have_bytes;
    int64_t count, bytes, count_before, bytes_before;
};

struct heapreport {
    int32_t pid;                   /* 0: files */
    struct buf command;            /* raw bytes; empty: not known */
    struct buf runtime;            /* "go 1.19.8"; empty: not known */
    struct heaplook before, after; /* before: with a diff only */
    bool is_diff;
    int64_t passed_ms; /* between the looks; 0: not known */
    /* before and after, subtracted; NULL where there is none. */
    struct profile *heap_growth, *tally_growth, *goroutines_growth;
    struct heaprow *row;
    size_t rows;
};

enum heap_sort { HEAP_SORT_BYTES, HEAP_SORT_COUNT, HEAP_SORT_NAME };

void heapreport_init(struct heapreport *r);
void heapreport_done(struct heapreport *r);

/* From the looks to the rest: growth and rows, sorted. 0; -ENOMEM, -E2BIG; -EINVAL: the looks have
 * nothing in common. */
int heapreport_finish(struct heapreport *r, enum heap_sort sort);

/* What is drawn and saved: of the heap, else the types, else the goroutines; with a diff their
 * growth. NULL: there is none. */
const struct profile *heapreport_profile(const struct heapreport *r);

int64_t heapreport_growth(int64_t before, int64_t after);

/* Whether the two looks found different things: types, functions or goroutines. */
bool heapreport_changed(const struct heapreport *r);
bool heaprow_changed(const struct heaprow *row);

/* The samples of a profile by what they have of a type, the most (or what shrank most) first. 0 and
 * *out, as many as there are samples, for the caller to free; -ENOMEM. */
struct heapstack {
    size_t sample;
    int64_t value;
};
int heapreport_stacks(const struct profile *p, unsigned type, struct heapstack **out);
