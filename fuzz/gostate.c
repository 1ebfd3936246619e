/* What is read of a Go program: the text of its pprof page, and its memory, in which its
 * collector's state is looked for. */
#include <assert.h>
#include <string.h>

#include "runtime/gopprof.h"
#include "runtime/goword.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ADDRESS = 0x500000 };

static void read_text(struct str text) {
    static const char *const names[] = {"HeapAlloc", "HeapIdle", "NumGC", "PauseNs", ""};

    (void)gopprof_is_index(text);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        uint64_t v = 42;
        int r = gopprof_memstat(text, names[i], &v);

        assert(r <= 0 && (r == 0 || v == 42));
    }
}

static void search(const uint8_t *data, size_t size) {
    const struct go_layout *l = go_layout_of("1.19.8", 62);
    struct go_hits hits = {0};

    assert(l);
    go_search(l, data, size, ADDRESS, &hits);
    if (hits.controllers) {
        assert(hits.controller >= ADDRESS &&
               hits.controller + l->controller.size <= ADDRESS + size);
        assert(go_controller_fits(l, data + (hits.controller - ADDRESS)));
    }
    if (hits.periods)
        assert(hits.period >= ADDRESS && hits.period + 8 <= ADDRESS + size);
    if (size >= l->stats.size)
        (void)go_stats_fit(l, data, UINT64_C(1) << 40);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char version[32] = "";

    if (size > 1 << 20)
        return 0;
    read_text((struct str){(const char *)data, size});
    search(data, size);
    memcpy(version, data, size < sizeof(version) - 1 ? size : sizeof(version) - 1);
    (void)go_layout_of(version, 62);
    return 0;
}
