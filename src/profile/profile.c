#include "profile/profile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "profile/intern.h"

enum { COMMENT_MAX = 4096 };

struct text { /* in profile.chars */
    uint32_t at, n;
};

struct frame {
    uint32_t function, file; /* texts */
    int64_t line;
};

struct stack {
    uint32_t at, n; /* in profile.frames */
};

/* Arrays that grow; the number of texts, frames and stacks is in their tables. */
struct profile {
    struct hash_key key;
    char *chars;
    size_t chars_n, chars_size;
    struct intern texts, frames, stacks;
    struct text *text;
    size_t text_size;
    struct frame *frame;
    size_t frame_size;
    struct stack *stack;
    size_t stack_size;
    uint32_t *of_stacks; /* frames of all stacks */
    size_t of_stacks_n, of_stacks_size;
    int64_t *value; /* `types` a stack */
    size_t value_size;
    struct {
        uint32_t type, unit;
    } type[PROFILE_TYPES];
    unsigned types, chosen;
    size_t cut;
    int64_t at_ms, duration_ms;
    char *comment;
};

int profile_new(struct profile **out) {
    struct profile *p = calloc(1, sizeof(*p));

    if (!p)
        return -ENOMEM;
    hash_key_init(&p->key);
    *out = p;
    return 0;
}

void profile_free(struct profile *p) {
    if (!p)
        return;
    intern_done(&p->texts);
    intern_done(&p->frames);
    intern_done(&p->stacks);
    free(p->chars);
    free(p->text);
    free(p->frame);
    free(p->stack);
    free(p->of_stacks);
    free(p->value);
    free(p->comment);
    free(p);
}

/* Makes room for n things in an array of at most `max`. */
static int room(void *array, size_t *size, size_t n, size_t max, size_t each) {
    size_t want = *size ? *size : 64;
    void *old = *(void **)array, *p;

    if (n <= *size)
        return 0;
    if (n > max)
        return -E2BIG;
    while (want < n)
        want *= 2;
    if (want > max)
        want = max;
    p = reallocarray(old, want, each);
    if (!p)
        return -ENOMEM;
    *(void **)array = p;
    *size = want;
    return 0;
}

/* --- texts ------------------------------------------------------------------------------------ */

struct wanted_text {
    const struct profile *p;
    struct str text;
};

static struct str text_of(const struct profile *p, uint32_t number) {
    return (struct str){p->chars + p->text[number].at, p->text[number].n};
}

static bool same_text(const void *ctx, uint32_t number) {
    const struct wanted_text *w = ctx;

    return str_eq(text_of(w->p, number), w->text);
}

static int add_text(struct profile *p, struct str text, uint32_t *out) {
    uint64_t hash = hash_str(&p->key, text);
    int64_t found = intern_find(&p->texts, hash, same_text, &(struct wanted_text){p, text});
    size_t n = p->texts.n;
    int r;

    if (found >= 0) {
        *out = (uint32_t)found;
        return 0;
    }
    if (text.n > PROFILE_TEXT)
        return -E2BIG;
    r = room(&p->text, &p->text_size, n + 1, PROFILE_STRINGS, sizeof(*p->text));
    if (r == 0)
        r = room(&p->chars, &p->chars_size, p->chars_n + text.n + 1, PROFILE_TEXT, 1);
    if (r == 0)
        r = intern_add(&p->texts, hash);
    if (r < 0)
        return r;
    if (text.n > 0)
        memcpy(p->chars + p->chars_n, text.p, text.n);
    p->text[n] = (struct text){(uint32_t)p->chars_n, (uint32_t)text.n};
    p->chars_n += text.n;
    *out = (uint32_t)n;
    return 0;
}

/* --- frames and stacks ------------------------------------------------------------------------ */

struct wanted_frame {
    const struct profile *p;
    struct frame frame;
};

