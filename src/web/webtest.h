/* webtest.h - a server on loopback and a unix socket in a child, for unit tests that speak HTTP.
 * Included after <cmocka.h>.
 *
 * The child owns the live table; commands from the test come as bytes through a socket pair and are
 * answered with a byte when they are done.
 */
#pragma once
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "web/web.h"

#define WEBTEST_TOKEN "a-token-of-some-length"
#define WEBTEST_EVIL "we\"b\\\n\x1b[31m</script>\xff"

struct webtest {
    pid_t child;
    int control;
    uint16_t port;
    char dir[40], path[64];
};

/* What the child is made with. */
struct webtest_setup {
    bool token, commands;
    unsigned rows;
    unsigned history; /* ticks, a second apart up to now, that the store has; 0: no store */
};

struct webtest_child {
    struct live live;
    struct web *web;
    struct store *store;
    int64_t at_ms;
    unsigned turns;
    struct loop *loop;
    struct wire_acted acted; /* what the next action that is asked for is answered with */
};

static inline void webtest_row(struct live *l, uint32_t uid, struct str name, struct str path) {
    const struct wire_target t = {
        .uid = uid,
        .kind = uid == WIRE_UID_HOST ? TARGET_GROUP : TARGET_CONTAINER,
        .runtime = uid == WIRE_UID_HOST ? RUNTIME_NONE : RUNTIME_DOCKER,
        .version = WIRE_CG_V2,
        .limit_certain = true,
        .start_ms = 1795247000000,
        .init_pid = (int32_t)uid + 100,
        .born_ms = 1795247000500,
        .path = path,
        .name = name,
        .id = uid == WIRE_UID_HOST ? STR("") : STR("0123456789abcdef"),
        .image = STR("nginx:1"),
        .limit_from = STR("host"),
    };
    struct live_row *row = live_put(l, &t);

    assert_non_null(row);
    row->series = uid + 1;
}

/* Gives the store what the live table has. */
static inline void webtest_record(struct webtest_child *c) {
    if (!c->store)
        return;
    assert_int_equal(store_tick(c->store, c->at_ms, true), 0);
    for (size_t i = 0; i < c->live.n; i++) {
        const struct live_row *row = c->live.row[i];

        assert_int_equal(store_put(c->store, row->series, row->sample.have,
                                   ~row->sample.have & ((UINT64_C(1) << METRIC_N) - 1),
                                   row->sample.value),
                         0);
    }
}

static inline void webtest_series(struct webtest_child *c, uint32_t uid) {
    struct live_row *row = live_find(&c->live, uid);
    struct buf key, identity;

    if (!c->store)
        return;
    buf_init(&key, 1000);
    buf_init(&identity, 10000);
    live_add_key(&key, &row->t);
    web_add_identity(&identity, &row->t);
    assert_int_equal(
        store_series(c->store, buf_str(&key), buf_str(&identity), c->at_ms, &row->series), 0);
    buf_done(&key);
    buf_done(&identity);
}

/* A tick in which `changed` rows have new values. */
static inline void webtest_tick(struct webtest_child *c, unsigned changed, bool key) {
    static uint8_t memory[WIRE_MESSAGE];
    struct wire_out out;
    struct wire_in in;
    struct wire_head head;
    struct wire_tick tick = {0};
    size_t i = 0;

    c->at_ms += 1000;
    c->turns++;
    while (i < c->live.n) {
        tick = (struct wire_tick){c->at_ms, (key ? WIRE_TICK_KEY : 0u) | WIRE_TICK_ROUND};
        wire_begin(&out, memory, sizeof(memory), WIRE_TICK, c->turns);
        assert_true(wire_add_tick(&out, &tick));
        for (; i < c->live.n && !out.full; i += !out.full) {
            struct sample s = {.at_ms = c->at_ms};
            struct live_row *row = c->live.row[i];

            if (!key && i >= changed)
                continue;
            sample_set(&s, METRIC_USAGE, 4096u * (1000 + c->turns));
            sample_set(&s, METRIC_USED, 4096u * (900 + c->turns));
            sample_set(&s, METRIC_LIMIT, 4096u * 10000);
            sample_set(&s, METRIC_OWN_LIMIT, SAMPLE_NONE);
            sample_set(&s, METRIC_CPU_US, 10000u * c->turns);
            (void)wire_add_change(&out, row->uid, key ? NULL : &row->sample, &s, false);
        }
        in = (struct wire_in){out.p, out.n};
        assert_int_equal(wire_read_head(&in, &head), 0);
        assert_int_equal(live_tick(&c->live, in), 0);
    }
    webtest_record(c);
    web_tick(c->web);
}

