#include "runtime/recognise.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "kern/maps.h"
#include "kern/procfile.h"
#include "kern/smaps.h"
#include "runtime/elf.h"

enum {
    RELEASE_MAX = 65536,
    RELEASE_ABOVE = 5,           /* folders above libjvm.so where the release file may be */
    STRINGS_MAX = 8 << 20,       /* bytes of a section that are searched for a version */
    NODE_STRINGS_MAX = 64 << 20, /* Node's: the scripts of its own are among them, 45 MiB */
    PATH_SIZE = 1024,
    STATIC_SYMBOLS = 8 << 20, /* bytes of a static executable's symbols, and of their names */
};

/* --- versions --------------------------------------------------------------------------------- */

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* The head of s made of digits, dots and what `more` has. */
static struct str version_head(struct str s, const char *more) {
    size_t n = 0;

    while (n < s.n && (is_digit(s.p[n]) || s.p[n] == '.' || (s.p[n] && strchr(more, s.p[n]))))
        n++;
    while (n > 0 && !is_digit(s.p[n - 1]))
        n--;
    return str_head(s, n);
}

int rt_java_version(struct str text, char *out, size_t size) {
    char version[40];
    struct str head, update;
    int n;

    if (text.n == 0 || !is_digit(text.p[0]))
        return -EBADMSG;
    if (!str_skip(&text, STR("1."))) {
        head = version_head(text, "+");
        return head.n == 0 ? -EBADMSG : str_copy(str_head(head, size - 1), out, size);
    }
    head = version_head(text, "");
    update = str_from(text, head.n);
    head = str_head(head, str_find(head, '.') < 0 ? head.n : (size_t)str_find(head, '.'));
    if (str_skip(&update, STR("_")))
        update = version_head(update, "");
    else
        update = STR("");
    n = snprintf(version, sizeof(version), "%.*s%s%.*s", STR_ARG(head), update.n > 0 ? "u" : "",
                 STR_ARG(update));
    if (head.n == 0 || n < 0 || (size_t)n >= sizeof(version))
        return -EBADMSG;
    return str_copy(str_of(version), out, size);
}

/* KEY="value" */
static bool release_value(struct str line, struct str key, struct str *out) {
    line = str_trim(line);
    if (!str_skip(&line, key) || !str_skip(&line, STR("=")))
        return false;
    str_skip(&line, STR("\""));
    str_drop(&line, STR("\""));
    *out = line;
    return line.n > 0;
}

int rt_java_release(struct str text, char *out, size_t size) {
    struct str line, plain = {NULL, 0}, precise = {NULL, 0};

    while (text.n > 0) {
        if (!str_cut(&text, '\n', &line)) {
            line = text;
            text.n = 0;
        }
        (void)release_value(line, STR("JAVA_VERSION"), &plain);
        (void)release_value(line, STR("JAVA_RUNTIME_VERSION"), &precise);
    }
    if (precise.n > 0 && rt_java_version(precise, out, size) == 0)
        return 0;
    return plain.n > 0 && rt_java_version(plain, out, size) == 0 ? 0 : -ENODATA;
}

/* --- mappings --------------------------------------------------------------------------------- */

enum part {
    PART_JVM,
    PART_J9,
    PART_NODE,
    PART_PYTHON,
    PART_GLIBC,
    PART_MUSL,
    PART_JEMALLOC,
    PART_TCMALLOC,
    PART_MIMALLOC,
    PARTS,
};

/* What the name of a mapped file says. A digit must follow where `digit` is set. */
static const struct {
    struct str starts, ends;
    enum part part;
} file_names[] = {
    {{"libjvm.so", 9}, {"libjvm.so", 9}, PART_JVM},
    {{"libj9vm", 7}, {".so", 3}, PART_J9},
    {{"libnode.so", 10}, {"", 0}, PART_NODE},
    {{"libpython", 9}, {"", 0}, PART_PYTHON},
    {{"libc.so.6", 9}, {"libc.so.6", 9}, PART_GLIBC},
    {{"libc-2.", 7}, {".so", 3}, PART_GLIBC},
    {{"ld-musl-", 8}, {"", 0}, PART_MUSL},
    {{"libc.musl-", 10}, {"", 0}, PART_MUSL},
    {{"libjemalloc.so", 14}, {"", 0}, PART_JEMALLOC},
    {{"libtcmalloc", 11}, {"", 0}, PART_TCMALLOC},
    {{"libmimalloc", 11}, {"", 0}, PART_MIMALLOC},
};

