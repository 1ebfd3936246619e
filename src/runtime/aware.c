#include "runtime/aware.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/num.h"
#include "runtime/awareint.h"
#include "runtime/goword.h"
#include "runtime/jvmprobe.h"

enum {
    COMMAND_MAX = 1 << 20,
    ENVIRON_MAX = 1 << 20,
    GO_LEAST = 4 << 20, /* bytes: an empty Go program takes about so much */
};

/* --- words ------------------------------------------------------------------------------------ */

const char *aware_word_name(enum aware_word word) {
    static const char *const words[] = {
        [AWARE_FITS] = "fits",       [AWARE_TOO_BIG] = "too-big",   [AWARE_TOO_SMALL] = "too-small",
        [AWARE_UNBOUND] = "unbound", [AWARE_NO_LIMIT] = "no-limit", [AWARE_UNKNOWN] = "unknown",
    };

    return words[word];
}

bool aware_is_bad(enum aware_word word) {
    return word == AWARE_TOO_BIG || word == AWARE_TOO_SMALL;
}

int aware_version(struct str version, unsigned index) {
    size_t at = 0;

    for (;; index--) {
        size_t from = at;
        uint64_t value;

        while (at < version.n && version.p[at] >= '0' && version.p[at] <= '9')
            at++;
        if (at == from || str_to_u64(str_head(str_from(version, from), at - from), &value) < 0 ||
            value > INT32_MAX)
            return -1;
        if (index == 0)
            return (int)value;
        if (at == version.n || !strchr(".u+", version.p[at]))
            return -1;
        at++;
    }
}

bool aware_environ(struct str variables, struct str name, struct str *out) {
    while (variables.n > 0) {
        struct str line;

        if (!str_cut(&variables, '\0', &line)) {
            line = variables;
            variables.n = 0;
        }
        if (str_skip(&line, name) && str_skip(&line, STR("="))) {
            *out = line;
            return true;
        }
    }
    return false;
}

bool aware_option_word(struct str *rest, struct str *word) {
    if (!str_word(rest, word))
        return false;
    if (!str_skip(word, STR("\"")))
        (void)str_skip(word, STR("'"));
    if (!str_drop(word, STR("\"")))
        (void)str_drop(word, STR("'"));
    return true;
}

const char *aware_size(uint64_t bytes, char out[static 16]) {
    struct buf b;

    buf_init(&b, 64);
    num_add_iec(&b, bytes);
    if (str_copy(buf_str(&b), out, 16) < 0)
        out[0] = '\0';
    buf_done(&b);
    return out;
}

static void add_name(const struct rt_id *id, char *out, size_t size) {
    struct buf b;

    buf_init(&b, 128);
    rt_add_id(&b, id);
    if (str_copy(buf_str(&b), out, size) < 0)
        out[0] = '\0';
    buf_done(&b);
}

/* --- the verdict ------------------------------------------------------------------------------ */

void aware_judge(struct aware *out, const struct aware_bound *b) {
    uint64_t limit = b->ask->limit;
    char name[64], bound[16], size[16], room[16];
    const char *where = "container";

    add_name(b->id, name, sizeof(name));
    (void)aware_size(out->bound, bound);
    out->word = AWARE_FITS;
    if (limit == 0) {
        limit = b->ask->machine;
        where = "machine";
        out->word = AWARE_NO_LIMIT;
    }
    (void)aware_size(limit, size);
    if (limit == 0 || (out->bound + b->room <= limit)) {
        (void)snprintf(out->says, sizeof(out->says),
                       limit ? "%s takes at most %s %s in a %s %s%s" : "%s takes at most %s %s",
                       name, bound, b->of, size, where, b->more);
        return;
    }
    /* Beyond the machine it is wrong, too; a little below it is everybody's default. */
    if (b->ask->limit == 0 && out->bound <= limit) {
        (void)snprintf(out->says, sizeof(out->says), "%s takes at most %s %s on a %s %s%s", name,
                       bound, b->of, size, where, b->more);
        return;
    }
    out->word = AWARE_TOO_BIG;
    if (out->bound > limit)
        (void)snprintf(out->says, sizeof(out->says), "%s would take %s %s %s a %s %s%s", name,
                       bound, b->of, b->ask->limit ? "in" : "on", size, where, b->more);
    else
        (void)snprintf(out->says, sizeof(out->says),
                       "%s would take %s %s in a %s %s, which leaves less than %s for the rest%s",
                       name, bound, b->of, size, where, aware_size(b->room, room), b->more);
    (void)snprintf(out->mend, sizeof(out->mend), "%s", b->mend);
}

