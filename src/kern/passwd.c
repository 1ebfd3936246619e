#include "kern/passwd.h"

#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

enum { LARGEST = 16 << 20 }; /* bytes of a passwd file that are still believed */

struct user {
    uint32_t uid;
    uint32_t line; /* its place in the file: the first of equal ids counts */
    struct str name;
};

struct passwd {
    char *text; /* what the names point into */
    struct user *user;
    size_t n;
};

void passwd_free(struct passwd *p) {
    if (!p)
        return;
    free(p->text);
    free(p->user);
    free(p);
}

static int by_uid(const void *a, const void *b) {
    const struct user *x = a, *y = b;

    if (x->uid != y->uid)
        return x->uid < y->uid ? -1 : 1;
    return (x->line > y->line) - (x->line < y->line);
}

/* NAME:PASSWORD:UID:... */
static bool parse_line(struct str line, struct user *out) {
    struct str name, password, uid;
    uint64_t number;

    if (!str_cut(&line, ':', &name) || !str_cut(&line, ':', &password) ||
        !str_cut(&line, ':', &uid))
        return false;
    if (name.n == 0 || str_to_u64(uid, &number) < 0 || number > UINT32_MAX)
        return false;
    out->uid = (uint32_t)number;
    out->name = name;
    return true;
}

static bool next_line(struct str *rest, struct str *line) {
    if (str_cut(rest, '\n', line))
        return true;
    *line = *rest;
    *rest = str_from(*rest, rest->n);
    return line->n > 0;
}

static size_t count_lines(struct str text) {
    struct str line;
    size_t n = 0;

    while (next_line(&text, &line))
        n++;
    return n;
}

/* Takes `text`, malloc'ed, whatever happens. */
static int make(char *text, size_t length, struct passwd **out) {
    struct str rest = {text, length}, line;
    size_t lines = count_lines(rest);
    struct passwd *p = calloc(1, sizeof(*p));
    struct user *user = calloc(lines + 1, sizeof(*user));

    if (!p || !user) {
        free(p);
        free(user);
        free(text);
        return -ENOMEM;
    }
    *p = (struct passwd){.text = text, .user = user};
    while (next_line(&rest, &line)) {
        if (!parse_line(line, &user[p->n]))
            continue;
        user[p->n].line = (uint32_t)p->n;
        p->n++;
    }
    qsort(user, p->n, sizeof(*user), by_uid);
    *out = p;
    return 0;
}

int passwd_parse(struct str text, struct passwd **out) {
    char *copy = malloc(text.n + 1);

    if (!copy)
        return -ENOMEM;
    if (text.n > 0)
        memcpy(copy, text.p, text.n);
    return make(copy, text.n, out);
}

int passwd_open(int root, struct passwd **out) {
    char *text;
    size_t length;
    int r = file_load_in(root, "etc/passwd", LARGEST, &text, &length);

    if (r == -ENOMEM)
        return r;
    return r < 0 ? passwd_parse(STR(""), out) : make(text, length, out);
}

bool passwd_name(const struct passwd *p, uint32_t uid, struct str *out) {
    size_t low = 0, high = p->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (p->user[middle].uid < uid)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == p->n || p->user[low].uid != uid)
        return false;
    *out = p->user[low].name;
    return true;
}
