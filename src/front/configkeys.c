#include "front/configkeys.h"

#include <assert.h>

#include "base/mem.h"
#include "base/num.h"
#include "front/configguard.h"
#include "front/configvalue.h"

enum { TEXT_MAX = CONFIG_TEXT, MINUTE_MS = 60000 };
#define HOUR_MS ((int64_t)60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)

/* --- values ----------------------------------------------------------------------------------- */

static void *place_of(const struct key *k, void *into) {
    return (char *)into + k->offset;
}

/* Takes the text over what was there. */
static void keep(struct yamldoc *d, char **place, char *text) {
    d->no_memory |= !text;
    free(*place);
    *place = text;
}

static void set_text(struct yamldoc *d, const struct key *k, const yaml_node_t *value, void *into) {
    struct str s;

    if (yamldoc_text(d, value, k->public.name, TEXT_MAX, &s))
        keep(d, place_of(k, into), strndup(s.p, s.n));
}

static char *below(struct str folder, struct str path) {
    struct buf b;

    buf_init(&b, 2 * TEXT_MAX);
    buf_add(&b, folder);
    buf_add(&b, path);
    buf_add_char(&b, '\0');
    if (buf_error(&b) < 0)
        buf_done(&b);
    return b.p;
}

/* A path counts from the folder of the file that names it. */
static void set_path(struct yamldoc *d, const struct key *k, const yaml_node_t *value, void *into) {
    ptrdiff_t slash = str_rfind(d->name, '/');
    struct str s;

    if (!yamldoc_text(d, value, k->public.name, TEXT_MAX / 2, &s))
        return;
    if (s.p[0] == '/' || slash < 0)
        keep(d, place_of(k, into), strndup(s.p, s.n));
    else
        keep(d, place_of(k, into), below(str_head(d->name, (size_t)slash + 1), s));
}

static void set_listen(struct yamldoc *d, const struct key *k, const yaml_node_t *value,
                       void *into) {
    struct config_listen parsed;
    auto_free char *text = NULL;
    struct err err;
    struct str s;

    if (!yamldoc_text(d, value, k->public.name, TEXT_MAX, &s))
        return;
    text = strndup(s.p, s.n);
    if (text && config_listen_parse(text, &parsed, &err) < 0)
        yamldoc_error(d, value, "%s", err.text);
    else
        keep(d, place_of(k, into), take_ptr(&text));
}

void config_set_switch(struct yamldoc *d, const struct key *k, const yaml_node_t *value,
                       void *into) {
    bool *place = place_of(k, into);
    struct str s;

    if (!yamldoc_text(d, value, k->public.name, TEXT_MAX, &s))
        return;
    if (str_eq(s, STR("true")) || str_eq(s, STR("false")))
        *place = s.n == 4;
    else
        yamldoc_error(d, value, "%s is true or false, not '%.*s'", k->public.name, STR_ARG(s));
}

void config_set_count(struct yamldoc *d, const struct key *k, const yaml_node_t *value,
                      void *into) {
    uint32_t *place = place_of(k, into);
    uint64_t number;
    struct str s;

    if (!yamldoc_text(d, value, k->public.name, TEXT_MAX, &s))
        return;
    if (str_to_u64(s, &number) < 0 || number < (uint64_t)k->least || number > (uint64_t)k->most)
        yamldoc_error(d, value, "%s is a number from %lld to %lld, not '%.*s'", k->public.name,
                      (long long)k->least, (long long)k->most, STR_ARG(s));
    else
        *place = (uint32_t)number;
}

static void add_duration(struct buf *b, int64_t ms) {
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = {{DAY_MS, "d"}, {HOUR_MS, "h"}, {MINUTE_MS, "m"}, {1000, "s"}, {1, "ms"}};
    unsigned i = ms == 0 ? 3 : 0;

    while (ms % units[i].ms != 0)
        i++;
    buf_add_format(b, "%lld%s", (long long)(ms / units[i].ms), units[i].unit);
}

