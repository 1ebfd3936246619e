#include "kern/cgfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/num.h"
#include "kern/mountinfo.h"
#include "kern/pidlist.h"
#include "kern/proccgroup.h"

enum { MOUNTINFO_MAX = 4 << 20 }; /* a host with thousands of containers has megabytes of it */

static const struct {
    enum cg_ctl ctl;
    struct str v1; /* the option in mountinfo and the folder below /sys/fs/cgroup */
    struct str v2; /* the word in cgroup.controllers */
} controllers[] = {
    {CG_MEMORY, {"memory", 6}, {"memory", 6}}, {CG_CPU, {"cpuacct", 7}, {"cpu", 3}},
    {CG_PIDS, {"pids", 4}, {"pids", 4}},       {CG_IO, {"blkio", 5}, {"io", 2}},
    {CG_QUOTA, {"cpu", 3}, {"cpu", 3}},
};

/* What is known while the mounts are looked for. */
struct search {
    const struct host *h;
    struct cgfs *fs;
    bool guess; /* no mountinfo tells that there is a mount */
    int error;  /* the first failure that is not "there is none" */
};

static void note_error(struct search *s, int r) {
    if (r < 0 && r != -ENOENT && r != -ENOTDIR && s->error == 0)
        s->error = r;
}

/* Captured trees are plain files; on this machine a folder without a mount is none. */
static bool is_mount(const struct search *s, int dir, enum cg_version version) {
    struct statfs st;

    if (!s->guess || !s->h->live)
        return true;
    return fstatfs(dir, &st) == 0 &&
           st.f_type == (version == CG_V1 ? CGROUP_SUPER_MAGIC : CGROUP2_SUPER_MAGIC);
}

static int open_point(struct search *s, const char *point, enum cg_version version) {
    auto_close int dir = file_open_dir_in(s->h->root, point);

    note_error(s, dir);
    return dir < 0 || !is_mount(s, dir, version) ? -1 : take_fd(&dir);
}

static void set_mount(struct cgfs *fs, enum cg_ctl ctl, int dir, enum cg_version version) {
    if (fs->ctl[ctl].dir >= 0)
        close(fs->ctl[ctl].dir);
    fs->ctl[ctl] = (struct cgfs_mount){dir, version};
}

static void set_memory_place(struct cgfs *fs, const char *root, const char *point) {
    snprintf(fs->memory_root, sizeof(fs->memory_root), "%s", root);
    snprintf(fs->memory_point, sizeof(fs->memory_point), "%s", point);
}

static void set_unified(struct cgfs *fs, int dir, const char *root, const char *point) {
    set_mount(fs, CG_UNIFIED, dir, CG_V2);
    snprintf(fs->unified_root, sizeof(fs->unified_root), "%s", root);
    snprintf(fs->unified_point, sizeof(fs->unified_point), "%s", point);
}

/* A v1 mount may carry several controllers (cpu,cpuacct). The first mount of each wins. */
static void take_v1(struct search *s, struct str options, const char *root, const char *point) {
    for (size_t i = 0; i < ARRAY_N(controllers); i++) {
        enum cg_ctl ctl = controllers[i].ctl;
        int dir;

        if (!mountinfo_has_option(options, controllers[i].v1) || s->fs->ctl[ctl].dir >= 0)
            continue;
        dir = open_point(s, point, CG_V1);
        if (dir < 0)
            continue;
        set_mount(s->fs, ctl, dir, CG_V1);
        if (ctl == CG_MEMORY)
            set_memory_place(s->fs, root, point);
    }
}

static bool has_controller(struct str list, struct str wanted) {
    struct str word;

    list = str_trim(list);
    while (str_word(&list, &word))
        if (str_eq(word, wanted))
            return true;
    return false;
}

/* Controllers that no v1 mount has are taken from the unified tree, if it has them. */
static void take_unified(struct search *s) {
    struct cgfs *fs = s->fs;
    char buf[4096];
    struct str list;

    if (fs->ctl[CG_UNIFIED].dir < 0)
        return;
    if (file_read_at(fs->ctl[CG_UNIFIED].dir, "cgroup.controllers", buf, sizeof(buf), &list) < 0)
        return;
    for (size_t i = 0; i < ARRAY_N(controllers); i++) {
        enum cg_ctl ctl = controllers[i].ctl;

        /* cpu.stat is there without its controller */
        if (fs->ctl[ctl].dir >= 0 || (ctl != CG_CPU && !has_controller(list, controllers[i].v2)))
            continue;
        set_mount(fs, ctl, open_point(s, fs->unified_point, CG_V2), CG_V2);
        if (ctl == CG_MEMORY)
            set_memory_place(fs, fs->unified_root, fs->unified_point);
    }
}

