/* cmd_enter.c - `enter`: a shell in a container's namespaces, but not in its memory cgroup.
 */
#include <errno.h>
#include <string.h>

#include "act/enter.h"
#include "act/sealed.h"
#include "cmd/scope.h"

static int set_user(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct enter_plan *)into)->as_user = true;
    return 0;
}

static int set_env(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct enter_plan *)into)->env = true;
    return 0;
}

static int set_host_shell(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct enter_plan *)into)->host_shell = true;
    return 0;
}

/* The target's main process. 0 or -errno with a text. */
static int find_process(struct cmd_context *context, const struct host *host, int32_t *out,
                        struct err *err) {
    struct pidlist pids = {0};
    struct scope scope;
    struct err no_groups;
    struct cgfs fs;
    bool have_fs = cgfs_open(host, &fs, &no_groups) == 0;
    int r = scope_find(context, host, have_fs ? &fs : NULL, str_of(context->args[0]), &scope, err);

    if (r == 0 && scope.pid) {
        *out = scope.pid;
    } else if (r == 0) {
        r = scope_pids(&scope, host, false, &pids, err);
        *out = r == 0 ? enter_main_process(host, &pids) : 0;
        if (r == 0 && *out == 0)
            r = err_set(err, -ESRCH,
                        "no process of '%s' can be entered: it has none, or none "
                        "that can be seen from here",
                        context->args[0]);
    }
    scope_done(&scope);
    pidlist_done(&pids);
    if (have_fs)
        cgfs_done(&fs);
    return r;
}

static int run(struct cmd_context *context, void *options) {
    struct enter_plan *plan = options;
    struct host host;
    struct err err;
    int status, r;

    if (context->nargs == 0)
        return cmd_usage(context->cmd, "enter takes a TARGET, and a command if you like");
    if (context->args[0][0] == '-')
        return cmd_usage(context->cmd, "'%s' is no process: pids begin at 1", context->args[0]);
    if (plan->host_shell && context->nargs > 1)
        return cmd_usage(context->cmd, "--host-shell runs a shell, and takes no command");
    r = sealed_become(&err);
    if (r == 0)
        r = host_open(NULL, &host, &err);
    if (r < 0) {
        (void)cmd_fail(&err);
        return EXIT_RUN_FAILED;
    }
    r = find_process(context, &host, &plan->pid, &err);
    if (r < 0) {
        (void)cmd_fail(&err);
        status = EXIT_RUN_FAILED;
    } else {
        plan->argv = context->nargs > 1 ? context->args + 1 : NULL;
        status = enter_run(&host, plan, &err);
        if (err.text[0])
            (void)cmd_fail(&err);
    }
    host_done(&host);
    return status;
}

static const struct opt opts[] = {
    {"user", 'u', NULL, "as the process's user, not as root", set_user},
    {"env", 'e', NULL, "with the process's environment, not only its PATH, HOME and LANG", set_env},
    {"host-shell", 'H', NULL, "bring a static busybox of this machine: for images without a shell",
     set_host_shell},
    {NULL, 0, NULL, NULL, NULL},
};

const struct cmd cmd_enter = {
    .name = "enter",
    .brief = "a shell in a container, but outside of its memory limit: works while it hangs",
    .synopsis = "TARGET|PID [--user] [--env] [--host-shell] [-- COMMAND [ARGUMENT...]]",
    .about = "Joins the namespaces of the target's main process and stays in the cgroups of the "
             "caller:\n"
             "what is done inside does not wait for the container's memory. With the container's\n"
             "capabilities at most. The exit code is the command's own, 128 + signal if a signal\n"
             "killed it, 126 and 127 if it cannot be executed or found, 125 if plimsoll itself "
             "failed.\n\n"
             "  plimsoll enter web\n"
             "  plimsoll enter web --user -- cat /proc/1/status\n",
    .opts = opts,
    .acts = true,
    .options_size = sizeof(struct enter_plan),
    .run = run,
};
