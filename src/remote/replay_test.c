/* A small world lives for some minutes: its log is replayed, and what is given is compared with
 * what the world itself remembers.
 */
#include "remote/replay.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/basetest.h"
#include "remote/prwtest.h"

enum { SLOTS = 6, METRICS = 5, MOMENTS = 2000, ROWS = 600, GIVEN = 1000, FIRST_ROW = 1000 };

#define BEGIN_MS 1763734801234

static const enum metric metric[METRICS] = {METRIC_USAGE, METRIC_ANON, METRIC_OWN_LIMIT,
                                            METRIC_PSI_SOME, METRIC_CPU_US};
static const char *const names[METRICS] = {
    "plimsoll_memory_usage_bytes", "plimsoll_memory_anon_bytes", "plimsoll_memory_own_limit_bytes",
    "plimsoll_memory_pressure_some_avg10_ratio", "plimsoll_cpu_seconds_total"};
static const double unit[METRICS] = {1, 1, 1, 1e4, 1e6};

/* A slot is a name under which containers live, one after the other. */
struct slot {
    bool alive, sampled;
    uint32_t uid;
    struct sample sample;
};

struct moment {
    int64_t at_ms, tick_ms;
    struct slot slot[SLOTS];
};

struct row {
    struct buf messages;
    int64_t at_ms;
    bool key;
};

struct world {
    struct basetest_random random;
    int64_t now_ms, tick_ms;
    uint64_t seq, boot;
    uint32_t next_uid;
    struct slot slot[SLOTS];
    struct moment moment[MOMENTS];
    size_t moments;
    struct row row[ROWS];
    size_t rows;
    uint8_t memory[WIRE_MESSAGE];
    struct wire_out out;
};

/* --- the log ---------------------------------------------------------------------------------- */

static struct buf *open_row(struct world *w) {
    assert_true(w->rows < ROWS);
    if (w->row[w->rows].messages.max == 0)
        buf_init(&w->row[w->rows].messages, 8 << 20);
    return &w->row[w->rows].messages;
}

static void begin_message(struct world *w, enum wire_kind kind) {
    wire_begin(&w->out, w->memory, sizeof(w->memory), kind, ++w->seq);
}

static void end_message(struct world *w) {
    struct buf *b = open_row(w);

    assert_false(w->out.full);
    for (unsigned i = 0; i < 4; i++)
        buf_add_char(b, (char)(w->out.n >> 8 * i));
    buf_add(b, (struct str){(const char *)w->memory, w->out.n});
}

static void close_row(struct world *w, bool key) {
    if (open_row(w)->n == 0)
        return;
    w->row[w->rows].at_ms = w->now_ms;
    w->row[w->rows++].key = key;
}

static void tell_target(struct world *w, unsigned slot) {
    char path[20], name[20];
    struct wire_target t = {
        .uid = w->slot[slot].uid, .kind = TARGET_CONTAINER, .runtime = RUNTIME_DOCKER};

    snprintf(path, sizeof(path), "/docker/%u", slot);
    snprintf(name, sizeof(name), "c\xff%u", slot);
    t.path = str_of(path);
    t.name = str_of(name);
    begin_message(w, WIRE_TARGET);
    assert_true(wire_add_target(&w->out, &t));
    end_message(w);
}

static void remember(struct world *w) {
    struct moment *m = &w->moment[w->moments++];

    assert_true(w->moments < MOMENTS);
    m->at_ms = w->now_ms;
    m->tick_ms = w->tick_ms;
    memcpy(m->slot, w->slot, sizeof(m->slot));
}

/* --- what happens ----------------------------------------------------------------------------- */

static void change(struct world *w, struct sample *s) {
    for (unsigned m = 0; m < METRICS; m++) {
        uint64_t dice = basetest_next(&w->random);

        if (dice % 8 == 0)
            s->have &= ~(1ull << metric[m]);
        else if (dice % 8 < 4)
            sample_set(s, metric[m],
                       metric[m] == METRIC_OWN_LIMIT && dice & 16 ? SAMPLE_NONE : dice >> 30);
    }
}

