#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/inotify.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "discover/node.h"

enum {
    ENTRIES_SIZE = 32768,
    ENTRIES_AT = NODE_PATH_MAX + 16, /* in tree.room, behind the path; aligned */
    ROOM_SIZE = ENTRIES_AT + ENTRIES_SIZE,
    FIRST_BUCKETS = 256,
    EVENTS = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR,
};

struct entry { /* struct linux_dirent64 */
    uint64_t inode;
    int64_t offset;
    uint16_t length;
    uint8_t type;
    char name[];
};

static uint32_t hash_of(const struct tree *t, struct str path) {
    return (uint32_t)hash_str(&t->key, path);
}

static struct node **path_bucket(const struct tree *t, uint32_t hash) {
    return &t->by_path[hash & (t->buckets - 1)];
}

static struct node **wd_bucket(const struct tree *t, int wd) {
    return &t->by_wd[(uint32_t)wd & (t->buckets - 1)];
}

struct node *tree_find(const struct tree *t, struct str path) {
    uint32_t hash = hash_of(t, path);

    for (struct node *n = *path_bucket(t, hash); n; n = n->path_next)
        if (n->hash == hash && str_eq(n->t.path, path))
            return n;
    return NULL;
}

static struct node *find_wd(const struct tree *t, int wd) {
    for (struct node *n = wd < 0 ? NULL : *wd_bucket(t, wd); n; n = n->wd_next)
        if (n->wd == wd)
            return n;
    return NULL;
}

static struct node *next_beside(const struct node *n) {
    while (n && !n->next)
        n = n->parent;
    return n ? n->next : NULL;
}

struct node *tree_next(const struct node *n) {
    return n->first ? n->first : next_beside(n);
}

struct node *tree_container_of(const struct tree *t, struct str path) {
    while (path.n > 0) {
        struct node *n = tree_find(t, path);
        ptrdiff_t slash = str_rfind(path, '/');

        if (n && target_is_container(&n->t))
            return n;
        if (n && n->t.inside)
            return tree_find(t, n->t.inside->path);
        path = str_head(path, slash > 0 ? (size_t)slash : 0);
    }
    return target_is_container(&t->top->t) ? t->top : NULL;
}

void node_free_text(const struct node *n, const char *text) {
    union {
        const char *in;
        char *out;
    } cast = {text};

    if (text && (text < n->path || text > n->path + n->t.path.n))
        free(cast.out);
}

/* ---- nodes ---- */

static int grow(struct tree *t) {
    size_t buckets = t->buckets * 2;
    struct node **by_path = calloc(buckets, sizeof(struct node *));
    struct node **by_wd = calloc(buckets, sizeof(struct node *));

    if (!by_path || !by_wd) {
        free(by_path);
        free(by_wd);
        return -ENOMEM;
    }
    free(t->by_path);
    free(t->by_wd);
    t->by_path = by_path;
    t->by_wd = by_wd;
    t->buckets = buckets;
    for (struct node *n = t->top; n; n = tree_next(n)) {
        struct node **place = path_bucket(t, n->hash);

        n->path_next = *place;
        *place = n;
        if (n->wd < 0)
            continue;
        place = wd_bucket(t, n->wd);
        n->wd_next = *place;
        *place = n;
    }
    return 0;
}

static void set_wd(struct tree *t, struct node *n, int wd) {
    struct node **place;

    if (n->wd >= 0) {
        for (place = wd_bucket(t, n->wd); *place != n; place = &(*place)->wd_next)
            ;
        *place = n->wd_next;
    }
    n->wd = wd;
    if (wd >= 0) {
        place = wd_bucket(t, wd);
        n->wd_next = *place;
        *place = n;
    }
}

static struct node *container_above(const struct node *parent) {
    struct node *n;

    if (!parent)
        return NULL;
    /* `inside` is a node too: the target is its first member */
    for (n = parent->parent; n && &n->t != parent->t.inside; n = n->parent)
        ;
    return n;
}

static void set_name(struct node *n) {
    n->t.name = n->t.path.n > 1 ? n->path + str_rfind(n->t.path, '/') + 1 : n->path;
}

