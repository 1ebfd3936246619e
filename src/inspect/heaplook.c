#include "inspect/heaplook.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "kern/proccmdline.h"
#include "profile/nodeprofile.h"
#include "profile/pprof.h"
#include "profile/tallyprofile.h"
#include "runtime/recognise.h"

int heapsubject_open(struct heapsubject *s, int32_t pid, struct heapreport *report,
                     struct err *err) {
    char text[PROCCMDLINE_MAX];
    struct str line = {text, 0};
    int r;

    *s = (struct heapsubject){0};
    r = host_open(NULL, &s->host, err);
    if (r < 0)
        return r;
    r = rtproc_open(&s->host, pid, &s->proc, err);
    if (r < 0)
        return r;
    r = rt_recognise(&s->proc, &s->id);
    if (r < 0)
        return err_set(err, r, "cannot tell the runtime of process %d%s:", pid,
                       r == -EACCES || r == -EPERM ? " (try: as root, or as its user)" : "");
    if (proccmdline_read(s->host.proc, pid, text, sizeof(text), &line) < 0)
        line.n = 0;
    report->pid = pid;
    proccmdline_add_joined(&report->command, line, str_of(s->proc.comm));
    rt_add_id(&report->runtime, &s->id);
    return 0;
}

void heapsubject_done(struct heapsubject *s) {
    rtproc_done(&s->proc);
    host_done(&s->host);
}

/* Any text that is a profile of some kind. */
static int take(struct str text, const char *name, struct heaplook *out, struct err *err) {
    struct profile *p = NULL;
    int r;

    if (goroutines_is(text)) {
        profile_free(out->goroutines);
        out->goroutines = NULL;
        return goroutines_read(text, &out->goroutines, err);
    }
    if (str_starts(str_trim(str_head(text, 16)), STR("{")))
        r = nodeprofile_read(text, name, &p, err);
    else
        r = pprof_read(text, name, &p, err);
    if (r < 0)
        return r;
    if (tallyprofile_is(p) && !out->tally)
        out->tally = p;
    else if (profile_type_of(p, STR("goroutine")) == 0 && !out->goroutines)
        out->goroutines = p;
    else if (!out->heap)
        out->heap = p;
    else
        profile_free(p);
    return 0;
}

/* A profile that cannot be read is told, the rest of the answer stands. */
static void take_blobs(struct heaplook *out) {
    for (unsigned i = 0; i < out->view.blobs; i++) {
        const struct heap_blob *b = &out->view.blob[i];
        struct err err;

        if (take((struct str){b->data, b->n}, b->what, out, &err) < 0)
            heapview_note(&out->view, "its %s profile could not be read: %s", b->what, err.text);
    }
}

/* The tally is not needed any longer then; it may be large. */
static int take_types(struct heaplook *out) {
    struct heapview *v = &out->view;
    size_t left_out = 0;
    int r;

    if (!v->types || tally_n(v->types) == 0)
        return 0;
    tally_sort(v->types);
    r = tallyprofile_make(v->types, &out->tally, &left_out);
    if (r < 0)
        return r;
    profile_set_time(out->tally, out->at_ms, 0);
    if (left_out > 0)
        heapview_note(v, "%zu more of its %zu %s are left out: their names take too much memory",
                      left_out, tally_n(v->types), v->types_are ? v->types_are : "types");
    tally_free(v->types);
    v->types = NULL;
    return 0;
}

/* A reason that does not say of whom it speaks. */
static int name_process(int32_t pid, struct err *err) {
    struct err why = *err;

    if (strstr(why.text, "process "))
        return err->code;
    return err_set(err, why.code, "process %d: %s", pid, why.text);
}

int heaplook_process(struct heapsubject *s, const struct rt_heap_ask *ask, struct heaplook *out,
                     struct err *err) {
    int r = rtproc_same(&s->proc);

    if (r < 0)
        return err_set(err, r, "process %d has ended", s->proc.pid);
    /* Before it is asked: some need memory to answer, and keep it. */
    out->have_rss = rtproc_rss(&s->proc, &out->rss, &out->anon) == 0;
    r = rt_heap(&s->proc, &s->id, ask, &out->view, err);
    if (r < 0)
        return name_process(s->proc.pid, err);
    out->at_ms = clock_wall_ms();
    take_blobs(out);
    r = take_types(out);
    if (r < 0)
        return err_set(err, r, "cannot keep the types of process %d:", s->proc.pid);
    if (out->tally) /* a file that is saved tells whose it is */
        (void)profile_set_comment(out->tally, str_of(rt_kind_name(s->id.kind)));
    if (out->heap && profile_at_ms(out->heap) == 0)
        profile_set_time(out->heap, out->at_ms, 0);
    return 0;
}

int heaplook_file(const char *path, struct heaplook *out, struct err *err) {
    auto_free char *text = NULL;
    size_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int r = fd < 0 ? -errno : file_load_fd(fd, PPROF_GZ_MAX, &text, &n);

    if (fd >= 0)
        close(fd);
    if (r == -EINVAL)
        return err_set(err, r, "'%s' is no regular file", path);
    if (r == -EFBIG)
        return err_set(err, r, "'%s' is larger than %d MiB", path, PPROF_GZ_MAX >> 20);
    if (r < 0)
        return err_set(err, r, "cannot read '%s':", path);
    out->file = path;
    r = take((struct str){text, n}, path, out, err);
    if (r < 0)
        return r;
    out->at_ms = profile_at_ms(out->heap ? out->heap : out->tally ? out->tally : out->goroutines);
    return 0;
}
