#include "kern/procns.h"

#include <errno.h>

#include "base/file.h"
#include "kern/procfile.h"

static const char *const names[PROCNS_N] = {
    [PROCNS_PID] = "ns/pid",       [PROCNS_MNT] = "ns/mnt", [PROCNS_NET] = "ns/net",
    [PROCNS_CGROUP] = "ns/cgroup", [PROCNS_UTS] = "ns/uts", [PROCNS_USER] = "ns/user",
};

int procns_read(int proc, int32_t pid, enum procns_kind kind, uint64_t *inode_out) {
    char path[PROCFILE_PATH], buf[64];
    struct str text, name;
    int r = file_link_at(proc, procfile_path(path, pid, names[kind]), buf, sizeof(buf), &text);

    if (r < 0)
        return r;
    if (!str_cut(&text, ':', &name) || !str_skip(&text, STR("[")) || !str_drop(&text, STR("]")))
        return -EBADMSG;
    return str_to_u64(text, inode_out);
}
