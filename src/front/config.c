#include "front/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "front/configkeys.h"

enum { SECRET_MAX = 4096, TOKEN_SHORTEST = 16, LINE_LONGEST = 9000, SOCKET_PATH = 108 };

/* Below a directory of the environment, below HOME, or what is given for want of both. */
static char *user_path(const char *variable, const char *below_home, const char *else_path) {
    const char *dir = getenv(variable), *home = getenv("HOME");
    char *path = NULL;
    int n;

    if (dir && dir[0] == '/')
        n = asprintf(&path, "%s/plimsoll", dir);
    else if (home && home[0] == '/')
        n = asprintf(&path, "%s/%s/plimsoll", home, below_home);
    else
        return strdup(else_path);
    return n < 0 ? NULL : path;
}

static char *user_socket(void) {
    auto_free char *dir = user_path("XDG_RUNTIME_DIR", ".local/state", "/run/plimsoll");
    char *path = NULL;

    return dir && asprintf(&path, "%s/plimsoll.sock", dir) >= 0 ? path : NULL;
}

void config_defaults(struct config *c) {
    bool root = geteuid() == 0;

    *c = (struct config){
        .interval_ms = 1000,
        .fastest_ms = 100,
        .targets = WIRE_TARGETS_SERVICES,
        .processes = 20,
        .cadvisor_names = true,
    };
    store_defaults(&c->store);
    c->listen = strdup("127.0.0.1:7533");
    c->socket = root ? strdup("/run/plimsoll/plimsoll.sock") : user_socket();
    c->state = root ? strdup("/var/lib/plimsoll")
                    : user_path("XDG_STATE_HOME", ".local/state", "/var/lib/plimsoll");
}

void config_remote_done(struct config_remote *r) {
    char *text[] = {r->url, r->token_file, r->username, r->password_file, r->ca_file};

    for (size_t i = 0; i < ARRAY_N(text); i++)
        free(text[i]);
    for (unsigned i = 0; i < CONFIG_HEADERS; i++) {
        free(r->label_name[i]);
        free(r->label_value[i]);
    }
    *r = (struct config_remote){.url = NULL};
}

void config_done(struct config *c) {
    char *text[] = {c->listen,   c->socket,  c->state, c->token_file,
                    c->tls_cert, c->tls_key, c->file,  c->pressure_socket};

    for (size_t i = 0; i < ARRAY_N(text); i++)
        free(text[i]);
    for (unsigned i = 0; i < WEB_HOSTS; i++)
        free(c->hosts[i]);
    for (unsigned i = 0; i < CONFIG_REMOTES; i++)
        config_remote_done(&c->remote[i]);
    for (unsigned i = 0; i < c->guards; i++)
        free(c->guard[i]);
    *c = (struct config){.listen = NULL};
}

int config_parse(struct config *c, struct str name, struct str text, struct buf *errors) {
    struct yamldoc d;
    int r = yamldoc_load(&d, name, text, errors);

    free(c->file);
    c->file = strndup(name.p, name.n);
    if (r == 0)
        configkeys_read(&d, c);
    yamldoc_done(&d);
    if (r == 0 && (d.no_memory || !c->file || !c->listen || !c->socket || !c->state))
        r = -ENOMEM;
    return r == 0 && d.errors > 0 ? -EINVAL : r;
}

static int refuse(struct buf *errors, const char *path, int code, const char *why) {
    buf_add_format(errors, "%s:1:1: %s\n", path, why);
    return code;
}