static inline void webtest_procs(struct webtest_child *c, uint32_t uid) {
    const int64_t at_ms = c->at_ms;
    static uint8_t memory[WIRE_MESSAGE];
    const struct wire_procs procs = {uid, at_ms, 7};
    const struct wire_proc proc = {
        .pid = 4711,
        .have = PROC_BIT(PROC_RES) | PROC_BIT(PROC_STATE) | PROC_BIT(PROC_COMM) |
                PROC_BIT(PROC_COMMAND) | PROC_BIT(PROC_UID),
        .value = {[PROC_RES] = 123456, [PROC_STATE] = 'S', [PROC_UID] = 33},
        .comm = STR(WEBTEST_EVIL),
        .command = STR("nginx --password=geheim"),
    };
    struct wire_head head;
    struct wire_out out;
    struct wire_in in;

    wire_begin(&out, memory, sizeof(memory), WIRE_PROCS, 1);
    assert_true(wire_add_procs(&out, &procs));
    assert_true(wire_add_proc(&out, &proc));
    in = (struct wire_in){out.p, out.n};
    assert_int_equal(wire_read_head(&in, &head), 0);
    assert_int_equal(live_procs(&c->live, in), 0);
    if (c->store)
        assert_int_equal(store_procs(c->store, live_find(&c->live, uid)->series, at_ms,
                                     (struct str){(const char *)in.p, in.n}),
                         0);
}

static inline void webtest_oom(struct webtest_child *c) {
    const struct wire_oom o = {
        .uid = 2,
        .at_ms = clock_wall_ms(),
        .kills = 3,
        .sure = true,
        .victim_pid = 99,
        .anon = 5000000,
        .comm = STR("ev\"il\n"),
        .limit_path = STR("/docker/x"),
    };
    struct buf json;
    uint64_t total;

    buf_init(&json, 10000);
    web_add_oom(&json, &o, &live_find(&c->live, 2)->t);
    web_oom(c->web, buf_str(&json));
    if (c->store)
        assert_int_equal(store_oom(c->store, live_find(&c->live, 2)->series, o.at_ms, o.kills,
                                   buf_str(&json), true, &total),
                         0);
    if (c->store)
        store_commit(c->store, c->at_ms, true, &total);
    buf_done(&json);
}

/* A guard saw uid 1 pass a mark and hang, and made it collect. */
static inline void webtest_guard(struct webtest_child *c) {
    struct audit a = {.at_ms = c->at_ms - 5000,
                      .by = "agent",
                      .name = "web",
                      .path = "/docker/web",
                      .guard = "web",
                      .mark = 1,
                      .action = ACTION_GC,
                      .facts = {.at_us = 1000000}};
    static const enum audit_kind kinds[] = {AUDIT_GUARD, AUDIT_MARK, AUDIT_BEGIN, AUDIT_END,
                                            AUDIT_HANG};
    struct live_row *row = live_find(&c->live, 1);
    struct buf json;

    buf_init(&json, 10000);
    (void)report_done(&a.report, "1 collection");
    a.have_before = a.have_after = true;
    a.before = 9000;
    a.after = 1000;
    a.took_us = 2500000;
    a.hang.kind = HANG_NONE;
    for (size_t i = 0; i < ARRAY_N(kinds); i++) {
        a.kind = kinds[i];
        a.at_ms += 100;
        a.up = true;
        snprintf(a.id, sizeof(a.id), "id-%zu", a.kind == AUDIT_END ? i - 1 : i);
        if (a.kind == AUDIT_HANG)
            a.hang = (struct hang){.kind = HANG_REFAULT, .since_us = 500000};
        assert_int_equal(live_guard_take(&c->live, row, &a, true), 0);
        buf_clear(&json);
        web_add_audit(&json, &a, &row->t);
        web_audit(c->web, buf_str(&json));
        if (c->store)
            assert_int_equal(store_event(c->store, row->series, a.at_ms, str_of(web_audit_word(&a)),
                                         buf_str(&json)),
                             0);
    }
    buf_done(&json);
}

