#include "kern/procstatus.h"

#include <errno.h>
#include <string.h>

#include "kern/procfile.h"

enum shape { SIZE_KB, NUMBER, EFFECTIVE_ID, LAST_PID, SIGNALS };

static const struct line_kind {
    struct str key;
    enum procstatus_field field;
    enum shape shape;
} kinds[] = {
    {{"Tgid", 4}, PROCSTATUS_TGID, NUMBER},       {{"TracerPid", 9}, PROCSTATUS_TRACER, NUMBER},
    {{"Uid", 3}, PROCSTATUS_EUID, EFFECTIVE_ID},  {{"Gid", 3}, PROCSTATUS_EGID, EFFECTIVE_ID},
    {{"NSpid", 5}, PROCSTATUS_NS_PID, LAST_PID},  {{"VmLck", 5}, PROCSTATUS_LOCKED, SIZE_KB},
    {{"VmHWM", 5}, PROCSTATUS_PEAK, SIZE_KB},     {{"VmRSS", 5}, PROCSTATUS_RES, SIZE_KB},
    {{"RssAnon", 7}, PROCSTATUS_ANON, SIZE_KB},   {{"RssFile", 7}, PROCSTATUS_FILE, SIZE_KB},
    {{"RssShmem", 8}, PROCSTATUS_SHMEM, SIZE_KB}, {{"VmSwap", 6}, PROCSTATUS_SWAP, SIZE_KB},
    {{"Threads", 7}, PROCSTATUS_THREADS, NUMBER}, {{"SigPnd", 6}, PROCSTATUS_PENDING, SIGNALS},
    {{"ShdPnd", 6}, PROCSTATUS_PENDING, SIGNALS}, {{"SigBlk", 6}, PROCSTATUS_BLOCKED, SIGNALS},
    {{"SigIgn", 6}, PROCSTATUS_IGNORED, SIGNALS}, {{"SigCgt", 6}, PROCSTATUS_CAUGHT, SIGNALS},
    {{"Seccomp", 7}, PROCSTATUS_SECCOMP, NUMBER},
};

static void set(struct procstatus *s, enum procstatus_field field, uint64_t value) {
    s->value[field] = value;
    s->have |= 1U << field;
}

/* "\t    1712 kB" */
static int parse_size(struct str rest, uint64_t *out) {
    struct str number, unit;
    uint64_t kib;
    int r;

    if (!str_word(&rest, &number) || !str_word(&rest, &unit) || !str_eq(unit, STR("kB")))
        return -EBADMSG;
    r = str_to_u64(number, &kib);
    if (r < 0)
        return r;
    return __builtin_mul_overflow(kib, 1024, out) ? -ERANGE : 0;
}

/* "\treal\teffective\tsaved\tfs" */
static int parse_effective(struct str rest, uint64_t *out) {
    struct str word;

    if (!str_word(&rest, &word) || !str_word(&rest, &word))
        return -EBADMSG;
    return str_to_u64(word, out);
}

/* The pids from the reader's namespace inwards; the last is the one its container knows. */
static int parse_pids(struct str rest, struct procstatus *s) {
    struct str word;
    uint64_t depth = 0, pid = 0;

    while (str_word(&rest, &word)) {
        int r = str_to_u64(word, &pid);

        if (r < 0)
            return r;
        depth++;
    }
    if (depth == 0)
        return -EBADMSG;
    set(s, PROCSTATUS_NS_PID, pid);
    set(s, PROCSTATUS_NS_DEPTH, depth);
    return 0;
}

/* "\t0000000000000100" */
static int parse_signals(struct str rest, uint64_t *out) {
    struct str word;
    uint64_t mask = 0;

    if (!str_word(&rest, &word) || word.n > 16 || str_trim(rest).n > 0)
        return -EBADMSG;
    for (size_t i = 0; i < word.n; i++) {
        char c = word.p[i];

        if (c >= '0' && c <= '9')
            mask = mask << 4 | (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            mask = mask << 4 | (unsigned)(c - 'a' + 10);
        else
            return -EBADMSG;
    }
    *out = mask;
    return 0;
}

static int parse_value(const struct line_kind *kind, struct str rest, struct procstatus *s) {
    uint64_t value = 0;
    int r = -EBADMSG;

    switch (kind->shape) {
    case SIZE_KB:
        r = parse_size(rest, &value);
        break;
    case NUMBER:
        r = str_to_u64(str_trim(rest), &value);
        break;
    case EFFECTIVE_ID:
        r = parse_effective(rest, &value);
        break;
    case LAST_PID:
        return parse_pids(rest, s);
    case SIGNALS: /* two lines: the thread's own and the process's */
        r = parse_signals(rest, &value);
        value |= s->have & 1U << kind->field ? s->value[kind->field] : 0;
        break;
    }
    if (r == 0)
        set(s, kind->field, value);
    return r;
}

int procstatus_parse(struct str text, struct procstatus *out) {
    struct procstatus s = {0};
    struct str line, key;
    size_t next = 0;

    while (str_cut(&text, '\n', &line)) {
        if (!str_cut(&line, ':', &key))
            continue;
        /* The kernel has written these lines in the table's order since 4.5: look there first. */
        for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
            size_t at = (next + i) % (sizeof(kinds) / sizeof(kinds[0]));
            int r;

            if (!str_eq(key, kinds[at].key))
                continue;
            r = parse_value(&kinds[at], line, &s);
            if (r < 0)
                return r;
            next = at + 1;
            break;
        }
    }
    if (text.n > 0)
        return -EBADMSG;
    *out = s;
    return 0;
}

int procstatus_read(int proc, int32_t pid, struct procstatus *out) {
    /* 1.5 KiB on a small machine; the cpu and node masks grow it to some 10 KiB on 8192 cpus, and
     * a user may be in 65536 groups, each up to 11 bytes: that one file is then -EFBIG. */
    char buf[32768];
    struct str text;
    int r = procfile_read(proc, pid, "status", buf, sizeof(buf), &text);

    return r < 0 ? r : procstatus_parse(text, out);
}
