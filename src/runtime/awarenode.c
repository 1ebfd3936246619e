/* awarenode.c - how large V8's heap would become in Node. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/awareint.h"
#include "runtime/nodeoptions.h"

struct size_options {
    bool have_old, have_semi, have_percent, have_heap;
    uint64_t old, semi, percent, heap; /* MiB, but percent */
};

/* --max-old-space-size=N, also with '_' for '-' and a blank for '='. *next is set when the value is
 * the next word. */
static bool node_value(struct str word, const char *name, struct str *value, bool *next) {
    size_t n = strlen(name);

    if (word.n < n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (word.p[i] != name[i] && !(name[i] == '-' && i > 1 && word.p[i] == '_'))
            return false;
    *value = str_from(word, n);
    *next = value->n == 0;
    return *next || str_skip(value, STR("="));
}

static bool node_take(struct size_options *o, struct str word, struct str following) {
    const struct {
        const char *name;
        bool *have;
        uint64_t *value;
    } known[] = {
        {"--max-old-space-size", &o->have_old, &o->old},
        {"--max-semi-space-size", &o->have_semi, &o->semi},
        {"--max-old-space-size-percentage", &o->have_percent, &o->percent},
        {"--max-heap-size", &o->have_heap, &o->heap},
    };

    for (size_t i = 0; i < ARRAY_N(known); i++) {
        struct str value;
        bool next = false;
        uint64_t number;

        if (!node_value(word, known[i].name, &value, &next))
            continue;
        if (next)
            value = following;
        if (str_to_u64(value, &number) == 0 && number < 1u << 24) {
            *known[i].value = number;
            *known[i].have = number > 0;
        }
        return next;
    }
    return false;
}

/* What stands before the script is Node's. Those of the command line go before NODE_OPTIONS. */
static void node_read(struct size_options *o, struct str command, struct str variables) {
    struct str text, word, following;

    if (aware_environ(variables, STR("NODE_OPTIONS"), &text))
        while (aware_option_word(&text, &word)) {
            struct str peek = text;

            following = STR("");
            (void)aware_option_word(&peek, &following);
            (void)node_take(o, word, following);
        }
    (void)str_cut(&command, '\0', &word);
    while (command.n > 0) {
        struct str peek;

        if (!str_cut(&command, '\0', &word)) {
            word = command;
            command.n = 0;
        }
        if (!str_starts(word, STR("-")) || str_eq(word, STR("--")) || str_eq(word, STR("-")))
            return;
        peek = command;
        if (!str_cut(&peek, '\0', &following))
            following = command;
        if (node_take(o, word, following) || node_option_takes_word(word))
            (void)str_cut(&command, '\0', &word);
    }
}

/* Node sizes V8's heap by the memory it sees since 12.0 (node pull request 25576), by the limit of
 * a cgroup v1 since 12.7 (27508) and of v2 since 20.3, with libuv 1.45 (libuv pull request 3744).
 */
static bool node_knows(int major, int minor, bool v2) {
    return v2 ? major > 20 || (major == 20 && minor >= 3)
              : major > 12 || (major == 12 && minor >= 7);
}

/* V8's default for 64 bits: half of the memory, 256 MiB to 2 GiB, 4 GiB from 15 GiB of memory on;
 * the young generation has three semi-spaces of 1/128 of that (1/256 up to 256 MiB), rounded up to
 * a power of two, at most 16 MiB each. Measured with Node 20: 128M to 512M give 259M, 600M 312M, 1G
 * 524M, 4G 2096M, 24G 4144M. */
static uint64_t v8_old(uint64_t memory, int major) {
    uint64_t most = memory >= 15 * AWARE_GIB && major >= 14 ? 4 * AWARE_GIB : 2 * AWARE_GIB;
    uint64_t old = memory / 2;

    return old > most ? most : old < 256 * AWARE_MIB ? 256 * AWARE_MIB : old;
}

static uint64_t semi_space(uint64_t least) {
    uint64_t semi = AWARE_MIB;

    while (semi < least && semi < AWARE_GIB)
        semi *= 2;
    return semi;
}

static uint64_t v8_young(uint64_t memory, int major) {
    uint64_t old = v8_old(memory, major);
    uint64_t semi = semi_space(old <= 256 * AWARE_MIB ? old / 256 : old / 128);

    return 3 * (semi > 16 * AWARE_MIB ? 16 * AWARE_MIB : semi);
}

/* Beside the heap: the program itself, its stacks, and buffers, which live outside of V8's heap. */
static uint64_t node_room(uint64_t limit) {
    uint64_t room = limit / 8;

    return room > 512 * AWARE_MIB ? 512 * AWARE_MIB : room < 32 * AWARE_MIB ? 32 * AWARE_MIB : room;
}

/* How much memory it believes in. */
static uint64_t node_memory(const struct aware *a, const struct aware_ask *ask) {
    return a->knows_cgroups && ask->seen != 0 && ask->seen < ask->machine ? ask->seen
                                                                          : ask->machine;
}

static uint64_t node_young(const struct aware *a, const struct size_options *o, int major,
                           const struct aware_ask *ask) {
    return o->have_semi ? 3 * semi_space(o->semi * AWARE_MIB)
                        : v8_young(node_memory(a, ask), major);
}

/* --max-heap-size is of both generations, but with --max-old-space-size what is left of it is the
 * young one's, three semi-spaces rounded up to a power of two: 300 and 100 give 484. Measured with
 * Node 20. */
static void node_given(struct aware *out, const struct size_options *o, int major,
                       const struct aware_ask *ask) {
    uint64_t old = o->old * AWARE_MIB, heap = o->heap * AWARE_MIB;

    if (!o->have_heap)
        out->bound = old + node_young(out, o, major, ask);
    else if (!o->have_old)
        out->bound = heap;
    else
        out->bound = old + 3 * semi_space(heap > old ? (heap - old) / 3 : 0);
    if (o->have_heap && o->have_old)
        (void)snprintf(out->bound_from, sizeof(out->bound_from),
                       "--max-heap-size=%llu with --max-old-space-size=%llu",
                       (unsigned long long)o->heap, (unsigned long long)o->old);
    else
        (void)snprintf(out->bound_from, sizeof(out->bound_from), "--max-%s-size=%llu",
                       o->have_heap ? "heap" : "old-space",
                       (unsigned long long)(o->have_heap ? o->heap : o->old));
}

static void node_default(struct aware *out, const struct size_options *o, int major,
                         const struct aware_ask *ask) {
    uint64_t memory = node_memory(out, ask);

    if (major >= 0 && major < 12) {
        out->bound = 1432 * AWARE_MIB;
        (void)snprintf(out->bound_from, sizeof(out->bound_from), "V8's fixed default");
    } else {
        out->bound = v8_old(memory, major) + node_young(out, o, major, ask);
        (void)snprintf(out->bound_from, sizeof(out->bound_from), "V8's default for %s",
                       memory < ask->machine ? "the container's limit" : "the machine's memory");
    }
}

/* A title (--title, process.title) is written over the command line: one word, and NULs up to where
 * that ended. */
static bool is_retitled(struct str command) {
    size_t n = strnlen(command.p, command.n);

    for (size_t i = n; i < command.n; i++)
        if (command.p[i] != '\0')
            return false;
    return command.n > n + 1 || str_find(str_head(command, n), ' ') >= 0;
}

/* What has been worked out holds only if its command line said nothing else. */
static void say_retitled(struct aware *out) {
    char size[16], from[sizeof(out->bound_from)];

    memcpy(from, out->bound_from, sizeof(from));
    (void)snprintf(out->says, sizeof(out->says),
                   "its title is written over its command line: how large its heap may become "
                   "cannot be told; %s by %s, unless an option said otherwise",
                   aware_size(out->bound, size), from);
    out->word = AWARE_UNKNOWN;
    out->have_bound = false;
    out->bound = 0;
    out->bound_from[0] = '\0';
}

void aware_node(const struct rt_id *id, struct str command, struct str variables,
                const struct aware_ask *ask, struct aware *out) {
    int major = aware_version(str_of(id->version), 0),
        minor = aware_version(str_of(id->version), 1);
    uint64_t limit = ask->limit ? ask->limit : ask->machine;
    struct size_options o = {.have_old = false};
    struct aware_bound b = {id, ask, "of heap", node_room(limit), NULL, ""};
    char mend[96];

    node_read(&o, command, variables);
    out->knows_cgroups = node_knows(major, minor, ask->v2);
    if (o.have_heap || o.have_old) {
        node_given(out, &o, major, ask);
    } else if (major < 0 || ask->machine == 0) {
        (void)snprintf(out->says, sizeof(out->says),
                       "node's version or the machine's memory is not known: its heap's bound "
                       "cannot be told");
        return;
    } else if (o.have_percent && o.percent <= 100 && major >= 24) {
        out->bound = node_memory(out, ask) / 100 * o.percent + node_young(out, &o, major, ask);
        (void)snprintf(out->bound_from, sizeof(out->bound_from),
                       "--max-old-space-size-percentage=%llu", (unsigned long long)o.percent);
    } else {
        node_default(out, &o, major, ask);
    }
    out->have_bound = true;
    (void)snprintf(mend, sizeof(mend), "--max-old-space-size=%llu (or in NODE_OPTIONS)",
                   (unsigned long long)((limit - (limit / 4 < AWARE_GIB ? limit / 4 : AWARE_GIB)) /
                                        AWARE_MIB));
    b.mend = mend;
    if (!out->knows_cgroups && ask->limit)
        b.more = "; this version does not see the container's limit";
    aware_judge(out, &b);
    if (is_retitled(command))
        say_retitled(out);
}
