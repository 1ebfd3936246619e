#include "model/targetkey.h"

bool targetkey_is_of_system(struct str path) {
    struct str word;

    while (str_cut(&path, '/', &word))
        if (str_starts(word, STR("user@")))
            return false;
    return true;
}

static void add_pod(struct buf *out, const struct targetkey *k) {
    struct str container = k->container.n > 0 ? k->container : k->name;

    buf_add(out, k->namespace);
    buf_add_char(out, '/');
    buf_add(out, k->pod);
    if (k->kind == TARGET_POD)
        return;
    buf_add_char(out, '/');
    buf_add(out, k->kind == TARGET_SANDBOX ? STR("POD") : container);
}

/* Outside of a pod. A helper is named like what it helps. */
static struct str own(const struct targetkey *k) {
    bool container = k->kind == TARGET_CONTAINER || k->kind == TARGET_VM;

    if (k->unit.n > 0 && k->kind != TARGET_HELPER && targetkey_is_of_system(k->path))
        return k->unit;
    return container && k->name.n > 0 ? k->name : k->path;
}

void targetkey_add(struct buf *out, const struct targetkey *k) {
    buf_add(out, k->runtime == RUNTIME_NONE ? STR("cgroup") : str_of(runtime_name(k->runtime)));
    buf_add_char(out, ':');
    if (k->inside.n > 0) {
        buf_add(out, k->inside);
        buf_add_char(out, ':');
    }
    if (k->pod.n > 0 && k->kind != TARGET_HELPER)
        add_pod(out, k);
    else
        buf_add(out, own(k));
}
