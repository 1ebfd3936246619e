#include "runtime/nodesignal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "kern/maps.h"
#include "runtime/elf.h"

/* libuv 1.x: uv_signal_t begins with what every handle has, then its callback, the signal, and its
 * place in a red-black tree ordered by signal. Unchanged since 1.0. */
enum {
    HANDLE_TYPE = 16,
    HANDLE_SIGNAL = 104,
    HANDLE_LEFT = 112,
    HANDLE_RIGHT = 120,
    HANDLE_PARENT = 128,
    HANDLE_COLOUR = 136,
    HANDLE_SIZE = 144,
    TYPE_SIGNAL = 16, /* UV_SIGNAL */
    HANDLES_MAX = 1024,
    VARIABLES_MAX = 4 << 20, /* of libuv, which has a few KiB, or of an executable that has it */
    TRIES = 3,               /* the program may change its list while it is read */
    PATH = 4096,
};

struct handle {
    uint64_t left, right, parent;
    int32_t signal;
};

static uint64_t word_of(const unsigned char *raw, size_t at) {
    uint64_t word;

    memcpy(&word, raw + at, sizeof(word));
    return word;
}

static int32_t int_of(const unsigned char *raw, size_t at) {
    int32_t number;

    memcpy(&number, raw + at, sizeof(number));
    return number;
}

static bool is_place(uint64_t address) {
    return address >= 65536 && address < 1ULL << 47 && address % 8 == 0;
}

/* A handle of a signal, or -EBADMSG. */
static int read_handle(const struct rtproc *p, uint64_t address, struct handle *out) {
    unsigned char raw[HANDLE_SIZE];
    int r = is_place(address) ? rtproc_read(p, address, raw, sizeof(raw)) : -EBADMSG;

    if (r < 0)
        return r == -EFAULT ? -EBADMSG : r;
    *out = (struct handle){
        .left = word_of(raw, HANDLE_LEFT),
        .right = word_of(raw, HANDLE_RIGHT),
        .parent = word_of(raw, HANDLE_PARENT),
        .signal = int_of(raw, HANDLE_SIGNAL),
    };
    if (int_of(raw, HANDLE_TYPE) != TYPE_SIGNAL || out->signal < 1 || out->signal > 64 ||
        (unsigned)int_of(raw, HANDLE_COLOUR) > 1)
        return -EBADMSG;
    return 0;
}

/* Whether the tree has the signal. The program runs on meanwhile: what does not fit together is
 * -EBADMSG. */
static int search_tree(const struct rtproc *p, uint64_t root, int signal) {
    uint64_t at[64];
    unsigned depth = 0, seen = 0;

    if (root == 0)
        return 0;
    at[depth++] = root;
    while (depth > 0) {
        struct handle h;
        int r = read_handle(p, at[--depth], &h);

        if (r < 0)
            return r;
        if (h.signal == signal)
            return 1;
        if (++seen > HANDLES_MAX || depth + 2 > ARRAY_N(at))
            return -EBADMSG;
        if (h.left)
            at[depth++] = h.left;
        if (h.right)
            at[depth++] = h.right;
    }
    return 0;
}

/* ---- where the root is ---- */

struct range {
    uint64_t start, end;
};

/* A file that is mapped, and its writable mappings, which touch each other. */
struct place {
    struct range variables;
    bool inside;
};

struct search {
    char exe[PATH];
    uint64_t exe_start;
    struct place libuv, program;
};

static bool is_libuv(struct str path) {
    struct str name = str_from(path, (size_t)(str_rfind(path, '/') + 1));

    return str_starts(name, STR("libuv.so.1"));
}

/* What has no name and follows is of it too: variables that are zero in the file. */
static void take_mapping(struct place *p, const struct mapping *m, bool is_its) {
    bool writable = m->perms[0] == 'r' && m->perms[1] == 'w';

    if (is_its)
        p->inside = true;
    else if (m->path.n > 0 || m->start != p->variables.end)
        p->inside = false;
    if (!p->inside || !writable)
        return;
    if (p->variables.end == 0)
        p->variables.start = m->start;
    p->variables.end = m->end;
}

