#include "front/front.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "front/confine.h"
#include "front/join.h"
#include "kern/procstatm.h"
#include "net/loop.h"
#include "web/web.h"
#include "wire/wireact.h"

enum {
    SECOND_US = 1000000,
    BATCH = 256, /* messages in one turn, so that answers are not kept waiting */
    PEM_MAX = 256 << 10,
    LISTEN_TRIES = 30, /* the one before us may be about to end */
    LISTEN_WAIT_US = 100 * 1000,
    ALIVE_US = 5 * 1000000, /* so often at least: it takes us for hung else */
    EAGER_US = 1500 * 1000,
    OPEN_TRIES = 50,
    OPEN_WAIT_US = 100 * 1000,
    REMOTE_LOG_MS = 4 * 3600 * 1000, /* what the remote writers' queue holds */
};

struct front {
    const struct front_options *o;
    const struct config *config;
    struct loop *loop;
    struct live live;
    struct store *store;
    struct join join;
    struct web *web;
    struct confine_user user;
    uid_t owner; /* before rights were given up */
    char *token, *cert, *key;
    int tcp, local, statm;
    char address[128];
    bool hello_out, told_broken, told_damaged;
    uint64_t told_aside, damaged_before;
    int64_t eager_us; /* until then all is committed as it comes: see take */
    uint64_t acked;
    int64_t said_us; /* when the collector was told of it last */
    uint8_t message[WIRE_MESSAGE];
};

/* --- before rights are given up --------------------------------------------------------------- */

static int load_pem(const char *path, char **out, struct err *err) {
    auto_close int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK) : -1;
    size_t n;
    int r;

    if (!path)
        return 0;
    r = fd < 0 ? -errno : file_load_fd(fd, PEM_MAX, out, &n);
    return r < 0 ? err_set(err, r, "cannot read '%s':", path) : 0;
}

static int bind_local(const char *path, struct err *err) {
    int r;

    for (unsigned i = 0; i < LISTEN_TRIES; i++) {
        r = web_bind_local(path, err);
        if (r != -EADDRINUSE || usleep(LISTEN_WAIT_US) < 0)
            break;
    }
    return r;
}

/* The directory of the socket, and the socket for the user we become: the remote writer is it too.
 */
static int open_local(struct front *f, struct err *err) {
    auto_free char *dir = strdup(f->config->socket);
    char *slash = dir ? strrchr(dir, '/') : NULL;
    int r;

    if (slash && slash > dir) {
        *slash = '\0';
        if (mkdir(dir, 0755) < 0 && errno != EEXIST)
            return err_set(err, -errno, "cannot make '%s':", dir);
    }
    r = bind_local(f->config->socket, err);
    if (r < 0)
        return r;
    f->local = r;
    if (f->user.drop && lchown(f->config->socket, f->user.uid, f->user.gid) < 0)
        return err_set(err, -errno, "cannot give '%s' to the front's user:", f->config->socket);
    return 0;
}

static int open_tcp(struct front *f, struct err *err) {
    struct config_listen listen;
    int r = config_listen_parse(f->config->listen, &listen, err);

    if (r < 0 || listen.kind == CONFIG_LISTEN_OFF)
        return r;
    for (unsigned i = 0; i < LISTEN_TRIES; i++) {
        if (listen.kind == CONFIG_LISTEN_UNIX) {
            char path[256];

            if (str_copy(listen.path, path, sizeof(path)) < 0)
                return err_set(err, -ENAMETOOLONG, "the path of a socket is too long");
            r = bind_local(path, err);
        } else {
            r = web_bind_tcp(listen.address, listen.port, err);
        }
        if (r != -EADDRINUSE)
            break;
        usleep(LISTEN_WAIT_US);
    }
    f->tcp = r;
    return r < 0 ? r : 0;
}

static void add_address(const struct sockaddr_storage *a, char *out, size_t size) {
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;
    char ip[INET6_ADDRSTRLEN] = "";

    if (a->ss_family == AF_INET) {
        inet_ntop(AF_INET, &v4->sin_addr, ip, sizeof(ip));
        snprintf(out, size, "%s:%u", ip, ntohs(v4->sin_port));
    } else if (a->ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &v6->sin6_addr, ip, sizeof(ip));
        snprintf(out, size, "[%s]:%u", ip, ntohs(v6->sin6_port));
    }
}

