/* pspast.h - processes of a target as the agent recorded them, for the same view as live ones.
 */
#pragma once
#include <jansson.h>

#include "base/err.h"
#include "cmd/psview.h"

struct pspast {
    struct procs procs;
    struct psview_group group; /* its name points into `answer` */
    uint64_t total;            /* processes the target had; the largest were recorded */
    int64_t at_ms;
    json_t *answer;
};

/* Reads an answer of /api/v1/processes, and what /api/v1/targets says of that target (NULL: not
 * known). 0; -EBADMSG; -ENOMEM. pspast_done takes a zeroed struct. */
int pspast_read(struct pspast *p, json_t *processes, const json_t *targets);
void pspast_done(struct pspast *p);

/* Asks for both. -errno with a text. */
int pspast_ask(struct pspast *p, const char *socket, const char *target, int64_t at_ms,
               struct err *err);
