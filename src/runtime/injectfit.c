#include "runtime/injectfit.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "kern/limit.h"
#include "kern/maps.h"
#include "kern/proccgroup.h"

enum {
    CODE_MAX = 64 << 20,      /* of one mapping */
    ASAN_SHADOW = 0x7fff7000, /* where AddressSanitizer's begins, also when it is linked in */
};

/* --- memory ----------------------------------------------------------------------------------- */

bool injectfit_is_full(uint64_t used, uint64_t limit) {
    return limit != CGROUP_NO_LIMIT && used >= limit - limit / 50;
}

static int look_group(const struct cgfs *fs, struct str path, const struct rtproc *p,
                      struct err *why) {
    const unsigned what =
        CGROUP_READ_STAT | CGROUP_READ_USAGE | CGROUP_READ_EVENTS | CGROUP_READ_LIMIT;
    struct cgroup_fds fds = {0};
    struct memstat_order order = {0};
    struct cgroup_numbers n = {0};
    struct memstat stat = {0};
    struct cgroup group;
    uint64_t used;
    int r;

    cgroup_init(&group, fs, &fds, path);
    r = cgroup_read(&group, what, &order, &stat, &n);
    cgroup_done(&group);
    if (r < 0)
        return 0; /* the root group has no such files; nothing known is nothing against it */
    if (cgroup_has(&n, CGROUP_UNDER_OOM) && n.value[CGROUP_UNDER_OOM])
        return err_set(why, -ENOMEM, "the group of process %d is out of memory: a call would hang",
                       p->pid);
    if (!cgroup_has(&n, CGROUP_LIMIT) || !limit_used(&n, &stat, &used) ||
        !injectfit_is_full(used, n.value[CGROUP_LIMIT]))
        return 0;
    return err_set(why, -ENOMEM,
                   "the group of process %d has less than 2 %% of its limit left, and a call may "
                   "need memory: raise the limit first",
                   p->pid);
}

static int look_groups(const struct rtproc *p, const struct cgfs *fs, struct str text,
                       struct err *why) {
    bool v1 = fs->ctl[CG_MEMORY].version == CG_V1;
    struct proccgroup group;
    struct str path;

    if (proccgroup_parse(text, v1 ? STR("memory") : STR(""), &group) < 0)
        return 0;
    path = group.path;
    if (!str_eq(str_of(fs->memory_root), STR("/")) && !str_skip(&path, str_of(fs->memory_root)))
        return 0; /* outside of what we see */
    while (path.n > 1) {
        int r = look_group(fs, path, p, why);
        ptrdiff_t slash = str_rfind(path, '/');

        if (r < 0)
            return r;
        path = str_head(path, slash < 0 ? 0 : (size_t)slash);
    }
    return 0;
}

static int look_frozen(const struct rtproc *p, const struct cgfs *fs, struct str text,
                       struct err *why) {
    struct proccgroup group;
    char buf[512];
    struct str events, line;
    auto_close int fd = -1;

    if (fs->ctl[CG_UNIFIED].dir < 0 || proccgroup_parse(text, STR(""), &group) < 0)
        return 0;
    fd = cgfs_open_file(fs, CG_UNIFIED, group.path, "cgroup.events");
    if (fd < 0 || file_pread(fd, buf, sizeof(buf), &events) < 0)
        return 0;
    while (str_cut(&events, '\n', &line))
        if (str_eq(line, STR("frozen 1")))
            return err_set(why, -EOPNOTSUPP, "process %d is frozen: a call would never come back",
                           p->pid);
    return 0;
}

static int look_cgroups(const struct rtproc *p, struct err *why) {
    auto_free char *buf = malloc(PROCCGROUP_SIZE);
    auto_free struct cgfs *fs = malloc(sizeof(*fs));
    struct str text;
    int r;

    if (!buf || !fs)
        return err_set(why, -ENOMEM, "no memory");
    if (cgfs_open(p->host, fs, NULL) < 0)
        return 0;
    r = proccgroup_read(p->host->proc, p->pid, buf, PROCCGROUP_SIZE, &text);
    if (r == 0)
        r = look_frozen(p, fs, text, why);
    else
        r = 0;
    if (r == 0)
        r = look_groups(p, fs, text, why);
    cgfs_done(fs);
    return r;
}

/* --- the program ------------------------------------------------------------------------------ */

static int look_class(const struct rtproc *p, struct err *why) {
    unsigned char head[20];
    auto_close int fd = rtproc_open_exe(p);

    if (fd == -EACCES || fd == -EPERM)
        return err_set(why, -EPERM, "process %d may not be looked into by us", p->pid);
    if (fd < 0)
        return err_set(why, -EOPNOTSUPP, "the executable of process %d cannot be opened", p->pid);
    if (pread(fd, head, sizeof(head), 0) != sizeof(head) || memcmp(head, ELFMAG, SELFMAG) != 0)
        return err_set(why, -EOPNOTSUPP, "the executable of process %d is no ELF file", p->pid);
    if (head[EI_CLASS] != ELFCLASS64 || head[18] != EM_X86_64)
        return err_set(why, -EOPNOTSUPP, "process %d is not a 64-bit x86 program", p->pid);
    return 0;
}

