#include "cmd/scope.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/session.h"
#include "kern/procstat.h"
#include "sampler/procs.h"

/* Its name, as the other commands show it. */
static void name_group(struct scope *scope, struct session *s) {
    const struct target *target = session_settled(s, str_of(scope->path));
    struct str name;

    if (!target)
        return;
    name = session_name(target);
    scope->name = strndup(name.p, name.n);
}

static int of_target(struct scope *scope, struct session *s, const struct cgfs *fs, struct str text,
                     struct err *err) {
    struct resolved found;
    int r = resolve_target(s->targets, text, &found, err);

    if (r < 0)
        return r;
    if (found.how == RESOLVE_PID) {
        scope->pid = found.pid;
    } else {
        scope->path = take_ptr(&found.path);
        scope->has_group = true;
        name_group(scope, s);
        scope->dir = cgfs_open_dir(fs, CG_MEMORY, str_of(scope->path));
        r = scope->dir < 0 ? err_set(err, scope->dir, "cannot open the group '%s':", scope->path)
                           : 0;
    }
    resolved_done(&found);
    return r;
}

/* A pid needs no groups: also where there are none, or no table of them can be made. */
static bool is_pid(const struct host *host, struct str text, int32_t *out) {
    struct procstat stat;
    uint64_t number;

    if (str_to_u64(text, &number) < 0 || number > INT32_MAX || number == 0)
        return false;
    if (procstat_read(host->proc, (int32_t)number, &stat) < 0)
        return false;
    *out = (int32_t)number;
    return true;
}

int scope_find(const struct cmd_context *context, const struct host *host, const struct cgfs *fs,
               struct str text, struct scope *out, struct err *err) {
    struct session_options open = {TARGETS_CHOSEN, 0, false};
    struct session session;
    int r;

    *out = (struct scope){.dir = -1};
    r = session_open(&session, context, &open, err);
    if (r < 0)
        return is_pid(host, text, &out->pid) ? 0 : r;
    r = of_target(out, &session, fs ? fs : &session.fs, text, err);
    session_close(&session);
    return r;
}

int scope_own(const struct cmd_context *context, const struct host *host, const struct cgfs *fs,
              struct scope *out) {
    struct session_options open = {TARGETS_CHOSEN, 0, false};
    struct session session;
    struct err no_name;
    char path[8192];

    *out = (struct scope){.dir = -1, .all = true};
    if (!fs || fs->at_top || cgfs_own_path(host, fs, path, sizeof(path)) < 0)
        return 0;
    out->path = strdup(path);
    if (!out->path)
        return -ENOMEM;
    out->has_group = true;
    if (session_open(&session, context, &open, &no_name) == 0) {
        name_group(out, &session);
        session_close(&session);
    }
    return 0;
}

void scope_done(struct scope *s) {
    if (s->dir >= 0)
        close(s->dir);
    free(s->path);
    free(s->name);
    *s = (struct scope){.dir = -1};
}

int scope_pids(const struct scope *s, const struct host *host, bool below, struct pidlist *out,
               struct err *err) {
    int r = 0;

    if (s->pid) {
        r = below ? procs_descendants(host->proc, s->pid, out) : pidlist_add(out, s->pid);
        if (r < 0)
            return err_set(err, r, "there is no process %d", s->pid);
    } else if (s->dir >= 0) {
        r = procs_of_group(s->dir, out);
        if (r < 0)
            return err_set(err, r, "cannot list the processes of '%s':", s->path);
    } else if (s->all) {
        r = pidlist_add_proc(out, host->proc);
        if (r < 0)
            return err_set(err, r, "cannot list the processes:");
    }
    return 0;
}
