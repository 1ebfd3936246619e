#include "act/hints.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"

static const uint64_t mib = 1 << 20;

/* --- how large a heap may be --- */

/* The cap less a share and less at least so much, but never below `least`. */
static uint64_t heap_of(uint64_t cap, unsigned share_left, uint64_t left, uint64_t least) {
    uint64_t share = cap / 100 * share_left;
    uint64_t keep = share > left ? share : left;

    return cap > keep + least ? cap - keep : least;
}

/* Beside a full old space Node 20 has 45 MiB in use, whatever its size (measured from 8 to 160
 * MiB), and Buffers live outside of it. With less than 16 MiB it hardly starts. */
static uint64_t node_heap(uint64_t cap) {
    return heap_of(cap, 25, 64 * mib, 16 * mib);
}

/* Beside a full heap the smallest Java 17 program has 40 MiB in use; classes, threads and direct
 * buffers come on top. A quarter is what a JVM that sees the limit would take. */
static uint64_t java_heap(uint64_t cap) {
    return heap_of(cap, 30, 64 * mib, cap / 4);
}

/* 0.90: with more a Go program at its limit still hangs or dies, with 0.84 it spends 1.7 times the
 * CPU on collecting. */
static uint64_t go_limit(uint64_t cap) {
    return cap / 10 * 9 + cap % 10 * 9 / 10;
}

/* --- what a JVM is --- */

static int next_number(struct str *s, unsigned *out) {
    uint64_t value;
    size_t n = 0;

    while (n < s->n && s->p[n] >= '0' && s->p[n] <= '9')
        n++;
    if (n == 0 || n > 4 || str_to_u64(str_head(*s, n), &value) < 0)
        return -EBADMSG;
    *out = (unsigned)value;
    *s = str_from(*s, n);
    return 0;
}

/* "-ea", "+6-Debian-1deb12u1", "-b07" */
static bool is_suffix(struct str s) {
    if (s.n > 0 && s.p[0] != '-' && s.p[0] != '+')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              c == '.' || c == '-' || c == '+' || c == '_' || c == '~'))
            return false;
    }
    return true;
}

int hints_parse_java(struct str version, struct java_version *out) {
    struct java_version v = {0};
    unsigned more;

    if (version.n > 64)
        return -EBADMSG;
    if (str_skip(&version, STR("1."))) {
        if (next_number(&version, &v.feature) < 0)
            return -EBADMSG;
        if (str_skip(&version, STR(".")) && next_number(&version, &v.interim) < 0)
            return -EBADMSG;
        if (str_skip(&version, STR("_")) && next_number(&version, &v.update) < 0)
            return -EBADMSG;
    } else {
        if (next_number(&version, &v.feature) < 0)
            return -EBADMSG;
        if (str_skip(&version, STR(".")) && next_number(&version, &v.interim) < 0)
            return -EBADMSG;
        if (str_skip(&version, STR(".")) && next_number(&version, &v.update) < 0)
            return -EBADMSG;
        while (str_skip(&version, STR(".")))
            if (next_number(&version, &more) < 0)
                return -EBADMSG;
    }
    if (v.feature == 0 || !is_suffix(version))
        return -EBADMSG;
    *out = v;
    return 0;
}

/* v1: JDK-8146115 in 10, and in 8u191. v2: JDK-8230305 in 15, and in 11.0.16 and 8u372. */
bool hints_java_sees(const struct java_version *v, enum cg_version version) {
    if (v->feature == 8)
        return v->update >= (version == CG_V1 ? 191 : 372);
    if (version == CG_V1)
        return v->feature >= 10;
    return v->feature >= 15 || (v->feature == 11 && (v->interim > 0 || v->update >= 16));
}

/* An unknown -XX flag keeps HotSpot from starting; these came with JDK-8186315. */
static bool knows_percentages(const struct java_release *java) {
    return !java->openj9 && (java->version.feature >= 10 ||
                             (java->version.feature == 8 && java->version.update >= 191));
}

