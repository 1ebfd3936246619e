/* labellist.h - the labels that a container was given, as one text that travels with its names.
 *
 * The text is "key=value\n" for each label, in the order of the keys' bytes. Backslash, newline and
 * NUL are \\, \n and \0 in it, and '=' in a key is \e; so equal labels make equal texts. It is
 * bounded: at most LABELS_MAX labels and LABELS_BYTES bytes, whole labels only, what people group
 * by first (compose projects, then the other labels of compose and of Kubernetes).
 */
#pragma once
#include "base/json.h"

enum { LABELS_MAX = 64, LABELS_BYTES = 3072 };

struct label {
    struct str key, value; /* raw bytes, borrowed */
};

/* Those to be written. Zeroed is empty. */
struct labellist {
    struct label at[LABELS_MAX]; /* the most wanted first */
    size_t n;
};

/* Of several with one key the last counts. Left out: one that cannot fit, an empty key, and a key
 * that is no UTF-8, since no program that reads JSON could be told it. */
void labellist_add(struct labellist *l, struct str key, struct str value);

void labellist_write(const struct labellist *l, struct buf *out);

/* Walks over a text: begin with {.rest = text}. Labels of a text that labellist_write did not make
 * may be nonsense, never more; one without '=' is passed over. */
struct labelwalk {
    struct str rest;
    struct label label; /* points into room */
    char room[LABELS_BYTES];
};

bool labellist_next(struct labelwalk *w); /* false at the end */

/* The value of a key; in w->label. */
bool labellist_find(struct str text, struct str key, struct labelwalk *w);

/* The compose project it belongs to; in w->label.value. */
bool labellist_compose(struct str text, struct labelwalk *w);

/* An object of texts; {} for the empty text. */
void labellist_add_json(struct json *j, struct str text);