static void tell_samples(struct world *w, const struct slot before[SLOTS], unsigned flags) {
    begin_message(w, WIRE_TICK);
    assert_true(wire_add_tick(&w->out, &(struct wire_tick){w->tick_ms, flags}));
    for (unsigned i = 0; i < SLOTS; i++) {
        bool anew = flags & WIRE_TICK_KEY || !before[i].sampled;

        if (!w->slot[i].sampled)
            continue;
        assert_true(wire_add_change(&w->out, w->slot[i].uid, anew ? NULL : &before[i].sample,
                                    &w->slot[i].sample, false));
        if (i == 2 && basetest_next(&w->random) % 2) { /* a tick of two messages */
            wire_set_more(&w->out);
            end_message(w);
            begin_message(w, WIRE_TICK);
            assert_true(wire_add_tick(&w->out, &(struct wire_tick){w->tick_ms, flags}));
        }
    }
    end_message(w);
}

static void tick(struct world *w, unsigned flags) {
    struct slot before[SLOTS];

    memcpy(before, w->slot, sizeof(before));
    w->tick_ms = w->now_ms;
    for (unsigned i = 0; i < SLOTS; i++) {
        if (!w->slot[i].alive)
            continue;
        if (!w->slot[i].sampled || basetest_next(&w->random) % 3)
            change(w, &w->slot[i].sample);
        w->slot[i].sampled = true;
        w->slot[i].sample.at_ms = w->tick_ms;
    }
    tell_samples(w, before, flags);
    remember(w);
}

static void come(struct world *w, unsigned slot) {
    w->slot[slot] = (struct slot){.alive = true, .uid = w->next_uid++};
    tell_target(w, slot);
}

static void go(struct world *w, unsigned slot) {
    begin_message(w, WIRE_GONE);
    assert_true(wire_add_gone(&w->out, &(struct wire_gone){w->slot[slot].uid, w->now_ms}));
    end_message(w);
    w->slot[slot] = (struct slot){.alive = false};
    remember(w);
}

/* Another collector: what it tells first is all. */
static void start_collector(struct world *w) {
    w->boot++;
    w->seq = 0;
    w->next_uid = 1;
    begin_message(w, WIRE_START);
    assert_true(wire_add_start(&w->out, &(struct wire_start){.boot = w->boot}));
    end_message(w);
    for (unsigned i = 0; i < SLOTS; i++)
        if (w->slot[i].alive) {
            w->slot[i].uid = w->next_uid++;
            tell_target(w, i);
        }
    tick(w, WIRE_TICK_KEY | WIRE_TICK_ROUND);
}

/* What the front puts into the log every few minutes. */
static void add_key(struct world *w) {
    close_row(w, false);
    for (unsigned i = 0; i < SLOTS; i++)
        if (w->slot[i].alive)
            tell_target(w, i);
    tell_samples(w, w->slot, WIRE_TICK_KEY);
    close_row(w, true);
}

static void live_a_second(struct world *w) {
    uint64_t dice = basetest_next(&w->random);

    for (unsigned i = 0; i < SLOTS; i++, dice >>= 4) {
        w->now_ms += 7;
        if (w->slot[i].alive && dice % 16 == 0)
            go(w, i);
        else if (!w->slot[i].alive && dice % 16 < 5)
            come(w, i);
    }
    if (basetest_next(&w->random) % 8 == 0) {
        w->now_ms += 100;
        tick(w, 0);
    }
    w->now_ms += 900 - w->now_ms % 1000 + (int64_t)(basetest_next(&w->random) % 200);
    tick(w, WIRE_TICK_ROUND);
}

/* Nothing of some seconds gets into the log; a KEY says what is then. */
static void lose_seconds(struct world *w, unsigned seconds) {
    size_t moments = w->moments;

    close_row(w, false);
    while (seconds-- > 0)
        live_a_second(w);
    buf_clear(open_row(w));
    w->moments = moments;
    add_key(w);
    remember(w);
}

static struct world *live(uint64_t seed, unsigned seconds) {
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    w->random.state = seed;
    w->now_ms = BEGIN_MS;
    w->boot = 10;
    start_collector(w);
    add_key(w);
    for (unsigned i = 1; i <= seconds; i++) {
        live_a_second(w);
        if (i % 2 == 0)
            close_row(w, false);
        if (i % 20 == 0)
            add_key(w);
        if (i % 47 == 0)
            start_collector(w);
        if (i % 53 == 0)
            lose_seconds(w, i % 2 ? 4 : 20);
        if (i % 61 == 0)
            w->now_ms += (int64_t)(i % 2 ? 8000 : 40000); /* nobody looks */
    }
    close_row(w, false);
    return w;
}

