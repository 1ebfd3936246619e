/* node.h - the table of groups behind targets.h: one node a group, a tree and two hashes.
 *
 * Private to discover/. The tree knows which groups exist; what they are (kind, names) is the
 * business of its owner, who is told of births and deaths.
 */
#pragma once
#include "base/hash.h"
#include "discover/names.h"
#include "kern/cgfs.h"
#include "model/target.h"

enum {
    NODE_PATH_MAX = 32768,  /* longer paths are left out, and counted */
    NODE_BELOW_MAX = 20000, /* groups inside of one container; more are left out, and counted */
};

enum naming_stage {
    NAMING_FILES,  /* files and command lines, perhaps several times: they may come late */
    NAMING_SOCKET, /* waiting for the engine's answer */
    NAMING_INSIDE, /* waiting for what a child process finds inside of the container */
    NAMING_SETTLED,
};

/* What only containers, virtual machines and pods have. */
struct naming {
    struct names_file file; /* that told the name */
    enum naming_stage stage;
    uint8_t tries;
    bool denied;       /* something could not be read */
    bool nested;       /* its files are inside of another container */
    bool aside;        /* its files are not root's and may hang: read in a child process only */
    bool asked;        /* sockets were asked after that */
    bool asking;       /* a job is at work for it */
    bool newborn;      /* found by its creation: its engine may still be writing its files */
    bool no_sandbox;   /* said to be none */
    bool by_namespace; /* a container only as long as its processes are in another pid namespace */
    uint32_t owner;    /* user whose files are believed */
    uint64_t start_ticks; /* of t.init_pid: a pid alone may be given to somebody else */
    uint8_t rounds;       /* of refreshing, for what is done seldom */
};

struct node {
    struct target t; /* first: a target is its node */
    struct node *path_next, *wd_next;
    struct node *parent, *first, *prev, *next;
    struct naming *naming; /* NULL for plain groups */
    uint64_t inode;
    uint32_t hash;
    uint32_t below;  /* groups inside, if it is a container */
    uint32_t due_ms; /* when to look at it again, on the table's clock; 0: not */
    uint32_t seen;   /* the scan that saw it last */
    int32_t wd;      /* of inotify; -1: none */
    bool unsure;     /* 64 hex digits: a container if its first process says so */
    bool chosen, unreadable;
    uint8_t looks; /* times its processes were looked at */
    char path[];
};

struct tree {
    const struct cgfs *fs;
    struct node *top;
    struct node **by_path, **by_wd; /* `buckets` each, a power of two */
    size_t buckets, count;
    struct hash_key key;
    int inotify;         /* -1: none */
    uint32_t unwatched;  /* nodes that should have a watch and have none */
    bool out_of_watches; /* in the scan that runs */
    bool counts_folders; /* st_nlink tells how many groups are below: true for cgroup mounts */
    bool lost;           /* events were lost: a rescan is due */
    uint32_t scan;
    uint64_t overflows, too_many, unreadable;
    char *room; /* scratch: a path, a list of entries */

    /* Told after a node is in the tree, with t.path, t.name, t.inside and t.slot set; and before it
     * is taken out, children first. */
    void (*born)(void *ctx, struct node *n);
    void (*gone)(void *ctx, struct node *n);
    void *ctx;
};

/* 0; -errno when the top group cannot be opened. Nothing is scanned yet. */
int tree_init(struct tree *t, const struct cgfs *fs, bool watch);
void tree_done(struct tree *t); /* gone() is called for every node */

/* Compares everything with what is there. 0; -ENOMEM. */
int tree_scan(struct tree *t);

/* Takes in at most `max` events of inotify. 0; -ENOMEM. */
int tree_drain(struct tree *t, size_t max);

struct node *tree_find(const struct tree *t, struct str path);
struct node *tree_next(const struct node *n); /* parents before children; NULL at the end */

/* The container that a path lies in or is, by what is in the tree; NULL. */
struct node *tree_container_of(const struct tree *t, struct str path);

/* Frees a string of a target unless it is part of the node's own path. */
void node_free_text(const struct node *n, const char *text);
