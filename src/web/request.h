/* request.h - what handlers know of a request: its path, its arguments, and who asks.
 */
#pragma once
#include "model/metric.h"
#include "web/answer.h"

enum { REQUEST_ARGS = 32, REQUEST_METRICS = 16 };

struct request_arg {
    struct str key, value;
};

/* Texts live as long as the request: a handler whose answer is made in pieces copies what it needs.
 */
struct request {
    struct str path;
    struct request_arg arg[REQUEST_ARGS];
    size_t args;
    bool local;    /* through the unix socket */
    bool commands; /* may see command lines */
    bool gzip;     /* takes an answer that is compressed */
    struct str last_event, none_match;
    int64_t now_ms;
};

/* The first argument of that name; false when there is none. */
bool request_arg(const struct request *rq, const char *key, struct str *out);

/* Whether it is left out, or given (once or several times) with this value among them. */
bool request_wants(const struct request *rq, const char *key, struct str value);

/* A moment. Left out: *out stays. False: the answer is an error already. */
bool request_time(const struct request *rq, const char *key, int64_t *out, struct answer *a);

/* A span in ms ("15s", or seconds), and a number. The same promise. */
bool request_span(const struct request *rq, const char *key, int64_t *out, struct answer *a);
bool request_number(const struct request *rq, const char *key, uint64_t max, uint64_t *out,
                    struct answer *a);

/* A metric by its JSON key or its exported name with "plimsoll_". */
enum metric request_metric(struct str name); /* or METRIC_N */
