#include "tui/top.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/loop.h"
#include "tui/app.h"
#include "tui/screen.h"

enum {
    EARLY_US = 250000, /* the source may ask for a look so often, or at the interval if shorter */
    KEYS_AT_ONCE = 256,
};

struct run {
    struct app app;
    struct loop *loop;
    uint32_t source_id;
    struct err *err;
    int64_t last_ms; /* when time was let run */
};

static void show(struct run *r, bool anew) {
    struct canvas *c = &r->app.canvas;
    int rows, cols;

    screen_size(&rows, &cols);
    if ((rows != c->rows || cols != c->cols) && canvas_resize(c, rows, cols) < 0)
        return;
    r->app.now_ms = clock_wall_ms();
    app_draw(&r->app);
    screen_show(c, anew || r->app.redraw);
    r->app.redraw = false;
}

/* What fails is on the screen, and asked for again. */
static void look(struct run *r) {
    struct err err = {0};

    (void)app_refresh(&r->app, clock_wall_ms(), &err);
}

static int on_tick(struct loop *loop, uint32_t what, void *ctx) {
    struct run *r = ctx;
    struct moment *m = &r->app.moment;
    int64_t now = clock_wall_ms(), passed = now - r->last_ms;

    (void)loop, (void)what;
    r->last_ms = now;
    moment_step(m, now, passed > 0 ? passed : 0);
    look(r);
    show(r, false);
    return 0;
}

static int on_source(struct loop *loop, uint32_t what, void *ctx);

static int on_gap_over(struct loop *loop, uint32_t what, void *ctx) {
    struct run *r = ctx;

    (void)what;
    return loop_add_fd(loop, r->app.source->fd, EPOLLIN, on_source, r, &r->source_id);
}

static int on_source(struct loop *loop, uint32_t what, void *ctx) {
    struct run *r = ctx;
    int64_t gap = r->app.options.interval_ms * 1000;

    (void)what;
    loop_remove(loop, r->source_id);
    if (r->app.moment.at_ms == 0) {
        look(r);
        show(r, false);
    }
    return loop_add_timer(loop, gap < EARLY_US ? gap : EARLY_US, 0, on_gap_over, r, NULL);
}

static int on_keys(struct loop *loop, uint32_t what, void *ctx) {
    struct run *r = ctx;
    bool ask = false;
    uint32_t key;

    (void)what;
    for (int i = 0; i < KEYS_AT_ONCE; i++) {
        if (screen_key(&key) < 0)
            r->app.quit = true;
        if (key == 0 || r->app.quit)
            break;
        ask = app_key(&r->app, key) || ask;
    }
    if (r->app.quit) {
        loop_stop(loop);
        return 0;
    }
    if (ask)
        look(r);
    show(r, false);
    return 0;
}

static int on_resize(struct loop *loop, uint32_t what, void *ctx) {
    (void)loop, (void)what;
    show(ctx, false);
    return 0;
}

static int on_suspend(struct loop *loop, uint32_t what, void *ctx) {
    (void)loop, (void)what;
    screen_suspend();
    show(ctx, true);
    return 0;
}

static int on_continue(struct loop *loop, uint32_t what, void *ctx) {
    (void)loop, (void)what;
    screen_resume();
    show(ctx, true);
    return 0;
}

static int on_end(struct loop *loop, uint32_t what, void *ctx) {
    (void)what, (void)ctx;
    loop_stop(loop);
    return 0;
}

static int watch(struct run *r) {
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    int64_t interval_us = r->app.options.interval_ms * 1000;
    int result = loop_add_fd(r->loop, STDIN_FILENO, EPOLLIN, on_keys, r, NULL);

    if (result == 0)
        result = loop_add_signal(r->loop, SIGWINCH, on_resize, r, NULL);
    if (result == 0)
        result = loop_add_signal(r->loop, SIGTSTP, on_suspend, r, NULL);
    if (result == 0)
        result = loop_add_signal(r->loop, SIGCONT, on_continue, r, NULL);
    for (size_t i = 0; result == 0 && i < sizeof(ends) / sizeof(ends[0]); i++)
        result = loop_add_signal(r->loop, ends[i], on_end, r, NULL);
    if (result == 0 && r->app.source->fd >= 0)
        result = on_gap_over(r->loop, 0, r);
    if (result == 0)
        result = loop_add_timer(r->loop, interval_us, interval_us, on_tick, r, NULL);
    return result;
}

/* Before there is a screen, so that a failure is an ordinary line. */
static int begin(struct run *r) {
    const struct top_target *target = r->app.options.target;
    int result = app_refresh(&r->app, clock_wall_ms(), r->err);

    if (result < 0 && result != -ENODATA)
        return result;
    return target ? app_open(&r->app, target, r->err) : 0;
}

int top_run(const struct tui_source *source, const struct top_options *options, struct err *err) {
    static struct run run; /* too large for a stack */
    int r;

    run = (struct run){.err = err, .last_ms = clock_wall_ms()};
    r = app_init(&run.app, source, options, clock_wall_ms());
    if (r < 0)
        (void)err_set(err, r, "cannot begin:");
    if (r == 0)
        r = begin(&run);
    if (r == 0)
        r = loop_new(&run.loop);
    if (r == 0)
        r = screen_open(options->no_color, err);
    if (r == 0) {
        r = watch(&run);
        if (r == 0) {
            show(&run, true);
            r = loop_run(run.loop);
        }
        screen_close();
        if (r < 0)
            (void)err_set(err, r, "cannot go on:");
    }
    loop_free(run.loop);
    app_done(&run.app);
    return r;
}