static int each_mapping(void *ctx, const struct mapping *m) {
    struct search *s = ctx;

    if (s->exe_start == 0 && s->exe[0] && str_eq(m->path, str_of(s->exe)))
        s->exe_start = m->start;
    take_mapping(&s->libuv, m, is_libuv(m->path));
    take_mapping(&s->program, m, s->exe[0] && str_eq(m->path, str_of(s->exe)));
    return 0;
}

/* The address of uv__signal_tree by the executable's symbols, or -errno. */
static int find_symbol(const struct rtproc *p, const struct search *s, uint64_t *address) {
    struct elf_symbol symbol = {.name = "uv__signal_tree"};
    auto_close int fd = rtproc_open_exe(p);
    struct elf elf;
    int r = fd < 0 ? fd : elf_open(fd, &elf);

    if (r == 0)
        r = elf_symbols(&elf, &symbol, 1);
    if (r < 0)
        return r;
    if (symbol.value == 0)
        return -ENOENT;
    /* ET_DYN (3) is moved by where it was put. */
    if (elf.type == 3 && (s->exe_start == 0 || s->exe_start < elf.low))
        return -ENOENT;
    *address = symbol.value + (elf.type == 3 ? s->exe_start - elf.low : 0);
    return 0;
}

/* Looks among libuv's variables for what points at the root of such a tree. 1: the tree has the
 * signal; 0: no; -errno. */
static int scan_variables(const struct rtproc *p, struct range range, int signal) {
    auto_free unsigned char *raw = NULL;
    uint64_t size = range.end - range.start, root = 0;
    int r;

    if (range.end == 0 || size > VARIABLES_MAX)
        return -ENOENT;
    raw = malloc(size);
    if (!raw)
        return -ENOMEM;
    r = rtproc_read(p, range.start, raw, size);
    if (r < 0)
        return r;
    for (size_t i = 0; i + 8 <= size; i += 8) {
        uint64_t word = word_of(raw, i);
        struct handle h;

        /* The default loop, which lies there too, has handles in it that are in no tree: they have
         * no signal. */
        if (word == root || read_handle(p, word, &h) < 0 || h.parent != 0)
            continue;
        if (root != 0)
            return -EBADMSG; /* two of them: it is not what we think */
        root = word;
    }
    return search_tree(p, root, signal);
}

static enum node_handler look_once(const struct rtproc *p, int signal, struct search *s) {
    struct str exe;
    uint64_t address, root;
    int r;

    *s = (struct search){.exe_start = 0};
    if (file_link_at(p->dir, "exe", s->exe, sizeof(s->exe), &exe) < 0)
        return NODE_HANDLER_UNKNOWN;
    s->exe[exe.n < sizeof(s->exe) ? exe.n : sizeof(s->exe) - 1] = '\0';
    if (maps_each(p->host->proc, p->pid, each_mapping, s) < 0)
        return NODE_HANDLER_UNKNOWN;
    r = find_symbol(p, s, &address);
    if (r == 0)
        r = rtproc_read(p, address, &root, sizeof(root));
    if (r == 0)
        r = search_tree(p, root, signal);
    else
        r = scan_variables(p, s->libuv.variables.end ? s->libuv.variables : s->program.variables,
                           signal);
    if (r < 0)
        return NODE_HANDLER_UNKNOWN;
    return r == 1 ? NODE_HANDLER_PROGRAM : NODE_HANDLER_OWN;
}

enum node_handler node_handler_of(const struct rtproc *p, int signal) {
    auto_free struct search *s = malloc(sizeof(*s));
    enum node_handler found = NODE_HANDLER_UNKNOWN;

    for (int i = 0; s && i < TRIES && found == NODE_HANDLER_UNKNOWN; i++)
        found = look_once(p, signal, s);
    return found;
}