/* "127.0.0.1:7533", as it came out: the port may have been chosen by the kernel. */
static void tell_address(struct front *f) {
    struct sockaddr_storage a = {0};
    socklen_t n = sizeof(a);

    if (f->tcp < 0 || getsockname(f->tcp, (struct sockaddr *)&a, &n) < 0)
        return;
    add_address(&a, f->address, sizeof(f->address));
    if (a.ss_family != AF_UNIX)
        log_line(LOG_NOTE, "listening on http%s://%s/", f->cert ? "s" : "", f->address);
}

static int prepare(struct front *f, struct err *err) {
    const struct config *c = f->config;
    int r = confine_own_dir(c->state, &f->user, err);

    if (r == 0 && c->token_file)
        r = config_secret(c->token_file, 16, &f->token, err);
    if (r == 0)
        r = load_pem(c->tls_cert, &f->cert, err);
    if (r == 0)
        r = load_pem(c->tls_key, &f->key, err);
    if (r == 0)
        r = open_tcp(f, err);
    if (r == 0)
        r = open_local(f, err);
    if (r < 0)
        return r;
    f->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    tell_address(f);
    return 0;
}

static int give_up_rights(struct front *f, struct err *err) {
    struct confine_options options = {.dir = f->config->state, .chroot = f->user.drop};
    struct buf told;
    int r;

    buf_init(&told, 4096);
    r = confine(&options, &f->user, &told, err);
    if (told.n > 0)
        log_line(LOG_NOTE, "%.*s", STR_ARG(buf_str(&told)));
    buf_done(&told);
    return r;
}

/* --- history ---------------------------------------------------------------------------------- */

static int open_history(struct front *f, struct err *err) {
    struct store_options options = f->config->store;
    struct store_health health;
    unsigned tries = 0;
    struct buf told;
    int r;

    options.dir = f->user.drop ? "/" : f->config->state;
    if (f->config->remotes > 0 && options.log_ms < REMOTE_LOG_MS)
        options.log_ms = REMOTE_LOG_MS;
    buf_init(&told, 4096);
    do /* the front before us may be about to end */
        r = store_open(&options, &f->store, &told, err);
    while (r == -EBUSY && tries++ < OPEN_TRIES && usleep(OPEN_WAIT_US) == 0);
    if (told.n > 0)
        log_line(LOG_WARN, "history: %.*s", STR_ARG(buf_str(&told)));
    buf_done(&told);
    if (f->store) { /* that much is told */
        store_health(f->store, &health);
        f->told_aside = health.set_aside;
        f->damaged_before = health.damaged;
    }
    if (r == -EPROTONOSUPPORT || r == -EBUSY)
        return r;
    if (r < 0) {
        log_line(LOG_BAD, "no history: %s", err->text);
        f->store = NULL;
    }
    return 0;
}

/* Once each: a file that was set aside, and that parts of one failed their checksums. */
static void tell_damage(struct front *f, const struct store_health *h) {
    if (h->set_aside > f->told_aside) {
        log_line(LOG_BAD, "history: %s", h->notice);
        f->damaged_before += h->set_aside - f->told_aside;
        f->told_aside = h->set_aside;
    }
    if (h->damaged > f->damaged_before && !f->told_damaged) {
        log_line(LOG_BAD, "history: a part of it is damaged, and is left out of what is shown");
        f->told_damaged = true;
    }
}

static void tell_health(struct front *f) {
    struct store_health h;
    uint64_t *self = f->live.self;

    if (!f->store)
        return;
    store_health(f->store, &h);
    self[LIVE_SELF_STORE_BYTES] = h.disk_bytes;
    self[LIVE_SELF_STORE_PENDING] = h.pending_bytes;
    self[LIVE_SELF_STORE_DROPPED] = h.dropped;
    self[LIVE_SELF_STORE_ERRORS] = h.errors;
    self[LIVE_SELF_STORE_BROKEN] = h.broken;
    self[LIVE_SELF_STORE_DAMAGED] = h.damaged;
    if (h.broken && !f->told_broken)
        log_line(LOG_BAD, "history is not written: %s", h.text);
    if (!h.broken && f->told_broken)
        log_line(LOG_NOTE, "history is written again");
    f->told_broken = h.broken;
    tell_damage(f, &h);
}