/* Makes a node. The path is copied. */
static int add(struct tree *t, struct node *parent, struct str path, struct node **out) {
    struct node *n, **place, *around;

    if (t->count >= t->buckets && grow(t) < 0)
        return -ENOMEM;
    n = calloc(1, sizeof(*n) + path.n + 1);
    if (!n)
        return -ENOMEM;
    memcpy(n->path, path.p, path.n);
    n->t.path = (struct str){n->path, path.n};
    set_name(n);
    n->t.slot = TARGET_NO_SLOT;
    n->wd = -1;
    n->seen = t->scan;
    n->hash = hash_of(t, path);
    place = path_bucket(t, n->hash);
    n->path_next = *place;
    *place = n;
    n->parent = parent;
    if (parent) {
        n->next = parent->first;
        if (n->next)
            n->next->prev = n;
        parent->first = n;
        n->t.inside = target_is_container(&parent->t) ? &parent->t : parent->t.inside;
        around = target_is_container(&parent->t) ? parent : container_above(parent);
        if (around)
            around->below++;
    }
    t->count++;
    t->unwatched += t->inotify >= 0;
    t->born(t->ctx, n);
    *out = n;
    return 0;
}

static void unlink_node(struct tree *t, struct node *n) {
    struct node **place = path_bucket(t, n->hash), *around = container_above(n);

    while (*place != n)
        place = &(*place)->path_next;
    *place = n->path_next;
    if (n->prev)
        n->prev->next = n->next;
    else if (n->parent)
        n->parent->first = n->next;
    if (n->next)
        n->next->prev = n->prev;
    if (around)
        around->below--;
    if (n == t->top)
        t->top = NULL;
}

static void remove_one(struct tree *t, struct node *n) {
    t->gone(t->ctx, n);
    if (n->wd >= 0)
        inotify_rm_watch(t->inotify, n->wd); /* EINVAL when the kernel was faster */
    else
        t->unwatched -= t->inotify >= 0;
    set_wd(t, n, -1);
    unlink_node(t, n);
    t->count--;
    t->unreadable -= n->unreadable;
    free(n);
}

/* A group and all below it, leaves first, without recursion: paths may be very deep. */
static void remove_below(struct tree *t, struct node *n) {
    struct node *at = n;

    for (;;) {
        struct node *parent;

        while (at->first)
            at = at->first;
        parent = at->parent;
        if (at == n) {
            remove_one(t, n);
            return;
        }
        remove_one(t, at);
        at = parent;
    }
}

/* ---- scanning ---- */

static void watch(struct tree *t, struct node *n, int dir) {
    char link[64];
    int wd;

    if (t->inotify < 0 || n->wd >= 0 || t->out_of_watches)
        return;
    /* by descriptor, for a path may be longer than the kernel takes */
    snprintf(link, sizeof(link), "/proc/self/fd/%d", dir);
    wd = inotify_add_watch(t->inotify, link, EVENTS);
    if (wd < 0) {
        t->out_of_watches = errno == ENOSPC || errno == ENOMEM || errno == ENOENT;
        return;
    }
    if (find_wd(t, wd)) {
        /* The same directory under an older name: a v1 group was renamed. That node is gone. */
        set_wd(t, find_wd(t, wd), -1);
        t->unwatched++;
        t->lost = true;
    }
    set_wd(t, n, wd);
    t->unwatched--;
}

/* PARENT/name as a path in t->room. -ENAMETOOLONG. */
static int child_path(struct tree *t, const struct node *parent, struct str name, struct str *out) {
    struct str head = parent->t.path;

    if (head.n == 1)
        head.n = 0; /* "/" */
    if (head.n + 1 + name.n >= NODE_PATH_MAX)
        return -ENAMETOOLONG;
    memcpy(t->room, head.p, head.n);
    t->room[head.n] = '/';
    memcpy(t->room + head.n + 1, name.p, name.n);
    *out = (struct str){t->room, head.n + 1 + name.n};
    return 0;
}

