#include "discover/enginejson.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static json_t *parsed(const char *text) {
    json_t *json = enginejson_parse(str_of(text));

    if (!json)
        fail_msg("no JSON: %s", text);
    return json;
}

static void docker(void **state) {
    json_t *json = parsed("{\"Image\":\"sha256:12\",\"ID\":\"ab\",\"Name\":\"/web\",\"Config\":{"
                          "\"Image\":\"box:1\",\"Labels\":{\"io.kubernetes.pod.name\":7}}}");
    struct facts f = {0};

    (void)state;
    assert_int_equal(enginejson_docker(json, &f), 0);
    assert_string_equal(f.name, "web");
    assert_string_equal(f.image, "box:1"); /* not the digest at the top */
    assert_string_equal(f.id, "ab");
    assert_null(f.pod);
    assert_int_equal(f.source, SOURCE_DOCKER_FILE);
    facts_done(&f);
    json_decref(json);

    json = parsed("{\"Name\":\"/k8s_POD_p_n_u_0\",\"Config\":{\"Labels\":{"
                  "\"io.kubernetes.docker.type\":\"podsandbox\"}}}");
    assert_int_equal(enginejson_docker(json, &f), 0);
    assert_true(f.sandbox);
    assert_string_equal(f.pod, "p");
    facts_done(&f);
    json_decref(json);
}

static void what_is_not_as_expected_is_absent(void **state) {
    static const char *const texts[] = {"[]",
                                        "{}",
                                        "{\"Name\":[]}",
                                        "{\"Name\":\"\"}",
                                        "{\"Name\":\"/\",\"Config\":7}",
                                        "{\"annotations\":[1],\"mounts\":{}}",
                                        "{\"mounts\":[1,{},{\"destination\":\"/etc/hostname\"}]}",
                                        "[{\"id\":\"x\",\"names\":7,\"metadata\":\"{\"}]",
                                        "[7,{\"Names\":[7],\"Id\":\"x\"}]"};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(texts); i++) {
        json_t *json = parsed(texts[i]);
        struct bundle_hints hints = {0};
        struct facts f = {0};
        struct buf b;

        buf_init(&b, 1000);
        assert_int_equal(enginejson_docker(json, &f), -ENODATA);
        assert_int_equal(enginejson_bundle(json, &f, &hints), -ENODATA);
        assert_int_equal(enginejson_storage(json, STR("x"), &f), -ENODATA);
        assert_int_equal(enginejson_crio(json, &f), -ENODATA);
        assert_int_equal(enginejson_list(json, RUNTIME_DOCKER, &b), 0);
        assert_int_equal(enginejson_data_root(json).n, 0);
        assert_null(f.name);
        assert_null(hints.docker_dir);
        bundle_hints_done(&hints);
        facts_done(&f);
        buf_done(&b);
        json_decref(json);
    }
    assert_null(enginejson_parse(STR("{\"Name\":")));
    assert_null(enginejson_parse(STR("")));
}

static void nesting_has_an_end(void **state) {
    size_t n = 1 << 20;
    char *deep = malloc(n);

    (void)state;
    assert_non_null(deep);
    memset(deep, '[', n);
    assert_null(enginejson_parse((struct str){deep, n}));
    free(deep);
}

static void bundles(void **state) {
    json_t *json =
        parsed("{\"hostname\":\"h\",\"mounts\":[{\"destination\":\"/etc/hostname\","
               "\"source\":\"/d/containers/ab/hostname\"}],\"annotations\":{"
               "\"io.kubernetes.cri-o.ContainerType\":\"container\","
               "\"io.kubernetes.cri-o.SandboxID\":\"sb\",\"io.kubernetes.cri-o.KubeName\":\"pod\","
               "\"io.kubernetes.cri-o.Namespace\":\"ns\",\"io.kubernetes.container.name\":\"web\","
               "\"io.kubernetes.cri-o.ImageName\":\"img\"}}");
    struct bundle_hints hints = {0};
    struct facts f = {0};

    (void)state;
    assert_int_equal(enginejson_bundle(json, &f, &hints), 0);
    assert_string_equal(f.name, "web");
    assert_string_equal(f.pod, "pod");
    assert_string_equal(f.namespace, "ns");
    assert_string_equal(f.image, "img");
    assert_true(f.no_sandbox);
    assert_string_equal(hints.docker_dir, "/d/containers/ab");
    assert_string_equal(hints.sandbox_id, "sb");
    assert_string_equal(hints.hostname, "h");
    bundle_hints_done(&hints);
    facts_done(&f);
    json_decref(json);
}