int hints_parse_release(struct str text, struct java_release *out) {
    struct java_release found = {0};
    bool have = false;
    struct str line;

    while (text.n > 0) {
        if (!str_cut(&text, '\n', &line)) {
            line = text;
            text.n = 0;
        }
        (void)str_drop(&line, STR("\r"));
        if (str_skip(&line, STR("JAVA_VERSION=\""))) {
            if (!str_drop(&line, STR("\"")) || hints_parse_java(line, &found.version) < 0)
                return -EBADMSG;
            have = true;
        } else if (str_skip(&line, STR("JVM_VARIANT=\""))) {
            found.openj9 = str_eq(line, STR("Openj9\"")) || str_eq(line, STR("OpenJ9\""));
        }
    }
    if (!have)
        return -EBADMSG;
    *out = found;
    return 0;
}

void hints_add_java(const struct java_release *java, uint64_t cap, struct buf *out) {
    uint64_t heap = java_heap(cap);
    unsigned pct = (unsigned)((unsigned __int128)heap * 100 / cap);

    if (!knows_percentages(java)) {
        buf_add_format(out, "-Xmx%lluk", (unsigned long long)heap / 1024);
        return;
    }
    /* Percentages are of what it takes for the machine's memory. MinRAMPercentage is the one that
     * counts where that is small (below 250 MB). 8u191 wants the ".0". */
    buf_add_format(out, "-XX:MaxRAM=%llu -XX:MaxRAMPercentage=%u.0 -XX:MinRAMPercentage=%u.0",
                   (unsigned long long)cap, pct, pct);
}

/* --- where it is --- */

const char *hints_variable(char *const *env, const char *name) {
    size_t n = strlen(name);

    for (; env && *env; env++)
        if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
            return *env + n + 1;
    return NULL;
}

/* FOLDER/below/release, if it is one. */
static bool read_release(struct str folder, const char *below, struct java_release *out) {
    auto_close int fd = -1;
    auto_free char *text = NULL;
    char path[PATH_MAX + 32];
    size_t length;

    if (folder.n >= PATH_MAX)
        return false;
    snprintf(path, sizeof(path), "%.*s/%s", STR_ARG(folder), below);
    fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return fd >= 0 && file_load_fd(fd, 64 * 1024, &text, &length) == 0 &&
           hints_parse_release((struct str){text, length}, out) == 0;
}

/* Of the program itself, links resolved: JDK/bin/java, or JDK/jre/bin/java. */
static bool release_of(const char *program, struct java_release *out) {
    auto_free char *real = realpath(program, NULL);
    ptrdiff_t slash = real ? str_rfind(str_of(real), '/') : -1;
    struct str folder;

    if (slash < 0)
        return false;
    folder = str_head(str_of(real), (size_t)slash);
    return read_release(folder, "../release", out) || read_release(folder, "../../release", out);
}

static bool is_program(const char *path) {
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
           faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0;
}

/* Where execvp would find it. */
static bool in_path(const char *name, char *const *env, char *out, size_t size) {
    const char *path = hints_variable(env, "PATH");
    struct str rest = str_of(path ? path : "/bin:/usr/bin"), folder;
    bool more = true;

    while (more) {
        more = str_cut(&rest, ':', &folder);
        if (!more)
            folder = rest;
        if (folder.n == 0)
            folder = STR(".");
        if (folder.n + strlen(name) + 2 > size)
            continue;
        snprintf(out, size, "%.*s/%s", STR_ARG(folder), name);
        if (is_program(out))
            return true;
    }
    return false;
}

static bool find_java(const struct hints_input *in, struct java_release *out) {
    const char *home = hints_variable(in->env, "JAVA_HOME"),
               *program = in->argv[0] ? in->argv[0] : "";
    char path[PATH_MAX];

    if (strchr(program, '/')) {
        if (release_of(program, out))
            return true;
    } else if (in_path(program, in->env, path, sizeof(path)) && release_of(path, out)) {
        return true;
    }
    if (home && *home &&
        (read_release(str_of(home), "release", out) ||
         read_release(str_of(home), "../release", out)))
        return true;
    return in_path("java", in->env, path, sizeof(path)) && release_of(path, out);
}

/* --- the hints --- */

static int add(struct hints *h, const struct hints_input *in, const char *name, struct str value,
               const char *why) {
    const char *set = hints_variable(in->env, name);
    struct hint *hint = &h->hint[h->n];
    char *copy = set ? strdup(set) : strndup(value.p, value.n);

    if (!copy)
        return -ENOMEM;
    *hint = (struct hint){.name = name, .value = copy, .why = why, .kept = set != NULL};
    h->n++;
    return 0;
}

