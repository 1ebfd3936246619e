/* family.h - what the pages consist of: tables of families, and how a row's value is had.
 *
 * A family is a name with its help and type, over rows or over something else, with one line or
 * several for each. The tables know what is exported; prompage.c knows the format.
 */
#pragma once
#include "export/promtext.h"
#include "series/live.h"

enum family_over {
    OVER_ROWS,
    OVER_KEPT, /* rows, by the labels that stay when they are made again */
    OVER_PODS, /* rows, but those of a pod once */
    OVER_ONCE, /* nothing: of the agent or the machine */
};

/* The value of a line, or false where it is not known. row is NULL with OVER_ONCE; of one that is
 * gone it has but what live_lost keeps. `which` is the line's. */
typedef bool family_get(const struct live *l, const struct live_row *row, unsigned which,
                        uint64_t *out);

enum { FAMILY_LINES = 4 };

struct family_line {
    unsigned which;
    const char *labels; /* beside the row's: `cpu="total"`; NULL: none */
};

struct family {
    const char *name, *help;
    bool counter;
    bool with_lost; /* OVER_KEPT: what is not 0 of those that are gone follows */
    unsigned decimals;
    enum family_over over;
    family_get *get;
    unsigned lines;
    struct family_line line[FAMILY_LINES];
    const struct family_line *more; /* instead of `line`, where those are more; NULL: none */
};

static inline const struct family_line *family_line_at(const struct family *f, unsigned i) {
    return f->more ? &f->more[i] : &f->line[i];
}

/* The families of our own names, and of cAdvisor's: false behind the last one. A name that has to
 * be made is made in name_room, which must outlive the family. */
bool family_own(unsigned i, char name_room[PROM_NAME], struct family *out);
bool family_cadvisor(unsigned i, bool failcnt, struct family *out);

/* A metric of the sample: `which` is an enum metric. False also for a bound that is none. */
family_get family_metric;
family_get family_oom_kills;
