/* oomvictim.h - who was killed for memory by the kernel's log, until it is known whose kill it was.
 *
 * A fixed number is remembered; when more come at once the oldest are forgotten, and their kills
 * are counted without a victim. Private to oomtally. Allocates only in oomvictims_open.
 */
#pragma once
#include "kern/cgfs.h"
#include "kern/oomreport.h"
#include "kern/proccgroup.h"

enum { OOMVICTIMS = 64, OOMVICTIM_PATH = 1024 };

struct oomvictim {
    bool used; /* it waits */
    bool again;
    bool looked; /* its group's count was read for it */
    int32_t pid;
    enum oom_constraint constraint;
    int64_t at_us; /* when we read it, monotonic */
    uint64_t anon, file, shmem;
    uint64_t order;
    size_t comm_n, limit_n, task_n; /* of task: 0: not known */
    char comm[64];
    char limit[OOMVICTIM_PATH],
        task[OOMVICTIM_PATH]; /* below the mount; limit also outside of it */
};

struct oomvictims {
    const struct host *host;
    int fd;     /* to poll for EPOLLIN; -1: the log is withheld */
    bool paths; /* a path in the log tells a group of ours */
    bool pids;  /* and a pid a process of ours */
    struct str root;
    const char *controller;
    struct oomreport *report;
    uint64_t order, lost;
    struct oomvictim at[OOMVICTIMS];
    char buf[PROCCGROUP_SIZE]; /* a record, or a process's groups */
    ;
};

/* 0; -ENOMEM. That the log is withheld is no failure. h and fs are borrowed. */
int oomvictims_open(struct oomvictims *v, const struct host *h, const struct cgfs *fs);
void oomvictims_close(struct oomvictims *v);

/* Reads at most `most` records of the log. How many kills came. */
unsigned oomvictims_read(struct oomvictims *v, int64_t now_us, unsigned most);

/* The one that waits longest and comes after `last` (NULL: the first); NULL at the end. */
struct oomvictim *oomvictims_next(struct oomvictims *v, const struct oomvictim *last);

static inline struct str oomvictim_task(const struct oomvictim *x) {
    return (struct str){x->task, x->task_n};
}