struct mapped {
    bool have;
    uint64_t start, end;
    char path[PATH_SIZE];
};

struct parts {
    bool by_name; /* the executable's name has to do: nothing but names was captured */
    struct mapped part[PARTS];
};

static struct str base_of(struct str path) {
    ptrdiff_t slash = str_rfind(path, '/');

    return slash < 0 ? path : str_from(path, (size_t)slash + 1);
}

/* "python3.11", "node". */
static void see_executable(struct parts *parts, const struct mapping *m, struct str base) {
    struct mapped *to = &parts->part[str_eq(base, STR("node")) ? PART_NODE : PART_PYTHON];

    if (to->have || m->perms[2] != 'x')
        return;
    if (!str_eq(base, STR("node")) && !str_starts(base, STR("python")))
        return;
    to->have = str_copy(m->path, to->path, sizeof(to->path)) == 0;
}

static int see_mapping(void *ctx, const struct mapping *m) {
    struct parts *parts = ctx;
    struct str base;

    if (m->inode == 0 || m->path_cut || m->path.n == 0 || m->path.p[0] != '/')
        return 0;
    base = base_of(m->path);
    if (parts->by_name)
        see_executable(parts, m, base);
    if (!str_starts(base, STR("l")))
        return 0;
    for (size_t i = 0; i < ARRAY_N(file_names); i++) {
        struct mapped *to = &parts->part[file_names[i].part];

        if (to->have || !str_starts(base, file_names[i].starts) ||
            !str_ends(base, file_names[i].ends))
            continue;
        if (str_copy(m->path, to->path, sizeof(to->path)) < 0)
            return 0;
        to->have = true;
        to->start = m->start;
        to->end = m->end;
        return 0;
    }
    return 0;
}

/* In a captured tree /proc/PID/root leads out of it: its files are those below the tree. */
static int open_part(const struct rtproc *p, const struct mapped *m) {
    return p->host->live ? rtproc_open_mapped(p, m->start, m->end, m->path)
                         : file_open_in(p->host->root, m->path);
}

static int load_file(const struct rtproc *p, const char *path, char **out, size_t *len_out) {
    return p->host->live ? rtproc_load(p, path, RELEASE_MAX, out, len_out)
                         : file_load_in(p->host->root, path, RELEASE_MAX, out, len_out);
}

/* --- strings of a program --------------------------------------------------------------------- */

/* Takes what stands behind the text that was looked for. */
struct taken {
    size_t skip;      /* length of the text */
    const char *more; /* what a version may have besides digits and dots */
    const char *last; /* bytes that may follow it */
    char version[40];
    uint64_t max; /* bytes to search, 0: the usual */
};

static int take_version(void *ctx, struct str before, struct str from) {
    struct taken *t = ctx;
    struct str rest = str_from(from, t->skip), version = version_head(rest, t->more);

    (void)before;
    if (version.n < 3 || version.n >= rest.n || version.n >= sizeof(t->version))
        return 0;
    if (rest.p[version.n] != '\0' && !strchr(t->last, rest.p[version.n]))
        return 0;
    return str_copy(version, t->version, sizeof(t->version)) == 0 ? 1 : 0;
}

/* A text of the program that is a version with this head ("3.9.", "1.2."): between two NULs, or the
 * end of a path, with which linkers let it share its place. */
static int take_whole(void *ctx, struct str before, struct str from) {
    struct taken *t = ctx;
    struct str version = version_head(from, t->more);

    if (before.n == 0 || version.n <= t->skip ||
        (before.p[before.n - 1] != '\0' && before.p[before.n - 1] != '/'))
        return 0;
    if (version.n >= from.n || from.p[version.n] != '\0' || version.n >= sizeof(t->version))
        return 0;
    return str_copy(version, t->version, sizeof(t->version)) == 0 ? 1 : 0;
}

static bool find_version(const struct elf *e, struct str text, elf_found_fn *take,
                         struct taken *t) {
    uint64_t max = t->max ? t->max : STRINGS_MAX;
    struct elf_section s;

    t->skip = text.n;
    return elf_section(e, ".rodata", &s) == 0 && elf_search(e, &s, text, max, take, t) == 1;
}

