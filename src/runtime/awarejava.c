/* awarejava.c - how large HotSpot would let its heap become.
 *
 * Facts, by name: the limit of cgroup v1 is read since JDK 10 (JDK-8146115) and 8u191
 * (JDK-8146115's backport), before that from 8u131 and 9 on only with
 * -XX:+UseCGroupMemoryLimitForHeap (JDK-8170888, gone with 11); that of cgroup v2 since JDK 15
 * (JDK-8230305), 11.0.16 and 8u372 (their backports). MaxRAMPercentage came with 10 and 8u191
 * (JDK-8186248).
 */
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "runtime/awareint.h"

/* What its options say. */
struct java_options {
    bool have_max, have_percent, have_min_percent, have_fraction, have_ram;
    bool no_containers, cgroup_for_heap, elsewhere; /* elsewhere: options in a file, not read */
    bool aggressive;
    uint64_t max, ram, fraction;
    uint64_t initial, least, ergo; /* 0: not said */
    uint64_t percent, min_percent; /* hundredths */
    char max_text[40], where[64];
};

struct java_version {
    int feature, interim, update; /* 8, 0, 121; 11, 0, 16 */
};

static struct java_version version_of(const struct rt_id *id) {
    struct str text = str_of(id->version);
    struct java_version v = {aware_version(text, 0), aware_version(text, 1),
                             aware_version(text, 2)};

    if (v.feature >= 0 && v.feature <= 8) { /* "8u121": the second is the update */
        v.update = v.interim;
        v.interim = 0;
    }
    return v;
}

static bool knows_v1(struct java_version v) {
    return v.feature >= 10 || (v.feature == 8 && v.update >= 191);
}

static bool knows_v2(struct java_version v) {
    return v.feature >= 15 || (v.feature == 11 && v.update >= 16 && v.interim == 0) ||
           (v.feature == 8 && v.update >= 372);
}

/* Before they knew by themselves they could be told to look. Of v1 alone. */
static bool can_be_told(struct java_version v) {
    return v.feature == 9 || v.feature == 10 || (v.feature == 8 && v.update >= 131);
}

/* --- options ---------------------------------------------------------------------------------- */

/* "6g", "512M", "1048576": k, m, g, t of either case. */
static bool java_size(struct str text, uint64_t *out) {
    uint64_t value;
    unsigned shift = 0;

    if (text.n > 1) {
        const char *units = "kmgt", *at = strchr(units, text.p[text.n - 1] | 32);

        if (at) {
            shift = (unsigned)(at - units + 1) * 10;
            text = str_head(text, text.n - 1);
        }
    }
    if (str_to_u64(text, &value) < 0 || value > (uint64_t)INT64_MAX >> shift)
        return false;
    *out = value << shift;
    return true;
}

/* "75.0", "12.5", "75": hundredths, up to 100. */
static bool java_percent(struct str text, uint64_t *out) {
    struct str whole, part = STR("");
    uint64_t value, hundredths = 0, scale = 10;

    if (!str_cut(&text, '.', &whole))
        whole = text;
    else
        part = text;
    if (str_to_u64(whole, &value) < 0 || value > 100)
        return false;
    for (size_t i = 0; i < part.n; i++, scale = scale == 10 ? 1 : 0) {
        if (part.p[i] < '0' || part.p[i] > '9')
            return false;
        hundredths += (uint64_t)(part.p[i] - '0') * scale;
    }
    *out = value * 100 + hundredths;
    return *out <= 10000;
}

static void take_max(struct java_options *o, struct str word, struct str value) {
    uint64_t bytes;

    if (!java_size(value, &bytes) || bytes == 0)
        return;
    o->max = bytes;
    o->have_max = true;
    (void)snprintf(o->max_text, sizeof(o->max_text), "%.*s",
                   (int)(word.n < sizeof(o->max_text) ? word.n : sizeof(o->max_text) - 1), word.p);
}

