/* wire.h - what the agent's two processes say to each other, and what the store keeps of it.
 *
 * A message is a kind, a number that only grows, and a body; at most WIRE_MESSAGE bytes, so that a
 * SOCK_SEQPACKET carries it whole. Ticks tell changes: a value that is not in a tick is what it was
 * before. Whoever has seen a KEY tick and all messages after it knows everything; the store's log
 * is such a sequence. Pure: encodes into and decodes from the caller's memory, allocates nothing.
 * Numbers are LEB128 varints. The two processes are of one build; the store's log carries
 * WIRE_VERSION.
 */
#pragma once
#include "model/procfield.h"
#include "model/sample.h"
#include "model/target.h"

enum { WIRE_VERSION = 1, WIRE_MESSAGE = 60000, WIRE_TEXT = 4096 };

enum wire_kind {
    /* collector to front */
    WIRE_START = 1, /* struct wire_start: the answer to HELLO */
    WIRE_TARGET,    /* struct wire_target: it came, or something of it changed */
    WIRE_GONE,      /* struct wire_gone */
    WIRE_TICK,      /* struct wire_tick, then changes */
    WIRE_PROCS,     /* struct wire_procs, then processes */
    WIRE_OOM,       /* struct wire_oom */
    WIRE_SELF,      /* struct wire_self: what the collector costs */
    WIRE_AUDIT,     /* struct wire_audit (wireact.h): a guard saw, decided or did something */
    WIRE_ACTED,     /* struct wire_acted: the answer to ACT. Never kept in a log */
    /* front's executable to the guard, on its standard output (wireact.h) */
    WIRE_POLICY,   /* struct wire_policy */
    WIRE_POLICIES, /* the end of them: struct wire_policies */
    /* front to collector */
    WIRE_HELLO = 64, /* struct wire_hello: the first message, once */
    WIRE_ACK,        /* struct wire_ack: on disk, or given up for good */
    WIRE_ACT,        /* struct wire_act: an action that somebody asks for */
    WIRE_KIND_END,
};

/* The machine itself is a target like others, always with this number. */
enum { WIRE_UID_HOST = 0 };

struct wire_head {
    enum wire_kind kind;
    uint64_t seq; /* of the collector's messages: grows by one; the front's carry 0 */
};

/* A message that is being written. After a write that did not fit, `full` is set and the message
 * is as it was before that write. */
struct wire_out {
    uint8_t *p;
    size_t n, size, flags_at;
    bool full;
};

void wire_begin(struct wire_out *w, void *memory, size_t size, enum wire_kind kind, uint64_t seq);

/* A message that is being read; points into the caller's memory. */
struct wire_in {
    const uint8_t *p;
    size_t n;
};

/* 0, or -EBADMSG. The rest of *in is the body. */
int wire_read_head(struct wire_in *in, struct wire_head *out);

/* An instance of a target: a container made again under its name has another uid. */
struct wire_target {
    uint32_t uid; /* never given twice while the collector runs */
    enum target_kind kind;
    enum runtime runtime;
    enum target_qos qos;
    bool limit_certain;
    enum cg_word { WIRE_CG_V1, WIRE_CG_V2 } version; /* of its memory controller */
    int64_t start_ms;                                /* 0: not known */
    int32_t init_pid;                                /* 0: not known */
    uint64_t born_ms;  /* when the collector saw it first, wall clock */
    uint64_t instance; /* of its group: another when it was made again; the same for every collector
                          since the machine's start. 0: not known */
    uint64_t run;   /* of its first process: another when the target was started again in the group
                       that it had; the same for every collector. 0: not known, or none of those
                       that are started again so */
    int64_t run_ms; /* when the collector saw that start; 0: it was there before */
    struct str path, name;
    struct str id, image, pod, namespace, container, unit; /* empty: none */
    struct str inside;     /* path of the container around it; empty: none */
    struct str limit_from; /* "host", "outside" or the path of the group whose limit it is */
    struct str labels;     /* as in model/labellist.h; empty: none, or not known */
    struct str lang;       /* the runtime of its largest process: "go 1.19.8"; empty: not known */
};

bool wire_add_target(struct wire_out *w, const struct wire_target *t);
int wire_read_target(struct wire_in *in,
                     struct wire_target *out); /* texts point into *in's memory */

struct wire_gone {
    uint32_t uid;
    int64_t at_ms;
};

bool wire_add_gone(struct wire_out *w, const struct wire_gone *g);
int wire_read_gone(struct wire_in *in, struct wire_gone *out);

enum {
    WIRE_TICK_KEY = 1 << 0,   /* all that is known of the targets in it, not changes */
    WIRE_TICK_ROUND = 1 << 1, /* every target was looked at: those not in it have not changed */
    WIRE_TICK_MORE = 1 << 2,  /* the tick goes on in the next message */
};

struct wire_tick {
    int64_t at_ms; /* wall clock: all messages of a tick carry the same */
    unsigned flags;
};

/* What changed of one target; `lost` are metrics that are not known any more. In a KEY tick `set`
 * is all that is known. */
struct wire_change {
    uint32_t uid;
    uint64_t set, lost;       /* bits (1 << metric) */
    uint64_t value[METRIC_N]; /* where the bit is in `set` */
};

