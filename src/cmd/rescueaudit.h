/* rescueaudit.h - the audit records of a rescue: one pair for each thing that is done.
 */
#pragma once
#include "act/grip.h"
#include "model/audit.h"

struct rescueaudit {
    int fd;
    struct grip *grip;
    const struct policy *policy;
    const struct hang *hang; /* as found; set by the caller */
    struct audit *now;       /* what goes on; its id is that of its end too */
    int64_t began_us;
    char *memory;
    struct buf room;
    bool lost; /* a record could not be written: told once, and nothing more may begin */
};

/* path NULL: the default. Nothing may be done without. 0; -errno with a text. */
int rescueaudit_open(struct rescueaudit *a, struct grip *g, const struct policy *p,
                     const char *path, struct err *err);
void rescueaudit_close(struct rescueaudit *a);

/* report NULL: it begins. 0; -errno: it could not be recorded, and is not to be done. */
int rescueaudit_action(struct rescueaudit *a, enum action action, int32_t pid, const char *why,
                       const struct action_report *report);