/* Those of the least and the first size: they raise the largest. True when it is one. */
static bool take_least(struct java_options *o, struct str word) {
    struct str value = word;
    uint64_t bytes;

    if (str_skip(&value, STR("-Xms")) || str_skip(&value, STR("-ms"))) {
        if (java_size(value, &bytes))
            o->initial = o->least = bytes;
    } else if (str_skip(&value, STR("-XX:InitialHeapSize="))) {
        if (java_size(value, &bytes))
            o->initial = bytes;
    } else if (str_skip(&value, STR("-XX:MinHeapSize="))) {
        if (java_size(value, &bytes))
            o->least = bytes;
    } else if (str_skip(&value, STR("-XX:ErgoHeapSizeLimit="))) {
        if (java_size(value, &bytes))
            o->ergo = bytes;
    } else {
        return false;
    }
    return true;
}

/* One option. The last of each kind counts, as in the JVM. */
static void take_option(struct java_options *o, struct str word) {
    struct str value = word;

    if (take_least(o, word))
        return;
    if (str_skip(&value, STR("-Xmx")) || str_skip(&value, STR("-mx")) ||
        str_skip(&value, STR("-XX:MaxHeapSize=")))
        take_max(o, word, value);
    else if (str_skip(&value, STR("-XX:MaxRAMPercentage=")))
        o->have_percent |= java_percent(value, &o->percent);
    else if (str_skip(&value, STR("-XX:MinRAMPercentage=")))
        o->have_min_percent |= java_percent(value, &o->min_percent);
    else if (str_skip(&value, STR("-XX:MaxRAMFraction=")) ||
             str_skip(&value, STR("-XX:DefaultMaxRAMFraction=")))
        o->have_fraction |= str_to_u64(value, &o->fraction) == 0 && o->fraction > 0;
    else if (str_skip(&value, STR("-XX:MaxRAM=")))
        o->have_ram |= java_size(value, &o->ram) && o->ram > 0;
    else if (str_eq(word, STR("-XX:+AggressiveHeap")))
        o->aggressive = true;
    else if (str_eq(word, STR("-XX:-AggressiveHeap")))
        o->aggressive = false;
    else if (str_eq(word, STR("-XX:-UseContainerSupport")))
        o->no_containers = true;
    else if (str_eq(word, STR("-XX:+UseContainerSupport")))
        o->no_containers = false;
    else if (str_eq(word, STR("-XX:+UseCGroupMemoryLimitForHeap")))
        o->cgroup_for_heap = true;
    else if (str_eq(word, STR("-XX:-UseCGroupMemoryLimitForHeap")))
        o->cgroup_for_heap = false;
    else if (str_starts(word, STR("@")) || str_starts(word, STR("-XX:Flags=")) ||
             str_starts(word, STR("-XX:VMOptionsFile="))) {
        o->elsewhere = true;
        (void)snprintf(o->where, sizeof(o->where), "%.*s",
                       (int)(word.n < sizeof(o->where) ? word.n : sizeof(o->where) - 1), word.p);
    }
}

static void take_variable(struct java_options *o, struct str variables, struct str name) {
    struct str text, word;

    if (aware_environ(variables, name, &text))
        while (aware_option_word(&text, &word))
            take_option(o, word);
}

