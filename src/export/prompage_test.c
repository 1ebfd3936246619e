#include "export/prompage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/basetest.h"
#include "base/clock.h"
#include "base/text.h"
#include "export/promtext.h"

enum { BOTH = PROMPAGE_PLIMSOLL | PROMPAGE_CADVISOR, PIECE = 32768 };

static struct wire_target docker(uint32_t uid, const char *name) {
    return (struct wire_target){.uid = uid,
                                .kind = TARGET_CONTAINER,
                                .runtime = RUNTIME_DOCKER,
                                .version = WIRE_CG_V1,
                                .start_ms = 1700000000250,
                                .path = STR("/docker/4f2a9c"),
                                .name = str_of(name),
                                .id = STR("4f2a9c"),
                                .image = STR("nginx:1.25")};
}

static struct live_row *put(struct live *l, const struct wire_target *t) {
    struct live_row *row = live_put(l, t);

    assert_non_null(row);
    row->sample.at_ms = l->at_ms = 1700000100500;
    return row;
}

static struct live_row *put_docker(struct live *l, uint32_t uid, const char *name) {
    struct wire_target t = docker(uid, name);

    return put(l, &t);
}

/* The whole page in pieces of that size, with a NUL behind. */
static char *read_page(struct live *l, unsigned what, size_t piece) {
    struct prompage *page;
    struct buf b;
    char *room;

    buf_init(&b, 100 << 20);
    assert_int_equal(prompage_new(l, what, &page), 0);
    for (size_t n = 1; n > 0;) {
        room = buf_room(&b, piece);
        assert_non_null(room);
        n = prompage_read(page, room, piece);
        assert_true(n <= piece);
        buf_grow(&b, n);
    }
    prompage_free(page);
    buf_add_char(&b, '\0');
    assert_int_equal(buf_error(&b), 0);
    return b.p;
}

static bool has_line(const char *page, const char *line) {
    const char *at = strstr(page, line);

    while (at && ((at > page && at[-1] != '\n') || at[strlen(line)] != '\n'))
        at = strstr(at + 1, line);
    return at != NULL;
}

static void check_line(const char *page, const char *line) {
    char family[100];
    const char *at;
    size_t n = strcspn(line, "{ ");

    if (has_line(page, line))
        return;
    assert_true(n < sizeof(family) - 2);
    assert_true(snprintf(family, sizeof(family), "\n%.*s", (int)n, line) > 0);
    at = strstr(page, family);
    fail_msg("no line '%s', but '%.300s'", line, at ? at : "nothing of that name");
}

static size_t count(const char *page, const char *text) {
    size_t n = 0;

    for (const char *at = page; (at = strstr(at, text)); at += strlen(text))
        n++;
    return n;
}

static void sizes_and_times_have_their_units(void **state) {
    struct live_row *row;
    struct live l;
    char *page;

    (void)state;
    live_init(&l);
    row = put_docker(&l, 1, "web");
    sample_set(&row->sample, METRIC_USAGE, 62914560);
    sample_set(&row->sample, METRIC_PSI_SOME_US, 1500000);
    sample_set(&row->sample, METRIC_PSI_SOME, 1234);
    sample_set(&row->sample, METRIC_CPU_US, 3000001);
    sample_set(&row->sample, METRIC_OWN_LIMIT, SAMPLE_NONE);
    sample_set(&row->sample, METRIC_SWAP_LIMIT, SAMPLE_NONE);
    page = read_page(&l, BOTH, PIECE);
#define WEB "id=\"/docker/4f2a9c\",image=\"nginx:1.25\",name=\"web\""
    check_line(page, "# TYPE plimsoll_memory_usage_bytes gauge");
    check_line(page, "plimsoll_memory_usage_bytes{" WEB "} 62914560");
    check_line(page, "# TYPE plimsoll_memory_pressure_waiting_seconds_total counter");
    check_line(page, "plimsoll_memory_pressure_waiting_seconds_total{" WEB "} 1.5");
    check_line(page, "plimsoll_memory_pressure_some_avg10_ratio{" WEB "} 0.1234");
    check_line(page, "plimsoll_cpu_seconds_total{" WEB "} 3.000001");
    check_line(page, "container_memory_usage_bytes{" WEB "} 62914560");
    check_line(page, "container_cpu_usage_seconds_total{" WEB ",cpu=\"total\"} 3.000001");
    check_line(page, "container_spec_memory_limit_bytes{" WEB "} 0");
    check_line(page, "container_spec_memory_swap_limit_bytes{" WEB "} 0");
    check_line(page, "container_start_time_seconds{" WEB "} 1700000000.25");
    check_line(page, "container_last_seen{" WEB "} 1700000100");
    assert_non_null(strstr(page, "\nplimsoll_build_info{version=\""));
    /* what is none or not known is left out */
    assert_null(strstr(page, "plimsoll_memory_own_limit_bytes"));
    assert_null(strstr(page, "plimsoll_memory_anon_bytes"));
    assert_null(strstr(page, "container_memory_failcnt"));
    free(page);
    live_done(&l);
}

