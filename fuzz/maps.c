/* /proc/PID/maps through its buffer, and each line alone. */
#include "kern/maps.h"

#include "procfuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    size_t mappings, bytes;
};

static int each(void *ctx, const struct mapping *m) {
    struct seen *s = ctx;

    assert(m->end >= m->start);
    assert(strlen(m->perms) == 4);
    for (size_t i = 0; i < m->path.n; i++)
        assert(m->path.p[i] != '\n');
    s->bytes += m->path.n;
    return ++s->mappings == 100000 ? 1 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str text = {(const char *)data, size}, line;
    struct seen s = {0, 0};
    int r = maps_each(procfuzz_tree("maps", data, size), 7, each, &s);
    struct mapping m;

    assert(r <= 1 && s.bytes <= size);
    while (str_cut(&text, '\n', &line))
        (void)maps_parse_line(line, &m);
    (void)maps_parse_line(text, &m);
    return 0;
}
