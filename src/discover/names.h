/* names.h - from the id of a container to its name, image and pod: by files and command lines.
 *
 * No engine is asked here. Whose files are believed depends on where the container is: on the host,
 * files of root; in a user's slice, files of that user, so that nobody can claim another's name;
 * inside another container, only what is in that container's own root directory, and that is read
 * in a child process, for its file systems may hang (job.h).
 */
#pragma once
#include <sys/stat.h>

#include "discover/facts.h"
#include "discover/shim.h"

struct names; /* what was learned about this host: data roots, a parsed containers.json */

int names_new(const struct host *h, const struct cgfs *fs, struct names **out);
void names_free(struct names *n);

/* Forgets parsed files: call it when a round of questions is over. */
void names_flush(struct names *n);

#define NAMES_ANY_OWNER UINT32_MAX

struct names_query {
    enum target_kind kind;
    enum runtime runtime;
    struct str id, pod_uid;          /* canonical */
    uint32_t owner;                  /* the user whose container it is: 0 = the host's */
    bool nested;                     /* inside of another container */
    const struct shim_process *shim; /* NULL: not known */
};

/* The file that told the name, to be looked at again: the name may change. */
struct names_file {
    char *path; /* below the root of the host; NULL: none */
    struct stat st;
};

/* 0 with a name in *out; -ENOENT: nowhere found (yet); -EACCES: nowhere found, and something could
 * not be read for lack of permission. *out may have got other facts in any case; it starts zeroed
 * and is the caller's. *file may be NULL. */
int names_find(struct names *n, const struct names_query *q, struct facts *out,
               struct names_file *file);

/* Whether that file has been changed or replaced since. */
bool names_changed(const struct names *n, const struct names_file *file);
void names_file_done(struct names_file *file);

/* Pods of the kubelet: name and namespace of a UID, from /var/log/pods. */
int names_pod(const struct names *n, struct str uid, struct facts *out);

/* Proxmox: what the guest of that number is called. */
int names_guest(const struct names *n, bool vm, struct str number, struct facts *out);

/* The host name that a process sees: by entering its UTS namespace if that is possible, else its
 * root directory's /etc/hostname. May block: only in a child process. 0; -errno. */
int names_hostname(const struct host *h, int32_t pid, char *buf, size_t size, struct str *out);

/* A user's home directory, by /etc/passwd. false if it is not there. */
bool names_home(const struct names *n, uint32_t uid, char *buf, size_t size);