static void end_world(struct world *w) {
    for (size_t i = 0; i < ROWS; i++)
        buf_done(&w->row[i].messages);
    free(w);
}

/* --- what the world remembers ----------------------------------------------------------------- */

static const struct moment *moment_at(const struct world *w, int64_t at_ms) {
    const struct moment *found = NULL;

    for (size_t i = 0; i < w->moments && w->moment[i].at_ms <= at_ms; i++)
        found = &w->moment[i];
    return found && at_ms - found->tick_ms <= REPLAY_FRESH_MS ? found : NULL;
}

static bool has(const struct moment *m, unsigned slot, unsigned which) {
    return m && m->slot[slot].sampled && sample_has(&m->slot[slot].sample, metric[which]) &&
           m->slot[slot].sample.value[metric[which]] != SAMPLE_NONE;
}

static void add_wanted(struct buf *out, const struct world *w, int64_t at_ms, int64_t interval_ms,
                       bool first) {
    const struct moment *now = moment_at(w, at_ms);
    const struct moment *before = first ? NULL : moment_at(w, at_ms - interval_ms);

    for (unsigned i = 0; i < SLOTS; i++)
        for (unsigned m = 0; m < METRICS; m++) {
            if (!has(now, i, m) && !has(before, i, m))
                continue;
            buf_add_format(out, "__name__=%s,id=/docker/%u,instance=box,name=c\xef\xbf\xbd%u, ",
                           names[m], i, i);
            if (has(now, i, m))
                buf_add_format(out, "%.17g@%lld\n",
                               (double)now->slot[i].sample.value[metric[m]] / unit[m],
                               (long long)at_ms);
            else
                buf_add_format(out, "stale@%lld\n", (long long)at_ms);
        }
}

/* --- what is given ---------------------------------------------------------------------------- */

struct given {
    struct buf text[GIVEN]; /* of each request */
    struct cursor cursor[GIVEN];
    size_t n, most; /* after so many it says no */
};

static int take_given(void *ctx, const struct prw *request, const struct cursor *c) {
    struct given *g = ctx;
    struct buf packed;

    if (g->n == g->most)
        return -ECANCELED;
    assert_true(g->n < GIVEN);
    buf_init(&packed, 32 << 20);
    assert_int_equal(prw_pack(request, &packed), 0);
    buf_init(&g->text[g->n], 8 << 20);
    prwtest_read(buf_str(&packed), &g->text[g->n]);
    g->cursor[g->n++] = *c;
    buf_done(&packed);
    return 0;
}

static void given_done(struct given *g) {
    for (size_t i = 0; i < g->n; i++)
        buf_done(&g->text[i]);
    *g = (struct given){.n = 0};
}

static struct replay *replay_from(const struct cursor *c, int64_t interval_ms, struct given *g) {
    struct replay_options options = {.interval_ms = interval_ms,
                                     .label = {{STR("instance"), STR("box")}},
                                     .labels = 1,
                                     .give = take_given,
                                     .ctx = g};
    struct replay *r;

    g->most = GIVEN;
    assert_int_equal(replay_new(&options, c, &r), 0);
    return r;
}

static int feed(struct replay *r, const struct world *w, size_t i) {
    return replay_row(r, &(struct store_log_row){.row = (int64_t)i + FIRST_ROW,
                                                 .at_ms = w->row[i].at_ms,
                                                 .key = w->row[i].key,
                                                 .messages = buf_str(&w->row[i].messages)});
}

static void run(const struct world *w, const struct cursor *c, int64_t interval_ms,
                struct given *g) {
    struct replay *r = replay_from(c, interval_ms, g);

    for (size_t i = 0; i < w->rows; i++)
        if ((int64_t)i + FIRST_ROW > replay_after(r))
            assert_int_equal(feed(r, w, i), 0);
    assert_int_equal(replay_counts(r)->bad, 0);
    assert_int_equal(replay_counts(r)->gaps, 0);
    replay_free(r);
}