static void take_line(struct search *s, struct str line) {
    struct mount_line m;
    char root[4096], point[4096];
    bool v2;
    int dir;

    if (mountinfo_parse_line(line, &m) < 0)
        return;
    v2 = str_eq(m.type, STR("cgroup2"));
    if (!v2 && !str_eq(m.type, STR("cgroup")))
        return;
    if (mountinfo_unescape(m.root, root, sizeof(root)) < 0 ||
        mountinfo_unescape(m.point, point, sizeof(point)) < 0)
        return;
    if (str_starts(str_of(root), STR("/.."))) /* the mount lies above our namespace */
        root[0] = '\0';
    if (!v2) {
        take_v1(s, m.options, root, point);
        return;
    }
    dir = s->fs->ctl[CG_UNIFIED].dir < 0 ? open_point(s, point, CG_V2) : -1;
    if (dir >= 0)
        set_unified(s->fs, dir, root, point);
}

static int read_mounts(struct search *s) {
    /* Below --root the mounts that count are those of that machine's pid 1, not ours. */
    const char *file = s->h->live ? "self/mountinfo" : "1/mountinfo";
    auto_free char *buf = malloc(MOUNTINFO_MAX);
    struct str text, line;
    int r;

    if (!buf)
        return -ENOMEM;
    r = file_read_at(s->h->proc, file, buf, MOUNTINFO_MAX, &text);
    if (r < 0 && !s->h->live)
        r = file_read_at(s->h->proc, "self/mountinfo", buf, MOUNTINFO_MAX, &text);
    note_error(s, r);
    if (r < 0)
        return r;
    while (str_cut(&text, '\n', &line))
        take_line(s, line);
    return 0;
}

/* Captured trees and strange containers: no mountinfo, but the files are where they usually are. */
static void guess_mounts(struct search *s) {
    static const char *const unified[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};

    s->guess = true;
    for (size_t i = 0; i < ARRAY_N(controllers); i++) {
        char point[64];

        snprintf(point, sizeof(point), "/sys/fs/cgroup/%.*s", STR_ARG(controllers[i].v1));
        take_v1(s, controllers[i].v1, "/", point);
    }
    for (size_t i = 0; i < ARRAY_N(unified) && s->fs->ctl[CG_UNIFIED].dir < 0; i++) {
        auto_close int dir = open_point(s, unified[i], CG_V2);

        if (dir < 0 || faccessat(dir, "cgroup.controllers", F_OK, 0) < 0)
            continue;
        set_unified(s->fs, take_fd(&dir), "/", unified[i]);
    }
}

/* Only the true root group lacks cgroup.events (v2) and has cgroup.sane_behavior (v1), whatever a
 * namespace calls "/". */
static bool is_top(const struct host *h, const struct cgfs *fs) {
    int dir = fs->ctl[CG_MEMORY].dir;

    if (fs->ctl[CG_MEMORY].version == CG_V2)
        return faccessat(dir, "cgroup.events", F_OK, 0) < 0;
    return faccessat(dir, "cgroup.sane_behavior", F_OK, 0) == 0 ||
           faccessat(dir, "release_agent", F_OK, 0) == 0 ||
           (!h->live && str_eq(str_of(fs->memory_root), STR("/")));
}

/* Whether /proc/cgroups has "memory ID GROUPS 1": an ID of 0 is the unified tree. */
static bool is_on_v1(const struct host *h) {
    char buf[4096];
    struct str text, line, word;
    uint64_t id, enabled;

    if (file_read_at(h->proc, "cgroups", buf, sizeof(buf), &text) < 0)
        return false;
    while (str_cut(&text, '\n', &line)) {
        if (!str_word(&line, &word) || !str_eq(word, STR("memory")))
            continue;
        return str_word(&line, &word) && str_to_u64(word, &id) == 0 && id > 0 &&
               str_word(&line, &word) && str_word(&line, &word) &&
               str_to_u64(word, &enabled) == 0 && enabled == 1;
    }
    return false;
}

