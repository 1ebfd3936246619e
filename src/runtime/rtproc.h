/* rtproc.h - a process that is looked into: held so that it cannot become another one, its files,
 * memory, sockets and signals reached as far as that is safe.
 *
 * Everything in it may be hostile: files are opened below its root (openat2 RESOLVE_IN_ROOT), never
 * waited for (FIFO), and of bounded size; sockets are connected within its network namespace on
 * loopback alone. What can block for long runs in a child with a deadline (base/job.h); see
 * collect.h.
 */
#pragma once
#include <sys/types.h>

#include "base/err.h"
#include "kern/host.h"
#include "kern/procstatus.h"

struct rtproc {
    const struct host *host;
    int32_t pid;          /* as we see it */
    int dir;              /* /proc/PID, open */
    int pidfd;            /* -1 for a captured tree */
    uint64_t start_ticks; /* its identity, with pid */
    uint32_t uid, gid;    /* effective ones, as we see them */
    int32_t ns_pid;       /* what it calls itself */
    bool other_pid_ns, other_mnt_ns, other_net_ns;
    char comm[64];
    struct procstatus status;
};

/* 0; -ESRCH with a text when there is no such process; a kernel thread or zombie is -ENODATA;
 * -EPERM, -EACCES with a text that names what would be needed. rtproc_done takes a zeroed one. */
int rtproc_open(const struct host *h, int32_t pid, struct rtproc *out, struct err *err);
void rtproc_done(struct rtproc *p);

/* 0 while it is still that process; -ESRCH. */
int rtproc_same(const struct rtproc *p);

/* The whole of a file below the process's root, as file_load_in; a descriptor of it (O_RDONLY,
 * regular files only unless any_type). -errno. */
int rtproc_load(const struct rtproc *p, const char *path, size_t max, char **out, size_t *len_out);
int rtproc_open_file(const struct rtproc *p, const char *path, bool any_type);

/* Opens its executable, also one that was deleted. */
int rtproc_open_exe(const struct rtproc *p);

/* What it maps under this path, opened through /proc/PID/map_files or below its root: the very file
 * when possible. -errno. */
int rtproc_open_mapped(const struct rtproc *p, uint64_t start, uint64_t end, const char *path);

/* What a signal would do: whether it has a handler (SigCgt), is ignored, or blocked. A signal whose
 * action is the default one would end most processes: never send it then. */
enum rtproc_signal { RTPROC_DEFAULT, RTPROC_HANDLED, RTPROC_IGNORED, RTPROC_BLOCKED };
enum rtproc_signal rtproc_signal_action(const struct rtproc *p, int signal); /* reads status anew */
int rtproc_send(const struct rtproc *p,
                int signal); /* by pidfd, when still the same. 0 or -errno */

/* Its memory, without stopping it (process_vm_readv). Whole or not at all: 0; -EFAULT, -EPERM,
 * -ESRCH. */
int rtproc_read(const struct rtproc *p, uint64_t address, void *out, size_t n);
/* Opens /proc/PID/mem for reading and writing. Descriptor or -errno; what would help is in
 * rtproc_mem_hint. */
int rtproc_open_mem(const struct rtproc *p);
extern const char rtproc_mem_hint[];

/* A TCP connection to 127.0.0.1:port (or ::1 when six) within its network namespace, non-blocking.
 * Changes the caller's namespace for a moment: single-threaded processes only. Descriptor or
 * -errno, -ETIMEDOUT. */
int rtproc_connect(const struct rtproc *p, uint16_t port, bool six, int64_t deadline_us);
/* Whether such connections can be made at all: 0; -errno with a text that says that its network
 * namespace cannot be entered, and rtproc_net_hint says what would help. As rtproc_connect. */
int rtproc_try_net(const struct rtproc *p, struct err *err);
extern const char rtproc_net_hint[];
/* Whether 127.0.0.1 can be reached within its network namespace: true also when that cannot be
 * told. As rtproc_connect. */
bool rtproc_has_loopback(const struct rtproc *p);
/* A unix stream socket below its root ("/tmp/.java_pid1"); -ENOTSOCK when it is something else. */
int rtproc_connect_unix(const struct rtproc *p, const char *path, int64_t deadline_us);

/* Ports that the process itself listens on (its socket inodes in its /proc/PID/net/tcp and tcp6);
 * on loopback or on all addresses. At most `size`; the count, or -errno. */
struct rtproc_port {
    uint16_t port;
    bool six, loopback; /* loopback: reached from inside only */
};
int rtproc_ports(const struct rtproc *p, struct rtproc_port *out, size_t size);

/* RssAnon + RssFile + RssShmem now, bytes; and what counts for giving back: RssAnon + VmSwap. */
int rtproc_rss(const struct rtproc *p, uint64_t *rss_out, uint64_t *anon_out);