bool config_duration(struct yamldoc *d, const struct key *k, const yaml_node_t *value,
                     int64_t *ms_out) {
    struct buf bounds;
    uint64_t ms;
    struct str s;

    if (!yamldoc_text(d, value, k->public.name, TEXT_MAX, &s))
        return false;
    if (num_parse_ms(s, &ms) < 0) {
        yamldoc_error(d, value, "%s is a duration as 500ms, 1s, 24h or 30d, not '%.*s'",
                      k->public.name, STR_ARG(s));
        return false;
    }
    if (ms >= (uint64_t)k->least && ms <= (uint64_t)k->most) {
        *ms_out = (int64_t)ms;
        return true;
    }
    buf_init(&bounds, 100);
    add_duration(&bounds, k->least);
    buf_add(&bounds, STR(" to "));
    add_duration(&bounds, k->most);
    yamldoc_error(d, value, "%s may be %.*s, not '%.*s'", k->public.name, STR_ARG(buf_str(&bounds)),
                  STR_ARG(s));
    buf_done(&bounds);
    return false;
}

static void set_duration(struct yamldoc *d, const struct key *k, const yaml_node_t *value,
                         void *into) {
    (void)config_duration(d, k, value, place_of(k, into));
}

void config_set_size(struct yamldoc *d, const struct key *k, const yaml_node_t *value, void *into) {
    uint64_t *place = place_of(k, into);
    uint64_t bytes;
    struct str s;

    if (!yamldoc_text(d, value, k->public.name, TEXT_MAX, &s))
        return;
    if (num_parse_size(s, &bytes) < 0)
        yamldoc_error(d, value, "%s is a size as 512M or 2G, not '%.*s'", k->public.name,
                      STR_ARG(s));
    else if (bytes < (uint64_t)k->least || bytes > (uint64_t)k->most)
        yamldoc_error(d, value, "%s may be %lldM to %lldG, not '%.*s'", k->public.name,
                      (long long)(k->least >> 20), (long long)(k->most >> 30), STR_ARG(s));
    else
        *place = bytes;
}

/* The nearest of some words, or NULL when none is near. */
const char *config_nearest(struct str typed, const char *const *known, size_t n) {
    const char *best = NULL;
    unsigned least = 3;

    for (size_t i = 0; i < n; i++) {
        unsigned distance = str_distance(typed, str_of(known[i]));

        if (distance < least && distance < typed.n) {
            least = distance;
            best = known[i];
        }
    }
    return best;
}

/* The number of the word, or -1 and an error that names them all. */
static int choice(struct yamldoc *d, const struct key *k, const yaml_node_t *value) {
    char all[200] = "";
    const char *near;
    size_t n = 0, used = 0;
    struct str s;

    if (!yamldoc_text(d, value, k->public.name, TEXT_MAX, &s))
        return -1;
    for (; k->words[n]; n++) {
        if (str_eq(s, str_of(k->words[n])))
            return (int)n;
        used +=
            (size_t)snprintf(all + used, sizeof(all) - used, "%s%s", n ? ", " : "", k->words[n]);
    }
    near = config_nearest(s, k->words, n);
    if (near)
        yamldoc_error(d, value, "unknown %s \"%.*s\", did you mean \"%s\"?", k->public.name,
                      STR_ARG(s), near);
    else
        yamldoc_error(d, value, "%s is one of %s, not '%.*s'", k->public.name, all, STR_ARG(s));
    return -1;
}

static void set_sampling(struct yamldoc *d, const struct key *k, const yaml_node_t *value,
                         void *into) {
    bool *adaptive = place_of(k, into);
    int word = choice(d, k, value);

    if (word >= 0)
        *adaptive = word == 1;
}

static void set_targets(struct yamldoc *d, const struct key *k, const yaml_node_t *value,
                        void *into) {
    enum wire_targets *targets = place_of(k, into);
    int word = choice(d, k, value);

    if (word >= 0)
        *targets = (enum wire_targets)word;
}