static inline int webtest_acted(struct loop *loop, uint32_t what, void *ctx) {
    struct webtest_child *c = ctx;

    (void)loop, (void)what;
    if (c->acted.word != WIRE_ACTED_N)
        web_acted(c->web, &c->acted);
    return 0;
}

/* Uid 3 is one that the collector cannot be asked about. */
static inline int webtest_act(void *ctx, uint32_t uid, enum action action, uint64_t request) {
    struct webtest_child *c = ctx;

    if (uid == 3)
        return -EAGAIN;
    c->acted = (struct wire_acted){.request = request, .word = (enum wire_acted_word)action};
    snprintf(c->acted.id, sizeof(c->acted.id), "act-%u", uid);
    return loop_add_timer(c->loop, 1000, 0, webtest_acted, c, NULL);
}

/* What happened to uid 1 in the last seconds, the newest not committed. */
static inline void webtest_events(struct webtest_child *c) {
    const struct web_event all[] = {
        {.kind = "start", .at_ms = c->at_ms - 3000},
        {.kind = "restart", .at_ms = c->at_ms - 2000, .restarts = 4},
        {.kind = "limit", .at_ms = c->at_ms - 1000, .from = SAMPLE_NONE, .to = 1 << 20},
    };
    const struct live_row *row = live_find(&c->live, 1);
    struct buf json;
    uint64_t acked;

    buf_init(&json, 10000);
    for (size_t i = 0; i < ARRAY_N(all); i++) {
        buf_clear(&json);
        web_add_event(&json, &all[i], &row->t);
        assert_int_equal(
            store_event(c->store, row->series, all[i].at_ms, str_of(all[i].kind), buf_str(&json)),
            0);
        if (i == 1)
            store_commit(c->store, c->at_ms, true, &acked);
    }
    buf_done(&json);
}

/* t: a tick; n: one that changes nothing; g: uid 2 is gone; c: all is cleared and told anew;
 * o: an OOM kill; e: events; w: a guard's records; q: the end. An action is answered with the word
 * of its number. */
static inline int webtest_command(struct loop *loop, uint32_t what, void *ctx) {
    struct webtest_child *c = ctx;
    char byte = 'q';

    (void)what;
    if (read(3, &byte, 1) != 1 || byte == 'q') {
        loop_stop(loop);
        return 0;
    }
    if (byte == 'g') {
        if (c->store)
            assert_int_equal(store_gone(c->store, live_find(&c->live, 2)->series, c->at_ms), 0);
        live_remove(&c->live, 2, c->at_ms);
    }
    if (byte == 'o')
        webtest_oom(c);
    if (byte == 'e')
        webtest_events(c);
    if (byte == 'w')
        webtest_guard(c);
    if (byte == 'c') {
        live_clear(&c->live);
        web_reset(c->web);
        webtest_row(&c->live, WIRE_UID_HOST, STR("host"), STR("/"));
        webtest_row(&c->live, 1, STR("other"), STR("/docker/other"));
    }
    if (byte == 't' || byte == 'c')
        webtest_tick(c, 1, byte == 'c');
    if (byte == 'n')
        webtest_tick(c, 0, false);
    return write(3, &byte, 1) == 1 ? 0 : -EPIPE;
}

