/* proctree.h - processes in the order of a tree: children below their parent, the largest first.
 * Pure.
 */
#pragma once
#include "tui/source.h"

enum { PROCTREE_DEPTH_MAX = 12 }; /* deeper ones are drawn as if at this depth */

struct proctree_node {
    uint32_t index; /* in the list of processes */
    uint8_t depth;
    bool last;     /* of its siblings */
    uint16_t bars; /* bit d: an ancestor at depth d has siblings below */
};

struct proctree {
    struct proctree_node *node;
    size_t n, room;
};

/* All processes, each once; parents that are not in the list, and circles, make roots. 0 or -ENOMEM
 * (then it is empty). proctree_done on a zeroed struct is legal. */
int proctree_build(struct proctree *t, const struct tui_process *p, size_t n);
void proctree_done(struct proctree *t);