bool config_is_map(struct yamldoc *d, const char *what, const yaml_node_t *value) {
    if (value->type == YAML_MAPPING_NODE)
        return true;
    yamldoc_error(d, value, "%s is a map (key: value), not %s", what, yamldoc_kind(value));
    return false;
}

bool config_is_list(struct yamldoc *d, const char *what, const yaml_node_t *value) {
    if (value->type == YAML_SEQUENCE_NODE)
        return true;
    yamldoc_error(d, value, "%s is a list, [a, b] or lines that begin with '- ', not %s", what,
                  yamldoc_kind(value));
    return false;
}

static void set_map(struct yamldoc *d, const struct key *k, const yaml_node_t *value, void *into) {
    if (config_is_map(d, k->public.name, value))
        config_read_map(d, k->public.name, value, into);
}

static void set_hosts(struct yamldoc *d, const struct key *k, const yaml_node_t *value,
                      void *into) {
    struct config *c = into;
    const yaml_node_t *item;
    struct str s;

    if (!config_is_list(d, k->public.name, value))
        return;
    for (unsigned i = 0; i < c->n_hosts; i++)
        free(take_ptr(&c->hosts[i]));
    c->n_hosts = 0;
    for (size_t i = 0; (item = yamldoc_item(d, value, i)); i++) {
        if (i == WEB_HOSTS) {
            yamldoc_error(d, item, "more than %d hosts", WEB_HOSTS);
            return;
        }
        if (!yamldoc_text(d, item, "a host", 253, &s))
            continue;
        if (str_find(s, '/') >= 0 || str_find(s, ' ') >= 0 || str_find(s, '@') >= 0)
            yamldoc_error(d, item, "a host is a name as a browser sends it, not '%.*s'",
                          STR_ARG(s));
        else
            keep(d, &c->hosts[c->n_hosts++], strndup(s.p, s.n));
    }
}

/* --- remote_write ----------------------------------------------------------------------------- */

static void set_url(struct yamldoc *d, const struct key *k, const yaml_node_t *value, void *into) {
    struct str s, rest, host;

    if (!yamldoc_text(d, value, k->public.name, TEXT_MAX, &s))
        return;
    rest = s;
    if (!str_skip(&rest, STR("http://")) && !str_skip(&rest, STR("https://"))) {
        yamldoc_error(d, value, "url begins with http:// or https://, not '%.*s'", STR_ARG(s));
        return;
    }
    if (!str_cut(&rest, '/', &host))
        host = rest;
    if (str_find(host, '@') >= 0)
        yamldoc_error(d, value, "no password in a url: use username and password_file");
    else if (host.n == 0 || str_find(s, ' ') >= 0)
        yamldoc_error(d, value, "'%.*s' is no url", STR_ARG(s));
    else
        keep(d, place_of(k, into), strndup(s.p, s.n));
}

static bool letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_label(struct str s) {
    if (s.n == 0 || !letter(s.p[0]) || str_starts(s, STR("__")))
        return false;
    for (size_t i = 1; i < s.n; i++)
        if (!letter(s.p[i]) && !(s.p[i] >= '0' && s.p[i] <= '9'))
            return false;
    return true;
}

static bool has_label(const struct config_remote *r, struct str name) {
    for (unsigned i = 0; i < r->labels; i++)
        if (str_eq(name, str_of(r->label_name[i])))
            return true;
    return false;
}

