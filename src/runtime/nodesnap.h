/* nodesnap.h - V8's heap snapshot, read as it streams by: what the heap holds by constructor, with
 * counts and the objects' own sizes, and nothing kept of the graph.
 *
 * A snapshot is one JSON object: "snapshot" says what the numbers mean, "nodes" is a list of them,
 * "strings", which comes last, is what names are an index into. So sums are kept by index, and get
 * their names at the end. Objects of JavaScript go by constructor and native ones by what they are;
 * all functions are one row, as are strings, code, and so on in parentheses, as the developer tools
 * show them.
 *
 * Pure; the text may be hostile. Bounded by TALLY_ROWS names.
 */
#pragma once
#include "runtime/heapview.h"

struct nodesnap;
int nodesnap_new(struct nodesnap **out);
void nodesnap_free(struct nodesnap *s);

/* The next piece of text. 0; -EBADMSG for what is no snapshot; -E2BIG beyond TALLY_ROWS; -ENOMEM.
 * After a failure every further piece fails likewise. */
int nodesnap_feed(struct nodesnap *s, struct str text);

/* When all has been fed: adds what was counted. -EBADMSG when the text was not complete or has
 * another number of objects than it said. */
int nodesnap_finish(struct nodesnap *s, struct tally *into);

/* So far: objects, and their sizes in bytes. */
uint64_t nodesnap_objects(const struct nodesnap *s);
uint64_t nodesnap_bytes(const struct nodesnap *s);
