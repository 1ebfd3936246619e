/* guardsint.h - what the parts of guards share: the groups, their records, what is carried out.
 */
#pragma once
#include "act/killer.h"
#include "guard/auditlog.h"
#include "guard/guarded.h"
#include "guard/guards.h"
#include "guard/hand.h"
#include "guard/pressuresock.h"
#include "guard/scribe.h"

enum { TOLD_MOST = 8 };

struct shared_policy {
    struct shared_policy *next;
    unsigned users;
    struct policy policy;
};

struct guards {
    struct guards_options o;
    struct guarded **at; /* by id, NULL: nobody */
    unsigned n;
    struct shared_policy *policies;
    struct grip own; /* the group that we are in */
    struct warden *warden;
    struct brakes *brakes;
    struct killer *killer;
    struct hands *hands;
    struct pressuresock *pressure; /* NULL: no socket */
    int timer;
    uint32_t timer_id, warden_id;
    uint64_t generation; /* the newest */
    int64_t armed_us, hands_us, saved_us;
    int64_t warden_us;            /* another is not made before that */
    struct hand_job job;          /* room for one that is given */
    struct scribe *scribe;        /* NULL: no audit file */
    struct buf line;              /* a record */
    unsigned dropped;             /* for want of room in the scribe's memory */
    struct audit told[TOLD_MOST]; /* recorded, to be told when what is urgent is done */
    unsigned to_tell;
    unsigned wires; /* laid now */
    int beat;       /* readable when we have not turned round for BEAT_US: wires are undone then */
    int64_t beat_us;
    bool over; /* all of it ends now */
    char line_text[AUDITLOG_LINE];
};

int guards_on_event(struct loop *loop, uint32_t what, void *ctx);
void guards_plan(struct guards *g, int64_t now_us);

/* record.c: a record of now, with what is known of the group; then for the file, and told with
 * record_tell. */
void record_new(struct audit *a, const struct guarded *x, enum audit_kind kind,
                const struct facts *f);
void record(struct guarded *x, const struct audit *a, const struct policy *policy);
void record_only(struct guarded *x, const struct audit *a); /* for the file, told to nobody */
void record_tell(struct guards *g);
bool record_may_act(
    struct guards *g); /* there is room for more records: what ends something may be done */

/* carry.c: what follows from a look, from an action's end, from a wish. Nothing allocates. */
void carry_begin(struct guarded *x);
void carry_on(struct guarded *x, struct facts *f);
void carry_ended(struct guarded *x, enum action action, const struct action_report *report,
                 int64_t took_us);
void carry_asked(struct guarded *x, const struct facts *f, enum action action, const char *by,
                 char id_out[AUDIT_ID]);
void carry_release(struct guarded *x, const char *why, int64_t now_us);
void carry_over(struct guarded *x, const char *why);
/* high.c: memory.high as the mark (tripwire.h), where the policy lets it. After a look, and what
 * followed from it; high_take before anything else is done to the group's limits. */
bool high_may(const struct guarded *x);
void high_lay(struct guarded *x, const struct facts *f);
void high_take(struct guarded *x);

/* listen.c: what the socket asks (pressuresock_options); ctx: the guards. */
struct str listen_guarded(void *ctx, struct str path);
bool listen_above(void *ctx, struct str path);

void carry_abandon(struct guarded *x); /* what goes on in a hand is not waited for */
