#include "remote/prw.h"

#include <assert.h>
#include <errno.h>
#include <snappy-c.h>

#include "base/mem.h"
#include "base/text.h"
#include "remote/remote.pb-c.h"

static const char name_label[] = "__name__";

struct prw_labels {
    unsigned references;
    size_t n, name_at; /* where __name__ stands among them */
    size_t bytes;      /* of a series with them, about */
    struct str text;
    Prometheus__Label label[PRW_LABELS];
    Prometheus__Label *pointer[PRW_LABELS];
    char chars[];
};

struct prw {
    size_t n, bytes;
    Prometheus__TimeSeries series[PRW_SAMPLES];
    Prometheus__Sample sample[PRW_SAMPLES];
    Prometheus__Label name[PRW_SAMPLES];
    Prometheus__TimeSeries *series_p[PRW_SAMPLES];
    Prometheus__Sample *sample_p[PRW_SAMPLES];
    Prometheus__Label *label_p[PRW_SAMPLES][PRW_LABELS];
};

/* --- labels ----------------------------------------------------------------------------------- */

/* What is not UTF-8, and NUL, which would end the text, becomes U+FFFD. */
static void add_value(struct buf *out, struct str value) {
    size_t from = out->n;

    while (value.n > 0 && out->n - from < PRW_VALUE - 4) {
        uint32_t c;
        size_t n = text_decode(value, &c);

        buf_add(out, n == 0 || c == 0 ? STR("\xef\xbf\xbd") : str_head(value, n));
        value = str_from(value, n == 0 ? 1 : n);
    }
}

static int compare(struct str a, struct str b) {
    size_t n = a.n < b.n ? a.n : b.n;
    int r = n == 0 ? 0 : memcmp(a.p, b.p, n);

    return r != 0 ? r : a.n < b.n ? -1 : a.n > b.n;
}

/* Sorts indices of those that count. There are few. */
static size_t sort(const struct prw_label *label, size_t n, size_t *order) {
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        size_t at = count;

        if (label[i].value.n == 0)
            continue; /* the same as no label */
        while (at > 0 && compare(label[i].name, label[order[at - 1]].name) < 0)
            at--;
        if (at > 0 && str_eq(label[i].name, label[order[at - 1]].name))
            continue;
        if (count == PRW_LABELS - 1)
            return PRW_LABELS;
        memmove(&order[at + 1], &order[at], (count - at) * sizeof(order[0]));
        order[at] = i;
        count++;
    }
    return count;
}

/* name NUL value NUL, of all. */
static int write_text(const struct prw_label *label, const size_t *order, size_t n,
                      struct buf *out) {
    for (size_t i = 0; i < n; i++) {
        buf_add(out, label[order[i]].name);
        buf_add_char(out, '\0');
        add_value(out, label[order[i]].value);
        buf_add_char(out, '\0');
    }
    return buf_error(out);
}

static void point_into(struct prw_labels *l) {
    char *p = l->chars;

    for (size_t i = 0; i < l->n; i++) {
        l->pointer[i] = &l->label[i];
        prometheus__label__init(&l->label[i]);
        l->label[i].name = p;
        p += strlen(p) + 1;
        l->label[i].value = p;
        p += strlen(p) + 1;
        if (strcmp(l->label[i].name, name_label) < 0)
            l->name_at = i + 1;
    }
}

int prw_labels_new(const struct prw_label *label, size_t n, struct prw_labels **out) {
    size_t order[PRW_LABELS], count = sort(label, n, order);
    struct prw_labels *l;
    struct buf text;
    int r;

    if (count == PRW_LABELS)
        return -E2BIG;
    buf_init(&text, (size_t)PRW_LABELS * (PRW_VALUE + 256));
    r = write_text(label, order, count, &text);
    l = r == 0 ? malloc(sizeof(*l) + text.n) : NULL;
    if (l) {
        *l = (struct prw_labels){.references = 1, .n = count};
        if (text.n > 0)
            memcpy(l->chars, text.p, text.n);
        l->text = (struct str){l->chars, text.n};
        l->bytes = text.n + 8 * count + 128;
        point_into(l);
        *out = l;
    } else if (r == 0) {
        r = -ENOMEM;
    }
    buf_done(&text);
    return r;
}

struct prw_labels *prw_labels_keep(struct prw_labels *l) {
    l->references++;
    return l;
}

void prw_labels_drop(struct prw_labels *l) {
    if (l && --l->references == 0)
        free(l);
}

struct str prw_labels_text(const struct prw_labels *l) {
    return l->text;
}

/* --- requests --------------------------------------------------------------------------------- */

int prw_new(struct prw **out) {
    struct prw *p = malloc(sizeof(*p));

    if (!p)
        return -ENOMEM;
    p->n = p->bytes = 0;
    *out = p;
    return 0;
}

void prw_free(struct prw *p) {
    free(p);
}

void prw_clear(struct prw *p) {
    p->n = p->bytes = 0;
}

bool prw_has_room(const struct prw *p, const struct prw_labels *l, size_t series) {
    return p->n == 0 || (p->n + series <= PRW_SAMPLES && p->bytes + series * l->bytes <= PRW_BYTES);
}

void prw_add(struct prw *p, const char *name, const struct prw_labels *l, int64_t at_ms,
             double value) {
    size_t i = p->n++;
    Prometheus__TimeSeries *series = &p->series[i];
    Prometheus__Label **label = p->label_p[i];

    assert(i < PRW_SAMPLES);
    p->bytes += l->bytes;
    prometheus__sample__init(&p->sample[i]);
    p->sample[i].value = value;
    p->sample[i].timestamp = at_ms;
    p->sample_p[i] = &p->sample[i];

    /* packing only reads them */
    prometheus__label__init(&p->name[i]);
    p->name[i].name = (char *)(uintptr_t)name_label;
    p->name[i].value = (char *)(uintptr_t)name;
    memcpy(label, l->pointer, l->name_at * sizeof(label[0]));
    label[l->name_at] = &p->name[i];
    memcpy(label + l->name_at + 1, l->pointer + l->name_at, (l->n - l->name_at) * sizeof(label[0]));

    prometheus__time_series__init(series);
    series->n_labels = l->n + 1;
    series->labels = label;
    series->n_samples = 1;
    series->samples = &p->sample_p[i];
    p->series_p[i] = series;
}

size_t prw_samples(const struct prw *p) {
    return p->n;
}

double prw_stale(void) {
    const uint64_t bits = 0x7ff0000000000002;
    double value;

    memcpy(&value, &bits, sizeof(value));
    return value;
}

int prw_pack(const struct prw *p, struct buf *out) {
    Prometheus__WriteRequest request = PROMETHEUS__WRITE_REQUEST__INIT;
    auto_free uint8_t *plain = NULL;
    size_t n, packed;
    char *room;

    request.n_timeseries = p->n;
    request.timeseries = (Prometheus__TimeSeries **)(uintptr_t)p->series_p;
    n = prometheus__write_request__get_packed_size(&request);
    plain = malloc(n + 1);
    if (!plain)
        return -ENOMEM;
    prometheus__write_request__pack(&request, plain);
    buf_clear(out);
    packed = snappy_max_compressed_length(n);
    room = buf_room(out, packed);
    if (!room)
        return buf_error(out);
    if (snappy_compress((const char *)plain, n, room, &packed) != SNAPPY_OK)
        return -EFBIG;
    buf_grow(out, packed);
    return 0;
}
