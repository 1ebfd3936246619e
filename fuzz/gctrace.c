/* gctrace_parse and gclines: a stream in which a collector and its program write. Whatever comes,
 * in whatever pieces, the program's bytes and the collector's lines together are all that came, and
 * the pieces make no difference. The first byte says how long they are. */
#include <assert.h>
#include <string.h>

#include "inspect/gclines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SIZE_MAX_IN = 1 << 16 };

struct sink {
    struct gclines lines;
    char text[SIZE_MAX_IN];
    size_t n, taken; /* bytes of the program's, and of the collector's with their newlines */
    unsigned collector;
};

static void take_text(void *ctx, struct str s) {
    struct sink *sink = ctx;

    assert(sink->n + s.n <= sizeof(sink->text));
    memcpy(sink->text + sink->n, s.p, s.n);
    sink->n += s.n;
}

static void take_line(void *ctx, const struct gctrace *g, struct str line) {
    struct sink *sink = ctx;
    struct gctrace again;

    sink->collector++;
    assert(g->kind != GCTRACE_OTHER);
    if (line.n == 0) /* it went out as text */
        return;
    gctrace_parse(line, &again);
    assert(memcmp(&again, g, sizeof(again)) == 0);
    assert(gctrace_head(line) == GCTRACE_BEGUN);
    for (unsigned f = 0; f < GCTRACE_FIELDS; f++)
        assert(gctrace_has(g, f) || g->value[f] == 0);
    sink->taken += line.n + 1;
}

/* `writes`: each piece is somebody's write. */
static void feed(struct sink *sink, struct str s, size_t piece, bool writes) {
    gclines_init(&sink->lines, take_text, take_line, sink);
    sink->n = sink->taken = sink->collector = 0;
    for (; s.n > 0; s = str_from(s, piece)) {
        struct str one = str_head(s, piece < s.n ? piece : s.n);

        if (writes)
            gclines_write(&sink->lines, one);
        else
            gclines_feed(&sink->lines, one);
    }
    gclines_flush(&sink->lines, true);
    assert(sink->lines.n == 0 && sink->lines.pieces_n == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct sink whole, parts;
    struct str s;

    if (size < 1 || size > sizeof(whole.text))
        return 0;
    s = (struct str){(const char *)data + 1, size - 1};
    feed(&whole, s, sizeof(whole.text), false);
    /* The last line may have had no newline. */
    assert(whole.n + whole.taken == s.n || whole.n + whole.taken == s.n + 1);
    feed(&parts, s, data[0] % 32 + 1u, false);
    assert(parts.n == whole.n && memcmp(parts.text, whole.text, whole.n) == 0);
    assert(parts.collector == whole.collector);
    feed(&parts, s, data[0] % 32 + 1u, true);
    assert(parts.n + parts.taken == s.n || parts.n + parts.taken == s.n + 1);
    return 0;
}
