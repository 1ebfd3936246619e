#include "kern/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

/* Values of kept[] that are no descriptors. */
enum { NOT_OPENED = -1, MISSING = -2, NOT_KEPT = -3 };

typedef int parser(struct str text, enum cg_version version, struct cgroup_numbers *out);

static parser parse_psi;

/* What each file is called, and into which field its number goes or who parses it. */
static const struct file {
    unsigned what;
    enum cg_ctl ctl;
    const char *name[2]; /* v1, v2; NULL: that version has none */
    int field;           /* -1: see parse */
    parser *parse;
} files[] = {
    {CGROUP_READ_USAGE, CG_MEMORY, {"memory.usage_in_bytes", "memory.current"}, CGROUP_USAGE, NULL},
    {CGROUP_READ_EVENTS,
     CG_MEMORY,
     {"memory.oom_control", "memory.events"},
     -1,
     cgroup_parse_events},
    {CGROUP_READ_SWAP, CG_MEMORY, {NULL, "memory.swap.current"}, CGROUP_SWAP, NULL},
    {CGROUP_READ_KERNEL, CG_MEMORY, {"memory.kmem.usage_in_bytes", NULL}, CGROUP_KERNEL, NULL},
    {CGROUP_READ_PIDS, CG_PIDS, {"pids.current", "pids.current"}, CGROUP_PIDS, NULL},
    {CGROUP_READ_CPU, CG_CPU, {"cpuacct.usage", "cpu.stat"}, -1, cgroup_parse_cpu},
    {CGROUP_READ_IO,
     CG_IO,
     {"blkio.throttle.io_service_bytes_recursive", "io.stat"},
     -1,
     cgroup_parse_io},
    {CGROUP_READ_PSI, CG_UNIFIED, {NULL, "memory.pressure"}, -1, parse_psi},
    {CGROUP_READ_PEAK, CG_MEMORY, {"memory.max_usage_in_bytes", "memory.peak"}, CGROUP_PEAK, NULL},
    {CGROUP_READ_FAILCNT, CG_MEMORY, {"memory.failcnt", NULL}, CGROUP_FAILCNT, NULL},
    {CGROUP_READ_LIMIT, CG_MEMORY, {"memory.limit_in_bytes", "memory.max"}, CGROUP_LIMIT, NULL},
    {CGROUP_READ_BOUNDS, CG_MEMORY, {NULL, "memory.high"}, CGROUP_HIGH, NULL},
    {CGROUP_READ_BOUNDS, CG_MEMORY, {NULL, "memory.low"}, CGROUP_LOW, NULL},
    {CGROUP_READ_BOUNDS, CG_MEMORY, {NULL, "memory.min"}, CGROUP_MIN, NULL},
    {CGROUP_READ_BOUNDS, CG_MEMORY, {"memory.soft_limit_in_bytes", NULL}, CGROUP_SOFT_LIMIT, NULL},
    {CGROUP_READ_SWAP_LIMIT,
     CG_MEMORY,
     {"memory.memsw.limit_in_bytes", "memory.swap.max"},
     CGROUP_SWAP_LIMIT,
     NULL},
    {CGROUP_READ_BOUNDS, CG_PIDS, {"pids.max", "pids.max"}, CGROUP_PIDS_LIMIT, NULL},
};

static void set(struct cgroup_numbers *n, enum cgroup_field field, uint64_t value) {
    n->value[field] = value;
    n->have |= 1ull << field;
}

void cgroup_fds_init(struct cgroup_fds *fds, int reserve) {
    struct rlimit limit;

    *fds = (struct cgroup_fds){0};
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    if (limit.rlim_cur < limit.rlim_max) {
        struct rlimit raised = {limit.rlim_max, limit.rlim_max};

        if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
            limit = raised;
    }
    if (limit.rlim_cur > 1 << 20)
        limit.rlim_cur = 1 << 20;
    fds->left = (int)limit.rlim_cur > reserve ? (int)limit.rlim_cur - reserve : 0;
    fds->extra_left = fds->left / 4;
}

void cgroup_init(struct cgroup *cg, const struct cgfs *fs, struct cgroup_fds *fds,
                 struct str path) {
    *cg = (struct cgroup){.fs = fs, .fds = fds, .path = path};
    for (unsigned i = 0; i < CGROUP_KEPT; i++)
        cg->kept[i] = NOT_OPENED;
}

