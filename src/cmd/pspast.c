#include "cmd/pspast.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/agentclient.h"

enum { TEXT_MAX = 64 << 20 };

static bool integer_at(const json_t *row, const char *key, int64_t least, int64_t most,
                       int64_t *out) {
    const json_t *value = json_object_get(row, key);

    if (!json_is_integer(value) || json_integer_value(value) < least ||
        json_integer_value(value) > most)
        return false;
    *out = json_integer_value(value);
    return true;
}

static bool text_at(const json_t *row, const char *key, struct str *out) {
    const json_t *value = json_object_get(row, key);

    if (!json_is_string(value))
        return false;
    *out = (struct str){json_string_value(value), json_string_length(value)};
    return true;
}

static void keep_text(struct procs *p, const json_t *row, const char *key, enum proc_field field,
                      struct proc_row *out, struct proc_text *place) {
    struct str s;

    if (!text_at(row, key, &s))
        return;
    *place = (struct proc_text){(uint32_t)p->text.n, (uint32_t)s.n};
    buf_add(&p->text, s);
    out->have |= PROC_BIT(field);
}

static void read_comm(const json_t *row, struct proc_row *out) {
    struct str s;

    if (!text_at(row, "comm", &s))
        return;
    s = str_head(s, s.n < sizeof(out->comm) ? s.n : sizeof(out->comm));
    memcpy(out->comm, s.p, s.n);
    out->comm_n = (uint8_t)s.n;
    out->have |= PROC_BIT(PROC_COMM);
}

/* Those that are not of the table above. */
static void read_odd_ones(const json_t *row, struct proc_row *out) {
    struct str state;
    int64_t n;

    if (integer_at(row, "ppid", 0, INT32_MAX, &n)) {
        out->ppid = (int32_t)n;
        out->have |= PROC_BIT(PROC_PPID);
    }
    if (integer_at(row, "uid", 0, UINT32_MAX, &n)) {
        out->uid = (uint32_t)n;
        out->have |= PROC_BIT(PROC_UID);
    }
    if (integer_at(row, "oom_score", INT64_MIN, INT64_MAX, &n)) {
        out->oom_score = n;
        out->have |= PROC_BIT(PROC_OOM_SCORE);
    }
    if (integer_at(row, "start_ms", 0, INT64_MAX, &n)) {
        out->start_ms = n;
        out->have |= PROC_BIT(PROC_START);
    }
    if (text_at(row, "state", &state) && state.n == 1) {
        out->state = state.p[0];
        out->have |= PROC_BIT(PROC_STATE);
    }
}

static bool read_row(struct procs *p, const json_t *row, struct proc_row *out) {
    int64_t n;

    *out = (struct proc_row){.have = 0};
    if (!integer_at(row, "pid", 1, INT32_MAX, &n))
        return false;
    out->pid = (int32_t)n;
    for (size_t i = 0; i < PROC_NUMBERS; i++)
        if (integer_at(row, proc_numbers[i].key, 0, INT64_MAX, &n))
            proc_put(out, proc_numbers[i].field, (uint64_t)n);
    read_odd_ones(row, out);
    read_comm(row, out);
    keep_text(p, row, "command", PROC_COMMAND, out, &out->command);
    keep_text(p, row, "cgroup", PROC_CGROUP, out, &out->cgroup);
    out->pss_estimated = json_is_true(json_object_get(row, "pss_estimated"));
    return true;
}

static void count_pss(struct procs *p, const struct proc_row *row) {
    p->pss_unknown += !proc_has(row, PROC_PSS);
    p->pss_estimated += proc_has(row, PROC_PSS) && row->pss_estimated;
    p->pss_measured += proc_has(row, PROC_PSS) && !row->pss_estimated;
}

static int read_rows(struct procs *p, const json_t *list) {
    size_t n = json_array_size(list);

    p->options.pss = PROCS_PSS_EXACT; /* nothing more can be read now */
    buf_init(&p->text, TEXT_MAX);
    p->row = calloc(n + 1, sizeof(*p->row));
    if (!p->row)
        return -ENOMEM;
    p->size = n + 1;
    for (size_t i = 0; i < n; i++) {
        if (!read_row(p, json_array_get(list, i), &p->row[p->n]))
            return -EBADMSG;
        count_pss(p, &p->row[p->n++]);
    }
    return buf_error(&p->text);
}

static void take(const json_t *row, const char *key, bool *have, uint64_t *out) {
    int64_t n = 0;

    *have = integer_at(row, key, 0, INT64_MAX, &n);
    *out = (uint64_t)n;
}

static void read_group(const json_t *row, struct psview_group *g) {
    take(row, "usage", &g->have, &g->usage);
    take(row, "used", &g->have_used, &g->used);
    take(row, "shmem", &g->have_shmem, &g->shmem);
    take(row, "file", &g->have_cache, &g->cache);
    take(row, "kernel", &g->have_kernel, &g->kernel);
    if (g->have_shmem && g->have_cache) /* the kernel counts tmpfs as page cache */
        g->cache = g->cache > g->shmem ? g->cache - g->shmem : 0;
}

int pspast_read(struct pspast *p, json_t *processes, const json_t *targets) {
    const json_t *list = json_object_get(processes, "processes");
    int64_t total = 0;
    int r;

    if (!json_is_array(list))
        return -EBADMSG;
    r = read_rows(&p->procs, list);
    if (r < 0)
        return r;
    p->answer = json_incref(processes);
    p->at_ms = json_integer_value(json_object_get(processes, "at_ms"));
    p->total = integer_at(processes, "total", 0, INT64_MAX, &total) ? (uint64_t)total : p->procs.n;
    read_group(json_array_get(json_object_get(targets, "targets"), 0), &p->group);
    if (!text_at(processes, "target", &p->group.name))
        p->group.have = false;
    return 0;
}

void pspast_done(struct pspast *p) {
    free(p->procs.row);
    buf_done(&p->procs.text);
    json_decref(p->answer);
    *p = (struct pspast){.total = 0};
}

static int ask(const char *socket, const char *path, const char *target, int64_t at_ms,
               json_t **out, struct err *err) {
    struct buf request;
    int r;

    buf_init(&request, 65536);
    agentclient_path(&request, path);
    agentclient_param(&request, "target", str_of(target));
    agentclient_param_ms(&request, "at", at_ms);
    r = agentclient_get(socket, &request, out, err);
    buf_done(&request);
    return r;
}

int pspast_ask(struct pspast *p, const char *socket, const char *target, int64_t at_ms,
               struct err *err) {
    json_t *processes = NULL, *targets = NULL;
    struct err no_group;
    int r = ask(socket, "/api/v1/processes", target, at_ms, &processes, err);

    if (r < 0)
        return r;
    /* the sum is worth printing without the group too */
    (void)ask(socket, "/api/v1/targets", target, at_ms, &targets, &no_group);
    r = pspast_read(p, processes, targets);
    if (r < 0)
        (void)err_set(err, r, "cannot read the agent's answer:");
    else if (p->at_ms == 0) {
        pspast_done(p);
        r = err_set(err, -ENOENT, "no processes of '%s' were recorded then", target);
    }
    json_decref(processes);
    json_decref(targets);
    return r;
}