static void unbound(struct aware *out, const struct rt_id *id, const struct aware_ask *ask,
                    const char *more) {
    char name[64], size[16];

    add_name(id, name, sizeof(name));
    out->word = ask->limit ? AWARE_UNBOUND : AWARE_NO_LIMIT;
    if (ask->limit)
        (void)snprintf(out->says, sizeof(out->says),
                       "%s has no bound of its own: only the limit of %s stops it%s", name,
                       aware_size(ask->limit, size), more);
    else
        (void)snprintf(out->says, sizeof(out->says),
                       "%s has no bound of its own, and the container has no limit%s", name, more);
}

/* --- Go --------------------------------------------------------------------------------------- */

/* GOMEMLIMIT (Go 1.19): bytes with B, KiB, MiB, GiB or TiB behind, or nothing; "off". */
static bool go_limit(struct str text, uint64_t *out) {
    static const struct {
        struct str unit;
        unsigned shift;
    } units[] = {
        {{"KiB", 3}, 10}, {{"MiB", 3}, 20}, {{"GiB", 3}, 30}, {{"TiB", 3}, 40}, {{"B", 1}, 0},
    };
    unsigned shift = 0;
    uint64_t value;

    for (size_t i = 0; i < ARRAY_N(units); i++)
        if (str_drop(&text, units[i].unit)) {
            shift = units[i].shift;
            break;
        }
    if (str_to_u64(text, &value) < 0 || value > (uint64_t)INT64_MAX >> shift)
        return false;
    *out = value << shift;
    return true;
}

/* A soft limit: the collector works harder the nearer it comes, and allocation goes on beyond it.
 */
struct go_bound {
    const struct rt_id *id;
    const struct aware_ask *ask;
    const char *mend, *unsure;
    struct str text; /* of GOMEMLIMIT, when the bound is from there */
};

/* "20", where "20MiB" was meant. */
static bool lacks_unit(const struct go_bound *g) {
    uint64_t number;

    return str_to_u64(g->text, &number) == 0;
}

static void judge_go_small(const struct go_bound *g, const char *name, const char *bound,
                           struct aware *out) {
    bool unit = out->bound < GO_LEAST && lacks_unit(g);
    char anon[16];

    out->word = AWARE_TOO_SMALL;
    if (out->bound < GO_LEAST)
        (void)snprintf(out->says, sizeof(out->says),
                       "%s tries to stay within %s, less than any Go program needs%s: it collects "
                       "without end%s",
                       name, bound, unit ? " (its unit was forgotten?)" : "", g->unsure);
    else
        (void)snprintf(out->says, sizeof(out->says),
                       "%s tries to stay within %s, a soft limit, and has %s: it collects again "
                       "and again, and grows on%s",
                       name, bound, aware_size(g->ask->anon, anon), g->unsure);
    if (g->mend[0])
        (void)snprintf(out->mend, sizeof(out->mend), "%s", g->mend);
    else
        (void)snprintf(out->mend, sizeof(out->mend), "a larger GOMEMLIMIT, with its unit (MiB)");
}

static void judge_go(const struct go_bound *g, struct aware *out) {
    uint64_t limit = g->ask->limit ? g->ask->limit : g->ask->machine;
    const char *where = g->ask->limit ? "container" : "machine";
    char name[64], bound[16], size[16];

    add_name(g->id, name, sizeof(name));
    (void)aware_size(out->bound, bound);
    (void)aware_size(limit, size);
    if (out->bound < GO_LEAST || g->ask->anon > out->bound) {
        judge_go_small(g, name, bound, out);
        return;
    }
    out->word = g->ask->limit ? AWARE_FITS : AWARE_NO_LIMIT;
    if (limit == 0) {
        (void)snprintf(out->says, sizeof(out->says), "%s tries to stay within %s, a soft limit%s",
                       name, bound, g->unsure);
    } else if (out->bound + g->ask->limit / 20 <= limit) {
        (void)snprintf(out->says, sizeof(out->says),
                       "%s tries to stay within %s, a soft limit, %s a %s %s%s", name, bound,
                       g->ask->limit ? "in" : "on", size, where, g->unsure);
    } else {
        out->word = AWARE_TOO_BIG;
        (void)snprintf(out->says, sizeof(out->says),
                       "%s would try to stay within %s, a soft limit, %s a %s %s%s: it may be "
                       "killed before it collects%s",
                       name, bound, g->ask->limit ? "in" : "on", size, where,
                       out->bound > limit ? "" : ", which leaves nearly nothing", g->unsure);
        (void)snprintf(out->mend, sizeof(out->mend), "%s", g->mend);
    }
}

