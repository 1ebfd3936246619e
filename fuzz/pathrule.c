/* A cgroup's path, as a container may name it: identity, enclosing container, escapes. */
#include <assert.h>
#include <stdlib.h>

#include "discover/pathrule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct str part, struct str path) {
    assert(part.n == 0 || (part.p >= path.p && part.p + part.n <= path.p + path.n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str path = {(const char *)data, size};
    struct pathrule rule;
    size_t outer = 0, end = pathrule_container(path, &rule, &outer);
    char *dst = malloc(size ? size : 1), uid[37];

    assert(end <= size && outer <= end && dst);
    if (end > 0) {
        assert(!rule.unsure && (rule.kind == TARGET_CONTAINER || rule.kind == TARGET_VM));
        inside(rule.id, path);
    }
    for (size_t base = 0; base <= size; base += size / 7 + 1) {
        pathrule_match(path, base, &rule);
        assert(rule.kind < TARGET_KIND_N && rule.runtime < RUNTIME_N && rule.qos < QOS_N);
        inside(rule.id, path);
        inside(rule.name, path);
        inside(rule.unit, path);
        inside(rule.pod_uid, path);
        (void)pathrule_pod_uid(rule.pod_uid, uid);
    }
    assert(pathrule_unescape(path, dst) <= size);
    free(dst);
    return 0;
}