static void set_labels(struct yamldoc *d, const struct key *k, const yaml_node_t *value,
                       void *into) {
    struct config_remote *r = into;
    yaml_node_t *name_node, *text_node;
    struct str name, text;

    if (!config_is_map(d, k->public.name, value))
        return;
    for (size_t i = 0; yamldoc_pair(d, value, i, &name_node, &text_node); i++) {
        if (i == CONFIG_HEADERS) {
            yamldoc_error(d, name_node, "more than %d labels", CONFIG_HEADERS);
            return;
        }
        if (!yamldoc_text(d, name_node, "a label's name", 200, &name) ||
            !yamldoc_text(d, text_node, "a label", 1000, &text))
            continue;
        if (!is_label(name)) {
            yamldoc_error(d, name_node,
                          "a label's name has letters, digits and _, and does not begin with a "
                          "digit or __: not '%.*s'",
                          STR_ARG(name));
            continue;
        }
        if (has_label(r, name)) {
            yamldoc_error(d, name_node, "label \"%.*s\" stands here twice", STR_ARG(name));
            continue;
        }
        keep(d, &r->label_name[r->labels], strndup(name.p, name.n));
        keep(d, &r->label_value[r->labels], strndup(text.p, text.n));
        r->labels += !d->no_memory;
    }
}

static void set_remotes(struct yamldoc *d, const struct key *k, const yaml_node_t *value,
                        void *into) {
    struct config *c = into;
    const yaml_node_t *item;

    if (!config_is_list(d, k->public.name, value))
        return;
    for (size_t i = 0; (item = yamldoc_item(d, value, i)); i++) {
        struct config_remote *r = &c->remote[i];
        unsigned before = d->errors;

        if (i == CONFIG_REMOTES) {
            yamldoc_error(d, item, "more than %d remote writers", CONFIG_REMOTES);
            return;
        }
        config_remote_done(r);
        r->interval_ms = 5000;
        r->timeout_ms = 30000;
        c->remotes = (unsigned)i + 1;
        if (!config_is_map(d, "a remote writer", item))
            continue;
        config_read_map(d, k->public.name, item, r);
        if (!r->url && d->errors == before)
            yamldoc_error(d, item, "a remote writer needs a url");
        if (r->token_file && r->username)
            yamldoc_error(d, item, "token_file and username exclude each other");
        if (!r->username != !r->password_file)
            yamldoc_error(d, item, "username and password_file go together");
    }
}

/* --- keys of later versions ------------------------------------------------------------------- */

static void set_rules(struct yamldoc *d, const struct key *k, const yaml_node_t *value,
                      void *into) {
    const yaml_node_t *item;
    struct str s;

    (void)into;
    if (!config_is_list(d, k->public.name, value))
        return;
    for (size_t i = 0; (item = yamldoc_item(d, value, i)); i++)
        (void)yamldoc_text(d, item, "a glob of rule files", TEXT_MAX, &s);
    yamldoc_warn(d, value, "rules have no effect yet: this version only records");
}

/* --- the table -------------------------------------------------------------------------------- */

static const char *const sampling_words[] = {"every", "adaptive", NULL};
static const char *const targets_words[] = {"containers", "services", "all", NULL};

#define OF(field) offsetof(struct config, field)
#define OF_REMOTE(field) offsetof(struct config_remote, field)
#define OF_GUARD(field) offsetof(struct config_guard, field)