/* --- each runtime ----------------------------------------------------------------------------- */

static bool release_beside(const struct rtproc *p, const char *library, char *out, size_t size) {
    char path[PATH_SIZE + 16];
    struct str folder = str_of(library);

    for (int i = 0; i < RELEASE_ABOVE; i++) {
        ptrdiff_t slash = str_rfind(folder, '/');
        auto_free char *text = NULL;
        size_t n;

        if (slash < 0)
            return false;
        folder = str_head(folder, (size_t)slash);
        (void)snprintf(path, sizeof(path), "%.*s/release", STR_ARG(folder));
        if (load_file(p, path, &text, &n) == 0 &&
            rt_java_release((struct str){text, n}, out, size) == 0)
            return true;
    }
    return false;
}

/* libjvm.so says of itself: "... VM (25.121-b13) for linux-amd64 JRE (1.8.0_121-b13), built on". */
static void java_version(const struct rtproc *p, const struct mapped *m, struct rt_id *id) {
    struct taken t = {.more = "+_", .last = "-) "};
    auto_close int fd = -1;
    struct elf e;

    if (release_beside(p, m->path, id->version, sizeof(id->version)))
        return;
    fd = open_part(p, m);
    if (fd >= 0 && elf_open(fd, &e) == 0 && find_version(&e, STR(" JRE ("), take_version, &t))
        (void)rt_java_version(str_of(t.version), id->version, sizeof(id->version));
}

/* In every build: what its inspector and its process.release say. */
static void node_version(const struct elf *e, struct rt_id *id) {
    static const struct str texts[] = {{"node.js/v", 9}, {"/node-v", 7}};

    for (size_t i = 0; i < ARRAY_N(texts); i++) {
        struct taken t = {.more = "", .last = "-.", .max = NODE_STRINGS_MAX};

        if (find_version(e, texts[i], take_version, &t)) {
            (void)str_copy(str_of(t.version), id->version, sizeof(id->version));
            return;
        }
    }
}

/* PY_VERSION_HEX: 0x030b02f0 is 3.11.2 final; a, b, c: before a release. */
static bool python_hex(uint64_t hex, struct rt_id *id) {
    unsigned major = (unsigned)(hex >> 24 & 255), minor = (unsigned)(hex >> 16 & 255);
    unsigned micro = (unsigned)(hex >> 8 & 255), level = (unsigned)(hex >> 4 & 15);
    static const char *const levels[16] = {[10] = "a", [11] = "b", [12] = "rc"};

    if (hex >> 32 != 0 || major < 2 || major > 9)
        return false;
    if (levels[level])
        (void)snprintf(id->version, sizeof(id->version), "%u.%u.%u%s%u", major, minor, micro,
                       levels[level], (unsigned)(hex & 15));
    else
        (void)snprintf(id->version, sizeof(id->version), "%u.%u.%u", major, minor, micro);
    return true;
}

/* Py_Version is there since 3.11; before, the name says 3.9 and a text of the program 3.9.2. */
static void python_version(const struct elf *e, struct str name, struct rt_id *id) {
    struct elf_symbol symbol = {.name = "Py_Version"};
    struct taken t = {.more = "abrc+"};
    char head[16];
    uint64_t hex;
    struct str minor;

    if (elf_exports(e, &symbol, 1) == 0 && symbol.value != 0 &&
        elf_read(e, symbol.value, &hex, sizeof(hex)) == 0 && python_hex(hex, id))
        return;
    name = base_of(name);
    str_skip(&name, STR("lib"));
    if (!str_skip(&name, STR("python")))
        return;
    minor = version_head(name, "");
    if (str_find(minor, '.') < 0 || minor.n > 5)
        return;
    (void)snprintf(head, sizeof(head), "%.*s.", STR_ARG(minor));
    if (find_version(e, str_of(head), take_whole, &t))
        (void)str_copy(str_of(t.version), id->version, sizeof(id->version));
    else
        (void)str_copy(minor, id->version, sizeof(id->version));
}

static void python_of_library(const struct rtproc *p, const struct mapped *m, struct rt_id *id) {
    auto_close int fd = open_part(p, m);
    struct elf e;

    if (fd >= 0 && elf_open(fd, &e) == 0)
        python_version(&e, str_of(m->path), id);
}

