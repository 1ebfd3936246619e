/* config.h - plimsoll.yaml, read strictly: an unknown key, a wrong type or a value out of range is
 * an error with file:line:col and, where one is near, what was probably meant.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "model/guardmatch.h"
#include "model/policy.h"
#include "series/store.h"
#include "web/web.h"
#include "wire/wire.h"

enum { CONFIG_REMOTES = 8, CONFIG_HEADERS = 8, CONFIG_GUARDS = 64, CONFIG_KEYS = 64 };

/* Where a value came from: a place in the file, counted from 1, or an option of the command line.
 * All zero: it is a default. */
struct config_place {
    unsigned line, column;
    const char *option; /* "--listen" */
};

struct config_remote {
    char *url;
    int64_t interval_ms; /* of the samples that are sent, default 5 s */
    int64_t timeout_ms;  /* of a request, default 30 s */
    char *token_file, *username, *password_file, *ca_file;          /* NULL: none */
    char *label_name[CONFIG_HEADERS], *label_value[CONFIG_HEADERS]; /* external labels */
    unsigned labels;
};

struct config_guard {
    struct guardmatch match;
    struct policy policy; /* without a name in the file it is called "guards[1]", by its place */
    struct config_place hook_place;
};

struct config {
    char *listen;          /* "127.0.0.1:7533", "unix:PATH", "off" */
    char *socket;          /* "/run/plimsoll/plimsoll.sock" */
    char *state;           /* "/var/lib/plimsoll" */
    char *token_file;      /* NULL: none */
    char *pressure_socket; /* of the guards; NULL: none */
    char *tls_cert, *tls_key;
    char *hosts[WEB_HOSTS];
    unsigned n_hosts;
    int64_t interval_ms, fastest_ms; /* 1000, 100 */
    bool adaptive;                   /* sampling: adaptive */
    enum wire_targets targets;       /* targets: containers | services | all */
    uint32_t processes;
    bool cadvisor_names, show_commands;
    struct store_options store; /* `dir` is the caller's; retention: {raw, minute, hour, size} */
    struct config_remote remote[CONFIG_REMOTES];
    unsigned remotes;
    struct config_guard *guard[CONFIG_GUARDS]; /* the first that matches a target is the one */
    unsigned guards;
    char *file; /* its name as errors tell it; NULL: none was read */
    /* By config_key's numbers; keys outside of remote_write are in the first row, those of guards
     * nowhere. */
    struct config_place places[CONFIG_REMOTES][CONFIG_KEYS];
};

/* The defaults: of root, or of another user (XDG directories). */
void config_defaults(struct config *c);
void config_done(struct config *c);
void config_remote_done(struct config_remote *r);

/* Reads a file over the defaults. Every error is a line of `errors`, "FILE:LINE:COL: text"; all of
 * them are told, not the first alone. 0; -EINVAL when there are any; -errno with a line when it
 * cannot be read. A file that others than its owner or root may write is refused, and one whose
 * owner is neither root nor ourselves. A line "...: warning: text" is no error: `errors` may have
 * some when 0 is returned. Relative paths count from the file's folder. After a failure *c holds
 * what was good, and wants config_done as ever. */
int config_load(struct config *c, const char *path, struct buf *errors);

/* The same of a text, for tests and fuzzing. */
int config_parse(struct config *c, struct str name, struct str text, struct buf *errors);

/* What can be checked without starting: listen's form, a token for an address that is not loopback,
 * what one key demands of another, the files it names. Call it when command lines have had their
 * say too. Lines are "FILE:LINE:COL: text" or "--listen: text", after where the value came from;
 * of a default "listen: text". 0 or -EINVAL. */
int config_check(const struct config *c, struct buf *errors);

/* Remembers that the value of a key at the top is the command line's: `option` is constant. */
void config_from_option(struct config *c, const char *key, const char *option);

/* `listen`, taken apart. */
struct config_listen {
    enum config_listen_kind { CONFIG_LISTEN_OFF, CONFIG_LISTEN_TCP, CONFIG_LISTEN_UNIX } kind;
    struct str path;    /* UNIX */
    struct str address; /* TCP: an IP address without brackets; "localhost" becomes 127.0.0.1 */
    uint16_t port;      /* 0: any that is free */
    bool loopback;
};

/* Texts point into `listen` or to what is constant. 0 or -EINVAL with a text. */
int config_listen_parse(const char *listen, struct config_listen *out, struct err *err);

/* The first line of a file with a token or a password, without blanks around it: malloc'ed. At
 * least `shortest` bytes, else -EINVAL. */
int config_secret(const char *path, size_t shortest, char **out, struct err *err);

/* Every key there is, for the manual page's test. */
struct config_key {
    const char *section; /* "": the top; "tls", "retention", "remote_write", "guards", "match" */
    const char *name;
    const char *type; /* what it takes, as the manual has it: "DURATION" */
    const char *help;
};

const struct config_key *config_key(size_t i); /* NULL: there are no more */

/* The number of a key, which there must be. */
size_t config_key_number(const char *section, const char *name);
