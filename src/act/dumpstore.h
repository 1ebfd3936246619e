/* dumpstore.h - the folder of a dump, and the folder of all dumps around it.
 *
 * Everything is made below descriptors, with O_EXCL and O_NOFOLLOW, 0600 in 0700, of bounded size.
 * Once the disk is full nothing more is written, but what has its room already: summary and index
 * reserve theirs when the folder is made. A folder is locked while it is written; what cleans up
 * takes only what carries our mark, and never one that is locked.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"

enum {
    DUMP_FILE_MAX = 4 << 20,
    DUMP_TOTAL_MAX = 64 << 20,
    DUMP_FOLDER = 128,    /* room for the name of a folder */
    DUMP_RESERVE = 16384, /* kept free for each of summary and index */
    DUMP_SUMMARY_MAX = 256 << 10,
};

struct dumpstore {
    int top, dir; /* the folder of all dumps; this one's, locked */
    char name[DUMP_FOLDER];
    uint64_t left; /* bytes that may still be written */
    bool full;     /* the disk is */
};

/* Makes the folders that top lies in (0700), as far as it can. */
void dumpstore_make_above(const char *top);

/* Makes top (0700), nothing above it, and in it the folder NAME-TIME; `name` may be any bytes. 0;
 * -errno with a text. dumpstore_done in any case. */
int dumpstore_open(struct dumpstore *s, const char *top, struct str name, int64_t at_ms,
                   struct err *err);
void dumpstore_done(struct dumpstore *s);

/* A folder below `dir`, made or there already. Descriptor or -errno. */
int dumpstore_sub(struct dumpstore *s, int dir, const char *name);

/* A new file of this text; *cut_out (may be NULL): DUMP_FILE_MAX or what is left is less. 0;
 * -ENOSPC: the disk is full; -EFBIG: nothing is left; -EEXIST; -errno. */
int dumpstore_write(struct dumpstore *s, int dir, const char *name, struct str text, bool *cut_out);

/* A new file with what from/source holds now. Nothing is made of one that cannot be read (its
 * -errno) or is empty (-ENODATA). */
int dumpstore_copy(struct dumpstore *s, int from, const char *source, int dir, const char *name,
                   bool *cut_out);

/* The summary, anew each time; the index, once and last. 0; -ENOSPC when even their reserve does
 * not hold them: then the summary has its head, and the index is not there. */
int dumpstore_summary(struct dumpstore *s, struct str text);
int dumpstore_index(struct dumpstore *s, struct str text);

/* Calls each() with every file: "group/memory.stat", bytes. Until it returns something else than 0.
 * That, 0, or -errno. Also sets what is left. */
typedef int dumpstore_file_fn(void *ctx, const char *name, uint64_t bytes);
int dumpstore_walk(struct dumpstore *s, dumpstore_file_fn *each, void *ctx);

/* Removes the oldest dumps beyond so many folders or bytes, never this one. How many. */
unsigned dumpstore_prune(struct dumpstore *s, unsigned most, uint64_t most_bytes);

/* --- pure --- */
/* "NAME-20261122T003107Z", NAME with nothing but letters, digits, dots, dashes and underscores. */
void dumpstore_add_name(struct buf *out, struct str name, int64_t at_ms);
/* Whether a folder may be one of ours; *time_out points at "20261122T003107Z" and what follows. */
bool dumpstore_is_name(struct str name, struct str *time_out);
