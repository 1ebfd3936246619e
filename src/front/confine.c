#include "front/confine.h"

#include <cap-ng.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/mem.h"
#include "front/callfilter.h"

enum { NOBODY = 65534, PATH_BYTES = 4096 };

void confine_user(struct confine_user *out) {
    static const char *const names[] = {"plimsoll", "nobody"};

    *out = (struct confine_user){.uid = geteuid(), .gid = getegid(), .drop = geteuid() == 0};
    if (!out->drop)
        return;
    out->uid = out->gid = NOBODY;
    for (size_t i = 0; i < ARRAY_N(names); i++) {
        const struct passwd *user = getpwnam(names[i]);

        if (!user || user->pw_uid == 0)
            continue;
        out->uid = user->pw_uid;
        out->gid = user->pw_gid;
        return;
    }
}

/* --- the directory ---------------------------------------------------------------------------- */

static int make_parents(const char *dir, struct err *err) {
    char path[PATH_BYTES];

    if (str_copy(str_of(dir), path, sizeof(path)) < 0 || path[0] == '\0')
        return err_set(err, -ENAMETOOLONG, "'%s' is no directory's name", dir);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
            return err_set(err, -errno, "cannot make the directory '%s':", path);
        *slash = '/';
    }
    return 0;
}

static bool is_dots(const char *name) {
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Root would give away whatever directory it is pointed at: only one that is empty, or that has our
 * files, is ours. */
static int check_ours(int fd, const char *dir, struct err *err) {
    auto_closedir DIR *list = fdopendir(fcntl(fd, F_DUPFD_CLOEXEC, 0));
    const struct dirent *entry;
    bool empty = true;

    if (!list)
        return err_set(err, -errno, "cannot list '%s':", dir);
    while ((entry = readdir(list))) {
        if (is_dots(entry->d_name))
            continue;
        empty = false;
        if (str_starts(str_of(entry->d_name), STR("plimsoll.db")))
            return 0;
    }
    if (empty)
        return 0;
    return err_set(err, -ENOTEMPTY,
                   "'%s' is not empty and has no plimsoll.db: name a directory that holds nothing "
                   "else",
                   dir);
}

/* Files of the user that was used before, after an update made another one. What has a second name
 * is left alone: it could be a link to a file of somebody else. */
static void give_files(int dir, const struct confine_user *user) {
    auto_closedir DIR *list = fdopendir(fcntl(dir, F_DUPFD_CLOEXEC, 0));
    const struct dirent *entry;
    struct stat st;

    if (!list)
        return;
    rewinddir(list);
    while ((entry = readdir(list))) {
        auto_close int fd =
            openat(dir, entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);

        if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1)
            continue;
        if (st.st_uid != user->uid)
            (void)!fchown(fd, user->uid, user->gid);
    }
}

int confine_own_dir(const char *dir, const struct confine_user *user, struct err *err) {
    auto_close int fd = -1;
    struct stat st;
    int r = make_parents(dir, err);

    if (r < 0)
        return r;
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return err_set(err, -errno, "cannot make the directory '%s':", dir);
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(err, -errno, "cannot open the directory '%s':", dir);
    if (st.st_uid != user->uid) {
        if (!user->drop)
            return err_set(err, -EPERM, "the directory '%s' belongs to user %u", dir, st.st_uid);
        r = check_ours(fd, dir, err);
        if (r < 0)
            return r;
        if (fchown(fd, user->uid, user->gid) < 0)
            return err_set(err, -errno, "cannot give '%s' to user %u:", dir, user->uid);
        give_files(fd, user);
    }
    if ((st.st_mode & 07777) != 0700 && fchmod(fd, 0700) < 0)
        return err_set(err, -errno, "cannot set the mode of '%s':", dir);
    return 0;
}

/* --- landlock --------------------------------------------------------------------------------- */

/* Newer than the headers of some systems we are built on. */
enum { FS_TRUNCATE = 14, FS_IOCTL_DEV = 15 };

struct ruleset {
    uint64_t fs, net, scoped;
};

static struct ruleset all_rights(int abi) {
    struct ruleset all = {.fs = (1 << 13) - 1};

    if (abi >= 2)
        all.fs |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= 3)
        all.fs |= 1 << FS_TRUNCATE;
    if (abi >= 4)
        all.net = 1 | 2; /* binding and connecting TCP */
    if (abi >= 5)
        all.fs |= 1 << FS_IOCTL_DEV;
    if (abi >= 6)
        all.scoped = 1 | 2; /* abstract unix sockets and signals to outside */
    return all;
}

