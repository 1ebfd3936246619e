#include "remote/writer.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "remote/replay.h"
#include "remote/sender.h"

enum {
    SAY_US = 60 * 1000000,
    POLL_MS = 1000,
    NO_LOG_MS = 30 * 1000, /* so long the agent may be away without a word */
    TOLD = 160,            /* bytes of an error in the status */
    STILL_MS = 60 * 1000,  /* so long the log may stand still before it is read anew */
};

struct writer {
    struct writer_options options;
    struct replay *replay;
    struct sender *sender;
    struct buf answer, packed;
    pthread_mutex_t lock; /* of status */
    struct writer_status status;
    int64_t said_us, no_log_us;
    bool said_away;
};

/* --- words ------------------------------------------------------------------------------------ */

static void say(const struct writer *w, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The log is of one thread. */
static void say(const struct writer *w, enum log_level level, const char *format, ...) {
    static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
    char text[400];
    va_list args;

    va_start(args, format);
    if (vsnprintf(text, sizeof(text), format, args) < 0)
        text[0] = '\0';
    va_end(args);
    pthread_mutex_lock(&one);
    log_line(level, "%.*s: %s", STR_ARG(writer_url(w)), text);
    pthread_mutex_unlock(&one);
}

/* Once a minute: of what repeats. */
static bool is_time_to_say(struct writer *w) {
    int64_t now_us = clock_mono_us();

    if (w->said_us != 0 && now_us - w->said_us < SAY_US)
        return false;
    w->said_us = now_us;
    return true;
}

struct str writer_url(const struct writer *w) {
    struct str url = str_of(w->options.remote->url);
    ptrdiff_t query = str_find(url, '?');

    return query < 0 ? url : str_head(url, (size_t)query);
}

/* --- sending ---------------------------------------------------------------------------------- */

static void note_sent(struct writer *w, size_t samples) {
    if (w->said_away)
        say(w, LOG_NOTE, "takes samples again");
    w->said_away = false;
    w->status.samples += samples;
    w->status.requests++;
    w->status.away = false;
    w->status.error[0] = '\0';
}

static void note_failure(struct writer *w, const char *text, int64_t wait_ms) {
    w->status.failures++;
    w->status.away = true;
    snprintf(w->status.error, sizeof(w->status.error), "%.*s", TOLD, text);
    if (!is_time_to_say(w))
        return;
    w->said_away = true;
    say(w, LOG_WARN, "%s; the next attempt is in %lld ms, samples wait in the log", text,
        (long long)wait_ms);
}

static void note_drop(struct writer *w, const char *text, size_t samples) {
    w->status.dropped_samples += samples;
    w->status.dropped_requests++;
    w->status.away = false;
    snprintf(w->status.error, sizeof(w->status.error), "%.*s", TOLD, text);
    if (is_time_to_say(w))
        say(w, LOG_WARN, "%s; samples that it does not want are dropped, %llu by now", text,
            (unsigned long long)w->status.dropped_samples);
}

static uint32_t random_number(void) {
    uint32_t number = 0;

    if (getrandom(&number, sizeof(number), GRND_NONBLOCK) < 0)
        return (uint32_t)clock_mono_us();
    return number;
}

/* Until it is sent or dropped. 0, -ECANCELED, -ENOMEM. */
static int deliver(struct writer *w, struct str body, size_t samples) {
    for (unsigned failures = 1;; failures += failures < 100) {
        int64_t after_ms, wait_ms;
        struct err err;
        enum sender_result result = sender_post(w->sender, body, &after_ms, &err);

        if (result == SENDER_STOP)
            return -ECANCELED;
        wait_ms = sender_wait_ms(failures, after_ms, random_number());
        pthread_mutex_lock(&w->lock);
        if (result == SENDER_SENT)
            note_sent(w, samples);
        else if (result == SENDER_DROP)
            note_drop(w, err.text, samples);
        else
            note_failure(w, err.text, wait_ms);
        pthread_mutex_unlock(&w->lock);
        if (result != SENDER_AGAIN)
            return 0;
        if (!sender_wait(w->options.stop, wait_ms))
            return -ECANCELED;
    }
}

static void save(struct writer *w, const struct cursor *c) {
    int r = cursor_save(w->options.dir, w->options.cursor_name, c);

    if (r < 0)
        say(w, LOG_BAD, "how far it is cannot be written: %s", strerror(-r));
    pthread_mutex_lock(&w->lock);
    w->status.sent_ms = c->sent_ms;
    w->status.at_ms = replay_at_ms(w->replay);
    w->status.targets = replay_targets(w->replay);
    pthread_mutex_unlock(&w->lock);
}

static int give(void *ctx, const struct prw *request, const struct cursor *c) {
    struct writer *w = ctx;
    int r = prw_pack(request, &w->packed);

    if (r == 0)
        r = deliver(w, buf_str(&w->packed), prw_samples(request));
    if (r == 0)
        save(w, c);
    return r;
}

/* --- reading ---------------------------------------------------------------------------------- */

static void note_read(struct writer *w) {
    const struct replay_counts *c = replay_counts(w->replay);

    if (c->gaps > w->status.gaps)
        say(w, LOG_WARN, "a part of the log is gone: samples of %lld s are missing",
            (long long)(c->gap_to_ms - c->gap_from_ms) / 1000);
    pthread_mutex_lock(&w->lock);
    w->status.gaps = c->gaps;
    w->status.bad = c->bad;
    w->status.at_ms = replay_at_ms(w->replay);
    w->status.targets = replay_targets(w->replay);
    pthread_mutex_unlock(&w->lock);
}

/* How many rows there were; -errno ends it all. */
static int take_rows(struct writer *w, struct str rows) {
    struct store_log_row row;
    int n = 0, r;

    while ((r = store_log_next(&rows, &row)) > 0) {
        r = replay_row(w->replay, &row);
        if (r < 0)
            return r;
        n++;
    }
    if (r < 0 && n == 0) {
        if (is_time_to_say(w))
            say(w, LOG_BAD, "the agent's log cannot be understood");
        return 0;
    }
    note_read(w);
    return n;
}

static void note_no_log(struct writer *w, int error) {
    int64_t now_us = clock_mono_us();

    if (w->no_log_us == 0)
        w->no_log_us = now_us;
    if (now_us - w->no_log_us > NO_LOG_MS * 1000 && is_time_to_say(w))
        say(w, LOG_WARN, "the agent's log cannot be read from '%s': %s", w->options.source->path,
            strerror(-error));
}

static int poll_ms(const struct writer *w) {
    return w->options.remote->interval_ms < POLL_MS ? (int)w->options.remote->interval_ms : POLL_MS;
}

int writer_run(struct writer *w) {
    int64_t moved_us = clock_mono_us();
    bool anew = false;

    for (;;) {
        struct str rows;
        int n = 0, r = source_read(w->options.source, replay_after(w->replay), &w->answer, &rows);

        if (r < 0)
            note_no_log(w, r);
        else
            w->no_log_us = 0;
        if (r == 0) {
            n = take_rows(w, rows);
            buf_clear(&w->answer);
        }
        if (n == -ECANCELED)
            return 0;
        if (n < 0) {
            say(w, LOG_BAD, "remote writing begins anew: %s", strerror(-n));
            return n;
        }
        if (n > 0)
            anew = false;
        if (n > 0 || r < 0)
            moved_us = clock_mono_us();
        /* A log that was begun anew counts from 1 again. */
        if (!anew && clock_mono_us() - moved_us > (int64_t)STILL_MS * 1000) {
            replay_lose(w->replay);
            anew = true;
        }
        if (!sender_wait(w->options.stop, n > 0 ? 0 : poll_ms(w)))
            return 0;
    }
}

/* --- its own life ----------------------------------------------------------------------------- */

static int make_replay(struct writer *w, struct err *err) {
    const struct config_remote *remote = w->options.remote;
    struct replay_options options = {.interval_ms = remote->interval_ms, .give = give, .ctx = w};

    for (unsigned i = 0; i < remote->labels; i++)
        options.label[options.labels++] =
            (struct prw_label){str_of(remote->label_name[i]), str_of(remote->label_value[i])};
    options.label[options.labels++] =
        (struct prw_label){STR("instance"), str_of(w->options.instance)};
    if (replay_new(&options, &w->options.cursor, &w->replay) < 0)
        return err_set(err, -ENOMEM, "no memory for a remote");
    return 0;
}

int writer_new(const struct writer_options *options, struct writer **out, struct err *err) {
    const struct config_remote *remote = options->remote;
    const struct sender_options sender = {.url = remote->url,
                                          .timeout_ms = remote->timeout_ms,
                                          .token = options->token,
                                          .username = remote->username,
                                          .password = options->password,
                                          .ca = options->ca,
                                          .stop = options->stop};
    struct writer *w = calloc(1, sizeof(*w));
    int r;

    if (!w)
        return err_set(err, -ENOMEM, "no memory for a remote");
    w->options = *options;
    w->status.sent_ms = options->cursor.sent_ms;
    buf_init(&w->answer, SOURCE_ANSWER);
    buf_init(&w->packed, 2 * (size_t)PRW_BYTES + (4 << 20));
    pthread_mutex_init(&w->lock, NULL);
    r = make_replay(w, err);
    if (r == 0)
        r = sender_new(&sender, &w->sender, err);
    if (r < 0)
        writer_free(w);
    else
        *out = w;
    return r;
}

void writer_free(struct writer *w) {
    if (!w)
        return;
    sender_free(w->sender);
    replay_free(w->replay);
    buf_done(&w->answer);
    buf_done(&w->packed);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

void writer_status(struct writer *w, struct writer_status *out) {
    pthread_mutex_lock(&w->lock);
    *out = w->status;
    pthread_mutex_unlock(&w->lock);
}
