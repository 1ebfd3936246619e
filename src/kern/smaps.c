#include "kern/smaps.h"

#include <errno.h>
#include <string.h>

#include "kern/procfile.h"
#include "kern/procline.h"

/* Mappings start with an address in lower-case hex digits, values with a capital letter. */
static bool is_mapping(struct str line) {
    return line.n > 0 &&
           ((line.p[0] >= '0' && line.p[0] <= '9') || (line.p[0] >= 'a' && line.p[0] <= 'f'));
}

int smaps_parse_rollup(struct str text, struct smaps *out) {
    struct smaps s = {0};
    struct mapping whole;
    struct str line;
    int r;

    if (!str_cut(&text, '\n', &line))
        return -EBADMSG;
    r = maps_parse_line(line, &whole);
    if (r < 0)
        return r;
    while (str_cut(&text, '\n', &line)) {
        r = smaps_parse_line(line, &s);
        if (r < 0)
            return r;
    }
    if (text.n > 0 || !smaps_have(&s, SMAPS_RSS))
        return -EBADMSG;
    *out = s;
    return 0;
}

int smaps_read_rollup(int proc, int32_t pid, struct smaps *out) {
    char buf[4096]; /* 23 lines of 26 bytes on 6.18 */
    struct str text;
    int r = procfile_read(proc, pid, "smaps_rollup", buf, sizeof(buf), &text);

    return r < 0 ? r : smaps_parse_rollup(text, out);
}

struct walk {
    struct mapping m;
    bool have; /* m is waiting for more values */
    maps_each_fn *each;
    void *ctx;
    char path[PROCLINE_MAX]; /* m.path: its line is long gone when its values are complete */
};

static int hand_out(struct walk *w) {
    if (!w->have)
        return 0;
    w->have = false;
    return w->each(w->ctx, &w->m);
}

static int start(struct walk *w, struct str line, bool cut) {
    int r = maps_parse_line(line, &w->m);

    if (r < 0)
        return r;
    if (w->m.path.n > 0)
        memcpy(w->path, w->m.path.p, w->m.path.n);
    w->m.path.p = w->path;
    w->m.path_cut = cut;
    w->have = true;
    return 0;
}

static int take_line(struct walk *w, struct str line, bool cut) {
    int r;

    if (!is_mapping(line))
        return w->have ? smaps_parse_line(line, &w->m.smaps) : -EBADMSG;
    r = hand_out(w);
    return r != 0 ? r : start(w, line, cut);
}

int smaps_each(int proc, int32_t pid, maps_each_fn *each, void *ctx) {
    struct procline lines;
    struct walk w;
    struct str line;
    bool cut;
    int r = procline_open(&lines, proc, pid, "smaps");

    if (r < 0)
        return r;
    w.have = false;
    w.each = each;
    w.ctx = ctx;
    while ((r = procline_next(&lines, &line, &cut)) > 0) {
        r = take_line(&w, line, cut);
        if (r != 0)
            break;
    }
    procline_close(&lines);
    return r != 0 ? r : hand_out(&w);
}