static int allow_below(int ruleset, const char *path, uint64_t rights) {
    struct landlock_path_beneath_attr rule = {.allowed_access = rights};
    auto_close int fd = open(path, O_PATH | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    rule.parent_fd = fd;
    return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0
               ? -errno
               : 0;
}

/* What name resolution and TLS read. */
static void allow_connecting(int ruleset) {
    static const char *const readable[] = {"/etc",
                                           "/usr/share/ca-certificates",
                                           "/usr/local/share/ca-certificates",
                                           "/usr/lib",
                                           "/usr/lib64",
                                           "/lib",
                                           "/lib64",
                                           "/usr/share/zoneinfo",
                                           "/run/systemd/resolve",
                                           "/run/resolvconf",
                                           "/run/NetworkManager",
                                           "/run/nscd"};

    for (size_t i = 0; i < ARRAY_N(readable); i++)
        (void)allow_below(ruleset, readable[i],
                          LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR);
}

static int lock_files(const char *dir, bool connect) {
    int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    struct ruleset rules = all_rights(abi);
    uint64_t own = rules.fs & (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
                               LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                               LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                               LANDLOCK_ACCESS_FS_MAKE_DIR | 1 << FS_TRUNCATE);
    auto_close int ruleset = -1;
    int r;

    if (abi < 0)
        return -errno;
    if (connect)
        rules.net &= ~(uint64_t)2;
    ruleset = (int)syscall(SYS_landlock_create_ruleset, &rules, abi < 4 ? 8 : abi < 6 ? 16 : 24, 0);
    if (ruleset < 0)
        return -errno;
    r = allow_below(ruleset, dir, own);
    if (r < 0)
        return r;
    if (connect)
        allow_connecting(ruleset);
    return syscall(SYS_landlock_restrict_self, ruleset, 0) < 0 ? -errno : 0;
}

/* --- all of it -------------------------------------------------------------------------------- */

static void tell(struct buf *told, const char *what, int code) {
    if (told)
        buf_add_format(told, "%s: %s\n", what, strerror(-code));
}

static int stop_being_root(const struct confine_user *user, struct buf *told, struct err *err) {
    /* the bounding set first: afterwards there is no right to shrink it */
    capng_clear(CAPNG_SELECT_ALL);
    if (capng_apply(CAPNG_SELECT_BOUNDS) < 0)
        tell(told, "the bounding set of capabilities could not be emptied", -EPERM);
    if (setgroups(0, NULL) < 0)
        tell(told, "supplementary groups could not be left", -errno);
    if (setresgid(user->gid, user->gid, user->gid) < 0 ||
        setresuid(user->uid, user->uid, user->uid) < 0)
        return err_set(err, -errno, "cannot become user %u:", user->uid);
    if (setresuid((uid_t)-1, 0, (uid_t)-1) == 0)
        return err_set(err, -EPERM, "cannot stop being root");
    return 0;
}

static int drop_capabilities(struct err *err) {
    capng_clear(CAPNG_SELECT_ALL);
    (void)capng_apply(CAPNG_SELECT_AMBIENT);
    if (capng_apply(CAPNG_SELECT_CAPS) < 0 || capng_get_caps_process() < 0 ||
        capng_have_capabilities(CAPNG_SELECT_CAPS) != CAPNG_NONE)
        return err_set(err, -EPERM, "cannot drop the capabilities");
    return 0;
}

int confine(const struct confine_options *options, const struct confine_user *user,
            struct buf *told, struct err *err) {
    struct callfilter_options calls = {.connect = options->connect};
    const char *dir = options->dir;
    struct err why;
    int r;

    if (options->chroot && user->drop) {
        if (chdir(dir) < 0 || chroot(".") < 0)
            tell(told, "the state directory could not be made the root", -errno);
        else
            dir = "/";
    }
    if (user->drop) {
        r = stop_being_root(user, told, err);
        if (r < 0)
            return r;
    }
    r = drop_capabilities(err);
    if (r < 0)
        return r;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        tell(told, "new privileges could not be ruled out", -errno);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    r = lock_files(dir, options->connect);
    if (r < 0)
        tell(told, "files could not be locked (landlock)", r);
    if (callfilter_apply(&calls, &why) < 0 && told)
        buf_add_format(told, "%s\n", why.text);
    return 0;
}
