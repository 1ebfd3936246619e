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
    PROFILE_TEXT = 64 << 20,   /* bytes of all strings */
    PROFILE_STACKS = 16 << 20, /* frames of all stacks together */
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

/* --- made: types first, then samples. 0 or an index; -ENOMEM, -E2BIG. --- */
int profile_add_type(struct profile *p, struct str type,
                     struct str unit); /* its index, or -errno */
/* frame[0] is the leaf. The same stack again: values are added. */
int profile_add(struct profile *p, const struct profile_frame *frame, size_t frames,
                const int64_t value[PROFILE_TYPES]);
/* The same in two steps, for those who have each frame once and many stacks of it. */
int profile_add_frame(struct profile *p, const struct profile_frame *frame, uint32_t *id_out);
int profile_add_stack(struct profile *p, const uint32_t *frame, size_t frames,
                      const int64_t value[PROFILE_TYPES]);
void profile_set_default(struct profile *p, unsigned type);
void profile_set_time(struct profile *p, int64_t at_ms, int64_t duration_ms);
int profile_set_comment(struct profile *p,
                        struct str text); /* where it comes from, by what means */

/* --- read: texts and arrays live until something is added --- */
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
size_t profile_frames(const struct profile *p); /* numbers of frames are below it */
struct profile_frame profile_frame(const struct profile *p, uint32_t frame);
/* The same text has the same number: functions are compared and counted by it. */
size_t profile_texts(const struct profile *p);
uint32_t profile_function(const struct profile *p, uint32_t frame);
uint32_t profile_file(const struct profile *p, uint32_t frame);
struct str profile_text(const struct profile *p, uint32_t text);
int64_t profile_total(const struct profile *p, unsigned type); /* sums stop at the ends of int64 */
size_t profile_cut(const struct profile *p);    /* how many stacks were deeper than PROFILE_DEPTH */
int64_t profile_at_ms(const struct profile *p); /* 0: not known */
int64_t profile_duration_ms(const struct profile *p);
struct str profile_comment(const struct profile *p);
/* a + b, stopping at INT64_MAX and -INT64_MAX: what is in a profile can be negated. */
int64_t profile_sum(int64_t a, int64_t b);

/* --- computed --- */
/* By function: flat is what it has itself, cum with what it calls; recursion is counted once. As
 * `go tool pprof -top` does. Sorted by flat, falling. *out is malloc'ed. */
struct profile_top {
    struct str function, file; /* file: of its first frame */
    int64_t flat, cum;
};
int profile_top(const struct profile *p, unsigned type, struct profile_top **out, size_t *n_out);

/* after - before, stack by stack, of the types both have (name and unit); what did not change is
 * left out. -EINVAL: they have none in common. */
int profile_diff(const struct profile *before, const struct profile *after, struct profile **out);

/* "root;...;leaf value" a line, for flame graph tools of others. */
void profile_add_folded(struct buf *out, const struct profile *p, unsigned type);

/* A self-contained page, no script or font from elsewhere, untrusted names as text only; `diff`:
 * widths are how much changed, coloured and marked by growth (red) and shrinking (blue). Zoom,
 * search, a table. 0; -ENOMEM, -EFBIG (see out). */
struct flame_options {
    const char *title;
    unsigned type;
    bool diff;
};
int profile_add_flame(struct buf *out, const struct profile *p, const struct flame_options *o);