/* --- comparing -------------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static size_t split(char *text, char ***out) {
    size_t n = 0;

    *out = calloc(strlen(text) / 8 + 1, sizeof(char *));
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        (*out)[n++] = line;
    }
    if (n > 0)
        qsort(*out, n, sizeof(char *), by_text);
    return n;
}

/* The same lines, in whatever order; empties both. */
static void same_lines(struct buf *got, struct buf *wanted) {
    char **left, **right;
    size_t n, m;

    buf_add_char(got, '\0');
    buf_add_char(wanted, '\0');
    assert_int_equal(buf_error(got) | buf_error(wanted), 0);
    n = split(got->p, &left);
    m = split(wanted->p, &right);
    for (size_t i = 0; i < n || i < m; i++)
        if (i >= n || i >= m || strcmp(left[i], right[i]) != 0)
            fail_msg("line %zu of %zu and %zu: '%s', wanted '%s'", i, n, m,
                     i < n ? left[i] : "nothing", i < m ? right[i] : "nothing");
    free(left);
    free(right);
    buf_clear(got);
    buf_clear(wanted);
}

static void gather(const struct given *g, size_t from, struct buf *out) {
    for (size_t i = from; i < g->n; i++)
        buf_add(out, buf_str(&g->text[i]));
}

/* --- tests ------------------------------------------------------------------------------------ */

static const struct cursor from_begin = {.sent_ms = BEGIN_MS - 1};

static void each_step_tells_what_was_known_then(void **state) {
    static const int64_t intervals[] = {1000, 5000, 15000, 700};
    struct buf got, wanted;

    (void)state;
    buf_init(&got, 32 << 20);
    buf_init(&wanted, 32 << 20);
    for (unsigned seed = 1; seed <= 8; seed++) {
        struct world *w = live(seed * 7919, 200);
        int64_t interval_ms = intervals[seed % 4];
        int64_t at_ms = (BEGIN_MS + interval_ms - 1) / interval_ms * interval_ms;
        struct given g = {.n = 0};

        run(w, &from_begin, interval_ms, &g);
        gather(&g, 0, &got);
        for (bool first = true; at_ms < w->tick_ms; at_ms += interval_ms, first = false)
            add_wanted(&wanted, w, at_ms, interval_ms, first);
        assert_true(wanted.n > 10000);
        assert_non_null(memmem(got.p, got.n, "stale", 5));
        same_lines(&got, &wanted);
        given_done(&g);
        end_world(w);
    }
    buf_done(&got);
    buf_done(&wanted);
}

static void from_any_cursor_the_rest_is_the_same(void **state) {
    struct buf got, wanted;

    (void)state;
    buf_init(&got, 32 << 20);
    buf_init(&wanted, 32 << 20);
    for (unsigned seed = 1; seed <= 3; seed++) {
        struct world *w = live(seed * 104729, 150);
        struct given whole = {.n = 0};

        run(w, &from_begin, 2000, &whole);
        assert_true(whole.n > 40);
        for (size_t i = 0; i < whole.n; i++) {
            struct given rest = {.n = 0};

            assert_true(whole.cursor[i].key_row >= FIRST_ROW);
            run(w, &whole.cursor[i], 2000, &rest);
            gather(&rest, 0, &got);
            gather(&whole, i + 1, &wanted);
            same_lines(&got, &wanted);
            given_done(&rest);
        }
        given_done(&whole);
        end_world(w);
    }
    buf_done(&got);
    buf_done(&wanted);
}

static void a_request_that_is_not_taken_is_made_again(void **state) {
    struct world *w = live(99, 40);
    struct given whole = {.n = 0}, part = {.n = 0}, rest = {.n = 0};
    struct replay *r;
    size_t i = 0;
    int result = 0;

    (void)state;
    run(w, &from_begin, 5000, &whole);
    r = replay_from(&from_begin, 5000, &part);
    part.most = 3;
    while (result == 0 && i < w->rows)
        result = feed(r, w, i++);
    assert_int_equal(result, -ECANCELED);
    replay_free(r);
    run(w, &part.cursor[2], 5000, &rest);
    assert_true(str_eq(buf_str(&rest.text[0]), buf_str(&whole.text[3])) ||
                rest.text[0].n == whole.text[3].n); /* stale markers have no order */
    given_done(&whole);
    given_done(&part);
    given_done(&rest);
    end_world(w);
}

