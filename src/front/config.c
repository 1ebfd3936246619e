#include "front/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "front/configkeys.h"

enum { SECRET_MAX = 4096, TOKEN_SHORTEST = 16 };

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
    char *text[] = {c->listen, c->socket, c->state, c->token_file, c->tls_cert, c->tls_key};

    for (size_t i = 0; i < ARRAY_N(text); i++)
        free(text[i]);
    for (unsigned i = 0; i < WEB_HOSTS; i++)
        free(c->hosts[i]);
    for (unsigned i = 0; i < CONFIG_REMOTES; i++)
        config_remote_done(&c->remote[i]);
    *c = (struct config){.listen = NULL};
}

int config_parse(struct config *c, struct str name, struct str text, struct buf *errors) {
    struct yamldoc d;
    int r = yamldoc_load(&d, name, text, errors);

    if (r == 0)
        configkeys_read(&d, c);
    yamldoc_done(&d);
    if (r == 0 && (d.no_memory || !c->listen || !c->socket || !c->state))
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
    struct buf *errors;
    unsigned n;
};

static void tell(struct check *k, const char *text) {
    buf_add_format(k->errors, "%s\n", text);
    k->n++;
}

/* That others may read a secret is worth a word. */
static void check_private(struct check *k, const char *key, const char *path) {
    struct stat st;

    if (path && stat(path, &st) == 0 && st.st_mode & (S_IROTH | S_IWOTH | S_IWGRP))
        buf_add_format(k->errors, "%s: warning: others may read or write '%s' (chmod 600 %s)\n",
                       key, path, path);
}

static void check_secret(struct check *k, const char *key, const char *path, size_t shortest) {
    struct err err;

    if (!path)
        return;

    auto_free char *secret = NULL;

    if (config_secret(path, shortest, &secret, &err) < 0 || !secret) {
        buf_add_format(k->errors, "%s: %s\n", key, err.text);
        k->n++;
        return;
    }
    explicit_bzero(secret, strlen(secret));
    check_private(k, key, path);
}

static void check_readable(struct check *k, const char *key, const char *path) {
    if (path && access(path, R_OK) < 0) {
        buf_add_format(k->errors, "%s: cannot read '%s': %s\n", key, path, strerror(errno));
        k->n++;
    }
}

static void check_listen(struct check *k, const struct config *c) {
    struct config_listen listen = {.kind = CONFIG_LISTEN_OFF};
    struct err err;

    if (config_listen_parse(c->listen, &listen, &err) < 0) {
        tell(k, err.text);
        return;
    }
    if (listen.kind == CONFIG_LISTEN_TCP && !listen.loopback && !c->token_file) {
        buf_add_format(
            k->errors,
            "listen: %s can be reached from other machines, so it needs a token: set token_file "
            "to a file with a secret (head -c 24 /dev/urandom | base64 > FILE; chmod 600 FILE), or "
            "listen on 127.0.0.1:%u\n",
            c->listen, listen.port);
        k->n++;
    }
}

int config_check(const struct config *c, struct buf *errors) {
    struct check k = {.errors = errors};

    check_listen(&k, c);
    check_secret(&k, "token_file", c->token_file, TOKEN_SHORTEST);
    if (!c->tls_cert != !c->tls_key)
        tell(&k, "tls: cert and key go together");
    check_readable(&k, "tls.cert", c->tls_cert);
    check_readable(&k, "tls.key", c->tls_key);
    check_private(&k, "tls.key", c->tls_key);
    if (c->fastest_ms > c->interval_ms)
        tell(&k, "fastest is longer than interval");
    if (c->store.minute_ms < c->store.raw_ms || c->store.hour_ms < c->store.minute_ms)
        tell(&k, "retention: raw may not be longer than minute, nor minute longer than hour");
    if (c->socket[0] != '/' || strlen(c->socket) >= 108)
        tell(&k, "socket: an absolute path of at most 107 bytes");
    if (c->state[0] != '/')
        tell(&k, "state: an absolute path");
    for (unsigned i = 0; i < c->remotes; i++) {
        check_secret(&k, "remote_write.token_file", c->remote[i].token_file, 0);
        check_secret(&k, "remote_write.password_file", c->remote[i].password_file, 0);
        check_readable(&k, "remote_write.ca_file", c->remote[i].ca_file);
    }
    return k.n ? -EINVAL : 0;
}
