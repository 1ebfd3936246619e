#include "cmd/psview.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MIB ((uint64_t)1 << 20)

/* Three processes made up for a test: one whose PSS is estimated, one whose PSS is not known. */
static struct proc_row rows[3];
static struct procs procs;
static struct passwd *users;

static void set(struct proc_row *row, int32_t pid, const char *comm, uint64_t res) {
    *row =
        (struct proc_row){.pid = pid, .ppid = 1, .state = 'S', .uid = 7, .threads = 1, .res = res};
    row->comm_n = (uint8_t)strlen(comm);
    memcpy(row->comm, comm, row->comm_n);
    row->have = PROC_BIT(PROC_PPID) | PROC_BIT(PROC_COMM) | PROC_BIT(PROC_STATE) |
                PROC_BIT(PROC_UID) | PROC_BIT(PROC_THREADS) | PROC_BIT(PROC_RES);
}

static int make(void **state) {
    (void)state;
    set(&rows[0], 5, "b\033]0;x\a", 10 * MIB);
    set(&rows[1], 6, "a", 30 * MIB);
    set(&rows[2], 7, "c", 20 * MIB);
    for (size_t i = 0; i < 2; i++) {
        rows[i].pss = rows[i].uss = rows[i].res / 2;
        rows[i].have |= PROC_BIT(PROC_PSS) | PROC_BIT(PROC_USS) | PROC_BIT(PROC_LAZYFREE);
    }
    rows[1].pss_estimated = true;
    procs = (struct procs){
        .row = rows, .n = 3, .pss_measured = 1, .pss_estimated = 1, .pss_unknown = 1};
    return passwd_parse(STR("daemon:x:7:7::/:/x\n"), &users);
}

static int unmake(void **state) {
    (void)state;
    passwd_free(users);
    return 0;
}

static struct psview view(const char *columns, const char *sort) {
    struct psview v = {.procs = &procs, .users = users};
    struct err err;

    assert_int_equal(psview_parse_columns(str_of(columns), &v.columns, &err), 0);
    assert_int_equal(psview_parse_sort(str_of(sort), &v.sort, &err), 0);
    return v;
}

/* The pids in the order in which they are printed. */
static void order_is(const char *sort, int first, int second, int third) {
    struct psview v = view("pid", sort);
    char want[32];
    struct buf out;

    v.plain = true;
    buf_init(&out, 4096);
    assert_int_equal(psview_print_text(&v, &out), 0);
    snprintf(want, sizeof(want), "PID\n%d\n%d\n%d\n", first, second, third);
    assert_true(str_eq(buf_str(&out), str_of(want)));
    buf_done(&out);
}

static void figures_descend_and_names_ascend(void **state) {
    (void)state;
    order_is("res", 6, 7, 5);
    order_is("-res", 5, 7, 6);
    order_is("pid", 5, 6, 7);
    order_is("-PID", 7, 6, 5);
    order_is("comm", 6, 5, 7);
    order_is("threads", 5, 6, 7); /* equal: by pid */
}

static void the_unknown_comes_last(void **state) {
    (void)state;
    order_is("pss", 6, 5, 7);
    order_is("-pss", 5, 6, 7);
    order_is("swap", 5, 6, 7);
}

static bool holds(struct str text, const char *part) {
    return memmem(text.p, text.n, part, strlen(part)) != NULL;
}

static void text_marks_estimates_and_escapes_names(void **state) {
    struct psview v = view("pid,user,pss,uss,comm", "res");
    struct buf out;

    (void)state;
    buf_init(&out, 65536);
    assert_int_equal(psview_print_text(&v, &out), 0);
    assert_true(holds(buf_str(&out), "  6  daemon  ~15.0M  ~15.0M  a\n"));
    assert_true(holds(buf_str(&out), "  7  daemon       -       -  c\n"));
    assert_true(holds(buf_str(&out), "  5  daemon   5.00M   5.00M  b\\x1b]0;x\\x07\n"));
    assert_true(holds(buf_str(&out), "3 processes: RES 60.0M, PSS at least ~20.0M, "));
    assert_true(holds(buf_str(&out), "1 measured now, 1 estimated (~), 1 unknown; --pss"));
    assert_true(holds(buf_str(&out), "here at least 20.0M too much"));
    buf_done(&out);
}

