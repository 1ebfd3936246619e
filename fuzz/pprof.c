/* Any bytes as a profile, gzipped or not: what can be read can be computed with and written. */
#include <errno.h>
#include <stdlib.h>

#include "profile/pprof.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct profile *p) {
    struct flame_options flame = {.title = "fuzz", .type = profile_default(p)};
    struct profile *diff = NULL, *again = NULL;
    struct profile_top *top;
    struct err err;
    struct buf out;
    size_t n;

    buf_init(&out, 32 << 20);
    if (profile_top(p, profile_default(p), &top, &n) == 0)
        free(top);
    if (profile_diff(p, p, &diff) == 0 && profile_samples(diff) != 0)
        abort(); /* a profile has not grown beside itself */
    profile_free(diff);
    profile_add_folded(&out, p, profile_default(p));
    buf_clear(&out);
    (void)profile_add_flame(&out, p, &flame);
    buf_clear(&out);
    if (pprof_write(p, &out) == 0) {
        int r = pprof_read(buf_str(&out), "written", &again, &err);

        if (r != -E2BIG && (r < 0 || profile_samples(again) != profile_samples(p)))
            abort(); /* what we write, we read, within its bounds */
        profile_free(again);
    }
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct profile *p = NULL;
    struct err err;

    if (pprof_read((struct str){(const char *)data, size}, "fuzz", &p, &err) == 0)
        use(p);
    profile_free(p);
    return 0;
}
