#include "model/targetkey.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void is_key(struct targetkey k, const char *key) {
    struct buf b;

    buf_init(&b, 1000);
    targetkey_add(&b, &k);
    buf_add_char(&b, '\0');
    assert_string_equal(b.p, key);
    buf_done(&b);
}

static void a_key_is_what_stays(void **state) {
    struct targetkey k = {.kind = TARGET_CONTAINER,
                          .runtime = RUNTIME_DOCKER,
                          .name = STR("web"),
                          .path = STR("/docker/4f2a")};

    (void)state;
    is_key(k, "docker:web");
    k.inside = STR("/docker/77");
    is_key(k, "docker:/docker/77:web");
    k.inside = k.name = STR("");
    is_key(k, "docker:/docker/4f2a");
    k.namespace = STR("shop");
    k.pod = STR("front");
    k.container = STR("app");
    is_key(k, "docker:shop/front/app");
    k.kind = TARGET_SANDBOX;
    is_key(k, "docker:shop/front/POD");
    k.kind = TARGET_POD;
    is_key(k, "docker:shop/front");
    k.kind = TARGET_HELPER; /* beside what it helps */
    is_key(k, "docker:/docker/4f2a");
}

static void a_unit_is_the_systems(void **state) {
    struct targetkey k = {.kind = TARGET_SERVICE,
                          .runtime = RUNTIME_SYSTEMD,
                          .name = STR("ssh.service"),
                          .unit = STR("ssh.service"),
                          .path = STR("/system.slice/ssh.service")};

    (void)state;
    is_key(k, "systemd:ssh.service");
    k.path = STR("/user.slice/user@1000.service/ssh.service");
    is_key(k, "systemd:/user.slice/user@1000.service/ssh.service");
    is_key((struct targetkey){.path = STR("/batch/a")}, "cgroup:/batch/a");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_what_stays),
        cmocka_unit_test(a_unit_is_the_systems),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
