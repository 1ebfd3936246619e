#include "runtime/goword.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "kern/maps.h"
#include "runtime/elf.h"

/* Verified with the sources and the debugging information of a program of that very version. */
static const struct go_layout layouts[] = {
    {
        .first = "1.19.8",
        .last = "1.19.8",
        .machine = EM_X86_64,
        .period = INT64_C(120000000000),
        .controller = {.percent = 0,
                       .limit = 8,
                       .minimum = 16,
                       .triggered = 120,
                       .live = 136,
                       .marked = 184,
                       .start = 256,
                       .in_use = 304,
                       .released = 312,
                       .free = 320,
                       .alloc = 328,
                       .freed = 336,
                       .ready = 344,
                       .size = 424},
        .stats = {.pause_total = 3600,
                  .pauses = 3608,
                  .count = 7704,
                  .last = 7720,
                  .enabled = 7736,
                  .size = 13512},
        .sched = {.of_runtime = 72, .dead = 176, .asleep = 240, .size = 6080, .p_dead = 2472},
    },
};

enum {
    PAUSES = 256,      /* of memstats, the last ones */
    SPAN_PAGE = 8192,  /* heap spans are made of these */
    STATS_READ = 8192, /* of memstats, what is read */
    SEARCH_MAX = 64 << 20,
    SEARCH_PIECE = 256 << 10,
    PROCESSORS_MAX = 1024,
    CACHE_N = 32,
    LIMIT_LEAST = 1 << 20,
};
static const uint64_t address_max = UINT64_C(1) << 47;

static uint64_t u64_at(const void *bytes, size_t at) {
    uint64_t value;

    memcpy(&value, (const char *)bytes + at, sizeof(value));
    return value;
}

static uint32_t u32_at(const void *bytes, size_t at) {
    uint32_t value;

    memcpy(&value, (const char *)bytes + at, sizeof(value));
    return value;
}

/* "1.19.8" as one number; UINT64_MAX for anything else, a beta or an experiment too. */
static uint64_t version_number(const char *version) {
    struct str rest = str_of(version), part;
    uint64_t number = 0, n;

    for (int i = 0; i < 3; i++) {
        if (i == 2)
            part = rest;
        else if (!str_cut(&rest, '.', &part))
            return UINT64_MAX;
        if (str_to_u64(part, &n) < 0 || n > 9999)
            return UINT64_MAX;
        number = number * 10000 + n;
    }
    return number;
}

const struct go_layout *go_layout_of(const char *version, uint16_t machine) {
    uint64_t number = version_number(version);

    for (size_t i = 0; i < ARRAY_N(layouts); i++)
        if (number != UINT64_MAX && layouts[i].machine == machine &&
            number >= version_number(layouts[i].first) && number <= version_number(layouts[i].last))
            return &layouts[i];
    return NULL;
}

const char *go_layouts(void) {
    return "1.19.8 on amd64";
}

bool go_controller_fits(const struct go_layout *l, const void *bytes) {
    int32_t percent = (int32_t)u32_at(bytes, l->controller.percent);
    uint64_t limit = u64_at(bytes, l->controller.limit);
    uint64_t minimum = u64_at(bytes, l->controller.minimum);
    uint64_t in_use = u64_at(bytes, l->controller.in_use);
    uint64_t free = u64_at(bytes, l->controller.free);
    uint64_t released = u64_at(bytes, l->controller.released);
    uint64_t alloc = u64_at(bytes, l->controller.alloc);
    uint64_t freed = u64_at(bytes, l->controller.freed);
    uint64_t ready = u64_at(bytes, l->controller.ready);
    uint64_t triggered = u64_at(bytes, l->controller.triggered);

    if (percent < -1 || percent > 1000000 || u32_at(bytes, 4) != 0 || limit > INT64_MAX)
        return false;
    /* 4 MiB at GOGC=100; computed without a sign, so that -1 gives an odd number, always the same.
     */
    if (minimum != UINT64_C(4194304) * (uint64_t)(int64_t)percent / 100)
        return false;
    if (in_use % SPAN_PAGE || free % 4096 || released % 4096 || in_use == 0)
        return false;
    if (in_use > address_max || free > address_max || released > address_max || ready > address_max)
        return false;
    /* The counters are not of one moment: what one thread has allocated of late is missing. */
    return freed <= alloc && alloc - freed <= in_use + in_use / 4 + (16U << 20) &&
           ready + (64U << 20) >= in_use + free &&
           (triggered == UINT64_MAX || triggered <= address_max) &&
           u64_at(bytes, l->controller.marked) <= address_max &&
           u64_at(bytes, l->controller.live) <= address_max;
}