static void the_swap_limit_of_v1_is_of_both(void **state) {
    struct live_row *row;
    struct live l;
    char *page;

    (void)state;
    live_init(&l);
    row = put_docker(&l, 1, "web");
    sample_set(&row->sample, METRIC_OWN_LIMIT, 1000);
    sample_set(&row->sample, METRIC_SWAP_LIMIT, 500);
    sample_set(&row->sample, METRIC_FAILCNT, 7);
    page = read_page(&l, PROMPAGE_CADVISOR | PROMPAGE_FAILCNT, PIECE);
    check_line(page, "container_spec_memory_limit_bytes{" WEB "} 1000");
    check_line(page, "container_spec_memory_swap_limit_bytes{" WEB "} 1500");
    check_line(page, "container_memory_failcnt{" WEB "} 7");
    assert_null(strstr(page, "container_memory_events_max_total"));
    assert_null(strstr(page, "plimsoll_"));
    free(page);
    row->t.version = WIRE_CG_V2;
    page = read_page(&l, PROMPAGE_CADVISOR, PIECE);
    check_line(page, "container_spec_memory_swap_limit_bytes{" WEB "} 500");
    check_line(page, "container_memory_events_max_total{" WEB "} 7");
    free(page);
    live_done(&l);
}

static void labels_are_those_of_cadvisor(void **state) {
    static const struct wire_target host = {.uid = 0, .path = {"/", 1}, .name = {"host", 4}};
    static const struct wire_target service = {.uid = 2,
                                               .kind = TARGET_SERVICE,
                                               .runtime = RUNTIME_SYSTEMD,
                                               .path = {"/system.slice/dev-a\\x2db.mount", 30},
                                               .name = {"x", 1},
                                               .unit = {"dev-a\\x2db.mount", 16}};
    static const struct wire_target pod = {.uid = 3,
                                           .kind = TARGET_CONTAINER,
                                           .runtime = RUNTIME_CONTAINERD,
                                           .path = {"/kubepods/p/c", 13},
                                           .name = {"k8s_app", 7},
                                           .image = {"shop:1", 6},
                                           .namespace = {"shop", 4},
                                           .pod = {"cart-0", 6},
                                           .container = {"app", 3}};
    struct live_row *row;
    struct live l;
    char *page;

    (void)state;
    live_init(&l);
    row = put(&l, &host);
    sample_set(&row->sample, METRIC_LIMIT, 8000);
    sample_set(&put(&l, &service)->sample, METRIC_USAGE, 1);
    sample_set(&put(&l, &pod)->sample, METRIC_USAGE, 2);
    page = read_page(&l, BOTH, PIECE);
    check_line(page, "plimsoll_memory_limit_bytes{id=\"/\",image=\"\",name=\"\"} 8000");
    check_line(page, "machine_memory_bytes 8000");
    check_line(page, "container_memory_usage_bytes{id=\"/system.slice/dev-a\\\\x2db.mount\","
                     "image=\"\",name=\"\"} 1");
    check_line(page, "container_memory_usage_bytes{container=\"app\",id=\"/kubepods/p/c\","
                     "image=\"shop:1\",name=\"k8s_app\",namespace=\"shop\",pod=\"cart-0\"} 2");
    check_line(page, "container_oom_events_total{container=\"app\",image=\"shop:1\","
                     "namespace=\"shop\",pod=\"cart-0\"} 0");
    free(page);
    live_done(&l);
}

