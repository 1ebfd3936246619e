/* maps.h - the mappings of a process: /proc/PID/maps, one after the other.
 *
 * Read in pieces through a fixed buffer: the file may have megabytes, a line a path of 4 KiB or
 * more (a newline in it is "\012"). Nothing allocates.
 */
#pragma once
#include "base/str.h"
#include "kern/smaps_value.h"

struct mapping {
    uint64_t start, end; /* addresses; end - start is its size in bytes */
    uint64_t offset;     /* in the file, bytes */
    uint64_t inode;      /* 0: no file */
    uint32_t dev_major, dev_minor;
    char perms[5];      /* "rw-p" */
    bool deleted;       /* the file has no name any more (" (deleted)" is cut off path) */
    bool path_cut;      /* too long for our buffer (PROCLINE_MAX): only its head is here */
    struct str path;    /* raw, as the kernel shows it: "/usr/lib/x.so", "[heap]", "[anon:name]",
                           "/memfd:name", "/dev/zero", "/SYSV00000000", "" ; lives until each()
                           returns */
    struct smaps smaps; /* values: smaps_each only */
};

/* Called for each mapping, in address order. A value other than 0 ends the reading and is what the
 * reader returns. */
typedef int maps_each_fn(void *ctx, const struct mapping *m);

/* One line without its newline: 0, or -EBADMSG/-ERANGE and *out untouched. out->path points into
 * the line; out->smaps is emptied. */
int maps_parse_line(struct str line, struct mapping *out);

/* PROC/PID/maps. 0 at its end (a kernel thread or a zombie has none: 0 and no call); what each()
 * returned; -EBADMSG, -errno. The mappings are from
 * several reads of the file: a process that maps and unmaps meanwhile may show one twice or not
 * at all. */
int maps_each(int proc, int32_t pid, maps_each_fn *each, void *ctx);