static const struct key keys[] = {
    {{"", "listen", "ADDRESS", "where HTTP is served: 127.0.0.1:7533, unix:PATH or off"},
     .set = set_listen,
     .offset = OF(listen)},
    {{"", "socket", "PATH", "the unix socket that plimsoll's own commands ask"},
     .set = set_path,
     .offset = OF(socket)},
    {{"", "state", "PATH", "the directory of the history"}, .set = set_path, .offset = OF(state)},
    {{"", "token_file", "PATH", "a file with the token that HTTP clients must send"},
     .set = set_path,
     .offset = OF(token_file)},
    {{"", "tls", "MAP", "a certificate: HTTPS instead of HTTP"}, .set = set_map},
    {{"tls", "cert", "PATH", "the certificate and those it hangs on, PEM"},
     .set = set_path,
     .offset = OF(tls_cert)},
    {{"tls", "key", "PATH", "its key, PEM"}, .set = set_path, .offset = OF(tls_key)},
    {{"", "hosts", "LIST", "further names under which browsers may call the agent"},
     .set = set_hosts},
    {{"", "interval", "DURATION", "between two looks at a target"},
     .set = set_duration,
     .offset = OF(interval_ms),
     .least = 100,
     .most = MINUTE_MS},
    {{"", "fastest", "DURATION", "between two looks at a target that is about to hit its limit"},
     .set = set_duration,
     .offset = OF(fastest_ms),
     .least = 50,
     .most = MINUTE_MS},
    {{"", "sampling", "WORD", "every: all of a target each time; adaptive: details when it moves"},
     .set = set_sampling,
     .offset = OF(adaptive),
     .words = sampling_words},
    {{"", "targets", "WORD", "containers, services (and containers), or all groups"},
     .set = set_targets,
     .offset = OF(targets),
     .words = targets_words},
    {{"", "processes", "NUMBER", "the largest so many processes of each target are recorded"},
     .set = config_set_count,
     .offset = OF(processes),
     .most = 200},
    {{"", "cadvisor_names", "BOOL", "/metrics has cAdvisor's container_* names too"},
     .set = config_set_switch,
     .offset = OF(cadvisor_names)},
    {{"", "show_commands", "BOOL", "command lines also to TCP clients without a token"},
     .set = config_set_switch,
     .offset = OF(show_commands)},
    {{"", "retention", "MAP", "how long what is kept"}, .set = set_map},
    {{"retention", "raw", "DURATION", "every sample"},
     .set = set_duration,
     .offset = OF(store.raw_ms),
     .least = 10 * MINUTE_MS,
     .most = 366 * DAY_MS},
    {{"retention", "minute", "DURATION", "minimum, mean and maximum of each minute"},
     .set = set_duration,
     .offset = OF(store.minute_ms),
     .least = HOUR_MS,
     .most = 10 * 366 * DAY_MS},
    {{"retention", "hour", "DURATION", "the same of each hour"},
     .set = set_duration,
     .offset = OF(store.hour_ms),
     .least = DAY_MS,
     .most = 100 * 366 * DAY_MS},
    {{"retention", "size", "SIZE", "of the whole history on disk; the oldest goes first"},
     .set = config_set_size,
     .offset = OF(store.max_bytes),
     .least = 16 << 20,
     .most = (int64_t)1 << 50},
    {{"", "remote_write", "LIST", "stores that all samples are sent to as well"},
     .set = set_remotes},
    {{"remote_write", "url", "URL", "where to"}, .set = set_url, .offset = OF_REMOTE(url)},
    {{"remote_write", "interval", "DURATION", "between the samples that are sent"},
     .set = set_duration,
     .offset = OF_REMOTE(interval_ms),
     .least = 1000,
     .most = HOUR_MS},
    {{"remote_write", "timeout", "DURATION", "of a request"},
     .set = set_duration,
     .offset = OF_REMOTE(timeout_ms),
     .least = 1000,
     .most = 10 * MINUTE_MS},
    {{"remote_write", "token_file", "PATH", "a file with a bearer token"},
     .set = set_path,
     .offset = OF_REMOTE(token_file)},
    {{"remote_write", "username", "TEXT", "for HTTP's basic authentication"},
     .set = set_text,
     .offset = OF_REMOTE(username)},
    {{"remote_write", "password_file", "PATH", "a file with the password of username"},
     .set = set_path,
     .offset = OF_REMOTE(password_file)},
    {{"remote_write", "ca_file", "PATH", "certificates to believe instead of the system's, PEM"},
     .set = set_path,
     .offset = OF_REMOTE(ca_file)},
    {{"remote_write", "labels", "MAP", "labels that every series gets"}, .set = set_labels},
    {{"", "pressure_socket", "PATH",
      "where guards tell programs of notify: $MEMORY_PRESSURE_WATCH"},
     .set = set_path,
     .offset = OF(pressure_socket)},
    {{"", "guards", "LIST", "what is done to which targets when their memory runs short"},
     .set = config_set_guards},
    {{"guards", "name", "TEXT", "of the guard, for its records"}, .set = config_set_guard_name},
    {{"guards", "match", "MAP", "which targets it is for"}, .set = set_map},
    {{"match", "name", "GLOB", "the name that is shown"},
     .set = config_set_guard_glob,
     .least = GUARDMATCH_NAME},
    {{"match", "image", "GLOB", "the image of the container"},
     .set = config_set_guard_glob,
     .least = GUARDMATCH_IMAGE},
    {{"match", "label", "MAP", "labels of the container: a key, and a pattern for its value"},
     .set = config_set_guard_labels},
    {{"match", "cgroup", "GLOB", "the path of the control group"},
     .set = config_set_guard_glob,
     .least = GUARDMATCH_CGROUP},
    {{"match", "unit", "GLOB", "systemd's name of the unit"},
     .set = config_set_guard_glob,
     .least = GUARDMATCH_UNIT},
    {{"match", "namespace", "GLOB", "the namespace of the pod"},
     .set = config_set_guard_glob,
     .least = GUARDMATCH_NAMESPACE},
    {{"match", "pod", "GLOB", "the pod"}, .set = config_set_guard_glob, .least = GUARDMATCH_POD},
    {{"guards", "at", "LIST", "marks: shares of the limit, or sizes"},
     .set = config_set_guard_marks},
    {{"guards", "do", "LIST", "actions, from harmless to final"}, .set = config_set_guard_actions},
    {{"guards", "inject", "BOOL", "whether words may be written into a program's memory"},
     .set = config_set_switch,
     .offset = OF_GUARD(policy.inject)},
    {{"guards", "dry_run", "BOOL", "everything but the actions themselves"},
     .set = config_set_switch,
     .offset = OF_GUARD(policy.dry_run)},
    {{"guards", "oom_hold", "BOOL", "cgroup v1: the moment of OOM is held for a dump"},
     .set = config_set_switch,
     .offset = OF_GUARD(policy.oom_hold)},
    {{"guards", "kill_init", "BOOL", "a container's first process may be killed"},
     .set = config_set_switch,
     .offset = OF_GUARD(policy.kill_init)},
    {{"guards", "leave_high", "BOOL", "cgroup v2: memory.high is not moved to be the mark"},
     .set = config_set_switch,
     .offset = OF_GUARD(policy.leave_high)},
    {{"guards", "cooldown", "DURATION", "between two starts of the same action"},
     .set = config_set_guard_duration,
     .offset = OF_GUARD(policy.cooldown_us),
     .least = 100,
     .most = POLICY_TIME_MOST_MS},
    {{"guards", "max_per_hour", "NUMBER", "actions in an hour"},
     .set = config_set_count,
     .offset = OF_GUARD(policy.per_hour),
     .least = 1,
     .most = POLICY_COUNT_MOST},
    {{"guards", "max_kills_per_hour", "NUMBER", "of them, those that end something"},
     .set = config_set_count,
     .offset = OF_GUARD(policy.kills_per_hour),
     .least = 1,
     .most = POLICY_COUNT_MOST},
    {{"guards", "grace", "DURATION", "from SIGTERM to SIGKILL"},
     .set = config_set_guard_duration,
     .offset = OF_GUARD(policy.grace_us),
     .least = 0,
     .most = POLICY_TIME_MOST_MS},
    {{"guards", "deadline", "DURATION",
      "of gc, reclaim, dump and the hook, each; a rescue has four"},
     .set = config_set_guard_duration,
     .offset = OF_GUARD(policy.deadline_us),
     .least = POLICY_DEADLINE_LEAST_MS,
     .most = POLICY_TIME_MOST_MS},
    {{"guards", "lend", "SIZE", "memory that a rescue may lend"},
     .set = config_set_size,
     .offset = OF_GUARD(policy.lend),
     .least = POLICY_LEND_LEAST,
     .most = (int64_t)1 << 40},
    {{"guards", "go_limit", "PERCENT", "a limit that Go programs keep after a collection"},
     .set = config_set_guard_go_limit},
    {{"guards", "hook", "LIST", "a program to be run by notify, and its arguments"},
     .set = config_set_guard_hook},
    {{"guards", "protect", "LIST", "names of processes that are never ended"},
     .set = config_set_guard_texts,
     .offset = OF_GUARD(policy.protect)},
    {{"guards", "prefer", "LIST", "names of processes that are ended before others"},
     .set = config_set_guard_texts,
     .offset = OF_GUARD(policy.prefer)},
    {{"", "rules", "LIST", "without effect in this version"}, .set = set_rules},
};