/* stat, usage and events are the first bits of what can be read. */
static bool is_extra(const struct cgroup *cg, const int *place) {
    return place - cg->kept > 2;
}

static bool may_keep(const struct cgroup *cg, const int *place) {
    return cg->fds->left > 0 && (!is_extra(cg, place) || cg->fds->extra_left > 0);
}

static void count_kept(struct cgroup *cg, const int *place, int n) {
    cg->fds->left -= n;
    if (is_extra(cg, place))
        cg->fds->extra_left -= n;
}

void cgroup_done(struct cgroup *cg) {
    for (unsigned i = 0; i < CGROUP_KEPT; i++) {
        if (cg->kept[i] >= 0) {
            close(cg->kept[i]);
            count_kept(cg, &cg->kept[i], -1);
        }
        cg->kept[i] = NOT_OPENED;
    }
    cg->stat_sum = 0;
    cg->unified_cpu = false;
}

void cgroup_retry(struct cgroup *cg) {
    for (unsigned i = 0; i < CGROUP_KEPT; i++)
        if (cg->kept[i] == MISSING) {
            cg->kept[i] = NOT_OPENED;
            cg->unified_cpu = cg->unified_cpu && !(1u << i & CGROUP_READ_CPU);
        }
}

/* Opens a file to keep it, or says in *place why not. */
static void open_kept(struct cgroup *cg, int *place, enum cg_ctl ctl, const char *name) {
    int fd;

    *place = NOT_KEPT;
    if (!may_keep(cg, place)) {
        cg->fds->exhausted |= !is_extra(cg, place);
        return;
    }
    fd = cgfs_open_file(cg->fs, ctl, cg->path, name);
    if (fd >= 0) {
        count_kept(cg, place, 1);
        *place = fd;
    } else if (fd == -EMFILE || fd == -ENFILE) {
        cg->fds->left = 0;
        cg->fds->exhausted = true;
    } else if (fd != -EACCES && fd != -EPERM) { /* those are asked again: the answer tells why */
        *place = MISSING;
    }
}

static int read_once(const struct cgroup *cg, enum cg_ctl ctl, const char *name, char *buf,
                     size_t size, struct str *out) {
    auto_close int fd = cgfs_open_file(cg->fs, ctl, cg->path, name);

    return fd < 0 ? fd : file_pread(fd, buf, size, out);
}

static int read_file(struct cgroup *cg, int *place, enum cg_ctl ctl, const char *name, char *buf,
                     size_t size, struct str *out) {
    if (!place)
        return read_once(cg, ctl, name, buf, size, out);
    if (*place == NOT_OPENED)
        open_kept(cg, place, ctl, name);
    if (*place == MISSING)
        return -ENOENT;
    if (*place == NOT_KEPT)
        return read_once(cg, ctl, name, buf, size, out);
    return file_pread(*place, buf, size, out);
}

/* The bit's number: kept files are the first bits. */
static int *place_of(struct cgroup *cg, unsigned what) {
    unsigned bit = (unsigned)__builtin_ctz(what);

    return bit < CGROUP_KEPT ? &cg->kept[bit] : NULL;
}

