#include "discover/facts.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static void texts_are_owned_and_bounded(void **state) {
    char *text = NULL;
    char *longest = malloc(FACTS_TEXT_MAX * 2);

    (void)state;
    facts_set(&text, STR("one"));
    assert_string_equal(text, "one");
    facts_set(&text, STR(""));
    assert_null(text);
    assert_non_null(longest);
    memset(longest, 'x', FACTS_TEXT_MAX * 2);
    facts_set(&text, (struct str){longest, FACTS_TEXT_MAX * 2});
    assert_int_equal(strlen(text), FACTS_TEXT_MAX);
    free(text);
    free(longest);
}

static void kubernetes_names(void **state) {
    struct facts f = {0};

    (void)state;
    assert_true(facts_split_k8s(&f, STR("k8s_web_shop-1_prod_2c48-913c_3")));
    assert_string_equal(f.container, "web");
    assert_string_equal(f.pod, "shop-1");
    assert_string_equal(f.namespace, "prod");
    assert_string_equal(f.pod_uid, "2c48-913c");
    assert_true(f.no_sandbox && !f.sandbox);
    facts_done(&f);
    assert_true(facts_split_k8s(&f, STR("k8s_POD_shop-1_prod_uid_0")));
    assert_true(f.sandbox && !f.no_sandbox);
    assert_null(f.container);
    facts_done(&f);
    assert_false(facts_split_k8s(&f, STR("web")));
    assert_false(facts_split_k8s(&f, STR("k8s_web_shop")));
    assert_false(facts_split_k8s(&f, STR("")));
    assert_null(f.pod);
}

static void there_and_back(void **state) {
    struct facts a = {.runtime = RUNTIME_CRIO, .no_sandbox = true}, b = {0}, back, second;
    struct buf buf;
    struct str rest;

    (void)state;
    buf_init(&buf, 1 << 16);
    facts_name(&a, STR("we\nb\xff"), SOURCE_SOCKET);
    facts_set(&a.pod, STR("p"));
    facts_set(&a.labels, STR("a=b\nc=d\n"));
    facts_set(&b.id, STR("i"));
    facts_write(&a, &buf);
    facts_write(&b, &buf);
    rest = buf_str(&buf);
    assert_int_equal(facts_read(&rest, &back), 0);
    assert_string_equal(back.name, "we\nb\xff");
    assert_string_equal(back.pod, "p");
    assert_string_equal(back.labels, "a=b\nc=d\n");
    assert_null(back.image);
    assert_int_equal(back.runtime, RUNTIME_CRIO);
    assert_int_equal(back.source, SOURCE_SOCKET);
    assert_true(back.no_sandbox && !back.sandbox);
    assert_int_equal(facts_read(&rest, &second), 0);
    assert_string_equal(second.id, "i");
    assert_null(second.labels);
    assert_int_equal(rest.n, 0);
    facts_done(&second);
    for (size_t n = 0; n < 10; n++) { /* cut off anywhere: refused */
        rest = str_head(buf_str(&buf), n);
        assert_int_equal(facts_read(&rest, &second), -EBADMSG);
        assert_int_equal(rest.n, n);
    }
    rest = STR("~a-\0\0\0\0\0\0\0\0");
    assert_int_equal(facts_read(&rest, &second), -EBADMSG);
    facts_done(&a);
    facts_done(&b);
    facts_done(&back);
    buf_done(&buf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_owned_and_bounded),
        cmocka_unit_test(kubernetes_names),
        cmocka_unit_test(there_and_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
