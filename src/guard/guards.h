/* guards.h - guards groups: from the kernel's event to the action, in one loop.
 *
 * Each group: v1 thresholds at each mark (set anew when the limit moves), the OOM event; v2
 * memory.events and, when allowed, memory.high as the mark; a timer whose period is
 * headroom / (4 x growth), between 1 ms and 1 s, wherever events cannot tell (v2, or page cache
 * between used and usage); the hang detector. All is opened and locked beforehand; from event to a
 * mechanical action nothing is allocated.
 */
#pragma once
#include "act/grip.h"
#include "model/audit.h"
#include "net/loop.h"

struct guards;

struct guards_options {
    const struct host *host;
    const struct cgfs *fs;
    struct loop *loop;
    const char *by;         /* for the audit: "guard", "agent" */
    int audit;              /* descriptor of the audit file; -1: none */
    const char *audit_path; /* where it is, to put it aside when it is too large; NULL: not done */
    void (*tell)(void *ctx, const struct audit *a); /* each record, after it is in the file */
    void (*gone)(void *ctx, unsigned id); /* a group was removed by others: its guard is over */
    void *ctx;
    const char *dump_dir, *agent_socket; /* NULL: none */
    unsigned most;                       /* groups; room is taken for so many */
};

int guards_new(const struct guards_options *o, struct guards **out, struct err *err);
void guards_free(struct guards *g);

/* Listens at `path` for programs that want to be told of notify (guard/pressuresock.h); NULL: no
 * more. Where it listened before is removed then. 0; -errno with a text: as before. */
int guards_listen(struct guards *g, const char *path, struct err *err);

/* Whether what is at `path` is where it listens: others may have removed it. */
bool guards_listens(const struct guards *g, const char *path);

/* Begins to guard. `id` is the caller's, below `most`. The policy is copied. 0; -errno with a text.
 */
int guards_add(struct guards *g, unsigned id, struct str path, struct str name,
               const struct policy *p, struct err *err);
void guards_remove(struct guards *g, unsigned id, const char *why);

/* Whether all records so far are in the file; waits so long at most. True without a file. */
bool guards_recorded(struct guards *g, int64_t within_us);

/* Somebody asks for one action now, outside of the marks; the policy must have it in its list. 0;
 * -EACCES: it has not; -EBUSY: something goes on, or it was
 * done just now or too often within the hour. The audit tells the rest; id_out: its id. */
int guards_ask(struct guards *g, unsigned id, enum action action, const char *by,
               char id_out[AUDIT_ID]);

/* Locks all memory now and to come. Not done under sanitizers. */
int guards_lock(struct err *err);