static void a_pod_has_its_traffic_once(void **state) {
    struct wire_target pod = docker(1, "a");
    struct live_row *row;
    struct live l;
    char *page;

    (void)state;
    live_init(&l);
    pod.namespace = STR("shop");
    pod.pod = STR("cart-0");
    for (pod.uid = 1; pod.uid < 4; pod.uid++) {
        row = put(&l, &pod);
        sample_set(&row->sample, METRIC_NET_RX, 100);
    }
    row = put_docker(&l, 9, "web");
    sample_set(&row->sample, METRIC_NET_RX, 7);
    page = read_page(&l, PROMPAGE_CADVISOR, PIECE);
    assert_int_equal(count(page, "\ncontainer_network_receive_bytes_total"), 2);
    check_line(page, "container_network_receive_bytes_total{namespace=\"shop\",pod=\"cart-0\","
                     "interface=\"all\"} 100");
    check_line(page, "container_network_receive_bytes_total{" WEB ",interface=\"all\"} 7");
    free(page);
    live_done(&l);
}

static void kills_outlive_their_container(void **state) {
    struct live_row *row;
    struct live l;
    char *page;

    (void)state;
    live_init(&l);
    row = put_docker(&l, 1, "web");
    row->series = 5;
    row->oom_kills = 1;
    sample_set(&row->sample, METRIC_USAGE, 1);
    live_remove(&l, 1, l.at_ms);
    page = read_page(&l, BOTH, PIECE);
#define KEPT "image=\"nginx:1.25\",name=\"web\""
    check_line(page, "container_oom_events_total{" KEPT "} 1");
    check_line(page, "plimsoll_oom_kills_total{" KEPT "} 1");
    assert_int_equal(count(page, "name=\"web\""), 2); /* and nothing else of it */
    free(page);

    /* it comes back: the same labels, once */
    row = put_docker(&l, 2, "web");
    row->series = 5;
    row->oom_kills = 2;
    row->restarts = 1;
    page = read_page(&l, BOTH, PIECE);
    check_line(page, "container_oom_events_total{" KEPT "} 2");
    check_line(page, "plimsoll_target_restarts_total{" KEPT "} 1");
    assert_int_equal(count(page, "\ncontainer_oom_events_total{"), 1);
    free(page);

    /* an hour later nobody asks any more */
    live_remove(&l, 2, l.at_ms);
    l.at_ms += LIVE_LOST_MS + 1;
    page = read_page(&l, BOTH, PIECE);
    assert_null(strstr(page, "container_oom_events_total"));
    free(page);
    live_done(&l);
}

/* Labels that stay over restarts may be those of two at once: an instance that lingers, or another
 * engine's container of that name. */
static void no_line_is_there_twice(void **state) {
    struct wire_target other = docker(3, "web");
    struct live_row *row;
    struct live l;
    char *page;

    (void)state;
    live_init(&l);
    for (uint32_t uid = 1; uid < 3; uid++) {
        row = put_docker(&l, uid, "web");
        row->series = 5;
        row->oom_kills = 4;
    }
    other.runtime = RUNTIME_PODMAN;
    other.path = STR("/libpod/77");
    row = put(&l, &other);
    row->series = 6;
    row->oom_kills = 9;
    page = read_page(&l, PROMPAGE_CADVISOR, PIECE);
    assert_int_equal(count(page, "\ncontainer_oom_events_total{"), 2);
    check_line(page, "container_oom_events_total{" KEPT "} 4");
    check_line(page, "container_oom_events_total{id=\"/libpod/77\"," KEPT "} 9");
    free(page);
    live_done(&l);
}

static void fill(struct live *l, uint32_t n) {
    for (uint32_t uid = 1; uid <= n; uid++) {
        char path[120], name[40];
        struct wire_target t = docker(uid, "");
        struct live_row *row;

        assert_true(snprintf(path, sizeof(path), "/docker/%064x", uid) > 0);
        assert_true(snprintf(name, sizeof(name), "service-%u-replica", uid) > 0);
        t.path = str_of(path);
        t.name = str_of(name);
        row = put(l, &t);
        row->series = uid;
        for (unsigned m = 0; m < METRIC_N; m++)
            sample_set(&row->sample, m, (uint64_t)uid * 4096 * (m + 1));
        sample_set(&row->sample, METRIC_OWN_LIMIT, SAMPLE_NONE);
    }
}

