/* /api/v1/processes: the largest processes of a target, as last told or as of a moment. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "web/past.h"

enum { PROCESSES_MATCHES = 8, PROCESSES_AWAY_MS = 24 * 3600 * 1000 };

static bool proc_has(const struct wire_proc *p, enum proc_field field) {
    return p->have & PROC_BIT(field);
}

static void key_number(struct json *j, const char *key, const struct wire_proc *p,
                       enum proc_field field) {
    json_key_maybe(j, key, proc_has(p, field), p->value[field]);
}

static void key_text(struct json *j, const char *key, bool have, struct str text) {
    json_key(j, key);
    if (have)
        json_str(j, text);
    else
        json_unknown(j);
}

/* The kernel writes scores below 0 too. */
static void key_score(struct json *j, const struct wire_proc *p) {
    json_key(j, "oom_score");
    if (proc_has(p, PROC_OOM_SCORE))
        json_i64(j, (int64_t)p->value[PROC_OOM_SCORE]);
    else
        json_unknown(j);
}

static void add_process(struct json *j, const struct wire_proc *p, struct str cgroup,
                        bool commands) {
    char state = (char)p->value[PROC_STATE];

    json_begin_object(j);
    json_key_maybe(j, "pid", p->pid > 0, (uint64_t)p->pid);
    key_number(j, "ppid", p, PROC_PPID);
    json_key(j, "user"); /* whoever asks has the machine's /etc/passwd; this process has not */
    json_unknown(j);
    key_number(j, "uid", p, PROC_UID);
    key_text(j, "comm", proc_has(p, PROC_COMM), p->comm);
    key_text(j, "command", commands && proc_has(p, PROC_COMMAND), p->command);
    key_text(j, "state", proc_has(p, PROC_STATE), (struct str){&state, 1});
    for (size_t i = 0; i < PROC_NUMBERS; i++)
        key_number(j, proc_numbers[i].key, p, proc_numbers[i].field);
    json_key(j, "pss_estimated");
    json_bool(j, p->pss_estimated);
    key_score(j, p);
    key_number(j, "start_ms", p, PROC_START);
    json_key_str(j, "cgroup", cgroup);
    json_key(j, "runtime");
    json_unknown(j);
    json_end(j);
}

static void add_answer(struct answer *a, struct str name, struct str cgroup, struct str body,
                       bool commands) {
    struct wire_in in = {(const uint8_t *)body.p, body.n};
    struct wire_procs head = {0};
    struct wire_proc p;
    struct json j;
    int r = body.n > 0 ? wire_read_procs(&in, &head) : 0;

    json_start(&j, &a->piece);
    json_begin_object(&j);
    json_key_str(&j, "target", name);
    json_key(&j, "at_ms");
    if (r == 0 && body.n > 0)
        json_i64(&j, head.at_ms);
    else
        json_unknown(&j);
    json_key_maybe(&j, "total", r == 0 && body.n > 0, head.total);
    json_key(&j, "processes");
    json_begin_array(&j);
    while (r == 0 && body.n > 0 && wire_read_proc(&in, &p) == 1)
        add_process(&j, &p, cgroup, commands);
    json_end(&j);
    json_end(&j);
    buf_add_char(&a->piece, '\n');
}

/* A target that is not there, but was within a day, has no processes: no error to whoever looks at
 * its past, or waits for it to come back. */
static void answer_away(struct site *site, const struct request *rq, struct str word, int64_t at_ms,
                        struct answer *a) {
    struct past past = {0};
    struct identity i = {0};

    a->status = 200; /* whatever was said before */
    buf_clear(&a->piece);
    if (site->store && past_list(&past, site, at_ms - PROCESSES_AWAY_MS, at_ms, &word, a) &&
        past.n == 1 && identity_parse(past.target[0].identity, &i) == 0)
        add_answer(a, row_name(&i.t), i.t.path, STR(""), rq->commands);
    else
        answer_error(a, 404, "no target is called '%.*s'", STR_ARG(str_head(word, 200)));
    identity_done(&i);
    past_done(&past);
}

static void answer_past(struct site *site, const struct request *rq, struct str word, int64_t at_ms,
                        struct answer *a) {
    struct past past = {0};
    struct identity i = {0};
    int64_t told_ms;
    struct buf body;

    buf_init(&body, WIRE_MESSAGE);
    if (!past_list(&past, site, at_ms - PAST_SLACK_MS, at_ms, &word, a)) {
        if (a->status == 404 && site->store)
            answer_away(site, rq, word, at_ms, a);
    } else if (past.n > 1) {
        answer_error(a, 400, "%zu targets were called '%.*s' then: name one by its key", past.n,
                     STR_ARG(str_head(word, 200)));
    } else if (identity_parse(past.target[0].identity, &i) < 0) {
        answer_error(a, 404, "no processes of '%.*s' were recorded then",
                     STR_ARG(str_head(word, 200)));
    } else {
        (void)store_procs_at(site->store, past.target[0].series, at_ms, &told_ms, &body);
        add_answer(a, row_name(&i.t), i.t.path, buf_str(&body), rq->commands);
    }
    identity_done(&i);
    past_done(&past);
    buf_done(&body);
}

void api_processes(struct site *site, const struct request *rq, struct answer *a) {
    struct live_row *row[PROCESSES_MATCHES];
    int64_t at_ms = rq->now_ms;
    struct str word, at;
    size_t n;

    if (!request_arg(rq, "target", &word)) {
        answer_error(a, 400, "which target? target=NAME");
        return;
    }
    if (!request_time(rq, "at", &at_ms, a))
        return;
    if (request_arg(rq, "at", &at)) {
        answer_past(site, rq, word, at_ms, a);
        return;
    }
    n = live_resolve(site->live, word, row, PROCESSES_MATCHES);
    if (n == 0)
        answer_away(site, rq, word, rq->now_ms, a);
    else if (n > 1)
        answer_error(a, 400, "%zu targets are called '%.*s': name one by its id or path", n,
                     STR_ARG(str_head(word, 200)));
    else
        add_answer(a, row_name(&row[0]->t), row[0]->t.path,
                   (struct str){(const char *)row[0]->procs, row[0]->procs_n}, rq->commands);
}