bool go_stats_fit(const struct go_layout *l, const void *bytes, uint64_t now_ns) {
    uint64_t total = u64_at(bytes, l->stats.pause_total), sum = 0;
    uint64_t last = u64_at(bytes, l->stats.last);
    uint32_t count = u32_at(bytes, l->stats.count), n = count < PAUSES ? count : PAUSES;
    uint8_t enabled = ((const uint8_t *)bytes)[l->stats.enabled];

    for (uint32_t i = 0; i < n; i++)
        if (__builtin_add_overflow(sum, u64_at(bytes, l->stats.pauses + 8 * i), &sum))
            return false;
    if (enabled > 1 || last > now_ns + 1000000000 || total > now_ns || (count > 0) != (last > 0))
        return false;
    /* The pauses are added up one after the other. Read in the middle of a collection, the latest
     * may be in the one and not yet in the other. */
    return sum <= total + 1000000000 && (count > PAUSES || total <= sum + 1000000000);
}

/* Much of a program's data is zeros, which a state that was found by its symbol may have as well.
 */
static bool stands_out(const struct go_layout *l, const void *bytes) {
    return u32_at(bytes, l->controller.percent) != 0 &&
           u64_at(bytes, l->controller.limit) >= LIMIT_LEAST &&
           u64_at(bytes, l->controller.alloc) > 0 && u64_at(bytes, l->controller.live) > 0;
}

void go_search(const struct go_layout *l, const void *bytes, size_t n, uint64_t address,
               struct go_hits *hits) {
    const char *at = bytes;

    for (size_t i = 0; i + l->controller.size <= n; i += 8) {
        if (u64_at(at, i) == (uint64_t)l->period) {
            if (hits->periods++ == 0)
                hits->period = address + i;
        } else if (stands_out(l, at + i) && go_controller_fits(l, at + i)) {
            if (hits->controllers++ == 0)
                hits->controller = address + i;
        }
    }
}

/* --- where they are --- */

/* Unslid addresses in an executable, found once. */
struct known {
    uint64_t dev, ino, size, mtime_ns, ctime_ns;
    struct go_words words;
};
static struct known cache[CACHE_N];
static unsigned cache_next;

