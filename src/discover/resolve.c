#include "discover/resolve.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "discover/shim.h"
#include "kern/pidlist.h"
#include "kern/procstat.h"

enum {
    ID_MIN = 3,     /* digits of an id that are enough */
    LISTED_MAX = 6, /* candidates in an error's text */
};

/* One way to be called so; the first way that fits anything decides. */
typedef bool is_called(const struct target *t, struct str text);

/* What was found in one way. */
struct matches {
    const struct target *target[LISTED_MAX];
    size_t n;
};

void resolved_done(struct resolved *r) {
    free(r->path);
    *r = (struct resolved){0};
}

static bool called(const char *name, struct str text) {
    return name && str_eq(str_of(name), text);
}

static bool by_name(const struct target *t, struct str text) {
    return target_is_container(t) && called(t->name, text);
}

static bool is_hex(struct str s) {
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
            return false;
    return true;
}

static bool by_id(const struct target *t, struct str text) {
    if (!t->id || (!target_is_container(t) && t->kind != TARGET_SANDBOX))
        return false;
    return called(t->id, text) ||
           (text.n >= ID_MIN && is_hex(text) && str_starts(str_of(t->id), text));
}

static bool by_pod_name(const struct target *t, struct str text) {
    return t->kind == TARGET_POD && (called(t->name, text) || called(t->pod_uid, text));
}

static bool of_the_system(const struct target *t) {
    struct str rest = t->path, word;

    while (str_cut(&rest, '/', &word))
        if (str_starts(word, STR("user@")))
            return false;
    return true;
}

static bool by_system_unit(const struct target *t, struct str text) {
    return called(t->unit, text) && of_the_system(t);
}

static bool by_unit(const struct target *t, struct str text) {
    return called(t->unit, text);
}

static bool is_service_of(const struct target *t, struct str text) {
    struct str unit = str_of(t->unit);

    return str_drop(&unit, STR(".service")) && str_eq(unit, text);
}

static bool by_system_service(const struct target *t, struct str text) {
    return is_service_of(t, text) && of_the_system(t);
}

static bool by_service(const struct target *t, struct str text) {
    return is_service_of(t, text);
}

static bool container_part(const struct target *t, struct str text) {
    return called(t->container, text) || called(t->name, text);
}

/* POD/CONTAINER and NAMESPACE/POD/CONTAINER */
static bool by_pod(const struct target *t, struct str text) {
    struct str first, second;

    if (!target_is_container(t) || !t->pod || !str_cut(&text, '/', &first))
        return false;
    if (!str_cut(&text, '/', &second))
        return called(t->pod, first) && container_part(t, text);
    return called(t->namespace, first) && called(t->pod, second) && container_part(t, text);
}

/* OUTER/INNER, where INNER may be of that form again. */
static bool by_nesting(const struct target *t, struct str text) {
    ptrdiff_t slash = str_rfind(text, '/');
    struct str inner = str_from(text, (size_t)(slash + 1));
    struct str outer = str_head(text, slash > 0 ? (size_t)slash : 0);

    if (slash <= 0 || !t->inside || !(by_name(t, inner) || by_id(t, inner) || by_pod(t, inner)))
        return false;
    return by_name(t->inside, outer) || by_id(t->inside, outer) || by_pod(t->inside, outer) ||
           by_nesting(t->inside, outer);
}

static const struct {
    is_called *is;
    enum resolve_how how;
} ways[] = {
    {by_name, RESOLVE_NAME},    {by_pod, RESOLVE_POD},      {by_system_unit, RESOLVE_UNIT},
    {by_unit, RESOLVE_UNIT},    {by_pod_name, RESOLVE_POD}, {by_system_service, RESOLVE_UNIT},
    {by_service, RESOLVE_UNIT}, {by_id, RESOLVE_ID},
};

static void find(const struct targets *t, is_called *is, struct str text, bool nested,
                 struct matches *out) {
    *out = (struct matches){0};
    for (const struct target *x = NULL; (x = targets_next(t, x));) {
        if ((x->inside != NULL) != nested || !is(x, text))
            continue;
        if (out->n < LISTED_MAX)
            out->target[out->n] = x;
        out->n++;
    }
}

/* By any of the ways. How many; what is on the host goes before what is inside of containers. */
static size_t find_named(const struct targets *t, struct str text, struct matches *out,
                         enum resolve_how *how) {
    for (unsigned nested = 0; nested < 2; nested++) {
        for (size_t i = 0; i < ARRAY_N(ways); i++) {
            find(t, ways[i].is, text, nested > 0, out);
            *how = ways[i].how;
            if (out->n > 0)
                return out->n;
        }
    }
    find(t, by_nesting, text, true, out);
    *how = RESOLVE_NAME;
    return out->n;
}

