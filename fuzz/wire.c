/* Any bytes as a message, read as whatever it says it is. */
#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct wire_in in = {data, size}, body;
    struct wire_head head;
    union {
        struct wire_target target;
        struct wire_gone gone;
        struct wire_tick tick;
        struct wire_procs procs;
        struct wire_oom oom;
        struct wire_start start;
        struct wire_hello hello;
        struct wire_ack ack;
        uint64_t self[WIRE_SELF_N];
    } m;
    struct wire_change change;
    struct wire_proc proc;

    if (wire_read_head(&in, &head) < 0)
        return 0;
    body = in;
    (void)wire_read_target(&body, &m.target);
    body = in;
    (void)wire_read_gone(&body, &m.gone);
    body = in;
    (void)wire_read_oom(&body, &m.oom);
    body = in;
    (void)wire_read_self(&body, m.self);
    body = in;
    (void)wire_read_start(&body, &m.start);
    body = in;
    (void)wire_read_hello(&body, &m.hello);
    body = in;
    (void)wire_read_ack(&body, &m.ack);
    body = in;
    if (wire_read_tick(&body, &m.tick) == 0)
        while (wire_read_change(&body, &change) > 0)
            ;
    body = in;
    if (wire_read_procs(&body, &m.procs) == 0)
        while (wire_read_proc(&body, &proc) > 0)
            ;
    return 0;
}