bool wire_add_tick(struct wire_out *w, const struct wire_tick *t);
void wire_set_more(struct wire_out *w); /* of the tick that was begun: it does go on */

/* Appends what differs between two samples of a target; nothing when nothing does and `touch` is
 * not set. `before` NULL: all that is known. False: no room, begin another message. */
bool wire_add_change(struct wire_out *w, uint32_t uid, const struct sample *before,
                     const struct sample *now, bool touch);

int wire_read_tick(struct wire_in *in, struct wire_tick *out);
int wire_read_change(struct wire_in *in, struct wire_change *out); /* 1; 0 at the end; -EBADMSG */

struct wire_procs {
    uint32_t uid;
    int64_t at_ms;
    uint64_t total; /* processes of the target, of which the largest follow */
};

struct wire_proc {
    int32_t pid;
    uint32_t have; /* PROC_BITs; PROC_CGROUP never */
    bool pss_estimated;
    uint64_t value[PROC_N];   /* START in ms since 1970, STATE the letter; COMM, COMMAND unused */
    struct str comm, command; /* raw bytes; command is cut */
};

bool wire_add_procs(struct wire_out *w, const struct wire_procs *p);
bool wire_add_proc(struct wire_out *w, const struct wire_proc *p);
int wire_read_procs(struct wire_in *in, struct wire_procs *out);
int wire_read_proc(struct wire_in *in, struct wire_proc *out); /* 1; 0 at the end; -EBADMSG */

/* OOM kills in a target. */
struct wire_oom {
    uint32_t uid;
    int64_t at_ms;
    uint64_t kills;             /* new ones */
    bool sure;                  /* counted by the kernel; false: concluded from events or the log */
    bool outside;               /* the limit was that of a group around it, or the machine's */
    int32_t victim_pid;         /* 0: not known */
    uint64_t anon, file, shmem; /* of the victim, with victim_pid */
    struct str comm, limit_path; /* empty: not known */
};

bool wire_add_oom(struct wire_out *w, const struct wire_oom *o);
int wire_read_oom(struct wire_in *in, struct wire_oom *out);

/* What the collector costs and how it fares. Counters since it started. */
enum wire_self_field {
    WIRE_SELF_CPU_US,
    WIRE_SELF_RSS,        /* bytes */
    WIRE_SELF_TICKS,      /* rounds over all targets */
    WIRE_SELF_TICK_US,    /* how long the last one took */
    WIRE_SELF_TICKS_LATE, /* rounds that began more than half a period late */
    WIRE_SELF_SAMPLES,    /* targets read, summed over all ticks */
    WIRE_SELF_TARGETS,
    WIRE_SELF_FAST,    /* targets that are read more often than once a period now */
    WIRE_SELF_DROPPED, /* messages that were never taken by a front */
    WIRE_SELF_FRONT_STARTS,
    WIRE_SELF_NO_WATCHES, /* 1: groups are found by rescans */
    WIRE_SELF_DENIED,     /* targets that may not be read */
    WIRE_SELF_SHORT_OF_FDS,
    WIRE_SELF_GUARDS,       /* guards in the configuration; 0: there is no guard's process */
    WIRE_SELF_GUARDED,      /* targets that are guarded now */
    WIRE_SELF_GUARD_FAILED, /* ... that match a guard and cannot be guarded: no descriptors, ... */
    WIRE_SELF_GUARD_STARTS,
    WIRE_SELF_GUARD_CPU_US, /* of the guard's process, its warden and hands with it */
    WIRE_SELF_GUARD_RSS,    /* bytes; 0: it does not run now */
    WIRE_SELF_N,
};

bool wire_add_self(struct wire_out *w, const uint64_t value[WIRE_SELF_N]);
int wire_read_self(struct wire_in *in, uint64_t value_out[WIRE_SELF_N]);

struct wire_start {
    uint64_t boot; /* of this collector: a random number */
    bool ask;      /* a collector that is new, and wants a HELLO; nothing follows yet */
    bool resumed;  /* what follows goes on after the last_seq of HELLO; else a KEY tick follows */
    int64_t start_ms; /* wall clock */
};

bool wire_add_start(struct wire_out *w, const struct wire_start *s);
int wire_read_start(struct wire_in *in, struct wire_start *out);

enum wire_targets { WIRE_TARGETS_CONTAINERS, WIRE_TARGETS_SERVICES, WIRE_TARGETS_ALL };

/* The front has read the configuration: this is the collector's part. */
struct wire_hello {
    uint64_t boot,
        last_seq; /* of the collector it knows, and of the last message on disk; 0: none */
    uint64_t interval_ms, fastest_ms;
    bool adaptive; /* memory.stat is read when usage has moved, and every few seconds */
    enum wire_targets targets;
    uint32_t processes; /* so many of each target; 0: none */
};

bool wire_add_hello(struct wire_out *w, const struct wire_hello *h);
int wire_read_hello(struct wire_in *in, struct wire_hello *out);

struct wire_ack {
    uint64_t seq;
};

bool wire_add_ack(struct wire_out *w, const struct wire_ack *a);
int wire_read_ack(struct wire_in *in, struct wire_ack *out);
