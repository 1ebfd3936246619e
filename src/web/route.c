/* The table of routes: a path, and who answers it. What is not in it may be a file of the page. */
#include "base/mem.h"
#include "web/site.h"

static const struct route {
    const char *path;
    site_handler *handler;
    bool is_head; /* what follows the path is an argument of the handler's own */
} routes[] = {
    {"/api", api_landing, false},
    {"/healthz", api_healthz, false},
    {"/metrics", api_metrics, false},
    {"/metrics/cadvisor", api_metrics_cadvisor, false},
    {"/api/v1/about", api_about, false},
    {"/api/v1/targets", api_targets, false},
    {"/api/v1/series", api_series, false},
    {"/api/v1/sparks", api_sparks, false},
    {"/api/v1/processes", api_processes, false},
    {"/api/v1/incidents", api_incidents, false},
    {"/api/v1/events", api_events, false},
    {"/api/v1/stream", stream_open, false},
    {"/api/v1/query", promapi_query, false},
    {"/api/v1/query_range", promapi_query_range, false},
    {"/api/v1/labels", promapi_labels, false},
    {"/api/v1/label/", promapi_values, true},
    {"/internal/log", api_log, false},
};

void site_answer(struct site *site, const struct request *rq, struct answer *a) {
    for (size_t i = 0; i < ARRAY_N(routes); i++) {
        struct str path = str_of(routes[i].path);

        if (routes[i].is_head ? str_starts(rq->path, path) : str_eq(rq->path, path)) {
            routes[i].handler(site, rq, a);
            return;
        }
    }
    api_page(site, rq, a);
}
