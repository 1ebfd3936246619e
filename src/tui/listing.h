/* listing.h - which targets the list is about, before the filter's words, as on the page: what
 * people start and name.
 */
#pragma once
#include "tui/filter.h"

/* The first of which there are any; ASKED: the filter names kinds itself. */
enum listing_of {
    LISTING_WORKLOADS, /* containers and virtual machines */
    LISTING_SERVICES,  /* of the machine, and sessions */
    LISTING_GROUPS,    /* plain ones that hold no other: those above count the same again */
    LISTING_NOTHING,
    LISTING_ASKED,
};

struct listing {
    enum listing_of of;
    struct str *parents; /* of all rows, in order, when it is of groups */
    size_t n;
};

/* 0 or -ENOMEM. listing_done in any case. */
int listing_choose(struct listing *l, const struct tui_source *source, const struct filter *f);
void listing_done(struct listing *l);

bool listing_has(const struct listing *l, const struct tui_row *row);

/* What `n` of them are called: "containers", "service". */
const char *listing_word(enum listing_of of, size_t n);
