#include "profile/pprof.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "profile/arena.h"
#include "profile/gzip.h"
#include "profile/intern.h"
#include "profile/pprof.pb-c.h"

/* A file that is being read. Ids may be any number, so they are looked up in tables. */
struct reader {
    const char *name;
    const Pprof__Profile *in;
    struct profile *out;
    struct intern locations, functions;
    struct span { /* frames of a location, in frame[] */
        uint32_t at, n;
    } * span;
    uint32_t *frame;
    size_t frames;
    struct err *err;
};

static int damaged(const struct reader *r, const char *what, uint64_t which) {
    return err_set(r->err, -EBADMSG, "'%s' is no sound profile: %s (%llu)", r->name, what,
                   (unsigned long long)which);
}

static int beyond(const struct reader *r, int code) {
    if (code == -E2BIG)
        return err_set(r->err, code,
                       "'%s' holds more than is read: %d samples, %d names, %d MiB of names",
                       r->name, PROFILE_SAMPLES, PROFILE_STRINGS, PROFILE_TEXT >> 20);
    return err_set(r->err, code, "'%s' takes more memory than there is to read it", r->name);
}

/* --- texts ------------------------------------------------------------------------------------ */

static int text(const struct reader *r, int64_t number, struct str *out) {
    const ProtobufCBinaryData *b;

    if (number < 0 || (uint64_t)number >= r->in->n_string_table)
        return damaged(r, "a name that is not in its table", (uint64_t)number);
    b = &r->in->string_table[number];
    *out = (struct str){b->len ? (const char *)b->data : "", b->len};
    return 0;
}

static int read_types(struct reader *r) {
    const Pprof__Profile *in = r->in;
    struct str type = STR(""), unit = STR("");

    if (in->n_sample_type == 0)
        return damaged(r, "it does not say what it measures", 0);
    if (in->n_sample_type > PROFILE_TYPES)
        return damaged(r, "more kinds of values than are read", in->n_sample_type);
    for (size_t i = 0; i < in->n_sample_type; i++) {
        int code = text(r, in->sample_type[i]->type, &type);

        if (code == 0)
            code = text(r, in->sample_type[i]->unit, &unit);
        if (code < 0)
            return code;
        code = profile_add_type(r->out, type, unit);
        if (code < 0)
            return beyond(r, code);
    }
    profile_set_default(r->out, (unsigned)in->n_sample_type - 1); /* as pprof does */
    return 0;
}

static int read_default(struct reader *r) {
    struct str chosen = STR("");
    int code = text(r, r->in->default_sample_type, &chosen);

    if (code < 0)
        return code;
    code = profile_type_of(r->out, chosen);
    if (code >= 0)
        profile_set_default(r->out, (unsigned)code);
    return 0;
}

static int read_comment(struct reader *r) {
    struct str comment = STR("");
    int code;

    if (r->in->n_comment == 0)
        return 0;
    code = text(r, r->in->comment[0], &comment);
    if (code < 0)
        return code;
    code = profile_set_comment(r->out, comment);
    return code < 0 ? beyond(r, code) : 0;
}

/* --- functions and locations ------------------------------------------------------------------ */

static uint64_t spread(uint64_t id) {
    return (id * 0x9e3779b97f4a7c15u) >> 32;
}

struct wanted {
    const Pprof__Profile *in;
    uint64_t id;
};

static bool same_function(const void *ctx, uint32_t number) {
    const struct wanted *w = ctx;

    return w->in->function[number]->id == w->id;
}

static bool same_location(const void *ctx, uint32_t number) {
    const struct wanted *w = ctx;

    return w->in->location[number]->id == w->id;
}

static int read_ids(struct reader *r) {
    struct wanted w = {.in = r->in};

    for (size_t i = 0; i < r->in->n_function; i++) {
        w.id = r->in->function[i]->id;
        if (w.id == 0 || intern_find(&r->functions, spread(w.id), same_function, &w) >= 0)
            return damaged(r, "a function's id that is 0 or another's", w.id);
        if (intern_add(&r->functions, spread(w.id)) < 0)
            return beyond(r, -ENOMEM);
    }
    for (size_t i = 0; i < r->in->n_location; i++) {
        w.id = r->in->location[i]->id;
        if (w.id == 0 || intern_find(&r->locations, spread(w.id), same_location, &w) >= 0)
            return damaged(r, "a location's id that is 0 or another's", w.id);
        if (intern_add(&r->locations, spread(w.id)) < 0)
            return beyond(r, -ENOMEM);
    }
    return 0;
}

enum { ADDRESS = 20 }; /* room for "0x" and 16 digits */

static struct str hex(uint64_t address, char text[static ADDRESS]) {
    size_t at = ADDRESS;

    do
        text[--at] = "0123456789abcdef"[address % 16];
    while ((address /= 16) > 0);
    text[--at] = 'x';
    text[--at] = '0';
    return (struct str){text + at, ADDRESS - at};
}

/* What nobody has named is known by its address. */
static int add_frame(struct reader *r, struct profile_frame frame, uint64_t address) {
    char digits[ADDRESS];
    int code;

    if (frame.function.n == 0)
        frame.function = hex(address, digits);
    code = profile_add_frame(r->out, &frame, &r->frame[r->frames]);
    if (code < 0)
        return beyond(r, code);
    r->frames++;
    return 0;
}