/* Neither its variable nor its memory says what it tries to stay within. */
static void unknown_go(const struct go_bound *g, struct aware *out) {
    char name[64], size[16];

    add_name(g->id, name, sizeof(name));
    out->word = AWARE_UNKNOWN;
    (void)snprintf(out->says, sizeof(out->says),
                   "%s: whether the program has set itself a soft limit could not be read; if not, "
                   "%s%s",
                   name,
                   g->ask->limit ? "only the container's limit stops it: " : "nothing stops it",
                   g->ask->limit ? aware_size(g->ask->limit, size) : "");
}

/* Go reads no limit of memory from control groups, in no version up to 1.25, which reads that of
 * CPUs alone (its release notes); the soft limit is the program's or GOMEMLIMIT's. It covers what
 * the runtime has mapped, not what C code or files take. */
static void decide_go(const struct rt_id *id, struct str variables, const struct aware_ask *ask,
                      struct aware *out) {
    int major = aware_version(str_of(id->version), 0),
        minor = aware_version(str_of(id->version), 1);
    bool has_limit = major > 1 || (major == 1 && minor >= 19);
    char mend[128] = "";
    struct go_bound g = {id, ask, mend, "", STR("-")};
    struct str text;

    if (ask->limit && (has_limit || major < 0))
        (void)snprintf(mend, sizeof(mend), "GOMEMLIMIT=%lluMiB",
                       (unsigned long long)(ask->limit / 10 * 9 / AWARE_MIB));
    else if (ask->limit)
        (void)snprintf(mend, sizeof(mend), "GOGC=50 (GOMEMLIMIT needs Go 1.19 or newer)");
    if ((has_limit || major < 0) && aware_environ(variables, STR("GOMEMLIMIT"), &text) &&
        go_limit(text, &out->bound)) {
        out->have_bound = true;
        g.text = text;
        if (ask->soft_limit == 0)
            g.unsure = "; GOMEMLIMIT says so, and whether the program has changed it could not be "
                       "read";
        (void)snprintf(out->bound_from, sizeof(out->bound_from), "GOMEMLIMIT=%.*s",
                       (int)(text.n < 32 ? text.n : 32), text.p);
    }
    if (ask->soft_limit != 0 && (!out->have_bound || ask->soft_limit != out->bound)) {
        out->have_bound = ask->soft_limit < INT64_MAX;
        out->bound = ask->soft_limit;
        g.text = STR("-");
        (void)snprintf(out->bound_from, sizeof(out->bound_from), "%s",
                       out->have_bound ? "the soft limit that it has set itself" : "");
    }
    if (out->have_bound) {
        judge_go(&g, out);
        return;
    }
    if (ask->soft_limit == 0 && (has_limit || major < 0))
        unknown_go(&g, out);
    else
        unbound(out, id, ask, has_limit ? "; GOMEMLIMIT would make it collect sooner" : "");
    (void)snprintf(out->mend, sizeof(out->mend), "%s", mend);
}

/* --- Python, C and the rest ------------------------------------------------------------------- */

/* glibc opens up to 8 arenas a CPU for threads that collide (M_ARENA_MAX of mallopt(3)), each of
 * 64 MiB of addresses at first, and what was freed in one serves no other. */
