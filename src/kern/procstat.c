#include "kern/procstat.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "kern/procfile.h"

/* Numbers behind the state, counted from 0; field 4 of proc(5) is FIELD_PPID. */
enum field {
    FIELD_PPID = 0,
    FIELD_FLAGS = 5,
    FIELD_MINOR = 6,
    FIELD_MAJOR = 8,
    FIELD_USER = 10,
    FIELD_SYSTEM = 11,
    FIELD_THREADS = 16,
    FIELD_START = 18,
    FIELD_VIRT = 19,
    FIELD_RES = 20,
    FIELD_N = 21,
};

#define FLAG_KERNEL_THREAD 0x00200000U /* PF_KTHREAD, the same since 2.6.23 */
#define FLAG_EXITING 0x00000004U       /* PF_EXITING, the same since 2.6 */
#define FLAG_FORKED 0x00000040U        /* PF_FORKNOEXEC, the same since 2.6 */

/* The first FIELD_N numbers. Some before FIELD_N (tpgid, priority, nice) can be negative and are
 * not wanted: their sign is dropped. */
static int parse_numbers(struct str rest, uint64_t number[static FIELD_N]) {
    struct str word;

    for (unsigned field = 0; field < FIELD_N; field++) {
        int r;

        if (!str_word(&rest, &word))
            return -EBADMSG;
        str_skip(&word, STR("-"));
        r = str_to_u64(word, &number[field]);
        if (r < 0)
            return r;
    }
    /* A number that is followed by nothing may have been cut in two. */
    return rest.n > 0 ? 0 : -EBADMSG;
}

static int parse_name(struct str text, struct procstat *s, struct str *rest) {
    struct str head;
    ptrdiff_t end = str_rfind(text, ')');
    uint64_t pid;
    int r;

    if (end < 0)
        return -EBADMSG;
    *rest = str_from(text, (size_t)end + 1);
    text = str_head(text, (size_t)end);
    if (!str_cut(&text, '(', &head) || !str_drop(&head, STR(" ")))
        return -EBADMSG;
    r = str_to_u64(head, &pid);
    if (r < 0)
        return r;
    if (pid > INT32_MAX)
        return -ERANGE;
    s->pid = (int32_t)pid;
    return str_copy(text, s->comm, sizeof(s->comm)) < 0 ? -EBADMSG : 0;
}

int procstat_parse(struct str text, struct procstat *out) {
    struct procstat s = {0};
    uint64_t number[FIELD_N];
    struct str rest;
    int r = parse_name(text, &s, &rest);

    if (r < 0)
        return r;
    if (rest.n < 3 || rest.p[0] != ' ' || rest.p[2] != ' ')
        return -EBADMSG;
    s.state = rest.p[1];
    r = parse_numbers(str_from(rest, 2), number);
    if (r < 0)
        return r;
    if (number[FIELD_PPID] > INT32_MAX || number[FIELD_THREADS] > UINT32_MAX)
        return -ERANGE;
    s.comm_n = (uint8_t)strnlen(s.comm, sizeof(s.comm) - 1);
    s.ppid = (int32_t)number[FIELD_PPID];
    s.kernel_thread = number[FIELD_FLAGS] & FLAG_KERNEL_THREAD;
    s.forked = number[FIELD_FLAGS] & FLAG_FORKED;
    s.exiting = number[FIELD_FLAGS] & FLAG_EXITING;
    s.minor_faults = number[FIELD_MINOR];
    s.major_faults = number[FIELD_MAJOR];
    s.user_ticks = number[FIELD_USER];
    s.system_ticks = number[FIELD_SYSTEM];
    s.threads = (uint32_t)number[FIELD_THREADS];
    s.start_ticks = number[FIELD_START];
    s.virt = number[FIELD_VIRT];
    s.res_pages = number[FIELD_RES];
    *out = s;
    return 0;
}

int procstat_read(int proc, int32_t pid, struct procstat *out) {
    char buf[2048]; /* 53 numbers of at most 20 digits */
    struct str text;
    int r = procfile_read(proc, pid, "stat", buf, sizeof(buf), &text);

    return r < 0 ? r : procstat_parse(text, out);
}

struct str procstat_comm(const struct procstat *s) {
    return (struct str){s->comm, s->comm_n};
}

int procstat_parse_boot(struct str text, int64_t *boot_s_out) {
    struct str line;

    while (str_cut(&text, '\n', &line))
        if (str_skip(&line, STR("btime ")))
            return str_to_i64(line, boot_s_out);
    return -ENODATA;
}

int procstat_read_boot(int proc, int64_t *boot_s_out) {
    /* A line a cpu and a number an interrupt: 256 cpus have about 40 KB, the largest machines
     * more. */
    size_t size = 1 << 20;
    auto_free char *buf = malloc(size);
    struct str text;
    int r;

    if (!buf)
        return -ENOMEM;
    r = file_read_at(proc, "stat", buf, size, &text);
    return r < 0 ? r : procstat_parse_boot(text, boot_s_out);
}

int64_t procstat_start_ms(const struct procstat *s, int64_t boot_s) {
    long hertz = sysconf(_SC_CLK_TCK);
    uint64_t rate = hertz > 0 ? (uint64_t)hertz : 100;
    uint64_t since_boot_ms = s->start_ticks / rate * 1000 + s->start_ticks % rate * 1000 / rate;

    return (int64_t)((uint64_t)boot_s * 1000 + since_boot_ms);
}
