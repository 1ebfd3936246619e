#include "kern/vmstat.h"

#include <errno.h>

#include "base/file.h"

static const char *const spelling[VMSTAT_N] = {
    [VMSTAT_OOM_KILL] = "oom_kill",
    [VMSTAT_MAJOR_FAULTS] = "pgmajfault",
    [VMSTAT_SWAP_IN] = "pswpin",
    [VMSTAT_SWAP_OUT] = "pswpout",
    [VMSTAT_REFAULT_FILE] = "workingset_refault_file",
};

int vmstat_parse(struct str text, struct vmstat *out) {
    struct vmstat v = {0};
    struct str line, key;

    while (str_cut(&text, '\n', &line)) {
        uint64_t number;
        int r = str_cut(&line, ' ', &key) ? str_to_u64(line, &number) : -EBADMSG;

        if (r < 0)
            return r;
        for (unsigned field = 0; field < VMSTAT_N; field++) {
            if (!str_eq(key, str_of(spelling[field])))
                continue;
            v.value[field] = number;
            v.have |= 1u << field;
            break;
        }
    }
    if (text.n > 0)
        return -EBADMSG;
    *out = v;
    return 0;
}

int vmstat_read(int proc, struct vmstat *out) {
    char buf[16384]; /* 4 kB on Linux 6.18 */
    struct str text;
    int r = file_read_at(proc, "vmstat", buf, sizeof(buf), &text);

    return r < 0 ? r : vmstat_parse(text, out);
}