/* Rows that are gone, or that come before there was a KEY: nothing is made up for them. */
static void a_gap_is_told_and_ends_what_is_not_known(void **state) {
    struct world *w = live(5, 120);
    struct given g = {.n = 0};
    struct replay *r = replay_from(&from_begin, 1000, &g);
    size_t key = 0, keys = 0;
    int64_t before_ms, resumed_ms;

    (void)state;
    assert_int_equal(feed(r, w, 1), 0); /* without the KEY before it */
    assert_int_equal(replay_targets(r), 0);
    replay_lose(r);
    assert_int_equal(replay_after(r), 0);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(feed(r, w, i), 0);
    assert_int_equal(replay_counts(r)->gaps, 0);
    before_ms = replay_at_ms(r);
    for (key = 8; keys < 3; key++)
        keys += w->row[key].key;
    assert_int_equal(feed(r, w, key), 0); /* not a KEY: of no use */
    assert_int_equal(replay_counts(r)->gaps, 1);
    while (!w->row[key].key)
        key++;
    resumed_ms = w->row[key].at_ms;
    assert_true(resumed_ms - before_ms > 2 * REPLAY_FRESH_MS);
    for (size_t i = key; i < w->rows; i++)
        assert_int_equal(feed(r, w, i), 0);
    assert_int_equal(replay_counts(r)->gaps, 1);
    for (size_t i = 0; i < g.n; i++) {
        int64_t at_ms = g.cursor[i].sent_ms;
        bool in_gap = at_ms > before_ms + REPLAY_FRESH_MS && at_ms < resumed_ms - 1000;
        struct str rest = buf_str(&g.text[i]), line;

        while (in_gap && str_cut(&rest, '\n', &line))
            if (!memmem(line.p, line.n, " stale@", 7))
                fail_msg("'%.*s' in the gap from %lld to %lld", STR_ARG(line), (long long)before_ms,
                         (long long)resumed_ms);
    }
    replay_free(r);
    given_done(&g);
    end_world(w);
}

/* More than a request holds: parts are whole targets, and are left out when they were sent. */
static void a_large_step_is_sent_in_parts(void **state) {
    enum { TARGETS = 300, KNOWN = 40 };
    struct world *w = calloc(1, sizeof(*w));
    struct given whole = {.n = 0};
    struct buf got, wanted;
    struct sample s = {0};

    (void)state;
    assert_non_null(w);
    for (unsigned m = 0; m < KNOWN; m++)
        sample_set(&s, (enum metric)m, m);
    w->now_ms = w->tick_ms = BEGIN_MS;
    begin_message(w, WIRE_START);
    assert_true(wire_add_start(&w->out, &(struct wire_start){.boot = 1}));
    end_message(w);
    for (unsigned t = 0; t < TARGETS; t++) {
        char path[20];

        snprintf(path, sizeof(path), "/x/%u", t);
        begin_message(w, WIRE_TARGET);
        assert_true(wire_add_target(&w->out, &(struct wire_target){.uid = t + 1,
                                                                   .kind = TARGET_GROUP,
                                                                   .path = str_of(path),
                                                                   .name = str_of(path)}));
        end_message(w);
    }
    for (unsigned t = 0; t < TARGETS; t++) {
        begin_message(w, WIRE_TICK);
        assert_true(wire_add_tick(&w->out, &(struct wire_tick){w->tick_ms, WIRE_TICK_KEY}));
        assert_true(wire_add_change(&w->out, t + 1, NULL, &s, false));
        end_message(w);
    }
    close_row(w, true);
    for (unsigned i = 0; i < 3; i++) {
        w->tick_ms += 5000;
        begin_message(w, WIRE_TICK);
        assert_true(wire_add_tick(&w->out, &(struct wire_tick){w->tick_ms, WIRE_TICK_ROUND}));
        end_message(w);
        close_row(w, false);
    }
    run(w, &from_begin, 5000, &whole);
    assert_int_equal(whole.n, 9); /* 12000 samples: 5000, 5000, 2000 */
    buf_init(&got, 32 << 20);
    buf_init(&wanted, 32 << 20);
    for (size_t i = 0; i < whole.n; i++) {
        struct given rest = {.n = 0};

        assert_int_equal(whole.cursor[i].part_ms != 0, i % 3 != 2);
        run(w, &whole.cursor[i], 5000, &rest);
        gather(&rest, 0, &got);
        gather(&whole, i + 1, &wanted);
        same_lines(&got, &wanted);
        given_done(&rest);
    }
    buf_done(&got);
    buf_done(&wanted);
    given_done(&whole);
    end_world(w);
}

