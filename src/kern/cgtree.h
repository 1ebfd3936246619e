/* cgtree.h - walks control groups downwards, by descriptors alone. Nothing here allocates.
 *
 * Groups come and go while one walks: what is gone is passed over. At most CGTREE_DEPTH levels are
 * entered, each takes a descriptor and 2 kB of stack.
 */
#pragma once
#include <stdbool.h>

enum { CGTREE_DEPTH = 400 };

/* Called with the name of a group directly below `dir`. Something else than 0 ends the listing. */
typedef int cgtree_name_fn(void *ctx, int dir, const char *name);

/* Lists the groups directly below dir, which may be an O_PATH descriptor. What each() said last, or
 * -errno. Groups that each() removes are no trouble. */
int cgtree_names(int dir, cgtree_name_fn *each, void *ctx);

/* Called with a descriptor that lives as long as the call. */
typedef int cgtree_fn(void *ctx, int dir);

/* Calls each() with dir itself and then with every group below it, until it says something else
 * than 0. That, or 0, or -errno when the top cannot be listed (-ENODEV: removed); -ELOOP when it is
 * too deep. */
int cgtree_each(int dir, cgtree_fn *each, void *ctx);