/* Linux 6.6 and later say so in a line of status. */
static int look_shadow_stack(const struct rtproc *p, struct err *why) {
    char buf[8192];
    struct str text, line;

    if (file_read_at(p->dir, "status", buf, sizeof(buf), &text) < 0)
        return err_set(why, -ESRCH, "process %d is gone", p->pid);
    while (str_cut(&text, '\n', &line))
        if (str_skip(&line, STR("x86_Thread_features:")) &&
            memmem(line.p, line.n, "shstk", 5) != NULL)
            return err_set(why, -EOPNOTSUPP,
                           "process %d has a shadow stack, which a call from outside would break",
                           p->pid);
    return 0;
}

struct code {
    const struct rtproc *p;
    struct injectcode found;
    const char *checker; /* what watches each access to memory */
    bool have_libc, any;
};

static struct str base_name(struct str path) {
    return str_from(path, (size_t)(str_rfind(path, '/') + 1));
}

static bool is_libc(struct str name) {
    return str_starts(name, STR("libc.so")) || str_starts(name, STR("libc-2.")) ||
           str_starts(name, STR("ld-musl-")) || str_starts(name, STR("libc.musl-"));
}

static const char *checker_of(const struct mapping *m) {
    static const struct {
        struct str prefix;
        const char *name;
    } known[] = {
        {{"libasan.so", 10}, "AddressSanitizer"},
        {{"libtsan.so", 10}, "ThreadSanitizer"},
        {{"libmsan.so", 10}, "MemorySanitizer"},
        {{"libhwasan.so", 12}, "AddressSanitizer"},
        {{"liblsan.so", 10}, "LeakSanitizer"},
        {{"vgpreload_", 10}, "valgrind"},
        {{"libclang_rt.", 12}, "a sanitizer"},
        {{"libdynamorio.so", 15}, "DynamoRIO"},
        {{"librr", 5}, "rr"},
    };
    struct str name = base_name(m->path);

    if (m->start == ASAN_SHADOW)
        return "AddressSanitizer";
    for (size_t i = 0; i < ARRAY_N(known); i++)
        if (str_starts(name, known[i].prefix))
            return known[i].name;
    return NULL;
}

static void search(struct code *c, const struct mapping *m) {
    size_t n = m->end - m->start;
    auto_free char *bytes = n <= CODE_MAX ? malloc(n) : NULL;
    struct sigframe_store store;
    ptrdiff_t at;

    if (!bytes || rtproc_read(c->p, m->start, bytes, n) < 0)
        return;
    at = sigframe_find_trampoline((struct str){bytes, n});
    if (!c->found.trampoline && at >= 0)
        c->found.trampoline = m->start + (uint64_t)at;
    at = sigframe_find_store((struct str){bytes, n}, &store);
    if (!c->found.store.address && at >= 0) {
        store.address = m->start + (uint64_t)at;
        c->found.store = store;
    }
}

static int look_mapping(void *ctx, const struct mapping *m) {
    struct code *c = ctx;
    bool is_code = m->perms[0] == 'r' && m->perms[2] == 'x' && m->inode != 0;

    if (!c->checker)
        c->checker = checker_of(m);
    if (is_code && (c->any || is_libc(base_name(m->path)))) {
        c->have_libc |= !c->any;
        search(c, m);
    }
    return 0;
}

static int look_code(const struct rtproc *p, struct injectcode *out, struct err *why) {
    struct code c = {.p = p};
    int r = maps_each(p->host->proc, p->pid, look_mapping, &c);

    if (r == -EACCES || r == -EPERM)
        return err_set(why, -EPERM, "process %d may not be looked into by us", p->pid);
    if (r < 0)
        return err_set(why, r, "cannot read the mappings of process %d:", p->pid);
    if (c.checker)
        return err_set(why, -EOPNOTSUPP, "process %d runs under %s, which a call would confuse",
                       p->pid, c.checker);
    if (!c.have_libc)
        return err_set(why, -EOPNOTSUPP,
                       "process %d maps no libc: it is static, or of its own kind", p->pid);
    if (!c.found.trampoline || !c.found.store.address) {
        c.any = true;
        (void)maps_each(p->host->proc, p->pid, look_mapping, &c);
    }
    if (!c.found.trampoline)
        return err_set(why, -EOPNOTSUPP,
                       "the libc of process %d has no code to return from a signal", p->pid);
    if (!c.found.store.address)
        return err_set(why, -EOPNOTSUPP,
                       "the code of process %d has no instructions to keep a call's result with",
                       p->pid);
    *out = c.found;
    return 0;
}

int injectfit_look(const struct rtproc *p, struct injectcode *out, struct err *why) {
    struct injectcode code = {0};
    int r;

    if (!p->host->live)
        return err_set(why, -EOPNOTSUPP, "a captured tree has no processes");
    if (p->pid == 1 || p->pid == (int32_t)getpid())
        return err_set(why, -EOPNOTSUPP, "process %d is %s", p->pid,
                       p->pid == 1 ? "the machine's first: it is never touched" : "ourselves");
    r = look_class(p, why);
    if (r == 0)
        r = look_shadow_stack(p, why);
    if (r == 0)
        r = look_code(p, &code, why);
    if (r == 0)
        r = look_cgroups(p, why);
    if (r == 0)
        *out = code;
    return r;
}