/* Why there is no memory hierarchy. */
static int no_memory(const struct search *s, bool unified, struct err *err) {
    if (s->error < 0)
        return err_set(err, s->error,
                       "cannot open the control groups below '%s/sys/fs/cgroup':", s->h->prefix);
    if (is_on_v1(s->h))
        return err_set(err, -ENOENT,
                       "the memory controller is on cgroup v1, but not mounted (try: mount -t "
                       "cgroup -o memory cgroup /sys/fs/cgroup/memory)");
    if (unified)
        return err_set(err, -ENOENT,
                       "the memory controller is on neither cgroup v1 nor v2 (try: boot with "
                       "cgroup_enable=memory, or enable it in cgroup.subtree_control)");
    return err_set(err, -ENOENT, "no control groups are mounted below '%s/sys/fs/cgroup'",
                   s->h->prefix);
}

int cgfs_open(const struct host *h, struct cgfs *out, struct err *err) {
    auto_free struct search *s = calloc(1, sizeof(*s));
    auto_free struct cgfs *fs = calloc(1, sizeof(*fs)); /* 8 kB each: too much for small stacks */

    if (!s || !fs)
        return err_set(err, -ENOMEM, "cannot find the control groups:");
    s->h = h;
    s->fs = fs;
    for (unsigned i = 0; i < CG_CTL_N; i++)
        fs->ctl[i].dir = -1;
    if (read_mounts(s) < 0 || (fs->ctl[CG_MEMORY].dir < 0 && fs->ctl[CG_UNIFIED].dir < 0))
        guess_mounts(s);
    take_unified(s);
    if (fs->ctl[CG_MEMORY].dir < 0) {
        bool unified = fs->ctl[CG_UNIFIED].dir >= 0;

        cgfs_done(fs);
        return no_memory(s, unified, err);
    }
    fs->at_top = is_top(h, fs);
    *out = *fs;
    return 0;
}

void cgfs_done(struct cgfs *fs) {
    for (unsigned i = 0; i < CG_CTL_N; i++) {
        if (fs->ctl[i].dir >= 0)
            close(fs->ctl[i].dir);
        fs->ctl[i].dir = -1;
    }
}

/* Cuts "/a/b/c" into a head that the kernel takes in one call and the rest. */
static int next_stretch(struct str *path, char *dst, size_t size) {
    struct str head = *path;

    if (path->n >= size) {
        ptrdiff_t slash = str_rfind(str_head(*path, size - 1), '/');

        if (slash <= 0)
            return -ENAMETOOLONG;
        head = str_head(*path, (size_t)slash);
    }
    *path = str_from(*path, head.n);
    while (str_skip(path, STR("/")))
        ;
    return str_copy(head, dst, size);
}

static bool climbs(struct str path) {
    struct str name;

    while (str_cut(&path, '/', &name))
        if (str_eq(name, STR("..")))
            return true;
    return str_eq(path, STR(".."));
}

int cgfs_open_dir(const struct cgfs *fs, enum cg_ctl ctl, struct str path) {
    auto_close int dir = fs->ctl[ctl].dir < 0 ? -1 : fcntl(fs->ctl[ctl].dir, F_DUPFD_CLOEXEC, 3);
    char stretch[4000];

    if (dir < 0)
        return fs->ctl[ctl].dir < 0 ? -ENOENT : -errno;
    if (climbs(path))
        return -EINVAL;
    while (str_skip(&path, STR("/")))
        ;
    while (path.n > 0) {
        int r = next_stretch(&path, stretch, sizeof(stretch));
        int next = r < 0 ? -1 : openat(dir, stretch, O_PATH | O_DIRECTORY | O_CLOEXEC);

        if (next < 0)
            return r < 0 ? r : -errno;
        close(dir);
        dir = next;
    }
    return take_fd(&dir);
}