/* The log reaches back less far than the cursor. */
static void nothing_is_made_up_for_the_time_before_the_log(void **state) {
    const struct cursor long_ago = {.key_row = 5, .sent_ms = BEGIN_MS - 100 * 1000};
    struct world *w = live(21, 30);
    struct given g = {.n = 0}, wanted = {.n = 0};

    (void)state;
    run(w, &long_ago, 1000, &g);
    run(w, &from_begin, 1000, &wanted);
    assert_int_equal(g.n, wanted.n);
    assert_true(g.cursor[0].sent_ms >= BEGIN_MS);
    assert_true(str_eq(buf_str(&g.text[0]), buf_str(&wanted.text[0])));
    given_done(&g);
    given_done(&wanted);
    end_world(w);
}

/* Two at once of the same labels: a container made anew before the old one was seen to go. */
static void of_two_alike_the_newer_is_told(void **state) {
    struct world *w = calloc(1, sizeof(*w));
    struct given g = {.n = 0};
    struct buf got;

    (void)state;
    assert_non_null(w);
    w->random.state = 4711;
    w->now_ms = BEGIN_MS;
    w->slot[0] = (struct slot){.alive = true, .uid = 7};
    start_collector(w);
    sample_set(&w->slot[0].sample, METRIC_ANON, 17);
    tell_samples(w, w->slot, WIRE_TICK_KEY);
    w->slot[0].uid = 9;
    tell_target(w, 0);
    w->slot[0].sample = (struct sample){.at_ms = 0};
    sample_set(&w->slot[0].sample, METRIC_USAGE, 4242);
    tell_samples(w, w->slot, WIRE_TICK_KEY);
    close_row(w, true);
    w->now_ms += 1000;
    tick(w, WIRE_TICK_ROUND);
    close_row(w, false);
    run(w, &from_begin, 1000, &g);
    assert_int_equal(g.n, 1);
    buf_init(&got, 1 << 20);
    gather(&g, 0, &got);
    basetest_holds(&got, "__name__=plimsoll_memory_usage_bytes,id=/docker/0,instance=box,"
                         "name=c\xef\xbf\xbd"
                         "0, 4242@1763734802000\n");
    buf_done(&got);
    given_done(&g);
    end_world(w);
}

static void a_clock_set_back_does_not_silence_it(void **state) {
    struct world *w = live(3, 30);
    struct given g = {.n = 0};
    struct replay *r = replay_from(&from_begin, 5000, &g);
    size_t before, rows = w->rows;

    (void)state;
    for (size_t i = 0; i < rows; i++)
        assert_int_equal(feed(r, w, i), 0);
    before = g.n;
    w->now_ms -= 3600 * 1000;
    for (unsigned i = 0; i < 20; i++)
        live_a_second(w);
    close_row(w, false);
    assert_int_equal(feed(r, w, rows), 0);
    assert_int_equal(replay_counts(r)->set_back, 1);
    assert_in_range(g.n - before, 3, 5);
    replay_free(r);
    given_done(&g);
    end_world(w);
}

static void damaged_rows_do_no_harm(void **state) {
    struct basetest_random random = {12345};
    struct world *w = live(17, 60);

    (void)state;
    for (unsigned round = 0; round < 60; round++) {
        struct given g = {.n = 0};
        struct replay *r = replay_from(&from_begin, 5000, &g);

        for (size_t i = 0; i < w->rows; i++) {
            struct buf *b = &w->row[i].messages;
            size_t at = basetest_next(&random) % b->n;
            char was = b->p[at];

            b->p[at] = (char)(was ^ (1 << basetest_next(&random) % 8));
            (void)feed(r, w, i);
            b->p[at] = was;
            if (g.n > GIVEN / 2)
                break; /* a time that was damaged may be far away */
        }
        replay_free(r);
        given_done(&g);
    }
    end_world(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_step_tells_what_was_known_then),
        cmocka_unit_test(from_any_cursor_the_rest_is_the_same),
        cmocka_unit_test(a_request_that_is_not_taken_is_made_again),
        cmocka_unit_test(a_gap_is_told_and_ends_what_is_not_known),
        cmocka_unit_test(a_large_step_is_sent_in_parts),
        cmocka_unit_test(nothing_is_made_up_for_the_time_before_the_log),
        cmocka_unit_test(of_two_alike_the_newer_is_told),
        cmocka_unit_test(a_clock_set_back_does_not_silence_it),
        cmocka_unit_test(damaged_rows_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
