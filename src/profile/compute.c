/* compute.c - what is computed of profiles: top, diff, folded stacks. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "profile/profile.h"

/* --- top -------------------------------------------------------------------------------------- */

struct sums { /* of a function, by the number of its name */
    int64_t flat, cum;
    size_t seen;   /* sample + 1 that was added to cum last */
    uint32_t file; /* of the first frame of it that was met */
};

static size_t sum_up(const struct profile *p, unsigned type, struct sums *of) {
    size_t functions = 0;

    for (size_t i = 0; i < profile_samples(p); i++) {
        struct profile_sample s = profile_sample(p, i);
        int64_t value = s.value[type];

        for (size_t f = 0; f < s.frames; f++) {
            struct sums *sum = &of[profile_function(p, s.frame[f])];

            if (f == 0)
                sum->flat = profile_sum(sum->flat, value);
            if (sum->seen == i + 1)
                continue; /* recursion */
            if (sum->seen == 0) {
                sum->file = profile_file(p, s.frame[f]);
                functions++;
            }
            sum->seen = i + 1;
            sum->cum = profile_sum(sum->cum, value);
        }
    }
    return functions;
}

static uint64_t size_of(int64_t value) {
    return value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
}

/* What changed most comes first, growing or shrinking. */
static int compare_top(const void *a, const void *b) {
    const struct profile_top *x = a, *y = b;
    uint64_t v = size_of(x->flat), w = size_of(y->flat);
    size_t n = x->function.n < y->function.n ? x->function.n : y->function.n;
    int r;

    if (v != w)
        return v > w ? -1 : 1;
    v = size_of(x->cum);
    w = size_of(y->cum);
    if (v != w)
        return v > w ? -1 : 1;
    r = n ? memcmp(x->function.p, y->function.p, n) : 0;
    return r ? r : (x->function.n > y->function.n) - (x->function.n < y->function.n);
}

int profile_top(const struct profile *p, unsigned type, struct profile_top **out, size_t *n_out) {
    auto_free struct sums *sum = calloc(profile_texts(p) + 1, sizeof(*sum));
    struct profile_top *top;
    size_t n = 0;

    if (!sum)
        return -ENOMEM;
    top = calloc(sum_up(p, type, sum) + 1, sizeof(*top));
    if (!top)
        return -ENOMEM;
    for (uint32_t i = 0; i < profile_texts(p); i++)
        if (sum[i].seen && (sum[i].flat || sum[i].cum))
            top[n++] = (struct profile_top){profile_text(p, i), profile_text(p, sum[i].file),
                                            sum[i].flat, sum[i].cum};
    qsort(top, n, sizeof(*top), compare_top);
    *out = top;
    *n_out = n;
    return 0;
}

/* --- diff ------------------------------------------------------------------------------------- */

struct diff {
    struct profile *out;
    unsigned before[PROFILE_TYPES], after[PROFILE_TYPES]; /* types that both have */
    unsigned types;
};

static int match_types(struct diff *d, const struct profile *before, const struct profile *after) {
    for (unsigned i = 0; i < profile_types(after); i++) {
        struct profile_type t = profile_type(after, i);
        int other = profile_type_of(before, t.type);
        int r;

        if (other < 0 || !str_eq(profile_type(before, (unsigned)other).unit, t.unit))
            continue;
        r = profile_add_type(d->out, t.type, t.unit);
        if (r < 0)
            return r;
        if (i == profile_default(after))
            profile_set_default(d->out, d->types);
        d->before[d->types] = (unsigned)other;
        d->after[d->types++] = i;
    }
    return d->types > 0 ? 0 : -EINVAL;
}

static int add_all(const struct diff *d, const struct profile *from, const unsigned *type,
                   bool negative) {
    auto_free uint32_t *known = calloc(profile_frames(from) + 1, sizeof(*known)); /* + 1 */
    uint32_t stack[PROFILE_DEPTH];

    if (!known)
        return -ENOMEM;
    for (size_t i = 0; i < profile_samples(from); i++) {
        struct profile_sample s = profile_sample(from, i);
        int64_t value[PROFILE_TYPES] = {0};
        int r = 0;

        for (size_t f = 0; f < s.frames && r == 0; f++) {
            uint32_t *id = &known[s.frame[f]];

            if (*id == 0) {
                struct profile_frame frame = profile_frame(from, s.frame[f]);

                r = profile_add_frame(d->out, &frame, id);
                ++*id;
            }
            stack[f] = *id - 1;
        }
        for (unsigned t = 0; t < d->types; t++)
            value[t] = negative ? -s.value[type[t]] : s.value[type[t]];
        if (r == 0)
            r = profile_add_stack(d->out, stack, s.frames, value);
        if (r < 0)
            return r;
    }
    return 0;
}

/* A copy without the stacks whose values are all 0. */
static int without_zeros(const struct profile *p, struct profile **out) {
    struct diff d = {0};
    int r = profile_new(&d.out);

    for (unsigned i = 0; i < profile_types(p) && r >= 0; i++) {
        r = profile_add_type(d.out, profile_type(p, i).type, profile_type(p, i).unit);
        d.after[d.types++] = i;
    }
    if (r >= 0)
        profile_set_default(d.out, profile_default(p));
    for (size_t i = 0; i < profile_samples(p) && r >= 0; i++) {
        struct profile_sample s = profile_sample(p, i);
        struct profile_frame frame[PROFILE_DEPTH];
        bool zero = true;

        for (unsigned t = 0; t < d.types; t++)
            zero = zero && s.value[t] == 0;
        for (size_t f = 0; f < s.frames && !zero; f++)
            frame[f] = profile_frame(p, s.frame[f]);
        if (!zero)
            r = profile_add(d.out, frame, s.frames, s.value);
    }
    if (r < 0) {
        profile_free(d.out);
        return r;
    }
    *out = d.out;
    return 0;
}

int profile_diff(const struct profile *before, const struct profile *after, struct profile **out) {
    struct diff d = {0};
    int r = profile_new(&d.out);

    if (r < 0)
        return r;
    r = match_types(&d, before, after);
    if (r == 0)
        r = add_all(&d, before, d.before, true);
    if (r == 0)
        r = add_all(&d, after, d.after, false);
    if (r == 0)
        r = without_zeros(d.out, out);
    profile_free(d.out);
    if (r == 0 && profile_at_ms(before) && profile_at_ms(after) > profile_at_ms(before))
        profile_set_time(*out, profile_at_ms(after), profile_at_ms(after) - profile_at_ms(before));
    return r;
}

/* --- folded stacks ---------------------------------------------------------------------------- */

/* Newlines and semicolons mean something there. */
static void add_name(struct buf *out, struct str name) {
    ptrdiff_t at;

    while ((at = str_find(name, ';')) >= 0) {
        text_add_visible(out, str_head(name, (size_t)at), false);
        buf_add_char(out, ':');
        name = str_from(name, (size_t)at + 1);
    }
    text_add_visible(out, name, false);
}

void profile_add_folded(struct buf *out, const struct profile *p, unsigned type) {
    for (size_t i = 0; i < profile_samples(p); i++) {
        struct profile_sample s = profile_sample(p, i);
        int64_t value = s.value[type];

        if (value == 0)
            continue;
        for (size_t f = s.frames; f-- > 0;) {
            add_name(out, profile_frame(p, s.frame[f]).function);
            if (f > 0)
                buf_add_char(out, ';');
        }
        buf_add_format(out, " %lld\n", (long long)value);
    }
}
