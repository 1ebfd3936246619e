/* /proc/PID/cgroup, asked for a v1 hierarchy, a named one and the unified one. */
#include <assert.h>
#include <string.h>

#include "kern/proccgroup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(struct str text, struct str controller) {
    struct proccgroup group;

    if (proccgroup_parse(text, controller, &group) < 0)
        return;
    assert(group.path.n > 0 && group.path.n < 4095 && group.path.p[0] == '/');
    assert(group.path.p >= text.p && group.path.p + group.path.n <= text.p + text.n);
    assert(!memchr(group.path.p, '\n', group.path.n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str text = {(const char *)data, size};

    look(text, STR("memory"));
    look(text, STR("name=systemd"));
    look(text, STR(""));
    return 0;
}