static bool same_frame(const void *ctx, uint32_t number) {
    const struct wanted_frame *w = ctx;
    const struct frame *f = &w->p->frame[number];

    return f->function == w->frame.function && f->file == w->frame.file && f->line == w->frame.line;
}

int profile_add_frame(struct profile *p, const struct profile_frame *frame, uint32_t *id_out) {
    struct wanted_frame w = {.p = p};
    int r = add_text(p, frame->function, &w.frame.function);
    uint64_t hash;
    int64_t found;

    if (r == 0)
        r = add_text(p, frame->file, &w.frame.file);
    if (r < 0)
        return r;
    w.frame.line = frame->line;
    hash = hash_str(&p->key, (struct str){(const char *)&w.frame, sizeof(w.frame)});
    found = intern_find(&p->frames, hash, same_frame, &w);
    if (found < 0) {
        found = (int64_t)p->frames.n;
        r = room(&p->frame, &p->frame_size, p->frames.n + 1, UINT32_MAX / 2, sizeof(*p->frame));
        if (r == 0)
            r = intern_add(&p->frames, hash);
        if (r < 0)
            return r;
        p->frame[found] = w.frame;
    }
    *id_out = (uint32_t)found;
    return 0;
}

struct wanted_stack {
    const struct profile *p;
    const uint32_t *frame;
    size_t n;
};

static bool same_stack(const void *ctx, uint32_t number) {
    const struct wanted_stack *w = ctx;
    const struct stack *s = &w->p->stack[number];

    return s->n == w->n &&
           (w->n == 0 || memcmp(w->p->of_stacks + s->at, w->frame, w->n * sizeof(*w->frame)) == 0);
}

static int new_stack(struct profile *p, const uint32_t *frame, size_t n, uint64_t hash) {
    size_t number = p->stacks.n;
    int r = room(&p->stack, &p->stack_size, number + 1, PROFILE_SAMPLES, sizeof(*p->stack));

    if (r == 0)
        r = room(&p->of_stacks, &p->of_stacks_size, p->of_stacks_n + n, PROFILE_STACKS,
                 sizeof(*p->of_stacks));
    if (r == 0)
        r = room(&p->value, &p->value_size, (number + 1) * p->types,
                 (size_t)PROFILE_SAMPLES * PROFILE_TYPES, sizeof(*p->value));
    if (r == 0)
        r = intern_add(&p->stacks, hash);
    if (r < 0)
        return r;
    if (n > 0)
        memcpy(p->of_stacks + p->of_stacks_n, frame, n * sizeof(*frame));
    memset(p->value + number * p->types, 0, p->types * sizeof(*p->value));
    p->stack[number] = (struct stack){(uint32_t)p->of_stacks_n, (uint32_t)n};
    p->of_stacks_n += n;
    return 0;
}

int profile_add_stack(struct profile *p, const uint32_t *frame, size_t frames,
                      const int64_t value[PROFILE_TYPES]) {
    size_t n = frames > PROFILE_DEPTH ? PROFILE_DEPTH : frames;
    struct wanted_stack w = {p, frame, n};
    uint64_t hash = hash_str(&p->key, (struct str){(const char *)frame, n * sizeof(*frame)});
    int64_t found = intern_find(&p->stacks, hash, same_stack, &w);
    int r;

    if (p->types == 0)
        return -EINVAL;
    if (found < 0) {
        found = (int64_t)p->stacks.n;
        r = new_stack(p, frame, n, hash);
        if (r < 0)
            return r;
    }
    p->cut += n < frames;
    for (unsigned i = 0; i < p->types; i++) {
        int64_t *sum = &p->value[(size_t)found * p->types + i];

        *sum = profile_sum(*sum, value[i]);
    }
    return 0;
}