/* A group seen below `parent`: known already, or added. 0 with *out NULL if it is left out. */
static int see_child(struct tree *t, struct node *parent, struct str name, struct node **out) {
    struct node *container = target_is_container(&parent->t) ? parent : container_above(parent);
    struct str path;
    struct node *n;

    *out = NULL;
    if (child_path(t, parent, name, &path) < 0) {
        t->too_many++;
        return 0;
    }
    n = tree_find(t, path);
    if (n) {
        n->seen = t->scan;
        *out = n;
        return 0;
    }
    if (container && container->below >= NODE_BELOW_MAX) {
        t->too_many++;
        return 0;
    }
    return add(t, parent, path, out);
}

static int see_entries(struct tree *t, struct node *n, int list) {
    char *entries = t->room + ENTRIES_AT;

    for (;;) {
        long size = syscall(SYS_getdents64, list, entries, (size_t)ENTRIES_SIZE);
        int r;

        if (size <= 0)
            return size < 0 ? -errno : 0;
        for (long at = 0; at < size;) {
            union {
                char *bytes;
                const struct entry *entry; /* the kernel aligns them to 8 */
            } here = {entries + at};
            struct str name = str_of(here.entry->name);
            struct node *child;

            at += here.entry->length;
            if (here.entry->type != DT_DIR || str_eq(name, STR(".")) || str_eq(name, STR("..")))
                continue;
            r = see_child(t, n, name, &child);
            if (r < 0)
                return r;
        }
    }
}

static void set_unreadable(struct tree *t, struct node *n, bool unreadable) {
    t->unreadable += unreadable;
    t->unreadable -= n->unreadable;
    n->unreadable = unreadable;
}

/* Groups that were not seen in this scan any more. */
static void remove_unseen(struct tree *t, struct node *n) {
    struct node *next;

    for (struct node *child = n->first; child; child = next) {
        next = child->next;
        if (child->seen != t->scan)
            remove_below(t, child);
    }
}

/* Looks at one group: its watch first, so that nothing slips between listing and watching. -ENOENT
 * when it is not there any more, -ESTALE when it is another one now; -ENOMEM. */
static int scan_one(struct tree *t, struct node *n) {
    auto_close int dir = cgfs_open_dir(t->fs, CG_MEMORY, n->t.path);
    auto_close int list = -1;
    struct stat st;
    int r;

    if (dir < 0 && dir != -ENOENT && dir != -ENODEV)
        set_unreadable(t, n, true);
    if (dir < 0)
        return dir == -ENODEV ? -ENOENT : dir == -ENOENT ? dir : 0;
    watch(t, n, dir);
    if (fstat(dir, &st) < 0)
        return 0;
    if (n->inode != 0 && n->inode != st.st_ino)
        return -ESTALE;
    n->inode = st.st_ino;
    if (t->counts_folders && st.st_nlink == 2) {
        remove_unseen(t, n);
        return 0;
    }
    list = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (list < 0) {
        set_unreadable(t, n, errno != ENOENT);
        return 0;
    }
    set_unreadable(t, n, false);
    r = see_entries(t, n, list);
    if (r == -ENOMEM)
        return r;
    if (r == 0)
        remove_unseen(t, n);
    return 0;
}

/* The directory is another one of the same name: its node begins a new life. */
static void rebear(struct tree *t, struct node *n) {
    struct target fresh = {.path = n->t.path, .inside = n->t.inside, .slot = TARGET_NO_SLOT};

    while (n->first)
        remove_below(t, n->first);
    t->gone(t->ctx, n);
    if (n->wd >= 0) {
        inotify_rm_watch(t->inotify, n->wd);
        set_wd(t, n, -1);
        t->unwatched++;
    }
    set_name(n);
    fresh.name = n->t.name;
    n->t = fresh;
    n->inode = 0;
    n->due_ms = 0;
    n->looks = 0;
    n->unsure = n->chosen = false;
    t->born(t->ctx, n);
}

