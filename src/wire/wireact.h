/* wireact.h - what is said of guards: their records, what somebody asks of them, and their
 * policies. Messages as in wire.h; a record is as the guard wrote it, with all its fields.
 */
#pragma once
#include "model/audit.h"
#include "model/guardmatch.h"
#include "wire/wire.h"

struct wire_audit {
    uint32_t uid;       /* of the target, WIRE_UID_HOST: the collector does not know it */
    struct audit audit; /* of `hang` what it is and since when */
};

/* A record fits into any message of WIRE_AUDIT_MOST bytes. */
enum { WIRE_AUDIT_MOST = 8192 };

bool wire_add_audit(struct wire_out *w, const struct wire_audit *a);
int wire_read_audit(struct wire_in *in, struct wire_audit *out); /* 0, or -EBADMSG */

/* Front to collector to guard: one action now, outside of the marks. The guard does it only where
 * the target's policy has it. */
enum { WIRE_BY = 16 };
struct wire_act {
    uint64_t request; /* the front's own number; comes back in the answer */
    uint32_t uid;
    enum action action;
    char by[WIRE_BY]; /* for the audit: "api" */
};

bool wire_add_act(struct wire_out *w, const struct wire_act *a);
int wire_read_act(struct wire_in *in, struct wire_act *out);

enum wire_acted_word {
    WIRE_ACTED_BEGUN,     /* it goes on: the records of `id` tell the rest */
    WIRE_ACTED_REFUSED,   /* the policy does not have that action */
    WIRE_ACTED_BUSY,      /* another action goes on there */
    WIRE_ACTED_UNKNOWN,   /* there is no such target now */
    WIRE_ACTED_UNGUARDED, /* no guard of the configuration matches it */
    WIRE_ACTED_NO_GUARD,  /* the agent has no guards, or its guard is being started again */
    WIRE_ACTED_FAILED,
    WIRE_ACTED_N,
};

struct wire_acted {
    uint64_t request;
    enum wire_acted_word word;
    char id[AUDIT_ID]; /* of the audit; "" without one */
};

bool wire_add_acted(struct wire_out *w, const struct wire_acted *a);
int wire_read_acted(struct wire_in *in, struct wire_acted *out);

/* A guard of the configuration: whom, and what is to be done. On a pipe or in a file each message
 * follows its length, four bytes, the lowest first. */
struct wire_policy {
    struct guardmatch match;
    struct policy policy;
    uint32_t line, column; /* where the hook stands in the file, from 1; 0: it has none */
};

bool wire_add_policy(struct wire_out *w, const struct wire_policy *p);
int wire_read_policy(struct wire_in *in, struct wire_policy *out);

struct wire_policies {
    uint32_t n; /* policies that came before: a stream that was cut off has no such end */
    struct str file, socket; /* the configuration's file, "" for none; the front's socket */
    struct str pressure;     /* the socket at which programs are told of notify; "": none */
};

bool wire_add_policies(struct wire_out *w, const struct wire_policies *p);
int wire_read_policies(struct wire_in *in, struct wire_policies *out);