/* How the user could say it so that nothing else is meant. */
static void add_label(struct buf *b, const struct target *t) {
    if (t->inside) {
        buf_add(b, str_of(t->inside->name));
        buf_add_char(b, '/');
    }
    if (t->pod && t->container && target_is_container(t)) {
        buf_add_format(b, "%s/%s/%s", t->namespace ? t->namespace : "", t->pod, t->container);
    } else {
        buf_add(b, str_of(t->name));
    }
    if (t->id && target_is_container(t))
        buf_add_format(b, " (%s %.12s)", runtime_name(t->runtime), t->id);
    else
        buf_add_format(b, " (%.60s)", t->path.p);
}

static int ambiguous(struct str text, const struct matches *m, const char *also, struct err *err) {
    struct buf b;
    int r;

    buf_init(&b, 4096);
    for (size_t i = 0; i < m->n && i < LISTED_MAX; i++) {
        if (i > 0)
            buf_add(&b, STR(", "));
        add_label(&b, m->target[i]);
    }
    if (m->n > LISTED_MAX)
        buf_add_format(&b, " and %zu more", m->n - LISTED_MAX);
    r = err_set(err, -ENOTUNIQ, "'%.*s' may mean %s%.*s", (int)(text.n < 64 ? text.n : 64), text.p,
                also, STR_ARG(buf_str(&b)));
    buf_done(&b);
    return r;
}

static int answer(enum resolve_how how, const struct target *target, struct str path,
                  struct resolved *out, struct err *err) {
    struct resolved r = {.how = how, .target = target, .path_len = path.n};

    r.path = strndup(path.p, path.n);
    if (!r.path)
        return err_set(err, -ENOMEM, "cannot keep a path:");
    *out = r;
    return 0;
}

/* ---- paths ---- */

/* Without doubled and trailing slashes; dst has path.n + 1 bytes. */
static struct str tidy(struct str path, char *dst) {
    size_t n = 0;

    for (size_t i = 0; i < path.n; i++)
        if (path.p[i] != '/' || n == 0 || dst[n - 1] != '/')
            dst[n++] = path.p[i];
    while (n > 1 && dst[n - 1] == '/')
        n--;
    return (struct str){dst, n};
}

static bool strip(struct str *path, const char *prefix) {
    struct str rest = *path, p = str_of(prefix);

    if (p.n <= 1 || !str_skip(&rest, p) || (rest.n > 0 && rest.p[0] != '/'))
        return false;
    *path = rest.n > 0 ? rest : STR("/");
    return true;
}

static int try_path(const struct targets *t, struct str path, struct resolved *out,
                    struct err *err) {
    const struct target *target = targets_find(t, path);
    auto_close int dir = -1;

    if (target)
        return answer(RESOLVE_PATH, target, target->path, out, err);
    /* too deep for the table, or born this moment */
    dir = cgfs_open_dir(targets_cgfs(t), CG_MEMORY, path);
    return dir < 0 ? -ENOENT : answer(RESOLVE_PATH, NULL, path, out, err);
}

static int resolve_path(const struct targets *t, struct str text, struct resolved *out,
                        struct err *err) {
    const struct cgfs *fs = targets_cgfs(t);
    auto_free char *room = malloc(text.n + 1);
    struct str path;
    int r;

    if (!room)
        return err_set(err, -ENOMEM, "cannot keep a path:");
    path = tidy(text, room);
    r = try_path(t, path, out, err);
    if (r != -ENOENT)
        return r;
    /* as it is seen in the file system, or from the host when we are inside of a container */
    (void)strip(&path, targets_host(t)->prefix);
    if (strip(&path, fs->memory_point) || strip(&path, fs->memory_root))
        r = try_path(t, path, out, err);
    if (r == -ENOENT)
        return err_set(err, r, "there is no control group '%.*s'",
                       (int)(text.n < 160 ? text.n : 160), text.p);
    return r;
}

/* ---- what nothing is called ---- */

static void consider(struct str text, const char *name, unsigned *best, const char **suggestion) {
    unsigned d = name ? str_distance(text, str_of(name)) : *best;

    if (d < *best) {
        *best = d;
        *suggestion = name;
    }
}