static uint64_t fold(uint64_t a, uint64_t b) {
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t word_at(const char *p) {
    uint64_t word;

    memcpy(&word, p, sizeof(word));
    return word;
}

/* Tells one text from another, never 0. An eighth of what a parse costs: that is its point, so it
 * is not the hash of base/hash.h. Two texts of the same sum would only leave a sample as it is
 * until the text changes again. */
static uint64_t sum_of(struct str text) {
    const uint64_t k0 = 0x9e3779b97f4a7c15u, k1 = 0xd1b54a32d192ed03u;
    uint64_t a = k0 ^ text.n, b = k1;
    const char *p = text.p;
    size_t left = text.n;
    char tail[32] = {0};

    for (; left >= 32; left -= 32, p += 32) {
        a = fold(word_at(p) ^ k0, word_at(p + 8) ^ a);
        b = fold(word_at(p + 16) ^ k1, word_at(p + 24) ^ b);
    }
    memcpy(tail, p, left);
    a = fold(word_at(tail) ^ k0, word_at(tail + 8) ^ a);
    b = fold(word_at(tail + 16) ^ k1, word_at(tail + 24) ^ b);
    a = fold(a ^ k0, b ^ k1);
    return a ? a : 1;
}

static int read_stat(struct cgroup *cg, bool if_new, struct memstat_order *order,
                     struct memstat *stat) {
    enum cg_version version = cg->fs->ctl[CG_MEMORY].version;
    char buf[16384]; /* 1.5 kB on Linux 6.18 */
    struct str text;
    uint64_t sum = 0;
    bool same;
    int r = read_file(cg, place_of(cg, CGROUP_READ_STAT), CG_MEMORY, "memory.stat", buf,
                      sizeof(buf), &text);

    if (r == 0)
        sum = sum_of(text);
    same = sum != 0 && sum == cg->stat_sum;
    if (r == 0 && !(if_new && same))
        r = memstat_parse(text, version, order, stat);
    if (r < 0)
        stat->have = 0;
    cg->stat_sum = r < 0 ? 0 : sum;
    return r == 0 && same && if_new ? CGROUP_SAME : r;
}

/* On a hybrid machine a group may be in the unified tree and not in cpuacct's, as the runs of
 * `plimsoll run` are. There cpu.stat counts time without any controller. */
static int read_unified_cpu(struct cgroup *cg, int *place, struct cgroup_numbers *out) {
    char buf[4096];
    struct str text;
    int r = -ENOENT;

    if (!cg->unified_cpu && cg->fs->ctl[CG_UNIFIED].dir >= 0) {
        *place = NOT_OPENED;
        cg->unified_cpu = true;
    }
    if (*place != MISSING)
        r = read_file(cg, place, CG_UNIFIED, "cpu.stat", buf, sizeof(buf), &text);
    return r < 0 ? r : cgroup_parse_cpu(text, CG_V2, out);
}

static int read_number_file(struct cgroup *cg, const struct file *f, struct cgroup_numbers *out) {
    enum cg_version version = cg->fs->ctl[f->ctl].version;
    char buf[65536]; /* v1 writes 120 bytes a disk, and there may be hundreds */
    struct str text;
    uint64_t number;
    int r;

    if (cg->fs->ctl[f->ctl].dir < 0 || !f->name[version])
        return 0;
    if (f->what == CGROUP_READ_BOUNDS && f->ctl == CG_PIDS &&
        *place_of(cg, CGROUP_READ_PIDS) == MISSING)
        return -ENOENT; /* there is no such group, then */
    if (f->ctl == CG_CPU && cg->unified_cpu)
        return read_unified_cpu(cg, place_of(cg, f->what), out);
    r = read_file(cg, place_of(cg, f->what), f->ctl, f->name[version], buf, sizeof(buf), &text);
    if (r == -ENOENT && f->ctl == CG_CPU && version == CG_V1)
        return read_unified_cpu(cg, place_of(cg, f->what), out);
    if (r < 0)
        return r;
    if (f->parse)
        return f->parse(text, version, out);
    r = cgroup_parse_number(text, &number);
    if (r == 0)
        set(out, (enum cgroup_field)f->field, number);
    return r;
}

/* v1 limits memory and swap together. */
static void settle_swap_limit(const struct cgroup *cg, struct cgroup_numbers *n) {
    if (cg->fs->ctl[CG_MEMORY].version == CG_V2 || !cgroup_has(n, CGROUP_SWAP_LIMIT) ||
        n->value[CGROUP_SWAP_LIMIT] == CGROUP_NO_LIMIT)
        return;
    if (!cgroup_has(n, CGROUP_LIMIT) || n->value[CGROUP_LIMIT] > n->value[CGROUP_SWAP_LIMIT])
        n->have &= ~(1ull << CGROUP_SWAP_LIMIT); /* how much of it is swap depends on usage */
    else
        n->value[CGROUP_SWAP_LIMIT] -= n->value[CGROUP_LIMIT];
}

/* Whether the group has the memory controller, or is being removed: its controllers' files go
 * first, and the directory last. */
static bool should_have_stat(int dir) {
    char buf[512];
    struct str text, word;

    if (file_read_at(dir, "cgroup.controllers", buf, sizeof(buf), &text) < 0)
        return true;
    text = str_trim(text);
    while (str_word(&text, &word))
        if (str_eq(word, STR("memory")))
            return true;
    return false;
}

/* Whether a failure says that the whole group is gone, or only that a file is not offered: on v2 a
 * group without the memory controller has no memory.stat. */
static bool is_gone(const struct cgroup *cg, int r) {
    auto_close int dir = r == -ENOENT ? cgfs_open_dir(cg->fs, CG_MEMORY, cg->path) : -1;

    if (r != -ENOENT || dir < 0)
        return r == -ENODEV || r == -ENOENT;
    return cg->fs->ctl[CG_MEMORY].version == CG_V2 && should_have_stat(dir);
}

int cgroup_read(struct cgroup *cg, unsigned what, struct memstat_order *order, struct memstat *stat,
                struct cgroup_numbers *out) {
    bool same = false;
    int worst = 0;

    out->have = 0;
    if (what & CGROUP_READ_STAT) {
        int r = read_stat(cg, what & CGROUP_STAT_IF_NEW, order, stat);

        same = r == CGROUP_SAME;

        if (is_gone(cg, r))
            return -ENODEV;
        if (r == -EACCES || r == -EPERM)
            worst = -EACCES;
    }
    for (size_t i = 0; i < ARRAY_N(files); i++) {
        int r = what & files[i].what ? read_number_file(cg, &files[i], out) : 0;

        if (r == -ENODEV && files[i].ctl == CG_MEMORY)
            return -ENODEV;
        if ((r == -EACCES || r == -EPERM) && files[i].what == CGROUP_READ_USAGE)
            worst = -EACCES;
    }
    if (what & CGROUP_READ_SWAP_LIMIT)
        settle_swap_limit(cg, out);
    if (what & CGROUP_READ_STAT && !same && memstat_has(stat, MEMSTAT_SWAP))
        set(out, CGROUP_SWAP, stat->value[MEMSTAT_SWAP]);
    return worst == 0 && same ? CGROUP_SAME : worst;
}

int cgroup_parse_number(struct str text, uint64_t *out) {
    uint64_t number;
    int r;

    text = str_trim(text);
    if (str_eq(text, STR("max"))) {
        *out = CGROUP_NO_LIMIT;
        return 0;
    }
    r = str_to_u64(text, &number);
    if (r < 0)
        return r;
    *out = number >= CGROUP_NONE_FROM ? CGROUP_NO_LIMIT : number;
    return 0;
}

int cgroup_parse_events(struct str text, enum cg_version version, struct cgroup_numbers *out) {
    static const struct {
        struct str key[2];
        enum cgroup_field field;
    } keys[] = {
        {{{"oom_kill", 8}, {"oom_kill", 8}}, CGROUP_OOM_KILLS},
        {{{"under_oom", 9}, {"", 0}}, CGROUP_UNDER_OOM},
        {{{"oom_kill_disable", 16}, {"", 0}}, CGROUP_KILL_DISABLED},
        {{{"", 0}, {"max", 3}}, CGROUP_FAILCNT},
        {{{"", 0}, {"high", 4}}, CGROUP_HIGH_EVENTS},
        {{{"", 0}, {"oom", 3}}, CGROUP_OOM_EVENTS},
    };
    struct cgroup_numbers n = {.have = 0};
    struct str line, key;

    while (str_cut(&text, '\n', &line)) {
        uint64_t number;
        int r = str_cut(&line, ' ', &key) ? str_to_u64(line, &number) : -EBADMSG;

        if (r < 0)
            return r;
        for (size_t i = 0; i < ARRAY_N(keys); i++)
            if (key.n > 0 && str_eq(key, keys[i].key[version]))
                set(&n, keys[i].field, number);
    }
    if (text.n > 0)
        return -EBADMSG;
    for (unsigned field = 0; field < CGROUP_N; field++)
        if (cgroup_has(&n, field))
            set(out, field, n.value[field]);
    return 0;
}

/* v1: nanoseconds alone. v2: cpu.stat, "usage_usec N" among others. */
int cgroup_parse_cpu(struct str text, enum cg_version version, struct cgroup_numbers *out) {
    struct str line;
    uint64_t number;
    int r;

    if (version == CG_V1) {
        r = str_to_u64(str_trim(text), &number);
        if (r == 0)
            set(out, CGROUP_CPU_US, number / 1000);
        return r;
    }
    while (str_cut(&text, '\n', &line)) {
        if (!str_skip(&line, STR("usage_usec ")))
            continue;
        r = str_to_u64(line, &number);
        if (r == 0)
            set(out, CGROUP_CPU_US, number);
        return r;
    }
    return -EBADMSG;
}

static int add(uint64_t *sum, struct str number) {
    uint64_t value;
    int r = str_to_u64(number, &value);

    if (r == 0 && __builtin_add_overflow(*sum, value, sum))
        r = -ERANGE;
    return r;
}

/* v2: "8:0 rbytes=1 wbytes=2 rios=3 ...", one line a disk. */
static int add_io_v2(struct str line, uint64_t *reads, uint64_t *writes) {
    struct str word;

    while (str_word(&line, &word)) {
        int r = 0;

        if (str_skip(&word, STR("rbytes=")))
            r = add(reads, word);
        else if (str_skip(&word, STR("wbytes=")))
            r = add(writes, word);
        if (r < 0)
            return r;
    }
    return 0;
}

/* v1: "8:0 Read 1", "8:0 Write 2", ..., last "Total 3". */
static int add_io_v1(struct str line, uint64_t *reads, uint64_t *writes) {
    struct str device, kind, number;

    if (!str_word(&line, &device) || !str_word(&line, &kind))
        return -EBADMSG;
    if (!str_word(&line, &number))
        return str_eq(device, STR("Total")) ? 0 : -EBADMSG;
    if (str_eq(kind, STR("Read")))
        return add(reads, number);
    return str_eq(kind, STR("Write")) ? add(writes, number) : 0;
}

int cgroup_parse_io(struct str text, enum cg_version version, struct cgroup_numbers *out) {
    uint64_t reads = 0, writes = 0;
    struct str line;

    while (str_cut(&text, '\n', &line)) {
        int r =
            version == CG_V1 ? add_io_v1(line, &reads, &writes) : add_io_v2(line, &reads, &writes);

        if (r < 0)
            return r;
    }
    if (text.n > 0)
        return -EBADMSG;
    set(out, CGROUP_READ, reads);
    set(out, CGROUP_WRITTEN, writes);
    return 0;
}

static int parse_psi(struct str text, enum cg_version version, struct cgroup_numbers *out) {
    struct psi psi;
    int r = psi_parse(text, &psi);

    (void)version;
    if (r < 0)
        return r;
    set(out, CGROUP_SOME_AVG10, psi.some.avg10);
    set(out, CGROUP_SOME_AVG60, psi.some.avg60);
    set(out, CGROUP_SOME_US, psi.some.total_us);
    if (psi.have_full) {
        set(out, CGROUP_FULL_AVG10, psi.full.avg10);
        set(out, CGROUP_FULL_AVG60, psi.full.avg60);
        set(out, CGROUP_FULL_US, psi.full.total_us);
    }
    return 0;
}

/* The kills counted in the groups below `dir_taken`, which is closed. */
static uint64_t kills_below(int dir_taken, unsigned depth) {
    auto_closedir DIR *list = NULL;
    uint64_t sum = 0;
    struct dirent *entry;
    struct stat st;

    if (fstat(dir_taken, &st) < 0 || st.st_nlink != 2) /* 2: no directory in it; 1: who knows */
        list = fdopendir(dir_taken);
    if (!list) {
        close(dir_taken);
        return 0;
    }
    while (depth < 128 && (entry = readdir(list))) {
        struct cgroup_numbers n = {.have = 0};
        struct str text;
        char buf[256];
        int below;

        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        below = openat(dirfd(list), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (below < 0)
            continue;
        if (file_read_at(below, "memory.oom_control", buf, sizeof(buf), &text) == 0 &&
            cgroup_parse_events(text, CG_V1, &n) == 0 && cgroup_has(&n, CGROUP_OOM_KILLS))
            sum += n.value[CGROUP_OOM_KILLS];
        sum += kills_below(below, depth + 1);
    }
    return sum;
}

uint64_t cgroup_oom_kills_below(const struct cgfs *fs, struct str path) {
    auto_close int dir = -1;
    int list;

    if (fs->ctl[CG_MEMORY].version == CG_V2)
        return 0;
    dir = cgfs_open_dir(fs, CG_MEMORY, path);
    list = dir < 0 ? -1 : openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return list < 0 ? 0 : kills_below(list, 0);
}
