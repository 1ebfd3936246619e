#include "kern/mountinfo.h"

#include <errno.h>

int mountinfo_parse_line(struct str line, struct mount_line *out) {
    struct mount_line m;
    struct str word;

    for (unsigned i = 0; i < 3; i++) /* mount id, parent id, device */
        if (!str_word(&line, &word))
            return -EBADMSG;
    if (!str_word(&line, &m.root) || !str_word(&line, &m.point))
        return -EBADMSG;
    do /* mount options, then optional fields up to a lone dash */
        if (!str_word(&line, &word))
            return -EBADMSG;
    while (!str_eq(word, STR("-")));
    if (!str_word(&line, &m.type) || !str_word(&line, &word))
        return -EBADMSG;
    if (!str_word(&line, &m.options))
        m.options = STR("");
    *out = m;
    return 0;
}

static bool is_octal(char c) {
    return c >= '0' && c <= '7';
}

int mountinfo_unescape(struct str s, char *dst, size_t size) {
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (c == '\\' && i + 3 < s.n && is_octal(s.p[i + 1]) && is_octal(s.p[i + 2]) &&
            is_octal(s.p[i + 3])) {
            c = (char)((s.p[i + 1] - '0') * 64 + (s.p[i + 2] - '0') * 8 + (s.p[i + 3] - '0'));
            i += 3;
        }
        if (n + 1 >= size)
            return -ENAMETOOLONG;
        dst[n++] = c;
    }
    if (size == 0)
        return -ENAMETOOLONG;
    dst[n] = '\0';
    return 0;
}

bool mountinfo_has_option(struct str options, struct str word) {
    struct str option;

    while (str_cut(&options, ',', &option))
        if (str_eq(option, word))
            return true;
    return str_eq(options, word);
}