/* Whoever may write the file could have the agent listen, or send what it knows, anywhere. */
static int check_file(const char *path, int fd, struct buf *errors) {
    struct stat st;

    if (fstat(fd, &st) < 0)
        return refuse(errors, path, -errno, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return refuse(errors, path, -EINVAL, "not a file");
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return refuse(errors, path, -EPERM,
                      "refused: it belongs neither to root nor to who starts the agent (chown it)");
    if (st.st_mode & S_IWOTH || (st.st_mode & S_IWGRP && st.st_gid != 0))
        return refuse(errors, path, -EPERM,
                      "refused: others than its owner may write it (chmod go-w)");
    return 0;
}

int config_load(struct config *c, const char *path, struct buf *errors) {
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    auto_free char *text = NULL;
    size_t n;
    int r;

    if (fd < 0) {
        r = -errno;
        return refuse(errors, path, r, strerror(-r));
    }
    r = check_file(path, fd, errors);
    if (r < 0)
        return r;
    r = file_load_fd(fd, YAMLDOC_MAX, &text, &n);
    if (r < 0)
        return refuse(errors, path, r, r == -EFBIG ? "too large" : strerror(-r));
    return config_parse(c, str_of(path), (struct str){text, n}, errors);
}

/* --- listen ----------------------------------------------------------------------------------- */

static int bad_listen(const char *listen, struct err *err) {
    return err_set(err, -EINVAL,
                   "listen is ADDRESS:PORT (127.0.0.1:7533, [::1]:7533), unix:/PATH or off, not "
                   "'%s'",
                   listen);
}

static bool is_loopback(struct str address, bool *loopback_out) {
    char text[INET6_ADDRSTRLEN];
    struct in6_addr six;
    struct in_addr four;

    if (str_copy(address, text, sizeof(text)) < 0)
        return false;
    if (inet_pton(AF_INET, text, &four) == 1) {
        *loopback_out = ntohl(four.s_addr) >> 24 == 127;
        return true;
    }
    if (inet_pton(AF_INET6, text, &six) != 1)
        return false;
    *loopback_out = IN6_IS_ADDR_LOOPBACK(&six) != 0;
    return true;
}

int config_listen_parse(const char *listen, struct config_listen *out, struct err *err) {
    struct config_listen found = {.kind = CONFIG_LISTEN_TCP};
    struct str s = str_of(listen);
    ptrdiff_t colon = str_rfind(s, ':');
    uint64_t port;

    if (str_eq(s, STR("off"))) {
        *out = (struct config_listen){.kind = CONFIG_LISTEN_OFF};
        return 0;
    }
    if (str_skip(&s, STR("unix:"))) {
        if (s.n == 0 || s.p[0] != '/')
            return bad_listen(listen, err);
        *out = (struct config_listen){.kind = CONFIG_LISTEN_UNIX, .path = s};
        return 0;
    }
    if (colon < 0 || str_to_u64(str_from(s, (size_t)colon + 1), &port) < 0 || port > UINT16_MAX)
        return bad_listen(listen, err);
    found.port = (uint16_t)port;
    found.address = str_head(s, (size_t)colon);
    if (str_eq(found.address, STR("localhost")))
        found.address = STR("127.0.0.1");
    if (str_skip(&found.address, STR("["))) {
        if (!str_drop(&found.address, STR("]")) || str_find(found.address, ':') < 0)
            return bad_listen(listen, err);
    } else if (str_find(found.address, ':') >= 0) {
        return bad_listen(listen, err); /* which colon is the port's? */
    }
    if (!is_loopback(found.address, &found.loopback))
        return bad_listen(listen, err);
    *out = found;
    return 0;
}

/* --- checks ----------------------------------------------------------------------------------- */

int config_secret(const char *path, size_t shortest, char **out, struct err *err) {
    char memory[SECRET_MAX];
    struct str text, line;
    char *copy;
    int r = file_read_at(AT_FDCWD, path, memory, sizeof(memory), &text);

    if (r < 0)
        return err_set(err, r, "cannot read '%s':", path);
    if (!str_cut(&text, '\n', &line))
        line = text;
    line = str_trim(line);
    for (size_t i = 0; i < line.n; i++)
        if (line.p[i] <= ' ' || line.p[i] == 0x7f)
            return err_set(err, -EINVAL, "the first line of '%s' has blanks or controls", path);
    if (line.n == 0 || line.n < shortest)
        return err_set(err, -EINVAL, "the first line of '%s' is shorter than %zu bytes", path,
                       shortest ? shortest : 1);
    copy = strndup(line.p, line.n);
    explicit_bzero(memory, sizeof(memory));
    if (!copy)
        return err_set(err, -ENOMEM, "out of memory");
    *out = copy;
    return 0;
}

struct check {
    const struct config *c;
    struct buf *errors;
    unsigned n;
};

/* A value that is looked at: its key, whose name has dots, and which of the remotes it is of. */
struct subject {
    const char *section, *name;
    unsigned remote;
};

#define TOP(name)                                                                                  \
    (struct subject) {                                                                             \
        "", name, 0                                                                                \
    }
#define OF(section, name)                                                                          \
    (struct subject) {                                                                             \
        section, name, 0                                                                           \
    }
#define OF_REMOTE(name, i)                                                                         \
    (struct subject) {                                                                             \
        "remote_write", name, i                                                                    \
    }

static const struct config_place *place_of(const struct config *c, struct subject at) {
    return &c->places[at.remote][config_key_number(at.section, at.name)];
}

static bool is_default(const struct config *c, struct subject at) {
    const struct config_place *p = place_of(c, at);

    return !p->option && p->line == 0;
}

static void add_place(const struct check *k, struct subject at) {
    const struct config_place *p = place_of(k->c, at);

    if (p->option)
        buf_add_format(k->errors, "%s: ", p->option);
    else if (p->line > 0)
        buf_add_format(k->errors, "%s:%u:%u: ", k->c->file, p->line, p->column);
    else
        buf_add_format(k->errors, "%s%s%s: ", at.section, at.section[0] ? "." : "", at.name);
}

static void add_line(struct check *k, struct subject at, const char *kind, const char *format,
                     va_list args) __attribute__((format(printf, 4, 0)));

static void add_line(struct check *k, struct subject at, const char *kind, const char *format,
                     va_list args) {
    char text[LINE_LONGEST];

    vsnprintf(text, sizeof(text), format, args);
    add_place(k, at);
    buf_add(k->errors, str_of(kind));
    text_add_visible(k->errors, str_of(text), false);
    buf_add_char(k->errors, '\n');
}

__attribute__((format(printf, 3, 4))) static void tell(struct check *k, struct subject at,
                                                       const char *format, ...) {
    va_list args;

    va_start(args, format);
    add_line(k, at, "", format, args);
    va_end(args);
    k->n++;
}

__attribute__((format(printf, 3, 4))) static void warn(struct check *k, struct subject at,
                                                       const char *format, ...) {
    va_list args;

    va_start(args, format);
    add_line(k, at, "warning: ", format, args);
    va_end(args);
}

/* That others may read a secret is worth a word. */
static void check_private(struct check *k, struct subject at, const char *path) {
    struct stat st;

    if (path && stat(path, &st) == 0 && st.st_mode & (S_IROTH | S_IWOTH | S_IWGRP))
        warn(k, at, "others may read or write '%s' (chmod 600 %s)", path, path);
}

static void check_secret(struct check *k, struct subject at, const char *path, size_t shortest) {
    struct err err;

    if (!path)
        return;

    auto_free char *secret = NULL;

    if (config_secret(path, shortest, &secret, &err) < 0 || !secret) {
        tell(k, at, "%s", err.text);
        return;
    }
    explicit_bzero(secret, strlen(secret));
    check_private(k, at, path);
}

static void check_readable(struct check *k, struct subject at, const char *path) {
    if (path && access(path, R_OK) < 0)
        tell(k, at, "cannot read '%s': %s", path, strerror(errno));
}

static void check_listen(struct check *k) {
    const struct config *c = k->c;
    struct config_listen listen = {.kind = CONFIG_LISTEN_OFF};
    struct err err;

    if (config_listen_parse(c->listen, &listen, &err) < 0) {
        tell(k, TOP("listen"), "%s", err.text);
        return;
    }
    if (listen.kind == CONFIG_LISTEN_TCP && !listen.loopback && !c->token_file)
        tell(k, TOP("listen"),
             "%s can be reached from other machines, so it needs a token: set token_file to a file "
             "with a secret (head -c 24 /dev/urandom | base64 > FILE; chmod 600 FILE), or listen "
             "on 127.0.0.1:%u",
             c->listen, listen.port);
}

static void check_tls(struct check *k) {
    const struct config *c = k->c;

    if (!c->tls_cert != !c->tls_key)
        tell(k, OF("tls", c->tls_cert ? "cert" : "key"), "tls: cert and key go together");
    check_readable(k, OF("tls", "cert"), c->tls_cert);
    check_readable(k, OF("tls", "key"), c->tls_key);
    check_private(k, OF("tls", "key"), c->tls_key);
}

/* Two values do not fit: told where one of them stands, the first if it is not a default. */
static void tell_pair(struct check *k, struct subject first, struct subject second,
                      const char *text) {
    tell(k, is_default(k->c, first) ? second : first, "%s", text);
}

static void check_times(struct check *k) {
    const struct config *c = k->c;

    if (c->fastest_ms > c->interval_ms)
        tell_pair(k, TOP("fastest"), TOP("interval"), "fastest is longer than interval");
    if (c->store.raw_ms > c->store.minute_ms)
        tell_pair(k, OF("retention", "raw"), OF("retention", "minute"),
                  "retention: raw may not be longer than minute");
    if (c->store.minute_ms > c->store.hour_ms)
        tell_pair(k, OF("retention", "minute"), OF("retention", "hour"),
                  "retention: minute may not be longer than hour");
}

static bool has_notify(const struct config *c) {
    for (unsigned i = 0; i < c->guards; i++)
        if (policy_has(&c->guard[i]->policy, ACTION_NOTIFY))
            return true;
    return false;
}

static void check_pressure_socket(struct check *k) {
    const struct config *c = k->c;

    if (!c->pressure_socket)
        return;
    if (c->pressure_socket[0] != '/' || strlen(c->pressure_socket) >= SOCKET_PATH)
        tell(k, TOP("pressure_socket"), "pressure_socket is an absolute path of at most %d bytes",
             SOCKET_PATH - 1);
    else if (strcmp(c->pressure_socket, c->socket) == 0)
        tell(k, TOP("pressure_socket"), "pressure_socket and socket have the same path");
    else if (c->guards == 0)
        tell(k, TOP("pressure_socket"),
             "pressure_socket is where guards tell programs: there are no guards");
    else if (!has_notify(c))
        tell(k, TOP("pressure_socket"),
             "pressure_socket is for notify, which do: of no guard has: nobody would be told");
}

int config_check(const struct config *c, struct buf *errors) {
    struct check k = {.c = c, .errors = errors};

    check_listen(&k);
    check_secret(&k, TOP("token_file"), c->token_file, TOKEN_SHORTEST);
    check_tls(&k);
    check_times(&k);
    if (c->socket[0] != '/' || strlen(c->socket) >= SOCKET_PATH)
        tell(&k, TOP("socket"), "socket is an absolute path of at most %d bytes", SOCKET_PATH - 1);
    check_pressure_socket(&k);
    if (c->state[0] != '/')
        tell(&k, TOP("state"), "state is an absolute path");
    for (unsigned i = 0; i < c->remotes; i++) {
        const struct config_remote *r = &c->remote[i];

        check_secret(&k, OF_REMOTE("token_file", i), r->token_file, 0);
        check_secret(&k, OF_REMOTE("password_file", i), r->password_file, 0);
        check_readable(&k, OF_REMOTE("ca_file", i), r->ca_file);
    }
    return k.n ? -EINVAL : 0;
}

void config_from_option(struct config *c, const char *key, const char *option) {
    c->places[0][config_key_number("", key)] = (struct config_place){.option = option};
}