static void node_of_library(const struct rtproc *p, const struct mapped *m, struct rt_id *id) {
    auto_close int fd = open_part(p, m);
    struct elf e;

    if (fd >= 0 && elf_open(fd, &e) == 0)
        node_version(&e, id);
}

/* --- libc and allocator ----------------------------------------------------------------------- */

/* glibc: "... stable release version 2.36."; musl: "1.2.3" alone. */
static void libc_version(const struct rtproc *p, const struct mapped *m, bool glibc,
                         struct rt_id *id) {
    auto_close int fd = open_part(p, m);
    struct taken t = {.more = "", .last = ".,\n"};
    struct elf e;

    if (fd < 0 || elf_open(fd, &e) < 0)
        return;
    if (glibc ? find_version(&e, STR(" release version "), take_version, &t)
              : (find_version(&e, STR("1.2."), take_whole, &t) ||
                 find_version(&e, STR("1.1."), take_whole, &t)))
        (void)str_copy(str_of(t.version), id->libc_version, sizeof(id->libc_version));
}

static void take_libc(const struct rtproc *p, const struct elf *e, const struct parts *parts,
                      struct rt_id *id) {
    const struct mapped *glibc = &parts->part[PART_GLIBC], *musl = &parts->part[PART_MUSL];

    if (glibc->have) {
        id->libc = RT_LIBC_GLIBC;
        libc_version(p, glibc, true, id);
    } else if (musl->have || str_starts(base_of(str_of(e->interp)), STR("ld-musl-"))) {
        id->libc = RT_LIBC_MUSL;
        if (musl->have)
            libc_version(p, musl, false, id);
    } else if (e->is_dynamic) {
        id->libc = RT_LIBC_OTHER;
    }
}

/* --- the executable --------------------------------------------------------------------------- */

enum symbol {
    SYMBOL_NODE,
    SYMBOL_PYTHON,
    SYMBOL_PYTHON_OLD,
    SYMBOL_JEMALLOC,
    SYMBOL_TCMALLOC,
    SYMBOL_MIMALLOC,
    SYMBOLS,
};

static void read_symbols(const struct elf *e, struct elf_symbol symbol[static SYMBOLS]) {
    static const char *const wanted[SYMBOLS] = {
        [SYMBOL_NODE] = "_ZN4node5StartEiPPc", /* node::Start(int, char**) */
        [SYMBOL_PYTHON] = "Py_BytesMain",      [SYMBOL_PYTHON_OLD] = "Py_Main",
        [SYMBOL_JEMALLOC] = "mallctl",         [SYMBOL_TCMALLOC] = "tc_malloc",
        [SYMBOL_MIMALLOC] = "mi_malloc",
    };

    for (unsigned i = 0; i < SYMBOLS; i++)
        symbol[i] = (struct elf_symbol){.name = wanted[i]};
    if (e->is_dynamic)
        (void)elf_exports(e, symbol, SYMBOLS);
    else
        (void)elf_symbols_within(e, STATIC_SYMBOLS, symbol, SYMBOLS);
}

static void take_allocator(const struct elf_symbol *symbol, const struct parts *parts,
                           struct rt_id *id) {
    if (parts->part[PART_JEMALLOC].have || symbol[SYMBOL_JEMALLOC].value)
        id->alloc = RT_ALLOC_JEMALLOC;
    else if (parts->part[PART_TCMALLOC].have || symbol[SYMBOL_TCMALLOC].value)
        id->alloc = RT_ALLOC_TCMALLOC;
    else if (parts->part[PART_MIMALLOC].have || symbol[SYMBOL_MIMALLOC].value)
        id->alloc = RT_ALLOC_MIMALLOC;
}

static void take_mapped(const struct rtproc *p, const struct parts *parts, struct rt_id *id) {
    const struct mapped *part = parts->part;

    if (part[PART_J9].have || part[PART_JVM].have) {
        id->kind = part[PART_J9].have ? RT_OPENJ9 : RT_JVM;
        java_version(p, &part[part[PART_JVM].have ? PART_JVM : PART_J9], id);
    } else if (part[PART_NODE].have) {
        id->kind = RT_NODE;
        node_of_library(p, &part[PART_NODE], id);
    } else if (part[PART_PYTHON].have) {
        id->kind = RT_PYTHON;
        python_of_library(p, &part[PART_PYTHON], id);
    }
}

