/* plimsoll-remote: sends what the agent records to stores that speak Prometheus' remote write.
 *
 * Reads the configuration as root, then gives up all it does not need; one thread a remote. Ends
 * when it is told to, or when the agent is gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "front/confine.h"
#include "front/settings.h"
#include "remote/sender.h"
#include "remote/writer.h"

enum {
    CODE_CONFIG = 2,
    CODE_START = 3,
    LIFE_FD = 3, /* of the agent: readable when it is gone */
    STATUS_MS = 5000,
    STATUS_MAX = 64 << 10,
    CA_MAX = 4 << 20,
    AHEAD_MS = 10 * 60 * 1000,
    PATH_BYTES = 4096,
};

struct remote {
    struct writer_options options;
    struct writer *writer;
    pthread_t thread;
    bool runs;
};

struct all {
    struct settings settings;
    struct source source;
    struct confine_user user;
    int dir, stop, signals;
    char path[PATH_BYTES], instance[256];
    struct remote remote[CONFIG_REMOTES];
    unsigned n;
    struct buf status, status_before;
};

/* --- before root is given up ------------------------------------------------------------------ */

/* STATE is the front's and this one's; below it is a directory of our own. */
static int open_folder(struct all *a, struct err *err) {
    const char *state = a->settings.config.state;
    auto_close int fd = -1, below = -1;
    struct stat st;
    int r = confine_own_dir(state, &a->user, err);

    if (r < 0)
        return r;
    fd = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, -errno, "cannot open '%s':", state);
    if (mkdirat(fd, "remote", 0700) < 0 && errno != EEXIST)
        return err_set(err, -errno, "cannot make '%s/remote':", state);
    below = openat(fd, "remote", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (below < 0 || fstat(below, &st) < 0)
        return err_set(err, -errno, "cannot open '%s/remote':", state);
    if (st.st_uid != a->user.uid && fchown(below, a->user.uid, a->user.gid) < 0)
        return err_set(err, -errno, "cannot give '%s/remote' to user %u:", state, a->user.uid);
    if ((st.st_mode & 07777) != 0700 && fchmod(below, 0700) < 0)
        return err_set(err, -errno, "cannot set the mode of '%s/remote':", state);
    a->dir = take_fd(&below);
    return 0;
}

static int load_ca(const char *path, struct str *out, struct err *err) {
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    char *text;
    size_t n;
    int r = fd < 0 ? -errno : file_load_fd(fd, CA_MAX, &text, &n);

    if (r < 0)
        return err_set(err, r, "cannot read '%s':", path);
    *out = (struct str){text, n};
    return 0;
}

static int load_secrets(struct writer_options *o, struct err *err) {
    const struct config_remote *remote = o->remote;
    int r = 0;

    if (remote->token_file)
        r = config_secret(remote->token_file, 1, &o->token, err);
    if (r == 0 && remote->password_file)
        r = config_secret(remote->password_file, 1, &o->password, err);
    if (r == 0 && remote->ca_file)
        r = load_ca(remote->ca_file, &o->ca, err);
    return r;
}

/* A remote that is new here begins now. */
static void load_cursor(const struct all *a, struct writer_options *o) {
    int64_t now_ms = clock_wall_ms();
    int r = cursor_load(a->dir, o->cursor_name, &o->cursor);

    if (r == 0 && o->cursor.sent_ms <= now_ms + AHEAD_MS)
        return;
    if (r != -ENOENT)
        log_line(LOG_WARN, "%s: how far it was is not known any more: it begins now",
                 o->remote->url);
    o->cursor = (struct cursor){.sent_ms = now_ms - now_ms % o->remote->interval_ms};
}

static int prepare_one(struct all *a, unsigned i, struct err *err) {
    const struct config *c = &a->settings.config;
    struct writer_options *o = &a->remote[i].options;
    unsigned before = 0;

    for (unsigned k = 0; k < i; k++)
        before += str_eq(str_of(c->remote[k].url), str_of(c->remote[i].url));
    *o = (struct writer_options){.remote = &c->remote[i],
                                 .source = &a->source,
                                 .instance = a->instance,
                                 .dir = a->dir,
                                 .stop = a->stop};
    a->n = i + 1;
    cursor_name(str_of(o->remote->url), before, o->cursor_name);
    load_cursor(a, o);
    return load_secrets(o, err);
}

