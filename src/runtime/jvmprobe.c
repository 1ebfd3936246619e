#include "runtime/jvmprobe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "kern/maps.h"
#include "kern/procfile.h"

enum {
    ARGS_MAX = 4 << 20, /* a class path can be long */
    TMP_NAMES = 4096,   /* of its /tmp, looked at */
    USERS_MAX = 64,     /* folders hsperfdata_USER there */
    FOLDER_SIZE = 280,
};

/* --- is it one -------------------------------------------------------------------------------- */

static int is_libjvm(void *ctx, const struct mapping *m) {
    (void)ctx;
    return m->perms[2] == 'x' && str_ends(m->path, STR("/libjvm.so"));
}

bool jvmprobe_is_jvm(const struct rtproc *p) {
    return maps_each(p->host->proc, p->pid, is_libjvm, NULL) == 1;
}

/* --- its options ------------------------------------------------------------------------------ */

/* Blanks separate those of a variable, NULs those of a command line. */
static bool next_option(struct str *rest, bool words, struct str *out) {
    if (words)
        return str_word(rest, out);
    if (rest->n == 0)
        return false;
    if (!str_cut(rest, '\0', out)) {
        *out = *rest;
        *rest = str_from(*rest, rest->n);
    }
    return true;
}

/* 1: switched on last; 0: off; -1: not named. */
static int last_of(struct str options, bool words, struct str name) {
    struct str option;
    int found = -1;

    while (next_option(&options, words, &option)) {
        if (!words && str_eq(option, STR("-jar")))
            break;
        if (!str_skip(&option, STR("-XX:")) || option.n == 0 || !str_eq(str_from(option, 1), name))
            continue;
        if (option.p[0] == '+' || option.p[0] == '-')
            found = option.p[0] == '+';
    }
    return found;
}

bool jvmprobe_flag_in(struct str args, struct str name) {
    return last_of(args, false, name) == 1;
}

/* In the order in which the JVM reads them: the later wins. */
static int from_environment(struct str all, struct str name) {
    static const struct str variables[] = {
        {"JAVA_TOOL_OPTIONS=", 18}, {"JDK_JAVA_OPTIONS=", 17}, {"_JAVA_OPTIONS=", 14}};
    int found = -1;

    for (size_t i = 0; i < ARRAY_N(variables); i++) {
        struct str rest = all, one;

        while (next_option(&rest, false, &one)) {
            int here = str_skip(&one, variables[i]) ? last_of(one, true, name) : -1;

            found = here >= 0 ? here : found;
        }
    }
    return found;
}

/* Of any length: the kernel does not say how long it is. */
static int load(const struct rtproc *p, const char *file, struct buf *out) {
    auto_close int fd = openat(p->dir, file, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    for (;;) {
        enum { PIECE = 16384 };
        char *room = buf_room(out, PIECE);
        ssize_t n = room ? read(fd, room, PIECE) : -1;

        if (n <= 0)
            return room ? (int)n : buf_error(out);
        buf_grow(out, (size_t)n);
    }
}

static int from_file(const struct rtproc *p, const char *file, bool is_environ, struct str name) {
    struct buf text;
    int found = -1;

    buf_init(&text, ARGS_MAX);
    if (load(p, file, &text) == 0)
        found = is_environ ? from_environment(buf_str(&text), name)
                           : last_of(buf_str(&text), false, name);
    buf_done(&text);
    return found;
}

static bool attaching_is_off(const struct rtproc *p) {
    struct str name = STR("DisableAttachMechanism");
    struct hsperf counters = {0};
    int found;

    /* The JVM's own word, wherever the flag came from. */
    if (jvmprobe_counters(p, &counters) == 0 && counters.attach)
        return counters.attach == '0';
    found = from_file(p, "cmdline", false, name);
    return (found >= 0 ? found : from_file(p, "environ", true, name)) == 1;
}

bool jvmprobe_refuses(const struct rtproc *p, struct rt_result *why) {
    if (!jvmprobe_is_jvm(p))
        return rt_refuse(why, "", "it maps no libjvm.so: no JVM, whatever it is called") == 0;
    if (rtproc_signal_action(p, SIGQUIT) != RTPROC_HANDLED)
        return rt_refuse(why, "start it without -Xrs",
                         "it does not handle SIGQUIT, by which a JVM is asked to listen (-Xrs, or "
                         "it is just starting): the signal would end it") == 0;
    if (attaching_is_off(p))
        return rt_refuse(why, "start it without -XX:+DisableAttachMechanism",
                         "it was started with -XX:+DisableAttachMechanism: it cannot be asked") ==
               0;
    return false;
}

/* --- its counters ----------------------------------------------------------------------------- */

struct search {
    const struct rtproc *p;
    int tmp;
    unsigned names, users;
    struct hsperf *out;
};

/* 0 when it is its file, and read. */
static int read_counters(const struct search *s, const char *folder) {
    auto_close int dir = openat(s->tmp, folder, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    auto_close int fd = -1;
    auto_free char *data = NULL;
    char name[16];
    struct stat st;
    size_t n;
    int r;

    if (dir < 0)
        return -errno;
    (void)snprintf(name, sizeof(name), "%d", s->p->ns_pid);
    fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || st.st_uid != s->p->uid || st.st_size > HSPERF_MAX)
        return -ENODATA;
    close(fd);
    fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || st.st_uid != s->p->uid)
        return -ENODATA;
    r = file_load_fd(fd, HSPERF_MAX, &data, &n);
    return r < 0 ? r : hsperf_parse((struct str){data, n}, s->out);
}

/* 1: found. */
static int look_in(void *ctx, const char *name) {
    struct search *s = ctx;

    if (++s->names > TMP_NAMES || s->users > USERS_MAX)
        return -ENODATA;
    if (!str_starts(str_of(name), STR("hsperfdata_")))
        return 0;
    s->users++;
    return read_counters(s, name) == 0 ? 1 : 0;
}

int jvmprobe_counters(const struct rtproc *p, struct hsperf *out) {
    auto_close int root = openat(p->dir, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
    auto_close int tmp = root < 0 ? -1 : file_open_dir_in(root, "tmp");
    auto_close int list = -1;
    struct search s = {.p = p, .tmp = tmp, .out = out};

    if (tmp < 0)
        return -ENODATA;
    if (p->uid == 0 && read_counters(&s, "hsperfdata_root") == 0)
        return 0;
    list = openat(tmp, ".", O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);
    return list >= 0 && procfile_names(list, look_in, &s) == 1 ? 0 : -ENODATA;
}
