/* What is read of a Python process from outside: its memory is the input, seen again and again
 * behind its end if the first byte says so, and changing under us if the second does. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "runtime/pythonlook.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 8, BASE = 0x10000, LONGEST_US = 5 * 1000 };

struct memory {
    uint8_t *p;
    size_t n;
    bool repeats;
    uint8_t changes; /* a bit of it, each so many reads; 0: never */
    unsigned reads;
};

static int read_memory(void *ctx, uint64_t address, void *out, size_t n) {
    struct memory *m = ctx;

    m->reads++;
    if (m->changes && m->reads % m->changes == 0)
        m->p[m->reads * UINT64_C(2654435761) % m->n] ^= (uint8_t)(1 << m->reads % 8);
    if (!m->repeats && (address < BASE || address - BASE > m->n || n > m->n - (address - BASE)))
        return -EFAULT;
    for (size_t done = 0, part; done < n; done += part) {
        size_t at = (address - BASE + done) % m->n;

        part = m->n - at < n - done ? m->n - at : n - done;
        memcpy((uint8_t *)out + done, m->p + at, part);
    }
    return 0;
}

static void walk_all(struct pygcread *read, const struct python *py) {
    struct pygctypes *types;
    struct pygc_walk walk = {0};
    struct tally *tally;
    uint64_t sum = 0, objects = 0;
    int r;

    r = pygctypes_new(read, py->layout, &types);
    assert(r == 0);
    r = tally_new(&tally);
    assert(r == 0);
    for (unsigned i = 0; i < py->n && i < 2 && r == 0; i++)
        r = pygc_walk(read, python_gc(py, i), types, clock_mono_us() + LONGEST_US, &walk);
    if (r == 0 && pygctypes_tally(types, tally) == 0) {
        for (size_t i = 0; i < tally_n(tally); i++) {
            assert(tally_row(tally, i)->name.n <= TALLY_NAME && tally_row(tally, i)->count > 0);
            sum += tally_row(tally, i)->count;
        }
        for (unsigned i = 0; i < PYGC_LISTS; i++)
            objects += walk.objects[i];
        assert(sum + walk.unread == objects);
    }
    tally_free(tally);
    pygctypes_free(types);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct python py = {.runtime = BASE};
    struct python_gil gil;
    struct memory m = {0};
    struct pygcread read;
    uint32_t version;
    struct err err;
    int r;

    if (size <= HEAD)
        return 0;
    m.n = size - HEAD;
    m.p = malloc(m.n);
    assert(m.p);
    memcpy(m.p, data + HEAD, m.n);
    m.repeats = data[0] & 1;
    m.changes = data[1];
    memcpy(&version, data + 4, sizeof(version));
    py.version = version;
    r = pygcread_init(&read, read_memory, &m);
    assert(r == 0);
    if (python_check(&read, &py, &err) == 0) {
        assert(py.layout && py.n > 0 && py.n <= PYTHON_INTERPRETERS);
        (void)python_threads(&read, &py);
        (void)python_gil(&read, &py, &gil);
        walk_all(&read, &py);
    }
    pygcread_done(&read);
    free(m.p);
    return 0;
}
