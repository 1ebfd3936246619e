/* yamldoc.h - a YAML text as a tree whose nodes know where they stand; errors gather as lines.
 *
 * One document, bounded in size and depth, no tags. What is said about a node is a line
 * "NAME:LINE:COL: text" in `told`; nothing stops at the first error, but after a hundred lines it
 * is only said how many more there would be.
 */
#pragma once
#include <yaml.h>

#include "base/buf.h"

enum { YAMLDOC_MAX = 256 << 10, YAMLDOC_DEPTH = 32, YAMLDOC_LINES = 100 };

struct yamldoc {
    struct str name; /* of the file, for the lines */
    struct buf *told;
    unsigned errors, lines;
    bool no_memory;
    yaml_document_t tree;
    bool have_tree;
    void *user; /* of whoever reads the tree */
};

/* Parses. 0; -EINVAL with one line more in `told`; -ENOMEM. An empty text is a document without a
 * root. */
int yamldoc_load(struct yamldoc *d, struct str name, struct str text, struct buf *told);
void yamldoc_done(struct yamldoc *d); /* legal on a zeroed struct */

yaml_node_t *yamldoc_root(struct yamldoc *d); /* NULL: nothing but comments */
yaml_node_t *yamldoc_node(struct yamldoc *d, int index);

/* The i-th pair of a map (false behind its end) and item of a list (NULL). */
bool yamldoc_pair(struct yamldoc *d, const yaml_node_t *map, size_t i, yaml_node_t **key_out,
                  yaml_node_t **value_out);
yaml_node_t *yamldoc_item(struct yamldoc *d, const yaml_node_t *list, size_t i);

/* A scalar's text: not empty, at most `max` bytes, no control characters. False, and an error told,
 * when it is not that. `what` names it in the error. */
bool yamldoc_text(struct yamldoc *d, const yaml_node_t *node, const char *what, size_t max,
                  struct str *out);

/* Quotes are taken away: whether there were none, so that `yes` can mean something. */
bool yamldoc_plain(const yaml_node_t *node);

/* "a map", "a list", "a text": for errors. */
const char *yamldoc_kind(const yaml_node_t *node);

void yamldoc_error(struct yamldoc *d, const yaml_node_t *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void yamldoc_warn(struct yamldoc *d, const yaml_node_t *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
