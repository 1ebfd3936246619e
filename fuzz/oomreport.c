/* oomreport_feed: a log, a record a line. What is told of paths is in the group at fault. */
#include "kern/oomreport.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct oomkill *k) {
    assert(k->pid > 0);
    assert(k->constraint < OOM_CONSTRAINTS);
    assert(k->comm.n <= 64);
    if (k->limit_path.n > 0) {
        assert(k->constraint == OOM_MEMCG && k->limit_path.n > 1 && k->limit_path.p[0] == '/');
        if (k->task_path.n > 0)
            assert(str_starts(k->task_path, k->limit_path));
    }
    if (k->task_path.n > 0)
        assert(k->task_path.p[0] == '/');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str rest = {(const char *)data, size};
    struct oomreport *r;

    if (oomreport_new(&r) < 0)
        return 0;
    while (rest.n > 0) {
        ptrdiff_t end = str_find(rest, '\n');
        struct str line = str_head(rest, end < 0 ? rest.n : (size_t)end + 1);
        struct kmsg_record record;
        struct oomkill kill;

        rest = str_from(rest, line.n);
        if (kmsg_parse(line, &record) == 0 && oomreport_feed(r, &record, &kill) == 1)
            check(&kill);
    }
    oomreport_free(r);
    return 0;
}