static_assert(ARRAY_N(keys) <= CONFIG_KEYS, "every key has its place in the table");

const struct config_key *config_key(size_t i) {
    return i < ARRAY_N(keys) ? &keys[i].public : NULL;
}

size_t config_key_number(const char *section, const char *name) {
    size_t i = 0;

    while (!str_eq(str_of(section), str_of(keys[i].public.section)) ||
           !str_eq(str_of(name), str_of(keys[i].public.name))) {
        i++;
        assert(i < ARRAY_N(keys));
    }
    return i;
}

static const struct key *find_key(struct yamldoc *d, const char *section, const yaml_node_t *node,
                                  struct str name) {
    const char *known[ARRAY_N(keys)];
    const char *near;
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_N(keys); i++) {
        if (!str_eq(str_of(section), str_of(keys[i].public.section)))
            continue;
        if (str_eq(name, str_of(keys[i].public.name)))
            return &keys[i];
        known[n++] = keys[i].public.name;
    }
    near = config_nearest(name, known, n);
    if (near)
        yamldoc_error(d, node, "unknown key \"%.*s\", did you mean \"%s\"?", STR_ARG(name), near);
    else
        yamldoc_error(d, node, "unknown key \"%.*s\"%s%s", STR_ARG(name), section[0] ? " in " : "",
                      section);
    return NULL;
}

