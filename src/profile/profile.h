/* profile.h - a profile in memory: samples of stacks with values. What pprof files, goroutines,
 * class histograms (stacks of one frame) and V8's sampling profiles have in common, so that top,
 * diff, folded stacks, flame graphs and files are made once.
 *
 * Bounded (PROFILE_*): what exceeds them is -E2BIG, never a part.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"

enum {
    PROFILE_TYPES = 8,    /* values a sample */
    PROFILE_DEPTH = 1024, /* frames a stack; deeper ones are cut at the root, and counted */
    PROFILE_SAMPLES = 2000000,
    PROFILE_STRINGS = 1000000,
    PROFILE_TEXT = 64 << 20, /* bytes of all strings */
};

struct profile;

struct profile_type { /* "inuse_space", "bytes" */
    struct str type, unit;
};

struct profile_frame {
    struct str function, file; /* file may be empty */
    int64_t line;              /* 0: not known */
};

int profile_new(struct profile **out);
void profile_free(struct profile *p);

/* --- made --- */
int profile_add_type(struct profile *p, struct str type,
                     struct str unit); /* its index, or -errno */
/* frame[0] is the leaf. The same stack again: values are added. */
int profile_add(struct profile *p, const struct profile_frame *frame, size_t frames,
                const int64_t value[PROFILE_TYPES]);
void profile_set_default(struct profile *p, unsigned type);
void profile_set_time(struct profile *p, int64_t at_ms, int64_t duration_ms);
int profile_set_comment(struct profile *p,
                        struct str text); /* where it comes from, by what means */

/* --- read --- */
unsigned profile_types(const struct profile *p);
struct profile_type profile_type(const struct profile *p, unsigned i);
int profile_type_of(const struct profile *p, struct str type); /* index, or -ENOENT */
unsigned profile_default(const struct profile *p);
size_t profile_samples(const struct profile *p);
struct profile_sample {
    size_t frames;
    const uint32_t *frame; /* leaf first: for profile_frame() */
    const int64_t *value;
};
struct profile_sample profile_sample(const struct profile *p, size_t i);
struct profile_frame profile_frame(const struct profile *p, uint32_t frame);
int64_t profile_total(const struct profile *p, unsigned type);

/* --- computed --- */
/* By function: flat is what it has itself, cum with what it calls; recursion is counted once. As
 * `go tool pprof -top` does. Sorted by flat, falling. *out is malloc'ed. */
struct profile_top {
    struct str function;
    int64_t flat, cum;
};
int profile_top(const struct profile *p, unsigned type, struct profile_top **out, size_t *n_out);

/* after - before, stack by stack (types matched by name). */
int profile_diff(const struct profile *before, const struct profile *after, struct profile **out);

/* "root;...;leaf value" a line, for flame graph tools of others. */
void profile_add_folded(struct buf *out, const struct profile *p, unsigned type);

/* A self-contained page, no script or font from elsewhere, untrusted names as text only; `diff`
 * colours by growth (red) and shrinking (blue). zoom, search, a table. */
struct flame_options {
    const char *title;
    unsigned type;
    bool diff;
};
int profile_add_flame(struct buf *out, const struct profile *p, const struct flame_options *o);