static void pieces_make_the_same_page(void **state) {
    struct live l;
    char *whole, *pieces;

    (void)state;
    live_init(&l);
    fill(&l, 30);
    whole = read_page(&l, BOTH | PROMPAGE_FAILCNT, 1 << 20);
    pieces = read_page(&l, BOTH | PROMPAGE_FAILCNT, 4096);
    assert_string_equal(whole, pieces);
    assert_int_equal(count(whole, "\nplimsoll_memory_usage_bytes{"), 30);
    free(whole);
    free(pieces);
    live_done(&l);
}

static void who_goes_or_comes_meanwhile_does_no_harm(void **state) {
    char piece[4096];
    struct prompage *page;
    struct live l;
    size_t n, lines = 0;

    (void)state;
    live_init(&l);
    fill(&l, 200);
    assert_int_equal(prompage_new(&l, BOTH, &page), 0);
    n = prompage_read(page, piece, sizeof(piece));
    assert_true(n > 0);
    for (uint32_t uid = 1; uid < 200; uid += 2)
        live_remove(&l, uid, 1);
    put_docker(&l, 500, "late");
    for (unsigned i = 0; (n = prompage_read(page, piece, sizeof(piece))) > 0; i++) {
        assert_null(memmem(piece, n, "\"late\"", 6));
        assert_true(piece[n - 1] == '\n');
        lines++;
        if (i == 100)
            live_clear(&l);
    }
    assert_true(lines > 100);
    prompage_free(page);
    live_done(&l);
}

/* Every line is `name{labels} number` with valid UTF-8 and no control characters. */
static void check_text(const char *page) {
    for (struct str rest = str_of(page), s; rest.n > 0; rest = str_from(rest, s.n)) {
        uint32_t code = 0;

        s = str_head(rest, text_decode(rest, &code));
        assert_true(s.n > 0);
        assert_true(code >= 0x20 || code == '\n');
        assert_true(code < 0x7f || code >= 0xa0);
    }
}

/* The labels of a line as a parser of the format takes them: what follows the brace, or NULL. */
static const char *skip_labels(const char *p) {
    while (*p != '}') {
        p += strspn(p, "abcdefghijklmnopqrstuvwxyz_");
        if (p[0] != '=' || p[1] != '"')
            return NULL;
        for (p += 2; *p != '"'; p++) {
            if (*p == '\n' || *p == '\0')
                return NULL;
            if (*p == '\\' && !strchr("\\\"n", *++p))
                return NULL;
        }
        p++;
        if (*p == ',')
            p++;
    }
    return p + 1;
}

static void hostile_names_are_harmless(void **state) {
    struct basetest_random random = {7};
    struct live l;
    char *page;

    (void)state;
    live_init(&l);
    for (uint32_t uid = 1; uid < 60; uid++) {
        char bytes[3][WIRE_TEXT];
        size_t max = uid % 10 == 0 ? WIRE_TEXT : 60;
        struct wire_target t = docker(uid, "");

        t.path = (struct str){bytes[0], basetest_bytes(&random, bytes[0], max)};
        t.name = (struct str){bytes[1], basetest_bytes(&random, bytes[1], max)};
        t.pod = (struct str){bytes[2], basetest_bytes(&random, bytes[2], max)};
        sample_set(&put(&l, &t)->sample, METRIC_USAGE, uid);
    }
    page = read_page(&l, BOTH, 4096);
    check_text(page);
    for (const char *line = page; *line; line = strchr(line, '\n') + 1) {
        const char *p = line + strcspn(line, "{ ");

        assert_non_null(strchr(line, '\n'));
        if (line[0] == '#')
            continue;
        p = *p == '{' ? skip_labels(p + 1) : p;
        assert_non_null(p);
        assert_int_equal(*p, ' ');
        assert_int_equal(p[1 + strspn(p + 1, "0123456789.")], '\n');
    }
    assert_int_equal(count(page, "\nplimsoll_memory_usage_bytes{"), 59);
    free(page);
    live_done(&l);
}