static void decide_rest(const struct rt_id *id, struct str variables, const struct aware_ask *ask,
                        struct aware *out) {
    bool arenas = id->libc == RT_LIBC_GLIBC && id->alloc == RT_ALLOC_LIBC && ask->threads > 1;
    uint64_t most = 8ull * ask->cpus;
    char more[160] = "", size[16];
    struct str text;

    if (arenas && most > 0 && !aware_environ(variables, STR("MALLOC_ARENA_MAX"), &text) &&
        !aware_environ(variables, STR("GLIBC_TUNABLES"), &text)) {
        uint64_t arenas_n = ask->threads < most ? ask->threads : most;

        (void)snprintf(more, sizeof(more), "; its %u threads may open %llu arenas of malloc",
                       ask->threads, (unsigned long long)arenas_n);
        if (ask->limit && arenas_n * 64 * AWARE_MIB > ask->limit)
            (void)snprintf(more, sizeof(more),
                           "; its %u threads may open %llu arenas of malloc, %s if all are full",
                           ask->threads, (unsigned long long)arenas_n,
                           aware_size(arenas_n * 64 * AWARE_MIB, size));
        if (ask->limit && arenas_n > 2)
            (void)snprintf(out->mend, sizeof(out->mend), "MALLOC_ARENA_MAX=2");
    }
    unbound(out, id, ask, more);
}

void aware_decide(const struct rt_id *id, struct str command, struct str variables,
                  const struct aware_ask *ask, struct aware *out) {
    struct aware a = {.word = AWARE_UNKNOWN};

    switch (id->kind) {
    case RT_GO:
        decide_go(id, variables, ask, &a);
        break;
    case RT_JVM:
    case RT_OPENJ9:
        aware_java(id, command, variables, ask, &a);
        break;
    case RT_NODE:
        aware_node(id, command, variables, ask, &a);
        break;
    case RT_PYTHON:
    case RT_NATIVE:
    case RT_STATIC:
        decide_rest(id, variables, ask, &a);
        break;
    case RT_UNKNOWN:
    case RT_KINDS:
        (void)snprintf(a.says, sizeof(a.says), "its runtime is not known");
        break;
    }
    *out = a;
}

/* --- of a process ----------------------------------------------------------------------------- */

/* A file of its directory in /proc, which has no size: as much of it as `max`. */
static int load(const struct rtproc *p, const char *name, size_t max, char **out,
                struct str *text) {
    size_t size = 16384;

    for (;;) {
        auto_free char *buf = malloc(size);
        int r;

        if (!buf)
            return -ENOMEM;
        r = file_head_at(p->dir, name, buf, size, text);
        if (r < 0)
            return r;
        if (text->n < size || size >= max) {
            *out = take_ptr(&buf);
            return 0;
        }
        size *= 4;
    }
}

/* What it has in force, whoever has set it. */
static uint64_t go_soft_limit(const struct rtproc *p, const struct rt_id *id) {
    struct go_words words;
    struct go_state s;

    if (go_words_find(p, id, &words, NULL) < 0 || go_words_read(p, &words, &s) < 0 ||
        !go_has(&s, GO_LIMIT))
        return 0;
    return s.value[GO_LIMIT];
}

int aware_look(const struct rtproc *p, const struct rt_id *id, const struct aware_ask *ask,
               struct aware *out) {
    auto_free char *command_text = NULL, *environ_text = NULL;
    struct str command = STR(""), variables = STR("");
    struct aware_ask with = *ask;
    struct hsperf counters = {0};
    uint64_t rss;
    int r = load(p, "cmdline", COMMAND_MAX, &command_text, &command);

    if (r == 0)
        r = load(p, "environ", ENVIRON_MAX, &environ_text, &variables);
    if (r == -ENOENT && !p->host->live)
        r = 0; /* a captured tree may have no environments: they hold secrets */
    if (r < 0)
        return r == -ENOENT ? -ESRCH : r;
    if (with.threads == 0 && p->status.have & 1U << PROCSTATUS_THREADS)
        with.threads = (unsigned)p->status.value[PROCSTATUS_THREADS];
    if (id->kind == RT_GO && p->host->live) {
        with.soft_limit = go_soft_limit(p, id);
        if (rtproc_rss(p, &rss, &with.anon) < 0)
            with.anon = 0;
    }
    if (id->kind == RT_JVM && p->host->live && jvmprobe_counters(p, &counters) == 0 &&
        counters.have & 1u << HSPERF_HEAP_MAX)
        with.heap_max = counters.value[HSPERF_HEAP_MAX];
    aware_decide(id, command, variables, &with, out);
    return 0;
}
