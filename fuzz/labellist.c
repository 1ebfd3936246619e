/* Any bytes as the text of a container's labels: what is read of it, written again, is read as the
 * same, and stays as it is. Then the bytes as keys and values in turn. */
#include <assert.h>

#include "model/labellist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_all(struct str text, struct buf *out) {
    static char room[LABELS_MAX][LABELS_BYTES];
    struct labellist l = {.n = 0};
    struct labelwalk w = {.rest = text};

    for (size_t i = 0; i < LABELS_MAX && labellist_next(&w); i++) {
        size_t n = w.label.key.n;

        assert(n + w.label.value.n < LABELS_BYTES);
        for (size_t k = 0; k < n + w.label.value.n; k++)
            room[i][k] = k < n ? w.label.key.p[k] : w.label.value.p[k - n];
        labellist_add(&l, (struct str){room[i], n}, (struct str){room[i] + n, w.label.value.n});
    }
    buf_clear(out);
    labellist_write(&l, out);
}

static void check(struct str text) {
    struct buf once, twice;
    struct labelwalk w;

    buf_init(&once, LABELS_BYTES);
    buf_init(&twice, LABELS_BYTES);
    write_all(text, &once);
    write_all(buf_str(&once), &twice);
    assert(buf_error(&once) == 0 && str_eq(buf_str(&once), buf_str(&twice)));
    (void)labellist_compose(text, &w);
    buf_done(&once);
    buf_done(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str text = {(const char *)data, size}, rest = text, key, value;
    struct labellist l = {.n = 0};
    struct labelwalk w;
    struct buf b;

    check(text);
    while (str_cut(&rest, ';', &key) && str_cut(&rest, ';', &value))
        labellist_add(&l, key, value);
    assert(l.n <= LABELS_MAX);
    buf_init(&b, LABELS_BYTES);
    labellist_write(&l, &b);
    assert(buf_error(&b) == 0 && str_find(buf_str(&b), '\0') < 0);
    if (l.n == 1)
        assert(labellist_find(buf_str(&b), l.at[0].key, &w) &&
               str_eq(w.label.value, l.at[0].value));
    check(buf_str(&b));
    buf_done(&b);
    return 0;
}
