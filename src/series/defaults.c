/* What the store is like when nobody says otherwise: who reads the configuration needs no store. */
#include "series/store.h"

void store_defaults(struct store_options *out) {
    const int64_t day = 24 * 3600 * 1000;

    *out = (struct store_options){
        .dir = "/var/lib/plimsoll",
        .raw_ms = day,
        .minute_ms = 30 * day,
        .hour_ms = 365 * day,
        .max_bytes = 2ull << 30,
        .memory = 4 << 20,
        .log_ms = 0,
    };
}