static void exe_name(const struct rtproc *p, char *out, size_t size) {
    struct str path;

    if (file_link_at(p->dir, "exe", out, size, &path) < 0)
        out[0] = '\0';
    else
        out[path.n < size ? path.n : size - 1] = '\0';
}

static void look_at_exe(const struct rtproc *p, const struct elf *e,
                        const struct elf_symbol *symbol, struct rt_id *id) {
    char path[PATH_SIZE];

    if (symbol[SYMBOL_NODE].value) {
        id->kind = RT_NODE;
        node_version(e, id);
    } else if (symbol[SYMBOL_PYTHON].value || symbol[SYMBOL_PYTHON_OLD].value) {
        id->kind = RT_PYTHON;
        exe_name(p, path, sizeof(path));
        python_version(e, str_of(path), id);
    }
}

static bool is_go(const struct elf *e, struct rt_id *id) {
    char note[256];
    int r = elf_go_version(e, id->version, sizeof(id->version));

    if (r != 0 && elf_note(e, "Go", 4, note, sizeof(note)) < 0)
        return false;
    id->kind = RT_GO;
    if (str_starts(base_of(str_of(e->interp)), STR("ld-musl-")))
        id->libc = RT_LIBC_MUSL;
    else if (e->is_dynamic)
        id->libc =
            str_starts(base_of(str_of(e->interp)), STR("ld-linux")) ? RT_LIBC_GLIBC : RT_LIBC_OTHER;
    return true;
}

/* What is mapped where the executable cannot be read: of a captured machine, or one that is none of
 * ours (32 bits). */
static int by_mappings(const struct rtproc *p, struct parts *parts, struct rt_id *out) {
    struct rt_id id = {.kind = RT_UNKNOWN};
    struct elf none = {.fd = -1};
    int r;

    parts->by_name = !p->host->live;
    r = maps_each(p->host->proc, p->pid, see_mapping, parts);
    if (r == -ENOENT && parts->by_name)
        r = smaps_each(p->host->proc, p->pid, see_mapping, parts);
    if (r == -ENOENT && parts->by_name)
        r = 0;
    if (r < 0)
        return r;
    take_mapped(p, parts, &id);
    take_libc(p, &none, parts, &id);
    if (id.kind == RT_UNKNOWN && id.libc != RT_LIBC_NONE)
        id.kind = RT_NATIVE;
    if (id.kind == RT_PYTHON && id.version[0] == '\0') {
        struct str name = base_of(str_of(parts->part[PART_PYTHON].path));

        str_skip(&name, STR("lib"));
        str_skip(&name, STR("python"));
        (void)str_copy(version_head(name, ""), id.version, sizeof(id.version));
    }
    *out = id;
    return 0;
}

static int by_exe(const struct rtproc *p, const struct elf *e, struct parts *parts,
                  struct rt_id *out) {
    struct rt_id id = {.kind = RT_UNKNOWN};
    struct elf_symbol symbol[SYMBOLS];
    int r;

    if (is_go(e, &id)) {
        *out = id;
        return 0;
    }
    r = maps_each(p->host->proc, p->pid, see_mapping, parts);
    if (r < 0)
        return r;
    read_symbols(e, symbol);
    look_at_exe(p, e, symbol, &id);
    if (id.kind == RT_UNKNOWN)
        take_mapped(p, parts, &id);
    take_libc(p, e, parts, &id);
    take_allocator(symbol, parts, &id);
    if (id.kind == RT_UNKNOWN)
        id.kind = id.libc != RT_LIBC_NONE ? RT_NATIVE : RT_STATIC;
    *out = id;
    return 0;
}

int rt_recognise(const struct rtproc *p, struct rt_id *out) {
    auto_free struct parts *parts = calloc(1, sizeof(*parts));
    auto_close int fd = -1;
    struct elf e;
    int r;

    if (!parts)
        return -ENOMEM;
    /* In a captured tree the link leads to a file of ours. */
    fd = p->host->live ? rtproc_open_exe(p) : -ENOENT;
    if (fd == -EACCES || fd == -EPERM)
        return fd;
    r = fd < 0 ? fd : elf_open(fd, &e);
    r = r == 0 ? by_exe(p, &e, parts, out) : by_mappings(p, parts, out);
    return procfile_gone(r) ? -ESRCH : r;
}
