#include "runtime/pythonlook.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "kern/maps.h"
#include "runtime/elf.h"

enum { PATH = 4096 };

/* --- its file --------------------------------------------------------------------------------- */

struct image {
    char path[PATH];
    uint64_t start, end; /* of the mapping of its beginning; 0: none seen */
};

struct search {
    struct image exe, lib;
    char exe_path[PATH];
};

static void note_image(struct image *image, const struct mapping *m) {
    if (image->start || m->path_cut || str_copy(m->path, image->path, sizeof(image->path)) < 0)
        return;
    image->start = m->start;
    image->end = m->end;
}

static int each_mapping(void *ctx, const struct mapping *m) {
    struct search *s = ctx;
    struct str base = str_from(m->path, (size_t)(str_rfind(m->path, '/') + 1));

    if (m->offset != 0)
        return 0;
    if (str_eq(m->path, str_of(s->exe_path)))
        note_image(&s->exe, m);
    else if (str_starts(base, STR("libpython3.")))
        note_image(&s->lib, m);
    return 0;
}

static int find_images(const struct rtproc *p, struct search *s) {
    char text[PATH];
    struct str link;

    if (file_link_at(p->dir, "exe", text, sizeof(text), &link) == 0) {
        (void)str_drop(&link, STR(" (deleted)"));
        (void)str_copy(link, s->exe_path, sizeof(s->exe_path));
    }
    return maps_each(p->host->proc, p->pid, each_mapping, s);
}

/* What the file exports, where it is mapped. */
static int resolve(int fd, uint64_t start, struct elf_symbol *symbol, size_t n) {
    struct elf e;
    int err = elf_open(fd, &e);

    if (err == 0)
        err = elf_exports(&e, symbol, n);
    if (err < 0)
        return err;
    if (e.type == ET_EXEC)
        return 0;
    if (!start)
        return -ENOENT;
    for (size_t i = 0; i < n; i++)
        if (symbol[i].value)
            symbol[i].value += start - (e.low & ~UINT64_C(4095));
    return 0;
}

static int resolve_in(const struct rtproc *p, bool in_library, struct elf_symbol *symbol,
                      size_t n) {
    auto_free struct search *s = calloc(1, sizeof(*s));
    auto_close int fd = -1;
    int err = s ? find_images(p, s) : -ENOMEM;

    if (err < 0)
        return err;
    if (in_library && !s->lib.start)
        return -ENOENT;
    fd = in_library ? rtproc_open_mapped(p, s->lib.start, s->lib.end, s->lib.path)
                    : rtproc_open_exe(p);
    return fd < 0 ? fd : resolve(fd, in_library ? s->lib.start : s->exe.start, symbol, n);
}

static int find_runtime(const struct rtproc *p, struct pygcread *read, struct python *out) {
    int err = -ENOENT;

    for (int in_library = 1; in_library >= 0; in_library--) {
        struct elf_symbol symbol[] = {{.name = "_PyRuntime"}, {.name = "Py_Version"}};

        err = resolve_in(p, in_library, symbol, ARRAY_N(symbol));
        if (err < 0 || !symbol[0].value)
            continue;
        out->in_library = in_library;
        out->runtime = symbol[0].value;
        out->version = 0;
        if (!symbol[1].value)
            return 0;
        return read->fn(read->ctx, symbol[1].value, &out->version, sizeof(out->version));
    }
    return err < 0 ? err : -ENOENT;
}

int python_symbols(const struct rtproc *p, const struct python *py, struct elf_symbol *symbol,
                   size_t n) {
    return resolve_in(p, py->in_library, symbol, n);
}

/* --- what must hold --------------------------------------------------------------------------- */

void python_version_text(uint64_t version, char *out, size_t size) {
    unsigned level = version >> 4 & 0xf;

    if (version == 0 || version >> 32)
        (void)snprintf(out, size, "older than 3.11");
    else
        (void)snprintf(out, size, "%u.%u.%u%s", (unsigned)(version >> 24),
                       (unsigned)(version >> 16 & 0xff), (unsigned)(version >> 8 & 0xff),
                       level == 0xf ? "" : " (not a release)");
}

static int refuse_version(uint64_t version, struct err *err) {
    char text[PYTHON_VERSION + 16];
    struct buf known;
    int r;

    buf_init(&known, 200);
    pylayout_add_known(&known);
    python_version_text(version, text, sizeof(text));
    r = err_set(err, -EOPNOTSUPP, "python is %s; the layouts known here are of %.*s", text,
                STR_ARG(buf_str(&known)));
    buf_done(&known);
    return r;
}

static int word_at(struct pygcread *read, uint64_t address, uint64_t *out) {
    return read->fn(read->ctx, address, out, sizeof(*out));
}

