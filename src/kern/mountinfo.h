/* mountinfo.h - lines of /proc/PID/mountinfo, as proc(5) describes them. */
#pragma once
#include "base/str.h"

struct mount_line {
    struct str root, point;   /* fields 4 and 5, octal escapes still in place */
    struct str type, options; /* behind " - ": file system type and super block options */
};

/* One line without its newline. -EBADMSG when fields are missing. Points into the line. */
int mountinfo_parse_line(struct str line, struct mount_line *out);

/* Resolves \040 \011 \012 \134 (any \ooo) into dst. -ENAMETOOLONG. */
int mountinfo_unescape(struct str s, char *dst, size_t size);

/* Whether a comma-separated option list has this word. */
bool mountinfo_has_option(struct str options, struct str word);
