/* tree.h - processes in the order of a tree: children below their parent, the largest first. Pure.
 */
#pragma once
#include "tui/source.h"

enum { TREE_DEPTH_MAX = 12 }; /* deeper ones are drawn as if at this depth */

struct tree_node {
    uint32_t index; /* in the list of processes */
    uint8_t depth;
    bool last;     /* of its siblings */
    uint16_t bars; /* bit d: an ancestor at depth d has siblings below */
};

struct tree {
    struct tree_node *node;
    size_t n, room;
};

/* All processes, each once; parents that are not in the list, and circles, make roots. 0 or -ENOMEM
 * (then it is empty). tree_done on a zeroed struct is legal. */
int tree_build(struct tree *t, const struct tui_process *p, size_t n);
void tree_done(struct tree *t);
