/* What the front gives of its log, replayed for remote write: whatever it holds, what is given are
 * whole requests at even times, in order but when the clock was set back. */
#include <assert.h>
#include <stdlib.h>

#include "remote/replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEP_MS = 5000 };

struct seen {
    struct replay *replay;
    struct cursor last;
    uint64_t set_back;
    size_t n;
};

static int take(void *ctx, const struct prw *request, const struct cursor *c) {
    struct seen *s = ctx;
    struct buf packed;

    assert(prw_samples(request) > 0 && prw_samples(request) <= PRW_SAMPLES);
    buf_init(&packed, 64 << 20);
    assert(prw_pack(request, &packed) == 0);
    buf_done(&packed);
    assert(c->sent_ms % STEP_MS == 0 && c->part_ms % STEP_MS == 0);
    if (replay_counts(s->replay)->set_back == s->set_back) {
        assert(c->sent_ms >= s->last.sent_ms);
        assert(c->part_ms == 0 || c->part_ms > c->sent_ms);
    }
    s->set_back = replay_counts(s->replay)->set_back;
    s->last = *c;
    return ++s->n < 200 ? 0 : -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str rows = {(const char *)data, size};
    struct seen seen = {.last = {.sent_ms = 1763734800000}};
    const struct replay_options options = {
        .interval_ms = STEP_MS,
        .label = {{STR("instance"), STR("box")}},
        .labels = 1,
        .give = take,
        .ctx = &seen,
    };
    struct store_log_row row;

    if (replay_new(&options, &seen.last, &seen.replay) < 0)
        return 0;
    while (store_log_next(&rows, &row) > 0)
        if (replay_row(seen.replay, &row) != 0)
            break;
    replay_free(seen.replay);
    return 0;
}
