/* incidentview.h - incidents printed: as a table, as JSON, and one of them as its whole story. */
#pragma once
#include "cmd/incidentlist.h"

struct incidentview {
    bool json, plain, ascii, colour;
    size_t width;     /* of the terminal; 0: none */
    const char *file; /* read; NULL: it was not */
    bool agent;       /* it answered */
};

/* 0; -ENOMEM, -EFBIG. */
int incidentview_table(const struct incidentview *v, const struct incident *i, size_t n,
                       struct buf *out);
int incidentview_json(const struct incidentview *v, const struct incidentlist *l,
                      const struct incident *i, size_t n, struct buf *out);

/* What was used around it: points of /api/v1/series, or NULL where nobody knows. */
struct incidentview_story {
    const struct incidentlist *list;
    const bool *in;
    bool over;
    struct str id;
    const json_t *points; /* [ms, last, least, most, mean], oldest first */
};
int incidentview_story(const struct incidentview *v, const struct incidentview_story *s,
                       struct buf *out);

/* One record for --follow: a line of text, or an object. */
void incidentview_record(const struct incidentview *v, const struct incident_record *r,
                         struct buf *out);