static void storage(void **state) {
    json_t *json = parsed("[{\"id\":\"a\",\"names\":[\"new\",\"x\"],\"metadata\":"
                          "\"{\\\"image-name\\\":\\\"img\\\",\\\"name\\\":\\\"old\\\"}\"},"
                          "{\"id\":\"b\",\"metadata\":\"{\\\"name\\\":\\\"only\\\"}\"}]");
    struct facts f = {0};

    (void)state;
    assert_int_equal(enginejson_storage(json, STR("a"), &f), 0);
    assert_string_equal(f.name, "new");
    assert_string_equal(f.image, "img");
    facts_done(&f);
    assert_int_equal(enginejson_storage(json, STR("b"), &f), 0);
    assert_string_equal(f.name, "only");
    facts_done(&f);
    assert_int_equal(enginejson_storage(json, STR("c"), &f), -ENODATA);
    json_decref(json);
}

static void lists(void **state) {
    json_t *json = parsed("[{\"Id\":\"a\",\"Names\":[\"/web\"],\"Image\":\"img\"},{\"Id\":\"b\"},"
                          "{\"Names\":[\"/c\"]},{\"Id\":\"d\",\"Names\":[\"e\"]}]");
    struct buf b;
    struct str rest;
    struct facts f;

    (void)state;
    buf_init(&b, 10000);
    assert_int_equal(enginejson_list(json, RUNTIME_PODMAN, &b), 2);
    rest = buf_str(&b);
    assert_int_equal(facts_read(&rest, &f), 0);
    assert_string_equal(f.id, "a");
    assert_string_equal(f.name, "web");
    assert_string_equal(f.image, "img");
    assert_int_equal(f.runtime, RUNTIME_PODMAN);
    assert_int_equal(f.source, SOURCE_SOCKET);
    facts_done(&f);
    assert_int_equal(facts_read(&rest, &f), 0);
    assert_string_equal(f.name, "e");
    facts_done(&f);
    buf_done(&b);
    json_decref(json);
}

/* The texts of `docker`, `list`, `crio` and bundles that all have these labels. */
static void labels_of_every_source(void **state) {
    static const char labels[] = "{\"b\":\"2\",\"a\":\"1\\n\\\\=\",\"n\":7,\"\":\"x\","
                                 "\"com.docker.compose.project\":\"shop\"}";
    static const char want[] = "a=1\\n\\\\=\nb=2\ncom.docker.compose.project=shop\n";
    char text[1000];
    struct facts f = {0};
    struct bundle_hints hints = {0};
    struct buf b;
    struct str rest;
    json_t *json;

    (void)state;
    snprintf(text, sizeof(text), "{\"Name\":\"/web\",\"Config\":{\"Labels\":%s}}", labels);
    json = parsed(text);
    assert_int_equal(enginejson_docker(json, &f), 0);
    assert_string_equal(f.labels, want);
    facts_done(&f);
    json_decref(json);

    snprintf(text, sizeof(text), "{\"name\":\"web\",\"labels\":%s}", labels);
    json = parsed(text);
    assert_int_equal(enginejson_crio(json, &f), 0);
    assert_string_equal(f.labels, want);
    facts_done(&f);
    json_decref(json);

    snprintf(text, sizeof(text), "[{\"Id\":\"a\",\"Names\":[\"/web\"],\"Labels\":%s}]", labels);
    json = parsed(text);
    buf_init(&b, 10000);
    assert_int_equal(enginejson_list(json, RUNTIME_PODMAN, &b), 1);
    rest = buf_str(&b);
    assert_int_equal(facts_read(&rest, &f), 0);
    assert_string_equal(f.labels, want);
    facts_done(&f);
    buf_done(&b);
    json_decref(json);

    snprintf(text, sizeof(text), "{\"annotations\":%s}", labels);
    json = parsed(text);
    assert_int_equal(enginejson_bundle(json, &f, &hints), -ENODATA);
    assert_string_equal(f.labels, want);
    facts_done(&f);
    json_decref(json);
}