static int add_java(struct hints *h, const struct hints_input *in) {
    struct java_release java;
    char room[160];
    struct buf text = {.p = room, .size = sizeof(room), .max = sizeof(room)};

    if (!find_java(in, &java) || hints_java_sees(&java.version, in->version))
        return 0;
    hints_add_java(&java, in->cap, &text);
    return add(h, in, "JAVA_TOOL_OPTIONS", buf_str(&text),
               "for a JVM too old to see its cgroup's limit");
}

static int add_all(struct hints *h, const struct hints_input *in) {
    char room[64];
    struct buf text = {.p = room, .size = sizeof(room), .max = sizeof(room)};
    int r;

    buf_add_u64(&text, go_limit(in->cap));
    r = add(h, in, "GOMEMLIMIT", buf_str(&text), "90 % of the cap, for Go");
    if (r < 0)
        return r;
    buf_clear(&text);
    buf_add_format(&text, "--max-old-space-size=%llu",
                   (unsigned long long)(node_heap(in->cap) / mib));
    r = add(h, in, "NODE_OPTIONS", buf_str(&text), "MiB, the cap less what Node needs beside it");
    if (r < 0)
        return r;
    r = add(h, in, "MALLOC_ARENA_MAX", STR("2"), "glibc, instead of up to eight heaps a CPU");
    return r < 0 ? r : add_java(h, in);
}

int hints_find(const struct hints_input *in, struct hints *out) {
    struct hints found = {.n = 0};
    int r = in->cap > 0 ? add_all(&found, in) : 0;

    if (r < 0) {
        hints_done(&found);
        return r;
    }
    *out = found;
    return 0;
}

void hints_done(struct hints *h) {
    for (size_t i = 0; i < h->n; i++)
        free(h->hint[i].value);
    h->n = 0;
}

/* --- the environment with them --- */

/* NAME and VALUE of what is set, pairs first; false behind the last. */
static bool nth_set(const struct hints *h, const char *const *pairs, size_t n_pairs, size_t i,
                    const char **name, const char **value) {
    if (i < n_pairs) {
        *name = pairs[2 * i];
        *value = pairs[2 * i + 1];
        return true;
    }
    i -= n_pairs;
    if (i >= h->n)
        return false;
    *name = h->hint[i].name;
    *value = h->hint[i].kept ? NULL : h->hint[i].value; /* NULL: as it is */
    for (size_t k = 0; k < n_pairs; k++)
        if (strcmp(pairs[2 * k], *name) == 0)
            *value = NULL;
    return true;
}

static bool is_replaced(const char *entry, const struct hints *h, const char *const *pairs,
                        size_t n_pairs) {
    const char *name, *value;

    for (size_t i = 0; nth_set(h, pairs, n_pairs, i, &name, &value); i++) {
        size_t n = strlen(name);

        if (value && strncmp(entry, name, n) == 0 && entry[n] == '=')
            return true;
    }
    return false;
}

char **hints_environment(char *const *env, const struct hints *h, const char *const *pairs,
                         char **storage) {
    size_t n_env = 0, n_pairs = 0, size = 1, n = 0;
    auto_free char **all = NULL;
    auto_free char *text = NULL;
    const char *name, *value;
    char *at;

    while (env && env[n_env])
        n_env++;
    while (pairs && pairs[2 * n_pairs])
        n_pairs++;
    for (size_t i = 0; nth_set(h, pairs, n_pairs, i, &name, &value); i++)
        size += value ? strlen(name) + strlen(value) + 2 : 0;
    all = calloc(n_env + n_pairs + h->n + 1, sizeof(*all));
    text = malloc(size);
    if (!all || !text)
        return NULL;
    for (size_t i = 0; i < n_env; i++)
        if (!is_replaced(env[i], h, pairs, n_pairs))
            all[n++] = env[i];
    at = text;
    for (size_t i = 0; nth_set(h, pairs, n_pairs, i, &name, &value); i++) {
        if (!value)
            continue;
        all[n++] = at;
        at = stpcpy(stpcpy(stpcpy(at, name), "="), value) + 1;
    }
    *storage = take_ptr(&text);
    return take_ptr(&all);
}