static void escapes(void **state) {
    static const struct {
        struct str in;
        const char *out;
    } cases[] = {
        {{"plain", 5}, "plain"},
        {{"a\"b\\c", 5}, "a\\\"b\\\\c"},
        {{"a\nb", 3}, "a\\\\nb"},
        {{"\x1b[31m", 5}, "\\\\x1b[31m"},
        {{"\x7f", 1}, "\\\\x7f"},
        {{"\xc2\x9b", 2}, "\\\\u{009b}"},
        {{"\xff\xc3\xa4", 3}, "\xef\xbf\xbd\xc3\xa4"},
        {{"", 0}, ""},
        {{"\\", 1}, "\\\\"},
    };
    struct buf b;

    (void)state;
    buf_init(&b, 1000);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        prom_add_escaped(&b, cases[i].in);
        basetest_holds(&b, cases[i].out);
    }
    buf_done(&b);
}

static void self_metrics_tell_the_process(void **state) {
    struct live l;
    char *page;

    (void)state;
    live_init(&l);
    l.self[LIVE_SELF_RSS] = 11;
    l.self[LIVE_SELF_STORE_BYTES] = 12;
    l.self[LIVE_SELF_STORE_DAMAGED] = 13;
    page = read_page(&l, PROMPAGE_PLIMSOLL, PIECE);
    check_line(page, "plimsoll_self_resident_bytes{process=\"front\"} 11");
    check_line(page, "plimsoll_self_store_bytes 12");
    check_line(page, "plimsoll_self_store_damaged_total 13");
    assert_null(strstr(page, "process=\"collector\""));
    free(page);
    l.have_wire_self = true;
    l.wire_self[WIRE_SELF_TICK_US] = 2500;
    page = read_page(&l, PROMPAGE_PLIMSOLL, PIECE);
    check_line(page, "plimsoll_self_resident_bytes{process=\"collector\"} 0");
    check_line(page, "plimsoll_self_tick_seconds 0.0025");
    check_line(page, "plimsoll_self_guards 0");
    assert_null(strstr(page, "process=\"guard\""));
    free(page);
    l.wire_self[WIRE_SELF_GUARDS] = 2;
    l.wire_self[WIRE_SELF_GUARD_RSS] = 14;
    l.wire_self[WIRE_SELF_GUARD_FAILED] = 3;
    page = read_page(&l, PROMPAGE_PLIMSOLL, PIECE);
    check_line(page, "plimsoll_self_resident_bytes{process=\"guard\"} 14");
    check_line(page, "plimsoll_self_targets_unguarded 3");
    free(page);
    live_done(&l);
}

static int note(void *ctx, const char *name, struct str value) {
    buf_add_format(ctx, "%s=%.*s;", name, STR_ARG(value));
    return 0;
}

static void labels_come_one_by_one_and_sorted(void **state) {
    struct wire_target t = docker(1, "a\x01");
    struct buf b;

    (void)state;
    buf_init(&b, 1000);
    assert_int_equal(prom_labels(&t, note, &b), 0);
    basetest_holds(&b, "id=/docker/4f2a9c;image=nginx:1.25;name=a\\x01;");
    t.pod = STR("p");
    t.namespace = STR("n");
    t.container = STR("c");
    assert_int_equal(prom_labels(&t, note, &b), 0);
    basetest_holds(&b, "container=c;id=/docker/4f2a9c;image=nginx:1.25;name=a\\x01;namespace=n;"
                       "pod=p;");
    buf_done(&b);
}

static void names_lead_back_to_metrics(void **state) {
    struct buf b;

    (void)state;
    buf_init(&b, 200);
    for (unsigned m = 0; m < METRIC_N; m++) {
        buf_clear(&b);
        metric_add_exported(&b, m);
        assert_int_equal(prom_metric(buf_str(&b)), m);
    }
    assert_int_equal(prom_metric(STR("plimsoll_cpu_seconds_total")), METRIC_CPU_US);
    assert_int_equal(prom_metric(STR("plimsoll_nothing")), METRIC_N);
    buf_clear(&b);
    prom_add_value(&b, METRIC_PSI_SOME, 10000);
    basetest_holds(&b, "1");
    prom_add_value(&b, METRIC_CPU_US, UINT64_MAX);
    basetest_holds(&b, "18446744073709.551615");
    assert_true(prom_value(METRIC_PSI_SOME, 5000) == 0.5);
    buf_done(&b);
}

