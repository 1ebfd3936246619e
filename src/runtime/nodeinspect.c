#include "runtime/nodeinspect.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "kern/procline.h"
#include "kern/procstat.h"
#include "net/http1.h"
#include "runtime/nodeoptions.h"
#include "runtime/nodeready.h"
#include "runtime/nodesignal.h"

enum {
    LIST_MAX = 65536,
    PROBES = 8,             /* ports asked whether they are an inspector */
    PROBE_US = 1000 * 1000, /* each */
    LOOK_US = 4 * 1000,     /* at first; each look costs, so it is doubled up to */
    LOOK_MOST_US = 40 * 1000,
    CLOSING_US = 1000 * 1000, /* kept of the time for closing */
    WORDS = 65536,
    READY_US = 4 * 1000 * 1000, /* so long at most */
};

static void pause_us(int64_t us) {
    const struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};

    nanosleep(&t, NULL);
}

static int64_t earlier(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* ---- who listens ---- */

static int read_ports(const struct rtproc *p, struct node_ports *out) {
    out->n = rtproc_ports(p, out->port, ARRAY_N(out->port));
    return out->n < 0 ? out->n : 0;
}

static bool has_port(const struct node_ports *ports, struct rtproc_port port) {
    for (int i = 0; i < ports->n; i++)
        if (ports->port[i].port == port.port && ports->port[i].six == port.six)
            return true;
    return false;
}

/* The path of the session in what /json/list says: "ws://127.0.0.1:9229/0f2c..." */
static int session_path(const json_t *list, char *out, size_t size) {
    size_t i;
    const json_t *entry;

    json_array_foreach(list, i, entry) {
        struct str url = cdp_text(entry, "webSocketDebuggerUrl"), host;

        if (!str_eq(cdp_text(entry, "type"), STR("node")) || !str_skip(&url, STR("ws://")) ||
            !str_cut(&url, '/', &host) || url.n == 0)
            continue;
        for (size_t j = 0; j < url.n; j++)
            if (str_hex(url.p[j]) < 0 && url.p[j] != '-')
                return -EBADMSG;
        out[0] = '/';
        return str_copy(url, out + 1, size - 1);
    }
    return -EBADMSG;
}

/* Node answers with a length and does not hang up: the answer is read until it is whole. */
static int read_list(int fd, int64_t deadline_us, json_t **out) {
    struct unixhttp answer;
    struct buf text;
    int r = 0;

    buf_init(&text, LIST_MAX);
    while (r == 0) {
        char *room = buf_room(&text, 4096);
        ssize_t n = room ? recv(fd, room, 4096, 0) : -1;

        if (n > 0) {
            buf_grow(&text, (size_t)n);
            if (unixhttp_parse(buf_str(&text), &answer) == 0) {
                *out = json_loadb(answer.body.p, answer.body.n, JSON_ALLOW_NUL, NULL);
                r = *out ? 1 : 0;
            }
        } else if (!room || n == 0 || (errno != EAGAIN && errno != EINTR)) {
            r = -EBADMSG;
        }
        if (r == 0)
            r = http1_wait(fd, POLLIN, deadline_us);
    }
    buf_done(&text);
    return r < 0 ? r : 0;
}

static void host_of(struct rtproc_port port, char out[32]) {
    (void)snprintf(out, 32, port.six ? "[::1]:%u" : "127.0.0.1:%u", port.port);
}

/* Asks a port whether it is Node's inspector. 0 and the session's path; -errno. */
static int ask_list(const struct rtproc *p, struct rtproc_port port, int64_t deadline_us,
                    char *path, size_t size) {
    auto_close int fd = rtproc_connect(p, port.port, port.six, deadline_us);
    char host[32], request[128];
    json_t *list = NULL;
    int r;

    if (fd < 0)
        return fd;
    host_of(port, host);
    (void)snprintf(request, sizeof(request), "GET /json/list HTTP/1.0\r\nHost: %s\r\n\r\n", host);
    r = http1_send(fd, str_of(request), deadline_us);
    if (r == 0)
        r = read_list(fd, deadline_us, &list);
    if (r == 0)
        r = session_path(list, path, size);
    json_decref(list);
    return r;
}

/* ---- a session ---- */

/* What closes: kept as an object in the program, with a timer that does it in any case. */
static const char arm[] = "(() => {"
                          " const end = typeof process._debugEnd === 'function' ? process._debugEnd"
                          "  : require('inspector').close;"
                          " const timer = setTimeout(end, %lld);"
                          " timer.unref();"
                          " return { close() { clearTimeout(timer); end(); } };"
                          "})()";

static const char end_now[] =
    "typeof process._debugEnd === 'function' ? process._debugEnd() : require('inspector').close()";

static json_t *expression(const char *text) {
    return json_pack("{s:s, s:b}", "expression", text, "silent", 1);
}

static int connect_session(const struct rtproc *p, struct rtproc_port port, int64_t deadline_us,
                           struct cdp *out) {
    char path[128], host[32];
    int fd, r = ask_list(p, port, deadline_us, path, sizeof(path));

    if (r < 0)
        return r;
    fd = rtproc_connect(p, port.port, port.six, deadline_us);
    if (fd < 0)
        return fd;
    host_of(port, host);
    r = cdp_open(out, fd, host, path, deadline_us);
    if (r < 0)
        cdp_done(out);
    return r;
}

/* Whether it is the program that we mean: a port may be handed on between looking and asking. */
static int check_pid(struct cdp *c, const struct rtproc *p, int64_t deadline_us) {
    json_t *value = NULL;
    int r = cdp_evaluate(c, "process.pid", deadline_us, &value);

    if (r == 0 && (!json_is_integer(value) || json_integer_value(value) != p->ns_pid))
        r = -EBADMSG;
    json_decref(value);
    return r;
}

static int arm_closer(struct node_inspector *i, int64_t deadline_us) {
    char text[sizeof(arm) + 32];
    json_t *result = NULL;
    struct str id;
    int r;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(text, sizeof(text), arm,
                   (long long)((deadline_us - clock_mono_us()) / 1000 + 10000));
#pragma GCC diagnostic pop
    r = cdp_call(&i->cdp, "Runtime.evaluate", expression(text), deadline_us, &result);
    if (r < 0)
        return r;
    id = cdp_text(result, "result.objectId");
    r = id.n > 0 && id.n < sizeof(i->closer) ? str_copy(id, i->closer, sizeof(i->closer))
                                             : -EBADMSG;
    json_decref(result);
    return r;
}

static bool never(void *ctx) {
    (void)ctx;
    return false;
}

/* Calls what closes and waits until the other side has hung up. */
static void call_closer(struct node_inspector *i, int64_t deadline_us) {
    int r;

    i->cdp.event = NULL;
    if (i->closer[0])
        r = cdp_send(&i->cdp, "Runtime.callFunctionOn",
                     json_pack("{s:s, s:s}", "functionDeclaration", "function() { this.close() }",
                               "objectId", i->closer),
                     deadline_us);
    else
        r = cdp_send(&i->cdp, "Runtime.evaluate", expression(end_now), deadline_us);
    if (r == 0)
        (void)cdp_wait(&i->cdp, never, deadline_us);
}

/* Nobody of the process listens there any more. */
static int wait_closed(const struct rtproc *p, struct rtproc_port port, int64_t deadline_us) {
    for (int64_t wait_us = LOOK_US;; wait_us = earlier(2 * wait_us, LOOK_MOST_US)) {
        struct node_ports now;
        int r = rtproc_same(p);

        if (r == 0)
            r = read_ports(p, &now);
        if (r < 0 || !has_port(&now, port))
            return 0; /* or there is no process */
        if (clock_mono_us() >= deadline_us)
            return -ETIMEDOUT;
        pause_us(wait_us);
    }
}

int node_inspector_close(struct node_inspector *i, int64_t deadline_us) {
    struct rtproc_port port = {.port = i->port, .six = i->six};
    int r = 0;

    if (i->ours) {
        call_closer(i, earlier(deadline_us, clock_mono_us() + CLOSING_US / 2));
        cdp_done(&i->cdp);
        r = wait_closed(i->p, port, deadline_us);
        if (r == 0)
            node_guard_dismiss(&i->guard);
        else
            node_guard_leave(&i->guard);
        return r;
    }
    websocket_close(&i->cdp.ws, earlier(deadline_us, clock_mono_us() + CLOSING_US / 4));
    cdp_done(&i->cdp);
    return 0;
}

int node_inspector_end(const struct rtproc *p, const struct node_ports *before,
                       int64_t deadline_us) {
    struct node_inspector i = {.p = p, .cdp = CDP_NONE, .guard.fd = -1, .ours = true};
    struct node_ports now;
    int r = read_ports(p, &now);

    if (r < 0)
        return r;
    r = -ENOENT;
    for (int j = 0; j < now.n && j < PROBES && r == -ENOENT; j++) {
        if (has_port(before, now.port[j]) ||
            connect_session(p, now.port[j], deadline_us, &i.cdp) < 0)
            continue;
        i.port = now.port[j].port;
        i.six = now.port[j].six;
        r = check_pid(&i.cdp, p, deadline_us);
        if (r == 0)
            r = node_inspector_close(&i, deadline_us);
        cdp_done(&i.cdp);
    }
    return r;
}

/* ---- opened, or found open ---- */

static void read_options(const struct rtproc *p, struct node_options *out) {
    auto_free char *command = malloc(WORDS), *variables = malloc(WORDS);
    struct str words = STR(""), settings = STR("");

    if (command && file_head_at(p->dir, "cmdline", command, WORDS, &words) < 0)
        words = STR("");
    if (variables && file_head_at(p->dir, "environ", variables, WORDS, &settings) < 0)
        settings = STR("");
    node_options_read(words, settings, out);
}

/* Whether a port of the process is worth a question: others may be its own service, which a
 * stranger's request would trouble. */
static bool is_likely(const struct node_options *o, struct rtproc_port port) {
    return port.port == o->port || port.port == NODE_PORT ||
           (o->port == 0 && o->inspects && port.loopback);
}

/* 0: open; -ENOENT: none of them. */
static int use_open(struct node_inspector *i, const struct node_options *o, int64_t deadline_us) {
    unsigned probes = 0;

    for (int j = 0; j < i->before.n && probes < PROBES; j++) {
        struct rtproc_port port = i->before.port[j];

        if (!is_likely(o, port))
            continue;
        probes++;
        if (connect_session(i->p, port, earlier(deadline_us, clock_mono_us() + PROBE_US), &i->cdp) <
            0)
            continue;
        i->port = port.port;
        i->six = port.six;
        return 0;
    }
    return -ENOENT;
}

static const char restart_with[] =
    "start the program with NODE_OPTIONS=--inspect=127.0.0.1:9229, and ask again";

/* 1 and words, or 0. */
static int refuse_signal(const struct rtproc *p, struct rt_result *why) {
    switch (rtproc_signal_action(p, SIGUSR1)) {
    case RTPROC_HANDLED:
        break;
    case RTPROC_DEFAULT:
        rt_refuse(why, restart_with,
                  "SIGUSR1 has no handler: it would end the process (Node is still starting, or "
                  "runs with --disable-sigusr1, or was built without an inspector)");
        return 1;
    case RTPROC_IGNORED:
    case RTPROC_BLOCKED:
        rt_refuse(why, restart_with, "SIGUSR1 is ignored or blocked: no inspector would open");
        return 1;
    }
    switch (node_handler_of(p, SIGUSR1)) {
    case NODE_HANDLER_OWN:
        return 0;
    case NODE_HANDLER_PROGRAM:
        rt_refuse(why, restart_with,
                  "the program has a SIGUSR1 handler of its own: the signal would run that");
        break;
    case NODE_HANDLER_UNKNOWN:
        rt_refuse(why, restart_with,
                  "it cannot be told whether the SIGUSR1 handler is Node's or the program's own, "
                  "which the signal would run: libuv's list of handlers was not found in it");
        break;
    }
    return 1;
}

/* Without loopback its inspector opens where nobody can reach it, and nobody can close it. */
static int refuse_network(const struct rtproc *p, struct rt_result *why) {
    char next[160];
    struct err err;

    if (rtproc_try_net(p, &err) < 0) {
        rt_refuse(why, rtproc_net_hint, "%s", err.text);
        return 1;
    }
    if (rtproc_has_loopback(p))
        return 0;
    (void)snprintf(next, sizeof(next),
                   "bring it up: nsenter --net=/proc/%d/ns/net ip link set lo up", p->pid);
    rt_refuse(why, next,
              "loopback (lo) is down in its network namespace: its inspector could not be reached");
    return 1;
}

static int refuse_state(const struct rtproc *p, int64_t deadline_us, struct rt_result *why) {
    struct procstat stat;
    struct procstatus status;
    char where[64];

    if (procstat_read(p->host->proc, p->pid, &stat) < 0 ||
        procstatus_read(p->host->proc, p->pid, &status) < 0)
        return -ESRCH;
    if ((status.have & 1U << PROCSTATUS_TRACER) && status.value[PROCSTATUS_TRACER] != 0) {
        rt_refuse(why, "end the debugger first",
                  "it is traced by process %llu, which would get the signal",
                  (unsigned long long)status.value[PROCSTATUS_TRACER]);
        return 1;
    }
    if (stat.state == 'T' || stat.state == 't') {
        rt_refuse(why, "let it continue (SIGCONT) first", "it is stopped: it cannot answer");
        return 1;
    }
    switch (node_wait_ready(p, deadline_us, where, sizeof(where))) {
    case NODE_READY:
        return 0;
    case NODE_STUCK:
        rt_refuse(why, "ask again when it answers requests",
                  "its event loop is blocked: the main thread waits in %.40s", where);
        return 1;
    case NODE_STARTING:
        rt_refuse(why, "ask again when it has been running for some seconds",
                  "it is still starting, and Node must not be disturbed then");
        return 1;
    case NODE_GONE:
        break;
    }
    return -ESRCH;
}

/* Whether somebody listens on the port in its network namespace. */
static int find_listener(const struct rtproc *p, const char *name, uint16_t port, bool *found) {
    auto_free struct procline *lines = malloc(sizeof(*lines));
    char wanted[8];
    struct str line;
    bool cut;
    int r;

    if (!lines)
        return -ENOMEM;
    r = procline_open(lines, p->host->proc, p->pid, name);
    if (r < 0)
        return r;
    (void)snprintf(wanted, sizeof(wanted), ":%04X", port);
    while ((r = procline_next(lines, &line, &cut)) > 0) {
        struct str field[4];
        unsigned n = 0;

        while (n < 4 && str_word(&line, &field[n]))
            n++;
        if (n == 4 && str_ends(field[1], str_of(wanted)) && str_eq(field[3], STR("0A")))
            *found = true;
    }
    procline_close(lines);
    return r;
}

static int refuse_port(const struct rtproc *p, const struct node_options *o,
                       struct rt_result *why) {
    bool found = false;

    if (o->port == 0)
        return 0;
    if (find_listener(p, "net/tcp", o->port, &found) < 0) {
        rt_refuse(why, "run as root", "cannot see which ports are taken in its network");
        return 1;
    }
    (void)find_listener(p, "net/tcp6", o->port, &found);
    if (!found)
        return 0;
    rt_refuse(why, "start the program with NODE_OPTIONS=--inspect-port=0, and ask again",
              "port %u, where its inspector would listen, is taken", o->port);
    return 1;
}

/* Waits for the inspector after the signal. */
static int wait_open(struct node_inspector *i, int64_t deadline_us) {
    for (int64_t wait_us = LOOK_US;; wait_us = earlier(2 * wait_us, LOOK_MOST_US)) {
        struct node_ports now;
        int r = read_ports(i->p, &now);

        if (r < 0)
            return rtproc_same(i->p) < 0 ? -ESRCH : r;
        for (int j = 0; j < now.n; j++) {
            if (has_port(&i->before, now.port[j]) ||
                connect_session(i->p, now.port[j], deadline_us, &i->cdp) < 0)
                continue;
            i->port = now.port[j].port;
            i->six = now.port[j].six;
            return 0;
        }
        if (rtproc_same(i->p) < 0)
            return -ESRCH;
        if (clock_mono_us() >= deadline_us)
            return -ETIMEDOUT;
        pause_us(wait_us);
    }
}

static int open_with_signal(struct node_inspector *i, int64_t deadline_us, struct rt_result *why) {
    int r = node_guard_start(&i->guard, i->p, &i->before);

    if (r < 0)
        return r;
    /* Once more, and nothing in between: an exec would set it back to ending the process. */
    if (rtproc_signal_action(i->p, SIGUSR1) != RTPROC_HANDLED || rtproc_send(i->p, SIGUSR1) < 0) {
        node_guard_dismiss(&i->guard);
        rt_refuse(why, "run as root, or as the process's user", "SIGUSR1 could not be sent");
        return 1;
    }
    i->ours = true;
    r = wait_open(i, deadline_us);
    if (r == 0)
        return 0;
    node_guard_leave(&i->guard);
    if (r != -ETIMEDOUT)
        return r;
    rt_fail(why, "a longer --timeout; or see what keeps it busy",
            "SIGUSR1 was sent, and no inspector opened: the event loop does not come round, or the "
            "program has a handler of its own; one that opens late is closed again for %d minutes",
            NODE_GUARD_SECONDS / 60);
    return 1;
}

/* An inspector that is there, of the right process, and will be closed. */
static int settle_session(struct node_inspector *i, int64_t deadline_us, struct rt_result *why) {
    int r = i->ours ? arm_closer(i, deadline_us) : 0;

    if (r == 0)
        r = check_pid(&i->cdp, i->p, deadline_us);
    if (r == 0)
        return 0;
    if (r == -EREMOTEIO)
        rt_fail(why, "ask again when it has started",
                "its inspector answers, but the program is not ready: %.120s", i->cdp.said);
    else
        rt_fail(why, "a longer --timeout, if the program is only busy",
                r == -ETIMEDOUT
                    ? "its inspector is open, but the program does not answer"
                    : "what listens on port %u does not answer as this process's inspector",
                i->port);
    (void)node_inspector_close(i, deadline_us + CLOSING_US);
    return rtproc_same(i->p) < 0 ? -ESRCH : 1;
}

int node_inspector_open(const struct rtproc *p, int64_t deadline_us, struct node_inspector *out,
                        struct rt_result *why) {
    struct node_options options;
    int64_t until = deadline_us - CLOSING_US;
    int r;

    *out = (struct node_inspector){.p = p, .cdp = CDP_NONE, .guard.fd = -1};
    r = read_ports(p, &out->before);
    if (r == -EACCES || r == -EPERM) {
        rt_refuse(why, "run as root, or as the process's user", "its sockets cannot be seen");
        return 1;
    }
    if (r < 0)
        return r;
    read_options(p, &options);
    r = refuse_network(p, why);
    if (r != 0)
        return r;
    r = refuse_state(p, earlier(until, clock_mono_us() + READY_US), why);
    if (r != 0)
        return r;
    r = use_open(out, &options, until);
    if (r == -ENOENT) {
        r = refuse_signal(p, why);
        if (r == 0)
            r = refuse_port(p, &options, why);
        if (r == 0)
            r = open_with_signal(out, until, why);
    }
    return r == 0 ? settle_session(out, until, why) : r;
}