static uint64_t ns_of(struct timespec t) {
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static struct known key_of(const struct stat *st) {
    return (struct known){.dev = st->st_dev,
                          .ino = st->st_ino,
                          .size = (uint64_t)st->st_size,
                          .mtime_ns = ns_of(st->st_mtim),
                          .ctime_ns = ns_of(st->st_ctim)};
}

static struct known *cached(const struct known *key) {
    for (size_t i = 0; i < CACHE_N; i++)
        if (cache[i].words.layout && cache[i].dev == key->dev && cache[i].ino == key->ino &&
            cache[i].size == key->size && cache[i].mtime_ns == key->mtime_ns &&
            cache[i].ctime_ns == key->ctime_ns)
            return &cache[i];
    return NULL;
}

/* How far a position-independent executable was moved: the kernel tells where its program headers
 * are. -ENODATA when it does not. */
static int slide_of(const struct rtproc *p, const struct elf *e, uint64_t *out) {
    char text[4096];
    struct str auxv;
    int r;

    *out = 0;
    if (e->type == ET_EXEC)
        return 0;
    r = file_read_at(p->dir, "auxv", text, sizeof(text), &auxv);
    for (size_t i = 0; r == 0 && i + 16 <= auxv.n; i += 16) {
        if (u64_at(auxv.p, i) != AT_PHDR)
            continue;
        *out = u64_at(auxv.p, i + 8) - e->phoff - e->low;
        return *out % 4096 ? -ENODATA : 0;
    }
    return r < 0 ? r : -ENODATA;
}

static int by_symbols(const struct elf *e, struct go_words *w) {
    struct elf_symbol symbol[] = {
        {.name = "runtime.gcController"}, {.name = "runtime.forcegcperiod"},
        {.name = "runtime.memstats"},     {.name = "runtime.sched"},
        {.name = "runtime.allglen"},      {.name = "runtime.allp"},
    };
    uint64_t *const place[] = {&w->controller, &w->period,  &w->stats,
                               &w->sched,      &w->allglen, &w->allp};
    const uint64_t size[] = {w->layout->controller.size, 8, w->layout->stats.size,
                             w->layout->sched.size,      8, 24};
    int r = elf_symbols(e, symbol, ARRAY_N(symbol));

    if (r < 0)
        return r;
    for (size_t i = 0; i < ARRAY_N(symbol); i++)
        if (symbol[i].size == size[i])
            *place[i] = symbol[i].value;
    return w->controller && w->period ? 0 : -ENOENT;
}

struct search {
    const struct rtproc *p;
    const struct go_layout *layout;
    char *piece;
    struct str exe; /* path of the executable's mappings */
    uint64_t end;   /* of the last mapping that was the executable's, or its .bss */
    uint64_t left;  /* bytes that may still be searched */
    struct go_hits hits;
    char path[4096];
};

/* Pieces overlap by what a place needs behind it, and the last is filled up with zeros: each place
 * counts once. */
static int search_range(struct search *s, uint64_t start, uint64_t end) {
    const uint64_t behind = s->layout->controller.size - 8U;

    while (start < end) {
        uint64_t n = end - start < SEARCH_PIECE ? end - start : SEARCH_PIECE;
        bool is_last = start + n == end;

        if (s->left < n)
            return -EFBIG;
        s->left -= n;
        if (rtproc_read(s->p, start, s->piece, n) < 0)
            return 0; /* unmapped meanwhile, or a hole in a file */
        if (is_last)
            memset(s->piece + n, 0, behind);
        go_search(s->layout, s->piece, is_last ? n + behind : n, start, &s->hits);
        start += is_last ? n : n - behind;
    }
    return 0;
}

/* The executable's writable data, and the anonymous memory right behind it (.bss). */
static int search_mapping(void *ctx, const struct mapping *m) {
    struct search *s = ctx;
    bool is_exe = m->inode != 0 && !m->path_cut && str_eq(m->path, s->exe);
    bool is_bss = m->inode == 0 && m->path.n == 0 && s->end && m->start == s->end;

    if (!is_exe && !is_bss)
        return 0;
    s->end = m->end;
    if (m->perms[0] != 'r' || m->perms[1] != 'w' || m->perms[3] != 'p')
        return 0;
    return search_range(s, m->start, m->end);
}

static int by_search(const struct rtproc *p, struct go_words *w) {
    auto_free struct search *s = calloc(1, sizeof(*s));
    auto_free char *piece = malloc(SEARCH_PIECE + UINT16_MAX);
    int r;

    if (!s || !piece)
        return -ENOMEM;
    s->p = p;
    s->layout = w->layout;
    s->piece = piece;
    s->left = SEARCH_MAX;
    r = file_link_at(p->dir, "exe", s->path, sizeof(s->path), &s->exe);
    if (r < 0)
        return r;
    str_drop(&s->exe, STR(" (deleted)"));
    r = maps_each(p->host->proc, p->pid, search_mapping, s);
    if (r < 0)
        return r;
    if (s->hits.controllers != 1 || s->hits.periods != 1)
        return s->hits.controllers > 1 || s->hits.periods > 1 ? -ENOTUNIQ : -ENOENT;
    w->controller = s->hits.controller;
    w->period = s->hits.period;
    w->searched = true;
    return 0;
}

static void move(struct go_words *w, uint64_t by) {
    uint64_t *const place[] = {&w->controller, &w->period,  &w->stats,
                               &w->sched,      &w->allglen, &w->allp};

    for (size_t i = 0; i < ARRAY_N(place); i++)
        if (*place[i])
            *place[i] += by;
}

static int say_not_found(int r, const struct rt_id *id, struct err *why) {
    if (r == -ESRCH)
        return r;
    if (r == -ENOTUNIQ)
        return err_set(why, -EOPNOTSUPP,
                       "the executable has no symbols, and more than one place in its memory looks "
                       "like the collector's state");
    if (r == -ENOENT)
        return err_set(why, -EOPNOTSUPP,
                       "the executable has no symbols, and no place in its memory looks like the "
                       "collector's state of go %s",
                       id->version);
    return err_set(why, -EOPNOTSUPP, "cannot find the collector's state:%s",
                   r == -EPERM || r == -EACCES ? " not permitted, root or CAP_SYS_PTRACE would be"
                                               : " the executable cannot be read");
}

int go_words_find(const struct rtproc *p, const struct rt_id *id, struct go_words *out,
                  struct err *why) {
    auto_close int exe = rtproc_open_exe(p);
    struct go_words w = {0};
    struct known key, *known;
    struct stat st;
    struct elf e;
    uint64_t slide;
    int r;

    if (exe == -ESRCH)
        return exe;
    if (!p->host->live)
        return err_set(why, -EOPNOTSUPP, "a captured tree has no memory to look into");
    if (exe < 0 || fstat(exe, &st) < 0 || elf_open(exe, &e) < 0)
        return say_not_found(exe < 0 ? exe : -EIO, id, why);
    w.layout = go_layout_of(id->version, e.machine);
    if (!w.layout)
        return err_set(why, -EOPNOTSUPP,
                       "go %s was not verified: where its collector keeps its state is known of go "
                       "%s alone",
                       id->version[0] ? id->version : "of unknown version", go_layouts());
    r = slide_of(p, &e, &slide);
    if (r < 0)
        return say_not_found(r, id, why);
    key = key_of(&st);
    known = cached(&key);
    if (known) {
        w = known->words;
    } else {
        r = by_symbols(&e, &w);
        if (r < 0) {
            w = (struct go_words){.layout = w.layout};
            r = by_search(p, &w);
            move(&w, -slide);
        }
        if (r < 0)
            return say_not_found(r, id, why);
        key.words = w;
        cache[cache_next++ % CACHE_N] = key;
    }
    move(&w, slide);
    *out = w;
    return 0;
}

/* --- what is in them --- */

static void put(struct go_state *s, enum go_value v, uint64_t value) {
    s->have |= 1U << v;
    s->value[v] = value;
}

static int read_controller(const struct rtproc *p, const struct go_words *w, struct go_state *s) {
    const struct go_layout *l = w->layout;
    char bytes[512];
    int r = rtproc_read(p, w->controller, bytes, l->controller.size);

    if (r < 0)
        return r;
    if (!go_controller_fits(l, bytes))
        return -ENODATA;
    put(s, GO_PERCENT, (uint64_t)(int64_t)(int32_t)u32_at(bytes, l->controller.percent));
    put(s, GO_LIMIT, u64_at(bytes, l->controller.limit));
    put(s, GO_MINIMUM, u64_at(bytes, l->controller.minimum));
    put(s, GO_TRIGGERED, u64_at(bytes, l->controller.triggered));
    put(s, GO_LIVE, u64_at(bytes, l->controller.live));
    put(s, GO_MARKED, u64_at(bytes, l->controller.marked));
    put(s, GO_START, u64_at(bytes, l->controller.start));
    put(s, GO_IN_USE, u64_at(bytes, l->controller.in_use));
    put(s, GO_RELEASED, u64_at(bytes, l->controller.released));
    put(s, GO_FREE, u64_at(bytes, l->controller.free));
    put(s, GO_ALLOC, u64_at(bytes, l->controller.alloc));
    put(s, GO_FREED, u64_at(bytes, l->controller.freed));
    put(s, GO_READY, u64_at(bytes, l->controller.ready));
    return 0;
}

static int read_stats(const struct rtproc *p, const struct go_words *w, struct go_state *s) {
    const struct go_layout *l = w->layout;
    char bytes[STATS_READ];
    int r = rtproc_read(p, w->stats, bytes, sizeof(bytes));

    if (r < 0)
        return r;
    if (!go_stats_fit(l, bytes, (uint64_t)clock_mono_us() * 1000))
        return -ENODATA;
    put(s, GO_COUNT, u32_at(bytes, l->stats.count));
    put(s, GO_PAUSE_NS, u64_at(bytes, l->stats.pause_total));
    put(s, GO_LAST, u64_at(bytes, l->stats.last));
    return 0;
}

/* As the runtime counts them: all ever made, less the dead ones kept for use again. */
static int read_goroutines(const struct rtproc *p, const struct go_words *w, struct go_state *s) {
    auto_free uint64_t *processor = NULL;
    uint64_t all, slice[3];
    char sched[256];
    int64_t n;
    int r;

    if ((r = rtproc_read(p, w->sched, sched, sizeof(sched))) < 0 ||
        (r = rtproc_read(p, w->allglen, &all, sizeof(all))) < 0 ||
        (r = rtproc_read(p, w->allp, slice, sizeof(slice))) < 0)
        return r;
    put(s, GO_ASLEEP, u32_at(sched, w->layout->sched.asleep) != 0);
    if (slice[1] == 0 || slice[1] > PROCESSORS_MAX || slice[1] > slice[2] || all > UINT32_MAX)
        return -ENODATA;
    processor = calloc(slice[1], sizeof(*processor));
    if (!processor)
        return -ENOMEM;
    if ((r = rtproc_read(p, slice[0], processor, slice[1] * sizeof(*processor))) < 0)
        return r;
    n = (int64_t)all - (int32_t)u32_at(sched, w->layout->sched.dead) -
        (int32_t)u32_at(sched, w->layout->sched.of_runtime);
    for (uint64_t i = 0; i < slice[1]; i++) {
        int32_t dead = 0;

        if (processor[i] &&
            (r = rtproc_read(p, processor[i] + w->layout->sched.p_dead, &dead, sizeof(dead))) < 0)
            return r;
        if (dead < 0 || (uint64_t)dead > all)
            return -ENODATA;
        n -= dead;
    }
    if (n < 1 || (uint64_t)n > all)
        return -ENODATA;
    put(s, GO_GOROUTINES, (uint64_t)n);
    return 0;
}

int go_words_read(const struct rtproc *p, const struct go_words *w, struct go_state *out) {
    struct go_state s = {0};
    int r = read_controller(p, w, &s);

    if (r < 0)
        return r;
    if (w->stats && (r = read_stats(p, w, &s)) < 0 && r != -ENODATA)
        return r;
    if (w->sched && w->allglen && w->allp && (r = read_goroutines(p, w, &s)) < 0 && r != -ENODATA &&
        r != -EFAULT)
        return r;
    *out = s;
    return 0;
}
