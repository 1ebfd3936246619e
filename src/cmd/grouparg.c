#include "cmd/grouparg.h"

#include <errno.h>
#include <stdio.h>

#include "cmd/scope.h"

static int of_process(const struct host *host, const struct cgfs *fs, int32_t pid,
                      struct grouparg *out, struct err *err) {
    int r = cgfs_path_of(host, fs, pid, out->path, sizeof(out->path));

    if (r == -ENODATA)
        return err_set(err, r,
                       "the memory group of process %d was removed, or lies outside of what is "
                       "mounted here",
                       pid);
    if (r < 0)
        return err_set(err, r, "cannot tell the memory group of process %d:", pid);
    out->pid = pid;
    (void)snprintf(out->name, sizeof(out->name), "%.*s", (int)sizeof(out->name) - 1, out->path);
    return 0;
}

int grouparg_find(const struct cmd_context *context, const struct host *host, const struct cgfs *fs,
                  struct str text, struct grouparg *out, struct err *err) {
    struct scope scope;
    int r = scope_find(context, host, fs, text, &scope, err);

    *out = (struct grouparg){.pid = 0};
    if (r < 0)
        return r;
    if (scope.has_group) {
        r = str_copy(str_of(scope.path), out->path, sizeof(out->path));
        (void)snprintf(out->name, sizeof(out->name), "%s", scope.name ? scope.name : scope.path);
        if (r < 0)
            (void)err_set(err, r, "the path of its group is too long");
    } else {
        r = of_process(host, fs, scope.pid, out, err);
    }
    scope_done(&scope);
    if (r == 0 && str_eq(str_of(out->path), STR("/")))
        return err_set(err, -EINVAL,
                       "'%.*s' is in no group of its own: the whole machine is not acted on",
                       STR_ARG(text));
    return r;
}

int grouparg_open(struct session *s, struct str text, struct grip *out, struct err *err) {
    const struct target *t;
    struct resolved found;
    int r = resolve_target(s->targets, text, &found, err);

    if (r < 0)
        return r;
    t = session_settled(s, str_of(found.path));
    r = grip_open(&s->host, &s->fs, str_of(found.path), out, err);
    if (r == 0)
        (void)str_copy(str_head(t ? session_name(t) : str_of(out->path), sizeof(out->name) - 1),
                       out->name, sizeof(out->name));
    resolved_done(&found);
    return r;
}