static void an_engines_own_notes_are_no_labels(void **state) {
    json_t *json = parsed("{\"annotations\":{\"io.kubernetes.cri.sandbox-id\":\"s\","
                          "\"nerdctl/name\":\"web\",\"io.container.manager\":\"libpod\","
                          "\"io.podman.annotations.init\":\"FALSE\",\"io.kubernetes.pod.uid\":"
                          "\"u\",\"io.podman.compose.project\":\"p\"}}");
    struct bundle_hints hints = {0};
    struct facts f = {0};

    (void)state;
    assert_int_equal(enginejson_bundle(json, &f, &hints), 0);
    assert_string_equal(f.labels, "io.kubernetes.pod.uid=u\nio.podman.compose.project=p\n");
    facts_done(&f);
    bundle_hints_done(&hints);
    json_decref(json);

    /* CRI-O's annotations are those of the pod; its labels are a text among them */
    json = parsed("{\"annotations\":{\"kubectl.kubernetes.io/last-applied-configuration\":\"x\","
                  "\"io.kubernetes.cri-o.Labels\":\"{\\\"app\\\":\\\"shop\\\",\\\"n\\\":1}\"}}");
    assert_int_equal(enginejson_bundle(json, &f, &hints), -ENODATA);
    assert_string_equal(f.labels, "app=shop\n");
    facts_done(&f);
    bundle_hints_done(&hints);
    json_decref(json);
    json = parsed("{\"annotations\":{\"a\":\"b\",\"io.kubernetes.cri-o.Labels\":\"{\"}}");
    assert_int_equal(enginejson_bundle(json, &f, &hints), -ENODATA);
    assert_null(f.labels);
    bundle_hints_done(&hints);
    json_decref(json);
}

static void hostile_labels_hide_no_name(void **state) {
    static char text[1 << 20];
    size_t n;
    struct facts f = {0};
    json_t *json = parsed("{\"Name\":\"/web\",\"Config\":{\"Labels\":{\"a\\u0000b\":\"\\u0000\","
                          "\"c\":\"\\\\u0000\",\"d\":\"\\\\\\u0000\"}}}");

    (void)state;
    assert_int_equal(enginejson_docker(json, &f), 0);
    assert_string_equal(f.name, "web");
    assert_string_equal(f.labels, "a\xef\xbf\xbd"
                                  "b=\xef\xbf\xbd\n"
                                  "c=\\\\u0000\nd=\\\\\xef\xbf\xbd\n");
    facts_done(&f);
    json_decref(json);

    /* tens of thousands of them */
    n = (size_t)snprintf(text, sizeof(text), "{\"Name\":\"/web\",\"Config\":{\"Labels\":{");
    for (unsigned i = 40000; i > 0; i--)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "\"l%05u\":\"%u\",", i, i);
    snprintf(text + n, sizeof(text) - n, "\"com.docker.compose.project\":\"shop\"}}}");
    json = parsed(text);
    assert_int_equal(enginejson_docker(json, &f), 0);
    assert_string_equal(f.name, "web");
    assert_true(
        str_starts(str_of(f.labels), STR("com.docker.compose.project=shop\nl00001=1\nl00002=2\n")));
    assert_true(strlen(f.labels) < 3072);
    facts_done(&f);
    json_decref(json);
    assert_null(enginejson_parse(STR("{\"a\":\"\\u0000\"")));
    assert_null(enginejson_parse(STR("\\u000")));
}

static void crio(void **state) {
    json_t *json = parsed("{\"name\":\"k8s_web_p_n_u_0\",\"image\":\"img\",\"pid\":1,"
                          "\"labels\":{\"io.kubernetes.pod.name\":\"p2\"}}");
    struct facts f = {0};

    (void)state;
    assert_int_equal(enginejson_crio(json, &f), 0);
    assert_string_equal(f.name, "web");
    assert_string_equal(f.pod, "p2");
    assert_string_equal(f.image, "img");
    facts_done(&f);
    json_decref(json);
}

static void data_root(void **state) {
    json_t *json = parsed("{\"graph\":\"/old\",\"data-root\":\"/new\"}");

    (void)state;
    assert_true(str_eq(enginejson_data_root(json), STR("/new")));
    json_decref(json);
    json = parsed("{\"graph\":\"/old\"}");
    assert_true(str_eq(enginejson_data_root(json), STR("/old")));
    json_decref(json);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(docker),
        cmocka_unit_test(what_is_not_as_expected_is_absent),
        cmocka_unit_test(nesting_has_an_end),
        cmocka_unit_test(bundles),
        cmocka_unit_test(storage),
        cmocka_unit_test(lists),
        cmocka_unit_test(labels_of_every_source),
        cmocka_unit_test(an_engines_own_notes_are_no_labels),
        cmocka_unit_test(hostile_labels_hide_no_name),
        cmocka_unit_test(crio),
        cmocka_unit_test(data_root),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