static void numbers_are_those_of_printf(void **state) {
    struct basetest_random random = {3};
    char ours[PROM_NUMBER + 1], theirs[PROM_NUMBER + 1];

    (void)state;
    for (unsigned i = 0; i < 10000; i++) {
        uint64_t value = basetest_next(&random) >> (i % 64);

        value = i < 1100 ? i : value;
        ours[promtext_number(ours, value, PROM_WHOLE)] = '\0';
        assert_true(snprintf(theirs, sizeof(theirs), "%llu", (unsigned long long)value) > 0);
        assert_string_equal(ours, theirs);
        ours[promtext_number(ours, value, PROM_MICRO)] = '\0';
        assert_true(snprintf(theirs, sizeof(theirs), "%llu.%06llu",
                             (unsigned long long)value / 1000000,
                             (unsigned long long)value % 1000000) > 0);
        if (strspn(strchr(theirs, '.') + 1, "0") == 6)
            *strchr(theirs, '.') = '\0';
        assert_memory_equal(ours, theirs, strlen(ours));
        assert_int_equal(strspn(theirs + strlen(ours), "0"), strlen(theirs) - strlen(ours));
    }
}

/* Prints, fails nothing. */
static void a_thousand_rows(void **state) {
    static char piece[65536];
    struct live l;
    int64_t best[2] = {INT64_MAX, INT64_MAX};
    size_t bytes = 0;

    (void)state;
    live_init(&l);
    fill(&l, 1000);
    for (unsigned round = 0; round < 6; round++) {
        static const unsigned what[2] = {BOTH, PROMPAGE_CADVISOR | PROMPAGE_FAILCNT};
        struct prompage *page;
        int64_t from = clock_mono_us(), took;

        assert_int_equal(prompage_new(&l, what[round % 2], &page), 0);
        bytes = 0;
        for (size_t n = 1; n > 0; bytes += n)
            n = prompage_read(page, piece, sizeof(piece));
        prompage_free(page);
        took = clock_mono_us() - from;
        if (took < best[round % 2])
            best[round % 2] = took;
        if (round < 2)
            print_message("# 1000 rows: %zu bytes, first %lld us\n", bytes, (long long)took);
    }
    print_message("# best: both %lld us, cadvisor %lld us\n", (long long)best[0],
                  (long long)best[1]);
    live_done(&l);
}

static void record(struct live *l, struct live_row *row, enum audit_kind kind, enum action action,
                   enum outcome outcome, bool up) {
    struct audit a = {.kind = kind,
                      .at_ms = l->at_ms,
                      .action = action,
                      .up = up,
                      .mark = 1,
                      .have_before = true,
                      .have_after = true,
                      .before = 5000,
                      .after = 2000};

    a.report.outcome = outcome;
    a.hang.kind = up ? HANG_OOM_WAIT : HANG_NONE;
    assert_int_equal(live_guard_take(l, row, &a, true), 0);
}

/* What guards did is counted by what came of it; what never happened is no line, and a target that
 * nobody guards has none at all. */
static void actions_of_guards_are_counted(void **state) {
    struct live l;
    struct live_row *row;
    char *page;

    (void)state;
    live_init(&l);
    row = put_docker(&l, 1, "web");
    put_docker(&l, 2, "other");
    record(&l, row, AUDIT_GUARD, ACTION_NOTIFY, OUTCOME_NONE, false);
    record(&l, row, AUDIT_MARK, ACTION_NOTIFY, OUTCOME_NONE, true);
    record(&l, row, AUDIT_MARK, ACTION_NOTIFY, OUTCOME_NONE, false);
    for (unsigned i = 0; i < 3; i++)
        record(&l, row, AUDIT_END, ACTION_GC, OUTCOME_DONE, false);
    record(&l, row, AUDIT_END, ACTION_KILL, OUTCOME_DRY, false); /* frees nothing */
    record(&l, row, AUDIT_HANG, ACTION_NOTIFY, OUTCOME_NONE, true);
    page = read_page(&l, BOTH, PIECE);
    check_line(page, "# TYPE plimsoll_guard_actions_total counter");
    assert_int_equal(count(page, "plimsoll_guard_actions_total{"), 2);
    assert_non_null(strstr(page, ",action=\"gc\",outcome=\"done\"} 3\n"));
    assert_non_null(strstr(page, ",action=\"kill\",outcome=\"dry-run\"} 1\n"));
    assert_int_equal(count(page, "plimsoll_guard_freed_bytes_total{"), 1);
    assert_non_null(strstr(page, "} 9000\n"));
    assert_int_equal(count(page, "plimsoll_guard_hung{"), 1);
    assert_int_equal(count(page, "plimsoll_guard_marks_passed_total{"), 1);
    free(page);
    record(&l, row, AUDIT_OVER, ACTION_NOTIFY, OUTCOME_NONE, false);
    page = read_page(&l, BOTH, PIECE);
    assert_int_equal(count(page, "plimsoll_guard_hung{"), 0);
    assert_int_equal(count(page, "plimsoll_guard_actions_total{"), 2);
    free(page);
    live_done(&l);
}

