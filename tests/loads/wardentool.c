/* wardentool.c - drives act/warden, act/lend and act/oomhold from a test: a word a line on stdin,
 * one line each as the answer, "ok ..." or "error TEXT". Ends at the end of stdin as a program that
 * was not told to clean up: what is held then is the warden's to undo.
 *
 *   start            a warden: "ok PID"      open PATH   a group, below the memory mount
 *   lend BYTES       on top of the limit     back MS     try for so long to take it back
 *   arm, letgo, again, disarm                the OOM killer held (v1)
 *   allot MS         the deadline of the next loan
 *   lock             all memory              keep        a hold, made and dropped
 *   watch            waits for the warden's end, starts it again: "ok PID"
 *   churn            changes all that can be changed, back and forth, for ever; answers once
 *   end              as a program that cleans up
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "act/lend.h"
#include "act/oomhold.h"
#include "base/clock.h"

struct tool {
    struct host host;
    struct cgfs fs;
    struct warden *warden;
    struct grip grip;
    struct lend lend;
    struct oomhold hold;
    uint64_t allotted_ms;
    bool opened;
};

/* Without stdio's buffers: it answers in a group that is full, too. */
static void answer(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void answer(const char *format, ...) {
    char line[600];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(line, sizeof(line) - 1, format, args);
    va_end(args);
    if (n < 0)
        return;
    if ((size_t)n > sizeof(line) - 2)
        n = sizeof(line) - 2;
    line[n] = '\n';
    while (write(STDOUT_FILENO, line, (size_t)n + 1) < 0) {
        if (errno != ENOMEM)
            exit(1);
        usleep(10000);
    }
}

static void result(int r, const struct err *err) {
    if (r < 0)
        answer("error %s: %s", strerrorname_np(-r), err && err->text[0] ? err->text : "-");
    else
        answer("ok");
}

static int open_group(struct tool *t, struct str path, struct err *err) {
    int r = grip_open(&t->host, &t->fs, path, &t->grip, err);

    if (r == 0)
        lend_init(&t->lend, &t->grip, t->warden, 0, 0);
    t->opened = r == 0;
    return r;
}

static void lend(struct tool *t, uint64_t bytes) {
    struct err err = {0};

    if (t->lend.hold < 0)
        lend_init(&t->lend, &t->grip, t->warden, 0,
                  t->allotted_ms ? clock_mono_us() + (int64_t)t->allotted_ms * 1000 : 0);
    result(lend_to(&t->lend, bytes, &err), &err);
}

static void watch(struct tool *t) {
    struct pollfd fd = {.fd = warden_fd(t->warden), .events = POLLIN};
    struct err err = {0};

    answer("ok watching");
    if (poll(&fd, 1, 10000) != 1 || warden_stands(t->warden))
        answer("error it has not ended");
    else if (warden_again(t->warden, &err) < 0)
        answer("error %s", err.text);
    else
        answer("ok %d", warden_pid(t->warden));
}

/* A hold that undoes nothing: what a full group of our own allows. */
static void keep(struct tool *t) {
    struct warden_hold h = {
        .steps = 1,
        .event = -1,
        .step = {{.fd = t->grip.level[0].limit, .value = "1", .only_if = "1"}},
    };
    int r = warden_hold(t->warden, &h);

    result(r < 0 ? r : warden_drop(t->warden, r), NULL);
}

static unsigned next(unsigned *seed) {
    *seed = *seed * 1103515245 + 12345;
    return *seed >> 16 & 0x7fff;
}

static _Noreturn void churn(struct tool *t) {
    unsigned seed = (unsigned)clock_mono_us();
    bool v1 = t->grip.version == CG_V1;

    answer("ok churning");
    for (;;) {
        if (next(&seed) % 2 == 0)
            lend_init(&t->lend, &t->grip, t->warden, 0, clock_mono_us() + 20000);
        else
            lend_init(&t->lend, &t->grip, t->warden, 0, 0);
        (void)lend_to(&t->lend, 4 << 20, NULL);
        if (v1 && next(&seed) % 2 == 0)
            (void)oomhold_arm(&t->hold, &t->grip, t->warden, NULL);
        usleep(next(&seed) % 3000);
        (void)lend_to(&t->lend, 16 << 20, NULL);
        usleep(next(&seed) % 3000);
        (void)lend_back(&t->lend, clock_mono_us() + 100000, NULL);
        if (v1 && t->hold.armed) {
            (void)oomhold_let_go(&t->hold);
            (void)oomhold_again(&t->hold);
            oomhold_done(&t->hold);
        }
    }
}

static void obey(struct tool *t, struct str line) {
    struct err err = {0};
    struct str word = {0};
    uint64_t number = 0;

    (void)str_word(&line, &word);
    line = str_trim(line);
    (void)str_to_u64(line, &number);
    if (str_eq(word, STR("start"))) {
        if (warden_start(&t->warden, &err) < 0)
            answer("error %s", err.text);
        else
            answer("ok %d", warden_pid(t->warden));
    } else if (str_eq(word, STR("open"))) {
        result(open_group(t, line, &err), &err);
    } else if (str_eq(word, STR("allot"))) {
        t->allotted_ms = number;
        answer("ok");
    } else if (str_eq(word, STR("lend"))) {
        lend(t, number);
    } else if (str_eq(word, STR("back"))) {
        result(lend_back(&t->lend, clock_mono_us() + (int64_t)number * 1000, &err), &err);
    } else if (str_eq(word, STR("arm"))) {
        result(oomhold_arm(&t->hold, &t->grip, t->warden, &err), &err);
    } else if (str_eq(word, STR("letgo"))) {
        result(oomhold_let_go(&t->hold), NULL);
    } else if (str_eq(word, STR("again"))) {
        result(oomhold_again(&t->hold), NULL);
    } else if (str_eq(word, STR("disarm"))) {
        oomhold_done(&t->hold);
        answer("ok");
    } else if (str_eq(word, STR("lock"))) {
        result(mlockall(MCL_CURRENT | MCL_FUTURE) < 0 ? -errno : 0, NULL);
    } else if (str_eq(word, STR("keep"))) {
        keep(t);
    } else if (str_eq(word, STR("watch"))) {
        watch(t);
    } else if (str_eq(word, STR("churn"))) {
        churn(t);
    } else if (str_eq(word, STR("end"))) {
        oomhold_done(&t->hold);
        warden_end(t->warden);
        t->warden = NULL;
        answer("ok");
    } else {
        answer("error no such word");
    }
}

int main(void) {
    static struct tool t = {.hold = OOMHOLD_NONE};
    static char room[8192];
    struct err err = {0};
    size_t have = 0;

    if (host_open(NULL, &t.host, &err) < 0 || cgfs_open(&t.host, &t.fs, &err) < 0) {
        answer("error %s", err.text);
        return 1;
    }
    for (;;) {
        ssize_t n = read(STDIN_FILENO, room + have, sizeof(room) - have);
        struct str text, line;

        if (n <= 0)
            _exit(0);
        have += (size_t)n;
        text = (struct str){room, have};
        while (str_cut(&text, '\n', &line))
            obey(&t, line);
        memmove(room, text.p, text.n);
        have = text.n;
    }
}