static void a_group_is_put_beside_the_sum(void **state) {
    struct psview v = view("pid,res", "res");
    struct buf out;

    (void)state;
    v.group = (struct psview_group){.have = true,
                                    .name = STR("/a\nb"),
                                    .usage = 40 * MIB,
                                    .used = 30 * MIB,
                                    .cache = 9 * MIB,
                                    .shmem = 2 * MIB,
                                    .have_used = true,
                                    .have_cache = true,
                                    .have_shmem = true};
    buf_init(&out, 65536);
    assert_int_equal(psview_print_text(&v, &out), 0);
    assert_true(holds(buf_str(&out), "\n/a\\nb: 40.0M charged to the group, 30.0M used"));
    assert_true(holds(buf_str(&out), "page cache 9.00M, tmpfs and shared memory 2.00M\n"));
    assert_true(holds(buf_str(&out), "is not the group's memory"));
    buf_clear(&out);
    assert_int_equal(psview_print_json(&v, 1000, &out), 0);
    assert_true(holds(buf_str(&out), "\"cgroup_usage\":41943040,\"cgroup_used\":31457280"));
    buf_done(&out);
}

static void json_has_null_for_the_unknown(void **state) {
    struct psview v = view("pid", "res");
    struct buf out;

    (void)state;
    buf_init(&out, 65536);
    assert_int_equal(psview_print_json(&v, 1000, &out), 0);
    assert_true(holds(buf_str(&out), "\"pss\":15728640,\"uss\":15728640"));
    assert_true(holds(buf_str(&out), "\"pss_estimated\":true"));
    assert_true(holds(buf_str(&out), "\"pss\":null,\"uss\":null"));
    assert_true(holds(buf_str(&out), "\"comm\":\"b\\u001b]0;x\\u0007\""));
    /* Not the sum of what happens to be known. */
    assert_true(
        holds(buf_str(&out), "\"processes\":3,\"res\":62914560,\"swap\":null,\"pss\":null"));
    assert_true(holds(buf_str(&out), "\"pss_known\":20971520"));
    assert_true(holds(buf_str(&out), "\"ts\":\"1970-01-01T00:00:01.000Z\""));
    buf_done(&out);
}

static void rows_beyond_the_screen_are_left_out(void **state) {
    struct psview v = view("pid,res", "res");
    struct str text, line;
    struct buf out;
    size_t lines = 0;

    (void)state;
    v.width = 200;
    v.height = 6;
    buf_init(&out, 65536);
    assert_int_equal(psview_print_text(&v, &out), 0);
    text = buf_str(&out);
    while (str_cut(&text, '\n', &line))
        lines++;
    assert_true(lines < 6);
    assert_true(holds(buf_str(&out), "3 processes"));
    buf_done(&out);
}

static void lines_of_words_break_at_blanks(void **state) {
    struct psview v = view("pid,res", "res");
    struct buf whole, broken;
    struct str text, line;
    size_t lines = 0;

    (void)state;
    v.group = (struct psview_group){.have = true, .name = STR("/0123456789012345678901234567890")};
    buf_init(&whole, 65536);
    buf_init(&broken, 65536);
    assert_int_equal(psview_print_text(&v, &whole), 0);
    v.width = 20;
    assert_int_equal(psview_print_text(&v, &broken), 0);
    assert_int_equal(broken.n, whole.n); /* blanks became ends of lines, no more */
    for (text = buf_str(&broken); str_cut(&text, '\n', &line); lines++)
        assert_true(line.n <= v.width || str_eq(line, STR("/0123456789012345678901234567890:")));
    assert_true(lines > 12);
    for (size_t i = 0; i < whole.n; i++)
        if (broken.p[i] == '\n' && whole.p[i] == ' ')
            broken.p[i] = ' ';
    assert_memory_equal(broken.p, whole.p, whole.n);
    buf_done(&whole);
    buf_done(&broken);
}

