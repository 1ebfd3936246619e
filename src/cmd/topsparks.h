/* topsparks.h - values of the past as the agent tells them (/api/v1/sparks), kept while they are
 * new enough: the sparklines of all rows are one request.
 *
 * Whether it is for one row or for all is not told beforehand: what is asked for a second row is
 * asked for all.
 */
#pragma once
#include <jansson.h>

#include "tui/source.h"

/* So many answers, and so much of them; what was not used for a minute is dropped. */
enum { TOPSPARKS_KEPT = 48, TOPSPARKS_BYTES = 8 << 20 };

/* One answer. */
struct topspark {
    enum metric metric;
    size_t n;               /* 0: nobody uses it */
    int64_t span_ms, to_ms; /* as it was asked for */
    uint64_t series;        /* of whom; 0: of all */
    uint64_t first;         /* who asked first since then */
    bool many;              /* and others, too */
    int64_t used_us, asked_us;
    bool failed;    /* to be asked again soon */
    json_t *answer; /* after a failure an older one; NULL: there is none */
    size_t bytes;   /* that it takes, about */
};

struct topsparks {
    struct topspark kept[TOPSPARKS_KEPT];
};

struct topsparks_query {
    enum metric metric;
    uint64_t series;
    struct str key;
    int64_t from_ms, to_ms;
    size_t n;
    bool now; /* the span ends now: a somewhat older answer will do */
};

/* Asks: the answer's JSON, owned by the caller, or -errno. key is empty: of all. */
typedef int topsparks_ask(void *ctx, const struct topsparks_query *q, struct str key, json_t **out);

/* As struct tui_source's history has it: 0, -ENODATA, -errno. */
int topsparks_get(struct topsparks *t, const struct topsparks_query *q, int64_t now_us,
                  topsparks_ask *ask, void *ctx, uint64_t *out);
void topsparks_done(struct topsparks *t);

/* The values of a series out of an answer. 0; -ENODATA when it says nothing of that series;
 * -EBADMSG. */
int topsparks_read(const json_t *answer, const struct topsparks_query *q, uint64_t *out);
