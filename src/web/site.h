/* site.h - what all handlers see: the live table, the store, and what streams are told.
 */
#pragma once
#include "model/action.h"
#include "series/live.h"
#include "series/store.h"
#include "web/request.h"

enum { SITE_OOMS = 32, SITE_STREAMS = 16, SITE_LOCAL_STREAMS = 8 };

struct site_oom {
    int64_t at_ms;
    const char *event; /* "oom", "guard" */
    char *json;
};

struct site {
    struct live *live;
    struct store *store; /* NULL: no history */
    const char *version;
    int64_t interval_ms;
    bool cadvisor_names;
    int64_t told_ms;                /* the newest tick that is complete */
    uint64_t era;                   /* grows when uids change their meaning */
    int64_t era_ms;                 /* since when this one is; streams know nothing from before */
    struct site_oom oom[SITE_OOMS]; /* a ring */
    uint64_t ooms;
    unsigned streams, local_streams;
    /* Asks the collector for an action; 0 or -errno. NULL: nobody is there to be asked. */
    int (*act)(void *ctx, uint32_t uid, enum action action, uint64_t request);
    void *act_ctx;
    uint64_t acts;    /* asked for so far */
    int64_t fills_ms; /* windows of trends that were filled in this tick (rowtrend.h) */
    unsigned fills;
};

typedef void site_handler(struct site *site, const struct request *rq, struct answer *a);

/* The table of routes: answers any path, unknown ones with 404. */
site_handler site_answer;

/* The handlers, each in the file of that name. */
site_handler api_page, api_landing, api_healthz, api_metrics, api_metrics_cadvisor, api_log;
site_handler api_targets, api_series, api_processes, api_incidents, api_about, api_sparks,
    api_events;
site_handler promapi_query, promapi_query_range, promapi_series, promapi_labels, promapi_values;
site_handler stream_open;