static void what_could_not_be_read_is_counted(void **state) {
    struct proc_row bare[2] = {{.pid = 8}, {.pid = 9}};
    struct procs none = {
        .row = bare, .n = 2, .pss_unknown = 2, .unread = 2, .options = {.pss = PROCS_PSS_BUDGET}};
    struct psview v = view("pid,res,pss", "res");
    struct buf out;

    (void)state;
    v.procs = &none;
    buf_init(&out, 65536);
    assert_int_equal(psview_print_text(&v, &out), 0);
    assert_true(holds(buf_str(&out), "\n2 processes; 2 could not be read\n"));
    assert_false(holds(buf_str(&out), "--pss"));
    assert_false(holds(buf_str(&out), "the sum"));
    buf_clear(&out);
    bare[0].res = MIB;
    bare[0].have = PROC_BIT(PROC_RES);
    none.unread = 1;
    assert_int_equal(psview_print_text(&v, &out), 0);
    assert_true(holds(buf_str(&out), "\n2 processes: RES at least 1.00M; PSS of 0 measured now, "
                                     "2 unknown; 1 could not be read\n"));
    buf_done(&out);
}

static void only_what_is_shown_is_wanted(void **state) {
    struct psview v = view("pid,res", "res");
    struct psview_columns usual;
    uint32_t want;

    (void)state;
    assert_int_equal(psview_want(&v.columns, &v.sort), PROC_BIT(PROC_RES));
    v = view("pid", "start");
    assert_int_equal(psview_want(&v.columns, &v.sort), PROC_BIT(PROC_RES) | PROC_BIT(PROC_START));
    psview_default_columns(&usual);
    want = psview_want(&usual, &v.sort);
    assert_true(want & PROC_BIT(PROC_PSS) && want & PROC_BIT(PROC_COMMAND));
    assert_false(want & PROC_BIT(PROC_CGROUP) || want & PROC_BIT(PROC_ANON));
}

static void unknown_words_are_refused(void **state) {
    struct psview_columns columns = {.n = 99};
    struct psview_sort sort = {.column = 99};
    struct err err;

    (void)state;
    assert_int_equal(psview_parse_columns(STR("pid,rss"), &columns, &err), -EINVAL);
    assert_non_null(strstr(err.text, "did you mean 'res'"));
    assert_int_equal(psview_parse_columns(STR(""), &columns, &err), -EINVAL);
    assert_int_equal(psview_parse_columns(STR("pid,"), &columns, &err), -EINVAL);
    assert_int_equal(columns.n, 99);
    assert_int_equal(psview_parse_sort(STR("--res"), &sort, &err), -EINVAL);
    assert_int_equal(psview_parse_sort(STR("bogus"), &sort, &err), -EINVAL);
    assert_non_null(strstr(err.text, "known are pid"));
    assert_int_equal(sort.column, 99);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_descend_and_names_ascend),
        cmocka_unit_test(the_unknown_comes_last),
        cmocka_unit_test(text_marks_estimates_and_escapes_names),
        cmocka_unit_test(a_group_is_put_beside_the_sum),
        cmocka_unit_test(json_has_null_for_the_unknown),
        cmocka_unit_test(rows_beyond_the_screen_are_left_out),
        cmocka_unit_test(lines_of_words_break_at_blanks),
        cmocka_unit_test(what_could_not_be_read_is_counted),
        cmocka_unit_test(only_what_is_shown_is_wanted),
        cmocka_unit_test(unknown_words_are_refused),
    };

    return cmocka_run_group_tests(tests, make, unmake);
}