int cgfs_open_file(const struct cgfs *fs, enum cg_ctl ctl, struct str path, const char *file) {
    char name[4096];
    int fd;

    if (fs->ctl[ctl].dir < 0)
        return -ENOENT;
    if (climbs(path))
        return -EINVAL;
    while (str_skip(&path, STR("/")))
        ;
    if (path.n + strlen(file) + 2 <= sizeof(name)) {
        memcpy(name, path.p, path.n);
        snprintf(name + path.n, sizeof(name) - path.n, "%s%s", path.n ? "/" : "", file);
        fd = openat(fs->ctl[ctl].dir, name, O_RDONLY | O_CLOEXEC);
    } else {
        auto_close int dir = cgfs_open_dir(fs, ctl, path);

        if (dir < 0)
            return dir;
        fd = openat(dir, file, O_RDONLY | O_CLOEXEC);
    }
    return fd < 0 ? -errno : fd;
}

/* Whether the group at `dir` lists this process. */
static bool holds_us(int dir) {
    struct pidlist list = {0};
    bool found = false;

    if (pidlist_add_file_at(&list, dir, "cgroup.procs") == 0)
        for (size_t i = 0; i < list.n && !found; i++)
            found = list.pid[i] == getpid();
    pidlist_done(&list);
    return found;
}

/* Searches below `dir` (an open descriptor, taken) for the group that lists this process; `path`
 * has n bytes so far and is extended in place. Only for mounts that lie above our namespace, where
 * /proc/self/cgroup cannot tell the way. */
static int search(int dir_taken, char *path, size_t n, size_t size, unsigned depth) {
    auto_close int dir = dir_taken;
    auto_closedir DIR *list = NULL;
    struct dirent *entry;
    int again = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (again < 0)
        return -errno;
    list = fdopendir(again);
    if (!list) {
        close(again);
        return -errno;
    }
    if (holds_us(dir))
        return 0;
    while (depth < 64 && (entry = readdir(list))) {
        size_t len = strlen(entry->d_name);
        int below;

        if (entry->d_type != DT_DIR || entry->d_name[0] == '.' || n + len + 2 > size)
            continue;
        below = openat(dir, entry->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (below < 0)
            continue;
        snprintf(path + n, size - n, "/%s", entry->d_name);
        if (search(below, path, n + len + 1, size, depth + 1) == 0)
            return 0;
        path[n] = '\0';
    }
    return -ENODATA;
}

int cgfs_path_of(const struct host *h, const struct cgfs *fs, int32_t pid, char *out, size_t size) {
    bool v1 = fs->ctl[CG_MEMORY].version == CG_V1;
    char buf[PROCCGROUP_SIZE];
    struct proccgroup at = {.path = {"", 0}};
    struct str text, path;
    int r;

    if (fs->memory_root[0] == '\0')
        return -ENODATA;
    r = proccgroup_read(h->proc, pid, buf, sizeof(buf), &text);
    if (r == 0)
        r = proccgroup_parse(text, v1 ? STR("memory") : STR(""), &at);
    if (r < 0)
        return r;
    path = at.path;
    if (!str_eq(str_of(fs->memory_root), STR("/"))) {
        if (!str_skip(&path, str_of(fs->memory_root)) || (path.n > 0 && path.p[0] != '/'))
            return -ENODATA;
    }
    if (at.deleted || climbs(path)) /* moved out of the part that our namespace shows */
        return -ENODATA;
    return str_copy(path.n ? path : STR("/"), out, size);
}

/* Where the mount lies above our namespace: the group that lists us. */
static int find_own(const struct cgfs *fs, char *out, size_t size) {
    auto_free char *buf = malloc(PROCCGROUP_SIZE);
    int top = cgfs_open_dir(fs, CG_MEMORY, STR("/")), r;

    if (top < 0)
        return top;
    if (!buf) {
        close(top);
        return -ENOMEM;
    }
    buf[0] = '\0';
    r = search(top, buf, 0, PROCCGROUP_SIZE, 0);
    return r < 0 ? r : str_copy(buf[0] ? str_of(buf) : STR("/"), out, size);
}

int cgfs_own_path(const struct host *h, const struct cgfs *fs, char *out, size_t size) {
    if (!h->live || size == 0)
        return -ENODATA; /* "self" below --root is nobody */
    if (fs->memory_root[0] == '\0')
        return find_own(fs, out, size);
    return cgfs_path_of(h, fs, (int32_t)getpid(), out, size);
}