/* An interpreter knows its runtime, its threads know it, and its collector's lists are in order. */
static int check_interpreter(struct pygcread *read, const struct python *py, uint64_t interp) {
    const struct pylayout *l = py->layout;
    uint64_t runtime, thread, owner;
    struct pygc_state state;

    if (!pygcread_is_place(interp) || word_at(read, interp + l->interp_runtime, &runtime) < 0 ||
        runtime != py->runtime || word_at(read, interp + l->interp_threads, &thread) < 0)
        return -EBADMSG;
    if (thread && (!pygcread_is_place(thread) ||
                   word_at(read, thread + PY_THREAD_INTERP, &owner) < 0 || owner != interp))
        return -EBADMSG;
    return pygc_state(read, interp + l->interp_gc, &state);
}

/* An interpreter that has just been made is not ready to be checked, and one that ends is gone in
 * between: what holds of none is no CPython of this layout, what does not of some is left out. */
static int check_interpreters(struct pygcread *read, struct python *out) {
    uint64_t interp;
    unsigned seen = 0;

    out->n = 0;
    if (word_at(read, out->runtime + out->layout->interpreters, &interp) < 0)
        return -EBADMSG;
    for (; interp && seen < PYTHON_INTERPRETERS; seen++) {
        if (check_interpreter(read, out, interp) == 0)
            out->interpreter[out->n++] = interp;
        if (!pygcread_is_place(interp) ||
            word_at(read, interp + out->layout->interp_next, &interp) < 0)
            break;
    }
    return out->n > 0 ? 0 : -EBADMSG;
}

int python_check(struct pygcread *read, struct python *out, struct err *err) {
    char text[PYTHON_VERSION + 16];
    uint64_t finalizing;
    int32_t initialized;

    out->layout = pylayout_find(out->version);
    if (!out->layout)
        return refuse_version(out->version, err);
    if (read->fn(read->ctx, out->runtime + out->layout->initialized, &initialized, 4) < 0 ||
        word_at(read, out->runtime + out->layout->finalizing, &finalizing) < 0)
        return err_set(err, -ENODATA, "the interpreter's state cannot be read");
    out->finalizing = finalizing != 0;
    if (!initialized)
        return err_set(err, -EAGAIN,
                       finalizing ? "python is at its end" : "python has not started up yet");
    for (unsigned i = 0; i < 3; i++)
        if (check_interpreters(read, out) == 0)
            return 0;
    python_version_text(out->version, text, sizeof(text));
    return err_set(err, -ENODATA,
                   "python %s is built otherwise than the layout known of it (a debug or "
                   "free-threaded build?)",
                   text);
}

int python_look(const struct rtproc *p, struct pygcread *read, struct python *out,
                struct err *err) {
    struct python py = {0};
    int r = find_runtime(p, read, &py);

    if (r == -ENOENT || r == -ENOEXEC || r == -EBADMSG)
        return err_set(err, -ENODATA,
                       "neither the executable nor a libpython of process %d exports _PyRuntime",
                       p->pid);
    if (r < 0)
        return err_set(err, r, "cannot look into process %d:", p->pid);
    r = python_check(read, &py, err);
    if (r == 0)
        *out = py;
    return r;
}

uint64_t python_gc(const struct python *py, unsigned i) {
    return py->interpreter[i] + py->layout->interp_gc;
}

int python_gil(struct pygcread *read, const struct python *py, struct python_gil *out) {
    uint64_t gil = py->runtime + py->layout->runtime_gil;
    char raw[PY_GIL_SIZE];
    int32_t locked;
    int err = 0;

    if (!py->layout->runtime_gil)
        err = word_at(read, py->interpreter[py->n - 1] + py->layout->interp_gil, &gil);
    if (err == 0)
        err = pygcread_is_place(gil) ? read->fn(read->ctx, gil, raw, sizeof(raw)) : -EBADMSG;
    if (err < 0)
        return err;
    memcpy(&locked, raw + PY_GIL_LOCKED, sizeof(locked));
    memcpy(&out->holder, raw + PY_GIL_HOLDER, sizeof(out->holder));
    memcpy(&out->switches, raw + PY_GIL_SWITCHES, sizeof(out->switches));
    out->locked = locked == 1;
    return locked >= -1 && locked <= 1 ? 0 : -EBADMSG;
}

int python_threads(struct pygcread *read, const struct python *py) {
    int n = 0;

    for (unsigned i = 0; i < py->n; i++) {
        uint64_t interp = py->interpreter[i], links[3], thread, before = 0;

        if (word_at(read, interp + py->layout->interp_threads, &thread) < 0)
            return -EBADMSG;
        for (unsigned seen = 0; thread && seen < PYTHON_THREADS; seen++, n++) {
            if (!pygcread_is_place(thread) ||
                read->fn(read->ctx, thread, links, sizeof(links)) < 0 ||
                links[PY_THREAD_INTERP / 8] != interp || links[PY_THREAD_PREV / 8] != before)
                return -EBADMSG;
            before = thread;
            thread = links[PY_THREAD_NEXT / 8];
        }
    }
    return n;
}

int python_read(void *ctx, uint64_t address, void *out, size_t n) {
    return rtproc_read(ctx, address, out, n);
}
