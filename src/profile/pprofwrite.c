/* pprofwrite.c - a profile as profile.proto. Packed messages that follow each other are one
 * message, so it is written in pieces: no second copy of a large profile.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "profile/gzip.h"
#include "profile/pprof.h"
#include "profile/pprof.pb-c.h"

struct writer {
    const struct profile *in;
    struct buf raw;
    uint32_t *text; /* of each text: its number in the string table */
    uint32_t texts;
    struct function { /* by number of the name, in a list: files differ */
        uint32_t name, file, next;
    } * function;
    uint32_t *first; /* of each text: function + 1 */
    uint32_t functions;
};

static void add(struct writer *w, const Pprof__Profile *piece) {
    size_t n = pprof__profile__get_packed_size(piece);
    char *room = n ? buf_room(&w->raw, n) : NULL;

    if (room)
        buf_grow(&w->raw, pprof__profile__pack(piece, (uint8_t *)room));
}

/* --- texts ------------------------------------------------------------------------------------ */

static uint32_t add_text(struct writer *w, struct str text) {
    Pprof__Profile piece = PPROF__PROFILE__INIT;
    ProtobufCBinaryData bytes = {text.n, (uint8_t *)(uintptr_t)text.p};

    piece.n_string_table = 1;
    piece.string_table = &bytes;
    add(w, &piece);
    return w->texts++;
}

static void add_texts(struct writer *w) {
    (void)add_text(w, STR(""));
    for (uint32_t i = 0; i < profile_texts(w->in); i++) {
        struct str text = profile_text(w->in, i);

        w->text[i] = text.n ? add_text(w, text) : 0;
    }
}

/* A type's names are found among the texts by what they say: there are at most sixteen. */
static uint32_t number_of(const struct writer *w, struct str text) {
    for (uint32_t i = 0; i < profile_texts(w->in); i++)
        if (str_eq(profile_text(w->in, i), text))
            return w->text[i];
    return 0;
}

static void add_types(struct writer *w) {
    for (unsigned i = 0; i < profile_types(w->in); i++) {
        struct profile_type t = profile_type(w->in, i);
        Pprof__Profile piece = PPROF__PROFILE__INIT;
        Pprof__ValueType type = PPROF__VALUE_TYPE__INIT;
        Pprof__ValueType *pointer = &type;

        type.type = number_of(w, t.type);
        type.unit = number_of(w, t.unit);
        piece.n_sample_type = 1;
        piece.sample_type = &pointer;
        if (i == profile_default(w->in))
            piece.default_sample_type = type.type;
        add(w, &piece);
    }
}

/* --- functions and locations: a location is a frame, its id the frame's number + 1 -------------
 */

static uint32_t function_of(struct writer *w, uint32_t name, uint32_t file) {
    uint32_t at = w->first[name];
    Pprof__Profile piece = PPROF__PROFILE__INIT;
    Pprof__Function function = PPROF__FUNCTION__INIT;
    Pprof__Function *pointer = &function;

    for (; at > 0; at = w->function[at - 1].next)
        if (w->function[at - 1].file == file)
            return at;
    at = ++w->functions;
    w->function[at - 1] = (struct function){name, file, w->first[name]};
    w->first[name] = at;
    function.id = at;
    function.name = function.system_name = w->text[name];
    function.file = w->text[file];
    piece.n_function = 1;
    piece.function = &pointer;
    add(w, &piece);
    return at;
}

static void add_frame(struct writer *w, uint32_t frame) {
    struct profile_frame f = profile_frame(w->in, frame);
    Pprof__Profile piece = PPROF__PROFILE__INIT;
    Pprof__Location location = PPROF__LOCATION__INIT;
    Pprof__Location *pointer = &location;
    Pprof__Line line = PPROF__LINE__INIT;
    Pprof__Line *line_pointer = &line;

    line.function = function_of(w, profile_function(w->in, frame), profile_file(w->in, frame));
    line.line = f.line;
    location.id = (uint64_t)frame + 1;
    location.n_line = 1;
    location.line = &line_pointer;
    piece.n_location = 1;
    piece.location = &pointer;
    add(w, &piece);
}

/* --- samples ---------------------------------------------------------------------------------- */

static void add_sample(struct writer *w, size_t i) {
    struct profile_sample s = profile_sample(w->in, i);
    uint64_t id[PROFILE_DEPTH];
    int64_t value[PROFILE_TYPES];
    Pprof__Profile piece = PPROF__PROFILE__INIT;
    Pprof__Sample sample = PPROF__SAMPLE__INIT;
    Pprof__Sample *pointer = &sample;

    for (size_t f = 0; f < s.frames; f++)
        id[f] = (uint64_t)s.frame[f] + 1;
    for (unsigned t = 0; t < profile_types(w->in); t++)
        value[t] = s.value[t];
    sample.n_location = s.frames;
    sample.location = id;
    sample.n_value = profile_types(w->in);
    sample.value = value;
    piece.n_sample = 1;
    piece.sample = &pointer;
    add(w, &piece);
}

static void add_rest(struct writer *w) {
    Pprof__Profile piece = PPROF__PROFILE__INIT;
    struct str comment = profile_comment(w->in);
    int64_t number = comment.n ? add_text(w, comment) : 0;

    if (comment.n) {
        piece.n_comment = 1;
        piece.comment = &number;
    }
    if (__builtin_mul_overflow(profile_at_ms(w->in), 1000000, &piece.at_ns))
        piece.at_ns = 0;
    if (__builtin_mul_overflow(profile_duration_ms(w->in), 1000000, &piece.duration_ns))
        piece.duration_ns = 0;
    add(w, &piece);
}

int pprof_write(const struct profile *p, struct buf *out) {
    struct writer w = {.in = p};
    size_t texts = profile_texts(p) + 1;
    int r = -ENOMEM;

    buf_init(&w.raw, PPROF_OUT_MAX);
    w.text = calloc(texts, sizeof(*w.text));
    w.first = calloc(texts, sizeof(*w.first));
    w.function = calloc(profile_frames(p) + 1, sizeof(*w.function));
    if (w.text && w.first && w.function) {
        add_texts(&w);
        add_types(&w);
        for (uint32_t i = 0; i < profile_frames(p); i++)
            add_frame(&w, i);
        for (size_t i = 0; i < profile_samples(p); i++)
            add_sample(&w, i);
        add_rest(&w);
        r = buf_error(&w.raw);
    }
    if (r == 0)
        r = gzip_pack(buf_str(&w.raw), out);
    free(w.text);
    free(w.first);
    free(w.function);
    buf_done(&w.raw);
    return r;
}