/* Everything from `from` downwards. */
static int scan_below(struct tree *t, struct node *from) {
    struct node *end = next_beside(from), *n = from;

    while (n && n != end) {
        struct node *beside = next_beside(n);
        int r = scan_one(t, n);

        if (r == -ESTALE) {
            rebear(t, n);
            r = scan_one(t, n);
        }
        if (r == -ENOMEM)
            return r;
        if (r == -ENOENT && n->parent) {
            remove_below(t, n);
            n = beside;
            continue;
        }
        n = n->first ? n->first : beside;
    }
    return 0;
}

int tree_scan(struct tree *t) {
    t->scan++;
    t->too_many = 0;
    t->lost = false;
    t->out_of_watches = false;
    return scan_below(t, t->top);
}

/* ---- events ---- */

static bool is_there(struct tree *t, const struct node *n) {
    auto_close int dir = cgfs_open_dir(t->fs, CG_MEMORY, n->t.path);
    struct stat st;

    return dir >= 0 && fstat(dir, &st) == 0 && st.st_ino == n->inode;
}

static int take_event(struct tree *t, const struct inotify_event *e) {
    struct node *n = find_wd(t, e->wd), *child;
    struct str path;
    int r;

    if (e->mask & IN_Q_OVERFLOW) {
        t->overflows++;
        t->lost = true;
        return 0;
    }
    if (!n)
        return 0;
    if (e->mask & IN_IGNORED) {
        set_wd(t, n, -1);
        t->unwatched++;
        return 0;
    }
    if (!(e->mask & IN_ISDIR) || e->len == 0)
        return 0;
    if (e->mask & (IN_CREATE | IN_MOVED_TO)) {
        t->scan++;
        r = see_child(t, n, str_of(e->name), &child);
        return r < 0 || !child ? r : scan_below(t, child);
    }
    if (child_path(t, n, str_of(e->name), &path) < 0)
        return 0;
    child = tree_find(t, path);
    /* It may be there again already: then the event of its creation follows. */
    if (child && ((e->mask & IN_MOVED_FROM) || !is_there(t, child)))
        remove_below(t, child);
    return 0;
}

int tree_drain(struct tree *t, size_t max) {
    union {
        char bytes[16384];
        struct inotify_event first; /* aligns it */
    } buf;
    size_t taken = 0;

    if (t->inotify < 0)
        return 0;
    t->out_of_watches = false;
    while (taken < max) {
        ssize_t size = read(t->inotify, &buf, sizeof(buf));

        if (size <= 0)
            return 0;
        for (ssize_t at = 0; at < size; taken++) {
            union {
                char *bytes;
                const struct inotify_event *event;
            } here = {buf.bytes + at};
            int r = take_event(t, here.event);

            if (r < 0)
                return r;
            at += (ssize_t)(sizeof(struct inotify_event) + here.event->len);
        }
    }
    return 0;
}

/* ---- the whole ---- */

static bool is_cgroup_mount(int dir) {
    struct statfs fs;

    return fstatfs(dir, &fs) == 0 && ((unsigned long)fs.f_type == CGROUP_SUPER_MAGIC ||
                                      (unsigned long)fs.f_type == CGROUP2_SUPER_MAGIC);
}

int tree_init(struct tree *t, const struct cgfs *fs, bool watch_it) {
    auto_close int dir = cgfs_open_dir(fs, CG_MEMORY, STR("/"));

    if (dir < 0)
        return dir;
    t->fs = fs;
    t->inotify = watch_it ? inotify_init1(IN_NONBLOCK | IN_CLOEXEC) : -1;
    t->counts_folders = is_cgroup_mount(dir);
    hash_key_init(&t->key);
    t->buckets = FIRST_BUCKETS;
    t->by_path = calloc(t->buckets, sizeof(struct node *));
    t->by_wd = calloc(t->buckets, sizeof(struct node *));
    t->room = malloc(ROOM_SIZE);
    if (!t->by_path || !t->by_wd || !t->room)
        return -ENOMEM;
    return add(t, NULL, STR("/"), &t->top);
}

void tree_done(struct tree *t) {
    if (t->top)
        remove_below(t, t->top);
    free(t->by_path);
    free(t->by_wd);
    free(t->room);
    if (t->inotify >= 0)
        close(t->inotify);
    t->by_path = t->by_wd = NULL;
    t->room = NULL;
    t->inotify = -1;
}
