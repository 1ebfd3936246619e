#include "act/enterwho.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CAPABILITIES = 64 };

static int parse_id(struct str text, uint32_t *out) {
    uint64_t value;

    if (str_to_u64(text, &value) < 0 || value > UINT32_MAX)
        return -EBADMSG;
    *out = (uint32_t)value;
    return 0;
}

/* "Uid: real effective saved fs": the effective one. */
static int parse_effective(struct str rest, uint32_t *out) {
    struct str real, effective;

    if (!str_word(&rest, &real) || !str_word(&rest, &effective))
        return -EBADMSG;
    return parse_id(effective, out);
}

static int parse_groups(struct str rest, struct enter_who *who) {
    struct str word;

    while (str_word(&rest, &word)) {
        if (who->group_n == ENTER_GROUPS)
            return 0; /* fewer groups mean fewer rights */
        if (parse_id(word, &who->groups[who->group_n]) < 0)
            return -EBADMSG;
        who->group_n++;
    }
    return 0;
}

int enterwho_parse(struct str status, struct enter_who *out) {
    struct enter_who who = {0};
    struct str line, key;
    unsigned seen = 0;

    while (str_cut(&status, '\n', &line)) {
        int r = 0;

        if (!str_cut(&line, ':', &key))
            continue;
        line = str_trim(line);
        if (str_eq(key, STR("Uid"))) {
            r = parse_effective(line, &who.uid);
            seen |= 1;
        } else if (str_eq(key, STR("Gid"))) {
            r = parse_effective(line, &who.gid);
            seen |= 2;
        } else if (str_eq(key, STR("Groups"))) {
            r = parse_groups(line, &who);
        } else if (str_eq(key, STR("CapBnd"))) {
            r = str_to_hex(line, &who.bound);
            seen |= 4;
        } else if (str_eq(key, STR("NoNewPrivs"))) {
            who.no_new_privs = !str_eq(line, STR("0"));
        }
        if (r < 0)
            return -EBADMSG;
    }
    if (seen != 7)
        return -EBADMSG;
    *out = who;
    return 0;
}

int enterwho_map(struct str map, uint32_t *id) {
    struct str line;

    while (str_cut(&map, '\n', &line)) {
        struct str word[3];
        uint64_t value[3];

        for (unsigned i = 0; i < 3; i++)
            if (!str_word(&line, &word[i]) || str_to_u64(word[i], &value[i]) < 0 ||
                value[i] > UINT32_MAX)
                return -EBADMSG;
        if (*id >= value[1] && *id - value[1] < value[2]) {
            if (value[0] + (*id - value[1]) > UINT32_MAX)
                return -EBADMSG;
            *id = (uint32_t)(value[0] + (*id - value[1]));
            return 0;
        }
    }
    return -ENOENT;
}

/* What the kernel does not know ends the list (EINVAL). */
static int drop_bound(uint64_t keep) {
    for (unsigned cap = 0; cap < CAPABILITIES; cap++)
        if (!(keep >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EINVAL)
            return -errno;
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return 0;
}

static int limit_capabilities(uint64_t keep) {
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];

    if (syscall(SYS_capget, &head, data) < 0)
        return -errno;
    for (unsigned i = 0; i < 2; i++) {
        data[i].permitted &= (uint32_t)(keep >> 32 * i);
        data[i].effective = data[i].permitted;
        data[i].inheritable = 0;
    }
    return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

/* A user namespace may forbid setgroups: what is left then is what we came with. */
static int set_ids(const struct enter_who *who) {
    gid_t groups[ENTER_GROUPS];

    for (unsigned i = 0; i < who->group_n; i++)
        groups[i] = who->groups[i];
    if (setgroups(who->group_n, groups) < 0 && errno != EPERM)
        return -errno;
    if (setresgid(who->gid, who->gid, who->gid) < 0 || setresuid(who->uid, who->uid, who->uid) < 0)
        return -errno;
    return 0;
}

int enterwho_become(const struct enter_who *who, struct err *err) {
    int r = drop_bound(who->bound);

    if (r < 0)
        return err_set(err, r, "cannot give up capabilities that the container does not have:");
    r = set_ids(who);
    if (r < 0)
        return err_set(err, r, "cannot become user %u, group %u in there:", who->uid, who->gid);
    r = limit_capabilities(who->bound);
    if (r < 0)
        return err_set(err, r, "cannot give up capabilities that the container does not have:");
    if (who->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_set(err, -errno, "cannot set no_new_privs:");
    return 0;
}
