#include "act/oomhold.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "act/wardenundo.h"
#include "base/clock.h"
#include "base/file.h"

enum {
    RENEW_US = 1000000,
    PART_US = 1000000, /* a group that was being made when we looked is there by then */
    MAKING_US = 20000, /* or by then, when no time is left */
};

struct control {
    bool disabled, under_oom;
};

static int look(const struct oomhold *o, struct control *out) {
    struct cgroup_numbers n = {.have = 0};
    char buf[1024];
    struct str text;
    int r = file_pread(o->grip->events, buf, sizeof(buf), &text);

    if (r == 0)
        r = cgroup_parse_events(text, CG_V1, &n);
    if (r == 0 && !(cgroup_has(&n, CGROUP_KILL_DISABLED) && cgroup_has(&n, CGROUP_UNDER_OOM)))
        r = -EBADMSG;
    if (r == 0)
        *out = (struct control){n.value[CGROUP_KILL_DISABLED] != 0, n.value[CGROUP_UNDER_OOM] != 0};
    return r;
}

static int put(const struct oomhold *o, const char *value) {
    ssize_t n = pwrite(o->grip->events, value, 1, 0);

    return n == 1 ? 0 : n < 0 ? -errno : -EIO;
}

/* The kernel counts a group there before it is listed, also one made in another mount. */
static bool has_groups_below(const struct oomhold *o) {
    struct stat st;

    return fstat(o->grip->level[0].dir, &st) < 0 || st.st_nlink > 2;
}

static int enable_below(const struct oomhold *o) {
    return wardenundo_step(&(struct warden_step){
        .fd = o->grip->level[0].dir, .value = "0", .kind = WARDEN_KILLER_BELOW});
}

static void forget(struct oomhold *o) {
    if (o->hold >= 0)
        (void)warden_drop(o->warden, o->hold);
    o->hold = -1;
}

/* For good. The warden goes on looking below for PART_US. */
static int part(struct oomhold *o) {
    int r = put(o, "0");

    (void)enable_below(o);
    (void)warden_extend(o->warden, o->hold, 1);
    o->armed = false;
    o->parted_us = clock_mono_us();
    return r == -ENODEV ? 0 : r;
}

/* Enables it at once. Without groups below the warden forgets, or it would undo the next hold too.
 */
static int enable(struct oomhold *o) {
    int r;

    if (o->hold < 0 || o->parted_us != 0)
        return 0;
    if (has_groups_below(o))
        return part(o);
    r = put(o, "0");
    if (r < 0) {
        (void)warden_undo(o->warden, o->hold);
        o->hold = -1;
    } else {
        forget(o);
    }
    o->armed = false;
    return r == -ENODEV ? 0 : r;
}

/* The warden's way back stands before the killer is disabled. */
static int disable(struct oomhold *o) {
    int64_t now_us = clock_mono_us();
    struct warden_hold h = {
        .steps = 2,
        .event = o->late.fd,
        .deadline_us = now_us + OOMHOLD_ALONE_US,
        .after_us = OOMHOLD_US,
        .step = {{.fd = o->grip->events, .value = "0", .only_if = "oom_kill_disable 1"},
                 {.fd = o->grip->level[0].dir, .value = "0", .kind = WARDEN_KILLER_BELOW}}};
    int r;

    (void)cgwatch_take(&o->late);
    (void)cgwatch_take(&o->watch);
    o->hold = warden_hold(o->warden, &h);
    if (o->hold < 0)
        return o->hold;
    o->renewed_us = now_us;
    r = put(o, "1");
    if (r == 0 && has_groups_below(o)) /* made meanwhile */
        r = -ENOTEMPTY;
    if (r < 0)
        (void)enable(o);
    else
        o->armed = true;
    return r;
}

static int may_arm(const struct oomhold *o, struct err *err) {
    struct control now = {false, false};
    int r;

    if (o->grip->version != CG_V1)
        return err_set(err, -EOPNOTSUPP,
                       "the OOM killer of '%s' cannot be disabled: its memory is on cgroup v2",
                       o->grip->path);
    r = warden_outside(o->grip->host, o->grip->fs, str_of(o->grip->path), err);
    if (r < 0)
        return r;
    r = look(o, &now);
    if (r < 0)
        return err_set(err, r, "cannot read memory.oom_control of '%s':", o->grip->path);
    if (now.disabled)
        return err_set(err, -EALREADY, "the OOM killer of '%s' is disabled by somebody else",
                       o->grip->path);
    if (has_groups_below(o))
        return err_set(err, -ENOTEMPTY,
                       "'%s' has groups below: those made while the killer is disabled would "
                       "inherit that",
                       o->grip->path);
    return 0;
}

int oomhold_may(struct grip *g, struct err *err) {
    struct oomhold none = OOMHOLD_NONE;

    none.grip = g;
    return may_arm(&none, err);
}

int oomhold_arm(struct oomhold *o, struct grip *g, struct warden *w, struct err *err) {
    struct oomhold made = OOMHOLD_NONE;
    int dir = g->level[0].dir, r;

    made.grip = g;
    made.warden = w;
    r = may_arm(&made, err);
    if (r < 0)
        return r;
    r = cgwatch_oom(dir, CG_V1, &made.watch);
    if (r == 0)
        r = cgwatch_oom(dir, CG_V1, &made.late);
    if (r == 0)
        r = disable(&made);
    if (r < 0) {
        oomhold_done(&made);
        return err_set(err, r, "cannot hold the moment of OOM of '%s':", g->path);
    }
    *o = made;
    return 0;
}

int oomhold_let_go(struct oomhold *o) {
    return enable(o);
}

int oomhold_check(struct oomhold *o) {
    int64_t now_us = clock_mono_us();

    if (o->hold < 0)
        return 0;
    if (o->parted_us != 0) {
        if (now_us - o->parted_us > PART_US)
            forget(o);
        return 0;
    }
    if (has_groups_below(o)) {
        (void)part(o);
        return -ENOTEMPTY;
    }
    if (now_us - o->renewed_us >= RENEW_US) {
        int r = warden_extend(o->warden, o->hold, now_us + OOMHOLD_ALONE_US);

        if (r == 0)
            o->renewed_us = now_us;
        o->armed = o->armed && r != -ENOENT; /* it has let it go meanwhile */
    }
    return 0;
}

int oomhold_again(struct oomhold *o) {
    struct control now = {false, false};
    int r = o->parted_us != 0 ? -ENOTEMPTY : look(o, &now);

    if (r < 0)
        return r;
    if (o->hold >= 0 && now.disabled && o->armed)
        return 0;
    if (o->hold >= 0 && now.disabled) /* written too late, by us: nobody else would undo it */
        (void)put(o, "0");
    if (now.under_oom)
        return -EAGAIN;
    if (o->hold >= 0) /* the warden has let it go */
        (void)enable(o);
    else if (now.disabled)
        return -EALREADY;
    if (o->parted_us != 0 || has_groups_below(o))
        return -ENOTEMPTY;
    return disable(o);
}

void oomhold_done(struct oomhold *o) {
    (void)enable(o);
    if (o->parted_us != 0 && o->hold >= 0) {
        usleep(MAKING_US);
        (void)enable_below(o);
    }
    forget(o);
    cgwatch_close(&o->watch);
    cgwatch_close(&o->late);
}