/* A path is told by its slash: "docker/4f2a..." is one that lacks it. */
static bool suggest_path(const struct targets *t, struct str text, struct err *err) {
    auto_free char *path = malloc(text.n + 2);
    struct resolved meant = {0};
    bool found;

    if (!path)
        return false;
    path[0] = '/';
    memcpy(path + 1, text.p, text.n);
    if (resolve_path(t, (struct str){path, text.n + 1}, &meant, NULL) < 0)
        return false;
    found = meant.target != NULL;
    if (found)
        (void)err_set(err, -ENOENT,
                      "no container, unit or process is called '%.*s' (did you mean the control "
                      "group '%.160s'?)",
                      (int)(text.n < 80 ? text.n : 80), text.p, meant.path);
    resolved_done(&meant);
    return found;
}

static int unknown(const struct targets *t, struct str text, struct err *err) {
    unsigned best = text.n < 6 ? 2 : (unsigned)(text.n < 63 ? text.n / 3 + 1 : 1);
    const char *suggestion = NULL;
    int shown = (int)(text.n < 80 ? text.n : 80);

    if (suggest_path(t, text, err))
        return -ENOENT;
    for (const struct target *x = NULL; (x = targets_next(t, x));) {
        if (target_is_container(x))
            consider(text, x->name, &best, &suggestion);
        consider(text, x->unit, &best, &suggestion);
    }
    if (suggestion)
        return err_set(err, -ENOENT,
                       "no container, unit, control group or process is called '%.*s' (did you "
                       "mean '%.60s'?)",
                       shown, text.p, suggestion);
    if (targets_health(t).denied > 0)
        return err_set(err, -ENOENT,
                       "no container, unit, control group or process is called '%.*s', as far as "
                       "names may be read without root",
                       shown, text.p);
    return err_set(err, -ENOENT, "no container, unit, control group or process is called '%.*s'",
                   shown, text.p);
}

/* ---- pids ---- */

/* Where the kernel cut the path (4095 bytes), the group's own list of processes tells. */
static const struct target *search_groups(const struct targets *t, int32_t pid) {
    const struct target *found = NULL;
    struct pidlist list = {0};

    for (const struct target *x = NULL; !found && (x = targets_next(t, x));) {
        auto_close int dir = cgfs_open_dir(targets_cgfs(t), CG_MEMORY, x->path);

        pidlist_clear(&list);
        if (dir < 0 || pidlist_add_file_at(&list, dir, "cgroup.procs") < 0)
            continue;
        for (size_t i = 0; i < list.n && !found; i++)
            if (list.pid[i] == pid)
                found = x;
    }
    pidlist_done(&list);
    return found;
}

static int resolve_pid(const struct targets *t, int32_t pid, struct resolved *out,
                       struct err *err) {
    const struct target *own = NULL, *container;
    char room[4096];
    struct str path;
    int r = shim_group_of(targets_host(t), targets_cgfs(t), pid, room, sizeof(room), &path);

    if (r == 0) {
        own = targets_find(t, path);
    } else if (r == -ENAMETOOLONG) {
        own = search_groups(t, pid);
        r = own ? 0 : -ENODATA;
        path = own ? own->path : path;
    }
    if (r < 0)
        return err_set(err, r, "cannot tell the control group of process %d:", pid);
    container = own ? targets_container(own) : NULL;
    if (container)
        own = container;
    r = answer(RESOLVE_PID, own, own ? own->path : path, out, err);
    if (r == 0)
        out->pid = pid;
    return r;
}

/* Whether the text is the number of a process that exists. */
static bool is_process(const struct targets *t, struct str text, int32_t *pid) {
    struct procstat stat;
    uint64_t number;

    if (str_to_u64(text, &number) < 0 || number == 0 || number > INT32_MAX)
        return false;
    *pid = (int32_t)number;
    return procstat_read(targets_host(t)->proc, *pid, &stat) == 0;
}

int resolve_target(const struct targets *t, struct str text, struct resolved *out,
                   struct err *err) {
    enum resolve_how how;
    struct matches m;
    uint64_t number;
    int32_t pid = 0;
    bool process;

    if (text.n == 0)
        return err_set(err, -ENOENT, "an empty name is nobody's");
    if (text.p[0] == '/')
        return resolve_path(t, text, out, err);
    process = is_process(t, text, &pid);
    if (find_named(t, text, &m, &how) > 0) {
        char also[64] = "";

        if (process)
            (void)snprintf(also, sizeof(also), "process %d or ", pid);
        if (process || m.n > 1)
            return ambiguous(text, &m, also, err);
        return answer(how, m.target[0], m.target[0]->path, out, err);
    }
    if (process)
        return resolve_pid(t, pid, out, err);
    if (str_to_u64(text, &number) == 0)
        return err_set(err, -ESRCH, "there is no process %.*s, and no container called so",
                       (int)(text.n < 20 ? text.n : 20), text.p);
    return unknown(t, text, err);
}