static inline void webtest_serve(const struct webtest_setup *setup, const char *dir, int tcp,
                                 int local, uint16_t port) {
    static struct webtest_child c;
    char address[32];
    struct web_options options = {
        .live = &c.live,
        .tcp = tcp,
        .local = local,
        .address = address,
        .host = {"plimsoll.example", "tunnel:8080"},
        .hosts = 2,
        .token = setup->token ? WEBTEST_TOKEN : NULL,
        .cadvisor_names = true,
        .show_commands = setup->commands,
        .interval_ms = 1000,
        .version = "1.2.3",
        .act = webtest_act,
        .act_ctx = &c,
    };
    struct err err = {.text = ""};
    struct loop *loop;

    snprintf(address, sizeof(address), "127.0.0.1:%u", port);
    c.at_ms = clock_wall_ms() - 1000 - 1000 * (int64_t)setup->history;
    live_init(&c.live);
    if (setup->history) {
        struct store_options store;

        store_defaults(&store);
        store.dir = dir;
        assert_int_equal(store_open(&store, &c.store, NULL, &err), 0);
        options.store = c.store;
    }
    assert_int_equal(loop_new(&loop), 0);
    c.loop = loop;
    if (web_new(loop, &options, &c.web, &err) < 0)
        fail_msg("%s", err.text);
    webtest_row(&c.live, WIRE_UID_HOST, STR("host"), STR("/"));
    webtest_row(&c.live, 1, STR("web"), STR("/docker/web"));
    webtest_row(&c.live, 2, STR(WEBTEST_EVIL), STR("/docker/" WEBTEST_EVIL));
    for (uint32_t i = 3; i < setup->rows; i++) {
        char name[64];

        snprintf(name, sizeof(name), "/docker/container-%u", i);
        webtest_row(&c.live, i, str_of(name + 8), str_of(name));
    }
    for (uint32_t i = 0; i < setup->rows; i++)
        webtest_series(&c, i);
    webtest_tick(&c, 0, true);
    for (unsigned i = 0; i < setup->history; i++)
        webtest_tick(&c, setup->rows, false);
    webtest_procs(&c, 1);
    assert_int_equal(loop_add_fd(loop, 3, EPOLLIN, webtest_command, &c, NULL), 0);
    assert_int_equal(loop_run(loop), 0);
    web_free(c.web);
    store_close(c.store);
    live_done(&c.live);
    loop_free(loop);
}

static inline void webtest_tell(struct webtest *t, char command) {
    char done = 0;

    assert_int_equal(write(t->control, &command, 1), 1);
    assert_int_equal(read(t->control, &done, 1), 1);
    assert_int_equal(done, command);
}

static inline void webtest_begin(struct webtest *t, const struct webtest_setup *setup) {
    struct sockaddr_in a = {0};
    socklen_t n = sizeof(a);
    struct err err;
    int pair[2], tcp, local;

    snprintf(t->dir, sizeof(t->dir), "/tmp/plimsoll-web-XXXXXX");
    assert_non_null(mkdtemp(t->dir));
    snprintf(t->path, sizeof(t->path), "%s/sock", t->dir);
    tcp = web_bind_tcp(STR("127.0.0.1"), 0, &err);
    local = web_bind_local(t->path, &err);
    assert_true(tcp >= 0 && local >= 0);
    assert_int_equal(getsockname(tcp, (struct sockaddr *)&a, &n), 0);
    t->port = ntohs(a.sin_port);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    fflush(NULL);
    t->child = fork();
    assert_true(t->child >= 0);
    if (t->child == 0) {
        int tcp2 = fcntl(tcp, F_DUPFD_CLOEXEC, 10), local2 = fcntl(local, F_DUPFD_CLOEXEC, 10);
        int control = fcntl(pair[1], F_DUPFD_CLOEXEC, 10);

        dup2(control, 3);
        for (int fd = 4; fd < 40; fd++)
            if (fd != tcp2 && fd != local2)
                close(fd);
        webtest_serve(setup, t->dir, tcp2, local2, t->port);
        exit(0); /* with the leak checker */
    }
    close(pair[1]);
    close(tcp);
    close(local);
    t->control = pair[0];
}

static inline void webtest_clear(const char *path) {
    auto_closedir DIR *dir = opendir(path);
    struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        (void)unlinkat(dirfd(dir), entry->d_name, 0);
    rmdir(path);
}