/* Who was killed is told by name, and what was counted goes on when it is made again. */
static void what_guards_did_outlives_their_container(void **state) {
    struct live l;
    struct live_row *row;
    char *page;

    (void)state;
    live_init(&l);
    row = put_docker(&l, 1, "web");
    live_set_series(&l, row, 5);
    record(&l, row, AUDIT_GUARD, ACTION_NOTIFY, OUTCOME_NONE, false);
    record(&l, row, AUDIT_MARK, ACTION_NOTIFY, OUTCOME_NONE, true);
    record(&l, row, AUDIT_END, ACTION_GC, OUTCOME_DONE, false);
    record(&l, row, AUDIT_END, ACTION_KILL, OUTCOME_DONE, false);
    live_remove(&l, 1, l.at_ms);
    for (size_t piece = PIECE / 8; piece <= PIECE; piece *= 8) {
        page = read_page(&l, BOTH, piece);
        check_line(page, "plimsoll_guard_actions_total{" KEPT ",action=\"gc\",outcome=\"done\"} 1");
        check_line(page,
                   "plimsoll_guard_actions_total{" KEPT ",action=\"kill\",outcome=\"done\"} 1");
        check_line(page, "plimsoll_guard_marks_passed_total{" KEPT "} 1");
        check_line(page, "plimsoll_guard_freed_bytes_total{" KEPT "} 6000");
        assert_int_equal(count(page, "name=\"web\""), 4); /* and nothing else of it */
        free(page);
    }
    row = put_docker(&l, 2, "web");
    live_set_series(&l, row, 5);
    assert_false(row->guard->guarded);
    record(&l, row, AUDIT_END, ACTION_KILL, OUTCOME_DONE, false);
    page = read_page(&l, BOTH, PIECE);
    check_line(page, "plimsoll_guard_actions_total{" KEPT ",action=\"gc\",outcome=\"done\"} 1");
    check_line(page, "plimsoll_guard_actions_total{" KEPT ",action=\"kill\",outcome=\"done\"} 2");
    assert_int_equal(count(page, "plimsoll_guard_actions_total{"), 2);
    free(page);
    live_done(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(actions_of_guards_are_counted),
        cmocka_unit_test(what_guards_did_outlives_their_container),
        cmocka_unit_test(sizes_and_times_have_their_units),
        cmocka_unit_test(the_swap_limit_of_v1_is_of_both),
        cmocka_unit_test(labels_are_those_of_cadvisor),
        cmocka_unit_test(a_pod_has_its_traffic_once),
        cmocka_unit_test(kills_outlive_their_container),
        cmocka_unit_test(no_line_is_there_twice),
        cmocka_unit_test(pieces_make_the_same_page),
        cmocka_unit_test(who_goes_or_comes_meanwhile_does_no_harm),
        cmocka_unit_test(hostile_names_are_harmless),
        cmocka_unit_test(escapes),
        cmocka_unit_test(self_metrics_tell_the_process),
        cmocka_unit_test(labels_come_one_by_one_and_sorted),
        cmocka_unit_test(names_lead_back_to_metrics),
        cmocka_unit_test(numbers_are_those_of_printf),
        cmocka_unit_test(a_thousand_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
