/* Messages one after the other (two bytes of length, then it), taken into the live table; then what
 * Prometheus would be told of it, in which no control character may be, however names look. */
#include <stdlib.h>

#include "base/text.h"
#include "export/prompage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take(struct live *l, struct wire_in in) {
    struct wire_head head;
    struct wire_target t;
    struct wire_gone g;
    struct wire_oom o;

    if (wire_read_head(&in, &head) < 0)
        return;
    if (head.kind == WIRE_TARGET && wire_read_target(&in, &t) == 0) {
        struct live_row *row = live_put(l, &t);

        if (row)
            row->series = t.uid % 5;
    } else if (head.kind == WIRE_GONE && wire_read_gone(&in, &g) == 0) {
        live_remove(l, g.uid, g.at_ms);
    } else if (head.kind == WIRE_TICK) {
        (void)live_tick(l, in);
    } else if (head.kind == WIRE_PROCS) {
        (void)live_procs(l, in);
    } else if (head.kind == WIRE_OOM && wire_read_oom(&in, &o) == 0) {
        live_set_kills(l, 1 + o.uid % 4, o.kills, o.at_ms);
    } else if (head.kind == WIRE_START) {
        live_clear(l);
    }
}

static void check(struct str s) {
    while (s.n > 0) {
        uint32_t code = 0;
        size_t n = text_decode(s, &code);

        if (n == 0 || (code < 0x20 && code != '\n') || (code >= 0x7f && code < 0xa0))
            abort();
        s = str_from(s, n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char piece[8192];
    struct prompage *page;
    struct buf text;
    struct live l;
    size_t n;

    live_init(&l);
    for (size_t left = size; left >= 2; data += n, left -= n) {
        n = (size_t)(data[0] << 8 | data[1]);
        data += 2;
        left -= 2;
        n = n < left ? n : left;
        take(&l, (struct wire_in){data, n});
    }
    buf_init(&text, 64 << 20);
    if (prompage_new(&l, PROMPAGE_PLIMSOLL | PROMPAGE_CADVISOR | PROMPAGE_FAILCNT, &page) == 0) {
        while ((n = prompage_read(page, piece, sizeof(piece))) > 0)
            buf_add(&text, (struct str){piece, n});
        prompage_free(page);
    }
    check(buf_str(&text));
    buf_done(&text);
    live_done(&l);
    return 0;
}
