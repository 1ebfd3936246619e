/* Chunks, with a right checksum put behind: without one nothing is read of them. */
#include "series/chunk.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "series/crc32c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const struct chunk *c) {
    uint64_t *value = malloc(c->n * sizeof(*value));
    bool *known = malloc(c->n * sizeof(*known));
    int64_t *time = malloc(c->n * sizeof(*time));

    assert(value && known && time);
    if (chunk_times(c, time) == 0) {
        assert(time[0] == c->from_ms && time[c->n - 1] == c->to_ms);
        for (size_t i = 1; i < c->n; i++)
            assert(time[i - 1] <= time[i]);
    }
    for (unsigned kind = 0; kind < CHUNK_COLUMNS; kind++) {
        uint64_t set = chunk_metrics(c, (enum chunk_column)kind);

        for (unsigned m = 0; m < METRIC_N; m++) {
            int r = chunk_column(c, (enum metric)m, (enum chunk_column)kind, value, known);

            assert((set >> m & 1) == (r != -ENODATA));
        }
    }
    free(value);
    free(known);
    free(time);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint32_t sum = crc32c(0, (struct str){(const char *)data, size});
    char *text = malloc(size + 4);
    struct chunk c = {.n = 77};

    assert(text);
    if (size > 0)
        memcpy(text, data, size);
    for (unsigned i = 0; i < 4; i++)
        text[size + i] = (char)(sum >> 8 * i);
    if (chunk_open((struct str){text, size + 4}, &c) < 0)
        assert(c.n == 77);
    else
        read_all(&c);
    text[size] = (char)(text[size] ^ 1);
    assert(chunk_open((struct str){text, size + 4}, &c) < 0);
    free(text);
    return 0;
}