static inline void webtest_end(struct webtest *t) {
    int status = -1;

    assert_int_equal(write(t->control, "q", 1), 1);
    assert_int_equal(waitpid(t->child, &status, 0), t->child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("the server ended with %x", status);
    close(t->control);
    webtest_clear(t->dir);
}

/* room: what may wait to be read, 0: as much as the kernel likes. */
static inline int webtest_connect_with(const struct webtest *t, bool local, int room) {
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(t->port)};
    int fd = socket(local ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    snprintf(un.sun_path, sizeof(un.sun_path), "%s", t->path);
    assert_true(fd >= 0);
    if (room > 0)
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)), 0);
    if (local)
        assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    else
        assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    return fd;
}

static inline int webtest_connect(const struct webtest *t, bool local) {
    return webtest_connect_with(t, local, 0);
}

static inline void webtest_send(int fd, const char *text) {
    size_t n = strlen(text);

    while (n > 0) {
        ssize_t sent = send(fd, text, n, MSG_NOSIGNAL);

        if (sent <= 0)
            return;
        text += sent;
        n -= (size_t)sent;
    }
}

/* Reads until the text is there, the other side ends, or thirty seconds pass without anything.
 * True: the text is there (with NULL: the other side has ended). */
static inline bool webtest_until(int fd, struct buf *b, const char *text) {
    struct pollfd p = {fd, POLLIN, 0};

    for (;;) {
        char *room;
        ssize_t n;

        buf_add_char(b, '\0');
        b->n--;
        if (text && memmem(b->p, b->n, text, strlen(text)))
            return true;
        if (poll(&p, 1, 30000) != 1)
            return false;
        room = buf_room(b, 4096);
        assert_non_null(room);
        n = recv(fd, room, 4096, 0);
        if (n <= 0)
            return text == NULL;
        buf_grow(b, (size_t)n);
    }
}

/* One request on a connection of its own, closed by the server. The whole answer is in *b, with a
 * NUL behind it. The status. */
static inline int webtest_ask(const struct webtest *t, bool local, const char *request,
                              struct buf *b) {
    int fd = webtest_connect(t, local), status = 0;

    buf_clear(b);
    webtest_send(fd, request);
    if (!webtest_until(fd, b, NULL))
        fail_msg("no end of the answer to '%s': '%.*s'", request,
                 STR_ARG(str_head(buf_str(b), 300)));
    close(fd);
    if (b->n > 12)
        status = (b->p[9] - '0') * 100 + (b->p[10] - '0') * 10 + (b->p[11] - '0');
    return status;
}

static inline int webtest_get(const struct webtest *t, bool local, const char *target,
                              const char *headers, struct buf *b) {
    char request[8192];

    snprintf(request, sizeof(request),
             "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nConnection: close\r\n%s\r\n", target,
             t->port, headers ? headers : "");
    return webtest_ask(t, local, request, b);
}

static inline bool webtest_has(const struct buf *b, const char *text) {
    return memmem(b->p, b->n, text, strlen(text)) != NULL;
}

/* Behind the blank line; chunks are put together. */
static inline struct str webtest_body(struct buf *b) {
    char *end = memmem(b->p, b->n, "\r\n\r\n", 4);
    bool chunked = webtest_has(b, "Transfer-Encoding: chunked\r\n");
    char *to, *from, *limit = b->p + b->n;

    assert_non_null(end);
    from = to = end += 4;
    if (!chunked)
        return (struct str){end, (size_t)(limit - end)};
    for (;;) {
        size_t n = strtoul(from, &from, 16);

        assert_true(from + 2 + n <= limit && from[0] == '\r' && from[1] == '\n');
        from += 2;
        if (n == 0)
            break;
        memmove(to, from, n);
        to += n;
        from += n + 2;
    }
    return (struct str){end, (size_t)(to - end)};
}

/* Asked and answered with 200 and JSON, whose reference the caller gets. `b` is room for the
 * answer. */
static inline json_t *webtest_json(const struct webtest *t, bool local, const char *target,
                                   struct buf *b) {
    struct str body;
    json_t *tree;

    assert_int_equal(webtest_get(t, local, target, NULL, b), 200);
    body = webtest_body(b);
    tree = json_loadb(body.p, body.n, 0, NULL);
    if (!tree)
        fail_msg("not JSON: %.*s", STR_ARG(str_head(body, 500)));
    return tree;
}