/* Told by eventfd and signalfd, so that threads and waits need no handlers. */
static int prepare_end(struct all *a, struct err *err) {
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    a->stop = eventfd(0, EFD_CLOEXEC);
    if (a->stop < 0 || sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return err_set(err, -errno, "cannot wait for signals:");
    a->signals = signalfd(-1, &set, SFD_CLOEXEC);
    if (a->signals < 0)
        return err_set(err, -errno, "cannot wait for signals:");
    signal(SIGPIPE, SIG_IGN);
    return 0;
}

static int prepare(struct all *a, struct err *err) {
    const struct config *c = &a->settings.config;
    int r;

    if (gethostname(a->instance, sizeof(a->instance) - 1) < 0)
        return err_set(err, -errno, "cannot tell the name of the machine:");
    confine_user(&a->user);
    r = prepare_end(a, err);
    if (r == 0)
        r = open_folder(a, err);
    if (r == 0 && source_init(&a->source, c->socket) < 0)
        r = err_set(err, -ENOMEM, "no memory");
    for (unsigned i = 0; i < c->remotes && r == 0; i++)
        r = prepare_one(a, i, err);
    return r;
}

static int give_up_rights(struct all *a, struct err *err) {
    struct confine_options options = {.dir = a->path, .connect = true};
    struct str rest, line;
    struct buf told;
    int r;

    /* STATE may lie where only root can walk to */
    snprintf(a->path, sizeof(a->path), "/proc/self/fd/%d", a->dir);
    buf_init(&told, 16 << 10);
    r = confine(&options, &a->user, &told, err);
    for (rest = buf_str(&told); str_cut(&rest, '\n', &line);)
        log_line(LOG_NOTE, "%.*s", STR_ARG(line));
    buf_done(&told);
    return r;
}

/* --- threads ---------------------------------------------------------------------------------- */

static void tell_all_to_stop(const struct all *a) {
    const uint64_t one = 1;

    (void)!write(a->stop, &one, sizeof(one));
}

static void *run(void *ctx) {
    const struct remote *r = ctx;

    /* With all of it: whoever started us does so again. */
    if (writer_run(r->writer) < 0)
        _exit(CODE_START);
    return NULL;
}

static int start(struct all *a, struct err *err) {
    int r = sender_global_init();

    if (r < 0)
        return err_set(err, r, "cannot start:");
    for (unsigned i = 0; i < a->n; i++) {
        r = writer_new(&a->remote[i].options, &a->remote[i].writer, err);
        if (r < 0)
            return r;
    }
    for (unsigned i = 0; i < a->n; i++) {
        r = pthread_create(&a->remote[i].thread, NULL, run, &a->remote[i]);
        if (r != 0)
            return err_set(err, -r, "cannot start a thread:");
        a->remote[i].runs = true;
    }
    return 0;
}

/* --- status ----------------------------------------------------------------------------------- */

static void add_remote(struct json *j, const struct remote *r) {
    struct writer_status s;

    writer_status(r->writer, &s);
    json_begin_object(j);
    json_key_str(j, "url", writer_url(r->writer));
    json_key_u64(j, "samples_total", s.samples);
    json_key_u64(j, "requests_total", s.requests);
    json_key_u64(j, "dropped_samples_total", s.dropped_samples);
    json_key_u64(j, "dropped_requests_total", s.dropped_requests);
    json_key_u64(j, "failures_total", s.failures);
    json_key_u64(j, "gaps_total", s.gaps);
    json_key_u64(j, "unreadable_messages_total", s.bad);
    json_key_u64(j, "targets", s.targets);
    json_key(j, "sent_ms");
    json_i64(j, s.sent_ms);
    json_key(j, "at_ms");
    json_i64(j, s.at_ms);
    json_key(j, "away");
    json_bool(j, s.away);
    json_key(j, "error");
    if (s.error[0])
        json_str(j, str_of(s.error));
    else
        json_unknown(j);
    json_end(j);
}

static void write_status(struct all *a) {
    auto_close int fd = -1;
    struct json j;

    buf_clear(&a->status);
    json_start(&j, &a->status);
    json_begin_object(&j);
    json_key_u64(&j, "pid", (uint64_t)getpid());
    json_key(&j, "remotes");
    json_begin_array(&j);
    for (unsigned i = 0; i < a->n; i++)
        add_remote(&j, &a->remote[i]);
    json_end(&j);
    json_end(&j);
    buf_add_char(&a->status, '\n');
    if (buf_error(&a->status) < 0 || str_eq(buf_str(&a->status), buf_str(&a->status_before)))
        return;
    buf_clear(&a->status_before);
    buf_add(&a->status_before, buf_str(&a->status));
    /* Not made safe against a crash of the machine: it is told anew. */
    fd = openat(a->dir, "status.json.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || buf_flush(&a->status, fd) < 0 ||
        renameat(a->dir, "status.json.new", a->dir, "status.json") < 0)
        log_line(LOG_WARN, "the status file cannot be written: %s", strerror(errno));
}

/* --- all -------------------------------------------------------------------------------------- */

/* Whether the agent has given us its pipe. */
static int life_of_agent(void) {
    struct stat st;

    return fstat(LIFE_FD, &st) == 0 && S_ISFIFO(st.st_mode) ? LIFE_FD : -1;
}

static void wait_for_end(struct all *a, int life) {
    struct pollfd p[] = {{.fd = a->signals, .events = POLLIN}, {.fd = life, .events = POLLIN}};

    while (poll(p, 2, STATUS_MS) <= 0)
        write_status(a);
}

static void clean_up(struct all *a) {
    for (unsigned i = 0; i < a->n; i++) {
        struct remote *r = &a->remote[i];

        if (r->runs)
            pthread_join(r->thread, NULL);
        writer_free(r->writer);
        free(r->options.token);
        free(r->options.password);
        free((void *)(uintptr_t)r->options.ca.p);
    }
    source_done(&a->source);
    buf_done(&a->status);
    buf_done(&a->status_before);
}

static int work(struct all *a, int life) {
    struct err err;
    int r = prepare(a, &err);

    if (r == 0)
        r = give_up_rights(a, &err);
    if (r == 0)
        r = start(a, &err);
    if (r == 0)
        wait_for_end(a, life);
    else
        log_line(LOG_BAD, "%s", err.text);
    tell_all_to_stop(a);
    if (r == 0)
        write_status(a);
    clean_up(a);
    return r == 0 ? 0 : CODE_START;
}

int main(int argc, char **argv) {
    static struct all a = {.dir = -1, .stop = -1, .signals = -1, .source = {.dir = -1}};
    int life = life_of_agent(), code = 0;

    umask(077);
    buf_init(&a.status, STATUS_MAX);
    buf_init(&a.status_before, STATUS_MAX);
    if (settings_read(&a.settings, argc, argv) < 0) {
        code = CODE_CONFIG;
    } else if (a.settings.config.remotes > 0) {
        log_open("remote", !a.settings.foreground);
        code = work(&a, life);
    }
    settings_done(&a.settings);
    return code;
}