static void say(struct front *f, const struct wire_out *w) {
    if (send(f->o->collector, w->p, w->n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN)
        log_line(LOG_WARN, "cannot talk to the collector: %s", strerror(errno));
}

static void commit(struct front *f, bool force) {
    uint64_t acked = f->join.seq;
    uint8_t memory[64];
    struct wire_out w;

    if (f->store) {
        join_key(&f->join, f->join.at_ms);
        store_commit(f->store, clock_wall_ms(), force, &acked);
    }
    if (f->hello_out || (acked == f->acked && loop_now_us(f->loop) - f->said_us < ALIVE_US))
        return;
    f->acked = acked;
    f->said_us = loop_now_us(f->loop);
    wire_begin(&w, memory, sizeof(memory), WIRE_ACK, 0);
    (void)wire_add_ack(&w, &(struct wire_ack){acked});
    say(f, &w);
}

/* --- the collector ---------------------------------------------------------------------------- */

static void say_hello(struct front *f) {
    const struct config *c = f->config;
    const struct wire_hello hello = {
        .boot = f->join.boot,
        .last_seq = f->join.seq,
        .interval_ms = (uint64_t)c->interval_ms,
        .fastest_ms = (uint64_t)c->fastest_ms,
        .adaptive = c->adaptive,
        .targets = c->targets,
        .processes = c->processes,
    };
    uint8_t memory[256];
    struct wire_out w;

    wire_begin(&w, memory, sizeof(memory), WIRE_HELLO, 0);
    (void)wire_add_hello(&w, &hello);
    say(f, &w);
    f->hello_out = true;
}

static void take_acted(struct front *f, struct str message) {
    struct wire_in in = {(const uint8_t *)message.p, message.n};
    struct wire_acted acted;
    struct wire_head head;

    if (wire_read_head(&in, &head) == 0 && head.kind == WIRE_ACTED &&
        wire_read_acted(&in, &acted) == 0)
        web_acted(f->web, &acted);
}

static void take(struct front *f, struct str message) {
    bool was = f->join.started;
    uint64_t clears = f->live.clears;
    int r = join_take(&f->join, message);

    if (f->live.clears != clears)
        web_reset(f->web);
    take_acted(f, message);

    if (f->join.started && !was) {
        /* What the front before us had not committed yet comes now, and only the collector has it.
         */
        f->hello_out = false;
        f->eager_us = loop_now_us(f->loop) + EAGER_US;
    }
    if (r == 1 && !f->hello_out) {
        f->join.started = false; /* what comes before its START is not for us */
        say_hello(f);
    } else if (r < 0) {
        log_line(LOG_WARN, "a message of the collector cannot be taken: %s", strerror(-r));
        if (r == -EBADMSG && !f->hello_out) {
            f->join.started = false;
            f->join.seq = 0;
            f->join.boot = 0;
            say_hello(f);
        }
    }
    if (f->join.end_of_tick) {
        commit(f, false);
        web_tick(f->web);
    }
}

static int on_collector(struct loop *loop, uint32_t what, void *ctx) {
    struct front *f = ctx;

    (void)what;
    for (unsigned i = 0; i < BATCH; i++) {
        ssize_t n = recv(f->o->collector, f->message, sizeof(f->message), MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        take(f, (struct str){(const char *)f->message, (size_t)n});
    }
    if (loop_now_us(loop) < f->eager_us)
        commit(f, true);
    return 0;
}

/* --- ourselves -------------------------------------------------------------------------------- */

static uint64_t own_rss(const struct front *f) {
    char buf[256];
    struct procstatm m;
    struct str text;

    return f->statm >= 0 && file_pread(f->statm, buf, sizeof(buf), &text) == 0 &&
                   procstatm_parse(text, (uint64_t)sysconf(_SC_PAGESIZE), &m) == 0
               ? m.res
               : 0;
}

static int on_second(struct loop *loop, uint32_t what, void *ctx) {
    struct front *f = ctx;

    (void)loop, (void)what;
    commit(f, false);
    f->live.self[LIVE_SELF_CPU_US] = (uint64_t)clock_cpu_us();
    f->live.self[LIVE_SELF_RSS] = own_rss(f);
    tell_health(f);
    return 0;
}

static int on_end(struct loop *loop, uint32_t what, void *ctx) {
    (void)what, (void)ctx;
    loop_stop(loop);
    return 0;
}

static void on_audit(void *ctx, struct str json) {
    struct front *f = ctx;

    web_audit(f->web, json);
}

/* Somebody asks for an action: the collector has it done. */
static int on_act(void *ctx, uint32_t uid, enum action action, uint64_t request) {
    const struct wire_act act = {.request = request, .uid = uid, .action = action, .by = "api"};
    struct front *f = ctx;
    uint8_t memory[256];
    struct wire_out w;

    wire_begin(&w, memory, sizeof(memory), WIRE_ACT, 0);
    if (!wire_add_act(&w, &act))
        return -EMSGSIZE;
    return send(f->o->collector, w.p, w.n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void on_oom(void *ctx, struct str json) {
    struct front *f = ctx;

    web_oom(f->web, json);
}

static int open_web(struct front *f, struct err *err) {
    const struct config *c = f->config;
    struct web_options options = {
        .live = &f->live,
        .store = f->store,
        .tcp = take_fd(&f->tcp),
        .local = take_fd(&f->local),
        .address = f->address,
        .hosts = c->n_hosts,
        .token = f->token,
        .tls_cert = f->cert,
        .tls_key = f->key,
        .cadvisor_names = c->cadvisor_names,
        .show_commands = c->show_commands,
        .interval_ms = c->interval_ms,
        .version = f->o->version,
        .owner = f->owner,
        .act = on_act,
        .act_ctx = f,
    };

    for (unsigned i = 0; i < c->n_hosts; i++)
        options.host[i] = c->hosts[i];
    return web_new(f->loop, &options, &f->web, err);
}

static int join_loop(struct front *f) {
    int r = loop_add_fd(f->loop, f->o->collector, EPOLLIN, on_collector, f, NULL);

    if (r == 0)
        r = loop_add_fd(f->loop, f->o->life, EPOLLIN, on_end, f, NULL);
    if (r == 0)
        r = loop_add_timer(f->loop, SECOND_US, SECOND_US, on_second, f, NULL);
    if (r == 0)
        r = loop_add_signal(f->loop, SIGTERM, on_end, f, NULL);
    if (r == 0)
        r = loop_add_signal(f->loop, SIGINT, on_end, f, NULL);
    return r;
}

static int start(struct front *f, struct err *err) {
    int r = prepare(f, err);

    if (r == 0)
        r = loop_new(&f->loop) < 0 ? err_set(err, -ENOMEM, "cannot start the front:") : 0;
    if (r == 0)
        r = give_up_rights(f, err);
    if (r == 0)
        r = open_history(f, err);
    if (r < 0)
        return r;
    join_init(&f->join, &f->live, f->store);
    r = join_replay(&f->join);
    if (r < 0)
        log_line(LOG_WARN, "the newest part of history cannot be read again: %s", strerror(-r));
    f->join.oom = on_oom;
    f->join.audit = on_audit;
    f->join.ctx = f;
    r = open_web(f, err);
    if (r == 0 && join_loop(f) < 0)
        r = err_set(err, -ENOMEM, "cannot start the front:");
    return r;
}

static void done(struct front *f) {
    web_free(f->web);
    if (f->loop)
        loop_free(f->loop);
    join_done(&f->join);
    store_close(f->store);
    live_done(&f->live);
    free(f->token);
    free(f->cert);
    free(f->key);
    if (f->statm >= 0)
        close(f->statm);
}

int front_run(const struct front_options *options, struct err *err) {
    struct front *f = calloc(1, sizeof(*f));
    int r;

    if (!f)
        return err_set(err, -ENOMEM, "cannot start the front:");
    f->o = options;
    f->config = options->config;
    f->tcp = f->local = f->statm = -1;
    prctl(PR_SET_NAME, "plimsoll-front");
    f->owner = geteuid();
    confine_user(&f->user);
    live_init(&f->live);
    r = start(f, err);
    if (r == 0) {
        say_hello(f);
        r = loop_run(f->loop);
        commit(f, true);
    }
    done(f);
    free(f);
    return r;
}
