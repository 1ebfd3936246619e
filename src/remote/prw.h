/* prw.h - requests of Prometheus' remote write 1.0: samples with labels, as protobuf in snappy.
 *
 * A request is filled (prw_add), packed and used again. Its memory is there from the start; texts
 * are borrowed from the caller until prw_clear.
 */
#pragma once
#include "base/buf.h"

enum {
    PRW_SAMPLES = 5000,   /* in a request */
    PRW_BYTES = 8 << 20,  /* of a request before it is compressed, about */
    PRW_LABELS = 24,      /* of a series, its name among them */
    PRW_VALUE = 4096 * 3, /* bytes of a label's value; longer ones are cut */
};

struct prw_label {
    struct str name, value;
};

/* The labels of a target, which all its series bear: sorted, valid UTF-8, one of each name (the
 * first given), none empty. Counted references: they may be kept by several. */
struct prw_labels;

int prw_labels_new(const struct prw_label *label, size_t n,
                   struct prw_labels **out); /* 0, -ENOMEM, -E2BIG */
struct prw_labels *prw_labels_keep(struct prw_labels *l);
void prw_labels_drop(struct prw_labels *l);             /* NULL is legal */
struct str prw_labels_text(const struct prw_labels *l); /* equal for equal labels only */

struct prw;

int prw_new(struct prw **out); /* 0 or -ENOMEM */
void prw_free(struct prw *p);
void prw_clear(struct prw *p);

/* Whether so many series of these labels still fit. An empty request has room for any target. */
bool prw_has_room(const struct prw *p, const struct prw_labels *l, size_t series);

/* Adds a series of one sample; there must be room. `name` (of the metric) and the labels stay the
 * caller's. */
void prw_add(struct prw *p, const char *name, const struct prw_labels *l, int64_t at_ms,
             double value);

size_t prw_samples(const struct prw *p);

/* The value that says: this series has ended. */
double prw_stale(void);

/* The request as it is sent, in place of what `out` held. 0, -ENOMEM, -EFBIG. */
int prw_pack(const struct prw *p, struct buf *out);