/* Whether the next word of the command line belongs to this one. */
static bool takes_next(struct str word) {
    static const char *const known[] = {
        "-cp",
        "-classpath",
        "--class-path",
        "-p",
        "--module-path",
        "--add-modules",
        "--upgrade-module-path",
        "--limit-modules",
        "--add-opens",
        "--add-exports",
        "--add-reads",
        "--patch-module",
        "--source",
        "--enable-native-access",
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (str_eq(word, str_of(known[i])))
            return true;
    return false;
}

/* What stands before the main class, "-jar FILE" or "-m MODULE" is the JVM's. */
static void take_command(struct java_options *o, struct str command) {
    struct str word;

    (void)str_cut(&command, '\0', &word);
    while (command.n > 0) {
        if (!str_cut(&command, '\0', &word)) {
            word = command;
            command.n = 0;
        }
        if (word.n == 0)
            continue;
        if (word.p[0] != '-' && word.p[0] != '@')
            return;
        if (str_eq(word, STR("-jar")) || str_eq(word, STR("-m")) || str_eq(word, STR("--module")))
            return;
        take_option(o, word);
        if (takes_next(word))
            (void)str_cut(&command, '\0', &word);
    }
}

/* --- the heap --------------------------------------------------------------------------------- */

static void say_from(struct aware *out, const char *what, bool cgroup) {
    (void)snprintf(out->bound_from, sizeof(out->bound_from), "%s %s", what,
                   cgroup ? "the container's limit" : "the machine's memory");
}

static uint64_t part_of(uint64_t memory, uint64_t hundredths) {
    return memory / 10000 * hundredths + memory % 10000 * hundredths / 10000;
}

/* HotSpot's own rule (Arguments::set_heap_size): a quarter of the memory it believes in, or half of
 * it where that is below the built-in maximum of 124.8 MiB (96M scaled for 64 bits). MaxRAM is
 * believed instead of the memory that is there. Without it compressed pointers end at 32G. Measured
 * with 17: 128M gives 64M, 256M 126M, 512M 128M, 1G 256M. */
static void by_share(const struct java_options *o, uint64_t memory, bool cgroup,
                     struct aware *out) {
    const uint64_t built_in = 126 * AWARE_MIB;
    uint64_t percent = o->have_percent ? o->percent : 2500;
    uint64_t min_percent = o->have_min_percent ? o->min_percent : 5000;
    uint64_t small, most;
    char text[64] = "1/4 of";

    if (o->have_ram)
        memory = o->ram;
    most = part_of(memory, percent);
    if (o->have_fraction && !o->have_percent)
        most = memory / o->fraction;
    small = part_of(memory, min_percent);
    if (small < built_in) {
        most = small;
        (void)snprintf(text, sizeof(text), min_percent == 5000 ? "1/2 of" : "%llu.%02llu %% of",
                       (unsigned long long)min_percent / 100,
                       (unsigned long long)min_percent % 100);
    } else if (o->have_percent) {
        (void)snprintf(text, sizeof(text), "-XX:MaxRAMPercentage=%llu.%02llu of",
                       (unsigned long long)percent / 100, (unsigned long long)percent % 100);
    } else if (o->have_fraction) {
        (void)snprintf(text, sizeof(text), "-XX:MaxRAMFraction=%llu of",
                       (unsigned long long)o->fraction);
    }
    if (small >= built_in && most < built_in)
        most = built_in;
    if (!o->have_percent && !o->have_fraction && !o->have_ram && most > 32 * AWARE_GIB)
        most = 32 * AWARE_GIB;
    out->bound = most;
    if (o->have_ram)
        (void)snprintf(out->bound_from, sizeof(out->bound_from), "%s -XX:MaxRAM", text);
    else
        say_from(out, text, cgroup);
}

/* Half of the memory that is there, whatever MaxRAM says, but 160M of it. */
static void by_aggression(uint64_t memory, struct aware *out) {
    uint64_t but = memory > 160 * AWARE_MIB ? memory - 160 * AWARE_MIB : memory;

    out->bound = memory / 2 < but ? memory / 2 : but;
    (void)snprintf(out->bound_from, sizeof(out->bound_from), "-XX:+AggressiveHeap");
}

static void by_memory(const struct java_options *o, uint64_t memory, bool cgroup,
                      struct aware *out) {
    uint64_t least = o->initial ? o->initial : o->least;

    if (o->aggressive) {
        by_aggression(memory, out);
        return;
    }
    by_share(o, memory, cgroup, out);
    if (o->ergo != 0 && o->ergo < out->bound) {
        out->bound = o->ergo;
        (void)snprintf(out->bound_from, sizeof(out->bound_from), "-XX:ErgoHeapSizeLimit");
    }
    if (least > out->bound) {
        out->bound = least;
        (void)snprintf(out->bound_from, sizeof(out->bound_from), "%s",
                       !o->initial              ? "-XX:MinHeapSize"
                       : o->initial == o->least ? "-Xms"
                                                : "-XX:InitialHeapSize");
    }
}

/* Beside its heap a JVM has metaspace, code cache, thread stacks and the collector's own tables:
 * 60 to 250 MiB for most programs. An eighth is asked for; what is advised leaves a quarter. */
static uint64_t java_room(uint64_t limit) {
    uint64_t room = limit / 8, least = 64 * AWARE_MIB, most = 512 * AWARE_MIB;

    return room > most ? most : room < least && limit > 4 * least ? least : room;
}

static void add_mend(uint64_t limit, bool percent, char *out, size_t size) {
    uint64_t room = limit / 4 < AWARE_GIB ? limit / 4 : AWARE_GIB;

    (void)snprintf(out, size, "-Xmx%llum%s", (unsigned long long)((limit - room) / AWARE_MIB),
                   percent ? " or -XX:MaxRAMPercentage=75.0" : "");
}

/* OpenJ9 has rules of its own (a quarter, a half below 1 GiB, three quarters in containers ...). */
static bool is_openj9_default(const struct rt_id *id, const struct java_options *o) {
    return id->kind == RT_OPENJ9 && !o->have_max;
}

static const char *blindness(struct java_version v, const struct aware_ask *ask) {
    if (ask->limit == 0)
        return "";
    if (v.feature >= 0 && ask->v2 && knows_v1(v))
        return "; this version does not see limits of cgroup v2";
    return "; this version does not see the container's limit";
}

/* What its options come to; false when that cannot be told, and `says` says why. */
static bool by_flags(const struct rt_id *id, const struct java_options *o, struct java_version v,
                     const struct aware_ask *ask, bool cgroup, struct aware *out) {
    if (o->have_max) {
        out->bound = o->max;
        (void)snprintf(out->bound_from, sizeof(out->bound_from), "%s", o->max_text);
    } else if (o->elsewhere) {
        (void)snprintf(out->says, sizeof(out->says),
                       "its options are in a file (%s), which was not read", o->where);
        return false;
    } else if (v.feature < 0 || ask->machine == 0 || is_openj9_default(id, o)) {
        (void)snprintf(out->says, sizeof(out->says),
                       "%s, and without -Xmx its heap's bound cannot "
                       "be told",
                       is_openj9_default(id, o) ? "OpenJ9 has rules of its own"
                                                : "its version is not known");
        return false;
    } else {
        by_memory(o, cgroup ? ask->seen : ask->machine, cgroup, out);
    }
    return true;
}

/* The JVM's own word counts; the options explain it when they come to the same, but for how it
 * rounds. True when they do. */
static bool by_counters(uint64_t own, bool have_flags, struct aware *out) {
    uint64_t apart = out->bound > own ? out->bound - own : own - out->bound;
    bool same = have_flags && apart <= 32 * AWARE_MIB && apart <= own / 16 + AWARE_MIB;
    char flags[sizeof(out->bound_from)];

    memcpy(flags, out->bound_from, sizeof(flags));
    out->bound = own;
    if (same)
        (void)snprintf(out->bound_from, sizeof(out->bound_from), "its own counters, of %.70s",
                       flags);
    else
        (void)snprintf(out->bound_from, sizeof(out->bound_from), "its own counters");
    return same;
}

void aware_java(const struct rt_id *id, struct str command, struct str variables,
                const struct aware_ask *ask, struct aware *out) {
    struct java_version v = version_of(id);
    struct java_options o = {.have_max = false};
    uint64_t limit = ask->limit ? ask->limit : ask->machine;
    char mend[96];
    struct aware_bound b = {id, ask, "of heap", java_room(limit), mend, ""};
    bool cgroup, explained;

    take_variable(&o, variables, STR("JAVA_TOOL_OPTIONS"));
    if (v.feature >= 9)
        take_variable(&o, variables, STR("JDK_JAVA_OPTIONS"));
    take_command(&o, command);
    take_variable(&o, variables, STR("_JAVA_OPTIONS"));
    if (id->kind == RT_OPENJ9)
        take_variable(&o, variables, STR("OPENJ9_JAVA_OPTIONS"));
    out->knows_cgroups = ask->v2 ? knows_v2(v) : knows_v1(v);
    if (!ask->v2 && can_be_told(v) && o.cgroup_for_heap)
        out->knows_cgroups = true;
    out->knows_cgroups &= !o.no_containers;
    cgroup = out->knows_cgroups && ask->seen != 0 && ask->seen < ask->machine;
    explained = by_flags(id, &o, v, ask, cgroup, out);
    if (!explained && ask->heap_max == 0)
        return;
    if (ask->heap_max != 0)
        explained = by_counters(ask->heap_max, explained, out);
    if (explained && !o.have_max && !out->knows_cgroups)
        b.more = o.no_containers ? "; -XX:-UseContainerSupport hides the container's limit"
                                 : blindness(v, ask);
    out->have_bound = true;
    add_mend(limit, out->knows_cgroups && cgroup && !o.have_ram, mend, sizeof(mend));
    aware_judge(out, &b);
}