/* Remembers where a value stands. A guard is checked as it is read. */
static void mark(struct yamldoc *d, const struct key *k, const yaml_node_t *value,
                 const void *into) {
    bool of_guard = str_eq(str_of(k->public.section), STR("guards")) ||
                    str_eq(str_of(k->public.section), STR("match"));
    struct config *c = d->user;
    bool of_remote = str_eq(str_of(k->public.section), STR("remote_write"));
    size_t row = of_remote ? (size_t)((const struct config_remote *)into - c->remote) : 0;

    if (of_guard)
        return;
    c->places[row][k - keys] =
        (struct config_place){.line = (unsigned)value->start_mark.line + 1,
                              .column = (unsigned)value->start_mark.column + 1};
}

void config_read_map(struct yamldoc *d, const char *section, const yaml_node_t *map, void *into) {
    bool seen[ARRAY_N(keys)] = {false};
    yaml_node_t *name_node, *value;
    struct str name;

    for (size_t i = 0; yamldoc_pair(d, map, i, &name_node, &value); i++) {
        const struct key *k = NULL;
        unsigned before = d->errors;

        if (yamldoc_text(d, name_node, "a key", TEXT_MAX, &name))
            k = find_key(d, section, name_node, name);
        if (!k)
            continue;
        if (seen[k - keys])
            yamldoc_error(d, name_node, "key \"%s\" stands here twice", k->public.name);
        else
            k->set(d, k, value, into);
        if (d->errors == before)
            mark(d, k, value, into);
        seen[k - keys] = true;
    }
}

void configkeys_read(struct yamldoc *d, struct config *c) {
    const yaml_node_t *root = yamldoc_root(d);
    bool nothing = !root || (yamldoc_plain(root) && root->data.scalar.length == 0);

    d->user = c;
    if (!nothing && config_is_map(d, "the file", root))
        config_read_map(d, "", root, c);
}