static int read_line(struct reader *r, const Pprof__Line *line, uint64_t address) {
    struct profile_frame frame = {STR(""), STR(""), line->line};
    struct wanted w = {r->in, line->function};
    int64_t found;
    int code = 0;

    if (line->function != 0) {
        found = intern_find(&r->functions, spread(w.id), same_function, &w);
        if (found < 0)
            return damaged(r, "a line of a function that is not there", line->function);
        code = text(r, r->in->function[found]->name, &frame.function);
        if (code == 0 && frame.function.n == 0)
            code = text(r, r->in->function[found]->system_name, &frame.function);
        if (code == 0)
            code = text(r, r->in->function[found]->file, &frame.file);
    }
    return code < 0 ? code : add_frame(r, frame, address);
}

static int read_location(struct reader *r, const Pprof__Location *l) {
    struct profile_frame unknown = {STR(""), STR(""), 0};

    for (size_t i = 0; i < l->n_line; i++) {
        int code = read_line(r, l->line[i], l->address);

        if (code < 0)
            return code;
    }
    return l->n_line == 0 ? add_frame(r, unknown, l->address ? l->address : l->id) : 0;
}

static int read_locations(struct reader *r) {
    size_t n = 0;

    for (size_t i = 0; i < r->in->n_location; i++)
        n += r->in->location[i]->n_line + 1;
    r->span = calloc(r->in->n_location + 1, sizeof(*r->span));
    r->frame = calloc(n + 1, sizeof(*r->frame));
    if (!r->span || !r->frame)
        return beyond(r, -ENOMEM);
    for (size_t i = 0; i < r->in->n_location; i++) {
        size_t at = r->frames;
        int code = read_location(r, r->in->location[i]);

        if (code < 0)
            return code;
        r->span[i] = (struct span){(uint32_t)at, (uint32_t)(r->frames - at)};
    }
    return 0;
}

/* --- samples ---------------------------------------------------------------------------------- */

static int read_sample(struct reader *r, const Pprof__Sample *s) {
    uint32_t stack[PROFILE_DEPTH + 1]; /* one more tells that it was cut */
    int64_t value[PROFILE_TYPES] = {0};
    struct wanted w = {.in = r->in};
    size_t n = 0;
    int code;

    if (s->n_value != r->in->n_sample_type)
        return damaged(r, "a sample with another number of values than kinds", s->n_value);
    for (size_t i = 0; i < s->n_location; i++) {
        int64_t found;

        w.id = s->location[i];
        found = intern_find(&r->locations, spread(w.id), same_location, &w);
        if (found < 0)
            return damaged(r, "a sample at a location that is not there", w.id);
        for (uint32_t f = 0; f < r->span[found].n && n < ARRAY_N(stack); f++)
            stack[n++] = r->frame[r->span[found].at + f];
    }
    for (size_t i = 0; i < s->n_value; i++)
        value[i] = s->value[i];
    code = profile_add_stack(r->out, stack, n, value);
    return code < 0 ? beyond(r, code) : 0;
}

static int read_all(struct reader *r) {
    int code = read_types(r);

    if (code == 0)
        code = read_default(r);
    if (code == 0)
        code = read_comment(r);
    if (code == 0)
        code = read_ids(r);
    if (code == 0)
        code = read_locations(r);
    for (size_t i = 0; i < r->in->n_sample && code == 0; i++)
        code = read_sample(r, r->in->sample[i]);
    if (code == 0)
        profile_set_time(r->out, r->in->at_ns / 1000000, r->in->duration_ns / 1000000);
    return code;
}

static int read_message(struct str message, const char *name, struct profile *out,
                        struct err *err) {
    struct reader r = {.name = name, .out = out, .err = err};
    ProtobufCAllocator allocator;
    struct arena arena;
    int code;

    arena_init(&arena, PPROF_MEMORY_MAX);
    allocator = arena_allocator(&arena);
    r.in = pprof__profile__unpack(&allocator, message.n, (const uint8_t *)message.p);
    if (r.in)
        code = read_all(&r);
    else if (arena.error == -E2BIG)
        code = err_set(err, -E2BIG, "'%s' would take more than %d MiB of memory", name,
                       PPROF_MEMORY_MAX >> 20);
    else if (arena.error < 0)
        code = err_set(err, -ENOMEM, "'%s' takes more memory than there is to read it", name);
    else
        code = err_set(err, -EBADMSG, "'%s' is no profile, or cut off", name);
    intern_done(&r.locations);
    intern_done(&r.functions);
    free(r.span);
    free(r.frame);
    arena_done(&arena);
    return code;
}

static int unpack(struct str file, const char *name, struct buf *raw, struct err *err) {
    int r = gzip_unpack(file, PPROF_RATIO, raw);

    if (r == -E2BIG)
        return err_set(err, r, "'%s' unpacks to more than %d MiB, or to %d times itself", name,
                       PPROF_OUT_MAX >> 20, PPROF_RATIO);
    if (r == -EBADMSG)
        return err_set(err, r, "'%s' is damaged or cut off: it cannot be unpacked", name);
    return r < 0 ? err_set(err, r, "cannot unpack '%s':", name) : 0;
}

int pprof_read(struct str file, const char *name, struct profile **out, struct err *err) {
    struct profile *p = NULL;
    struct buf raw;
    int r = 0;

    if (file.n > PPROF_GZ_MAX)
        return err_set(err, -EFBIG, "'%s' is larger than %d MiB", name, PPROF_GZ_MAX >> 20);
    buf_init(&raw, PPROF_OUT_MAX);
    if (gzip_is(file)) {
        r = unpack(file, name, &raw, err);
        file = buf_str(&raw);
    }
    if (r == 0 && profile_new(&p) < 0)
        r = err_set(err, -ENOMEM, "out of memory");
    if (r == 0)
        r = read_message(file, name, p, err);
    buf_done(&raw);
    if (r < 0) {
        profile_free(p);
        return r;
    }
    *out = p;
    return 0;
}
