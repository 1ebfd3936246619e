/* config.h - plimsoll.yaml, read strictly: an unknown key, a wrong type or a value out of range is
 * an error with file:line:col and, where one is near, what was probably meant.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "series/store.h"
#include "web/web.h"
#include "wire/wire.h"

enum { CONFIG_REMOTES = 8, CONFIG_HEADERS = 8 };

struct config_remote {
    char *url;
    int64_t interval_ms; /* of the samples that are sent, default 5 s */
    int64_t timeout_ms;  /* of a request, default 30 s */
    char *token_file, *username, *password_file, *ca_file;          /* NULL: none */
    char *label_name[CONFIG_HEADERS], *label_value[CONFIG_HEADERS]; /* external labels */
    unsigned labels;
};

struct config {
    char *listen;     /* "127.0.0.1:7533", "unix:PATH", "off" */
    char *socket;     /* "/run/plimsoll/plimsoll.sock" */
    char *state;      /* "/var/lib/plimsoll" */
    char *token_file; /* NULL: none */
    char *tls_cert, *tls_key;
    char *hosts[WEB_HOSTS];
    unsigned n_hosts;
    int64_t interval_ms, fastest_ms; /* 1000, 100 */
    bool adaptive;                   /* sampling: adaptive */
    enum wire_targets targets;       /* targets: containers | services | all */
    uint32_t processes;
    bool cadvisor_names, show_commands;
    struct store_options store; /* retention: {raw, minute, hour, size} */
    struct config_remote remote[CONFIG_REMOTES];
    unsigned remotes;
};

/* The defaults: of root, or of another user (XDG directories). */
void config_defaults(struct config *c);
void config_done(struct config *c);

/* Reads a file over the defaults. Every error is a line of `errors`, "FILE:LINE:COL: text"; all of
 * them are told, not the first alone. 0; -EINVAL when there are any; -errno with a line when it
 * cannot be read. A file that others than its owner or root may write is refused. */
int config_load(struct config *c, const char *path, struct buf *errors);

/* The same of a text, for tests and fuzzing. */
int config_parse(struct config *c, struct str name, struct str text, struct buf *errors);

/* What can be checked without starting: listen's form, a token for an address that is not loopback,
 * directories. */
int config_check(const struct config *c, struct buf *errors);
