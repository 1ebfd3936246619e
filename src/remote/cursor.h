/* cursor.h - how far a remote has been served: a small file, always whole.
 *
 * Written after each request that was taken, so that who starts anew sends again at most the one
 * request whose answer was not heard: with the same times and values.
 */
#pragma once
#include "base/str.h"

enum { CURSOR_NAME = 40 };

struct cursor {
    int64_t key_row; /* the log's KEY from which everything can be replayed; 0: the oldest */
    int64_t sent_ms; /* all up to this time is sent (or given up) */
    int64_t part_ms; /* of the next one a part is: the targets up to part_uid; 0: none is */
    uint32_t part_uid;
};

/* The file of a remote: by its url, and by how many with the same url come before it. */
void cursor_name(struct str url, unsigned before, char out[CURSOR_NAME]);

/* 0; -ENOENT; -EBADMSG: not what cursor_save writes; -errno. */
int cursor_load(int dir, const char *name, struct cursor *out);

/* What a file holds. 0 or -EBADMSG. */
int cursor_parse(struct str text, struct cursor *out);

/* On disk when it returns. 0 or -errno; then the file is as it was. */
int cursor_save(int dir, const char *name, const struct cursor *c);