int profile_add(struct profile *p, const struct profile_frame *frame, size_t frames,
                const int64_t value[PROFILE_TYPES]) {
    uint32_t id[PROFILE_DEPTH];
    size_t n = frames > PROFILE_DEPTH ? PROFILE_DEPTH : frames;
    int r;

    for (size_t i = 0; i < n; i++) {
        r = profile_add_frame(p, &frame[i], &id[i]);
        if (r < 0)
            return r;
    }
    r = profile_add_stack(p, id, n, value);
    if (r == 0)
        p->cut += n < frames;
    return r;
}

int64_t profile_sum(int64_t a, int64_t b) {
    int64_t sum;

    if (__builtin_add_overflow(a, b, &sum))
        return a < 0 ? -INT64_MAX : INT64_MAX;
    return sum == INT64_MIN ? -INT64_MAX : sum;
}

/* --- what it is ------------------------------------------------------------------------------- */

int profile_add_type(struct profile *p, struct str type, struct str unit) {
    int r;

    if (p->types == PROFILE_TYPES)
        return -E2BIG;
    if (p->stacks.n > 0)
        return -EINVAL;
    r = add_text(p, type, &p->type[p->types].type);
    if (r == 0)
        r = add_text(p, unit, &p->type[p->types].unit);
    return r < 0 ? r : (int)p->types++;
}

void profile_set_default(struct profile *p, unsigned type) {
    if (type < p->types)
        p->chosen = type;
}

void profile_set_time(struct profile *p, int64_t at_ms, int64_t duration_ms) {
    p->at_ms = at_ms;
    p->duration_ms = duration_ms;
}

int profile_set_comment(struct profile *p, struct str text) {
    char *copy = strndup(text.n ? text.p : "", text.n > COMMENT_MAX ? COMMENT_MAX : text.n);

    if (!copy)
        return -ENOMEM;
    free(p->comment);
    p->comment = copy;
    return 0;
}

/* --- read ------------------------------------------------------------------------------------- */

unsigned profile_types(const struct profile *p) {
    return p->types;
}

struct profile_type profile_type(const struct profile *p, unsigned i) {
    return (struct profile_type){text_of(p, p->type[i].type), text_of(p, p->type[i].unit)};
}

int profile_type_of(const struct profile *p, struct str type) {
    for (unsigned i = 0; i < p->types; i++)
        if (str_eq(text_of(p, p->type[i].type), type))
            return (int)i;
    return -ENOENT;
}

unsigned profile_default(const struct profile *p) {
    return p->chosen;
}

size_t profile_samples(const struct profile *p) {
    return p->stacks.n;
}

struct profile_sample profile_sample(const struct profile *p, size_t i) {
    return (struct profile_sample){p->stack[i].n, p->of_stacks + p->stack[i].at,
                                   p->value + i * p->types};
}

size_t profile_frames(const struct profile *p) {
    return p->frames.n;
}

struct profile_frame profile_frame(const struct profile *p, uint32_t frame) {
    const struct frame *f = &p->frame[frame];

    return (struct profile_frame){text_of(p, f->function), text_of(p, f->file), f->line};
}

uint32_t profile_function(const struct profile *p, uint32_t frame) {
    return p->frame[frame].function;
}

uint32_t profile_file(const struct profile *p, uint32_t frame) {
    return p->frame[frame].file;
}

size_t profile_texts(const struct profile *p) {
    return p->texts.n;
}

struct str profile_text(const struct profile *p, uint32_t text) {
    return text_of(p, text);
}

int64_t profile_total(const struct profile *p, unsigned type) {
    int64_t sum = 0;

    for (size_t i = 0; i < p->stacks.n; i++)
        sum = profile_sum(sum, p->value[i * p->types + type]);
    return sum;
}

size_t profile_cut(const struct profile *p) {
    return p->cut;
}

int64_t profile_at_ms(const struct profile *p) {
    return p->at_ms;
}

int64_t profile_duration_ms(const struct profile *p) {
    return p->duration_ms;
}

struct str profile_comment(const struct profile *p) {
    return str_of(p->comment);
}
