#include "front/guardsout.h"

#include <errno.h>
#include <unistd.h>

#include "base/mem.h"
#include "wire/wireact.h"

enum { LENGTH = 4 };

static int write_all(int fd, const uint8_t *p, size_t n) {
    while (n > 0) {
        ssize_t r = write(fd, p, n);

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -errno;
        p += r;
        n -= (size_t)r;
    }
    return 0;
}

static int write_message(int fd, const struct wire_out *w) {
    const uint8_t length[LENGTH] = {(uint8_t)w->n, (uint8_t)(w->n >> 8), (uint8_t)(w->n >> 16),
                                    (uint8_t)(w->n >> 24)};
    int r = w->full ? -EMSGSIZE : write_all(fd, length, LENGTH);

    return r < 0 ? r : write_all(fd, w->p, w->n);
}

int guardsout_write(const struct config *c, const char *file, int fd) {
    const struct wire_policies end = {c->guards, str_of(file), str_of(c->socket),
                                      str_of(c->pressure_socket ? c->pressure_socket : "")};
    auto_free struct wire_policy *policy = calloc(1, sizeof(*policy));
    auto_free uint8_t *memory = malloc(WIRE_MESSAGE);
    struct wire_out out;

    if (!policy || !memory)
        return -ENOMEM;
    for (unsigned i = 0; i < c->guards; i++) {
        const struct config_guard *g = c->guard[i];
        int r;

        *policy = (struct wire_policy){.match = g->match,
                                       .policy = g->policy,
                                       .line = g->hook_place.line,
                                       .column = g->hook_place.column};
        wire_begin(&out, memory, WIRE_MESSAGE, WIRE_POLICY, i);
        (void)wire_add_policy(&out, policy);
        r = write_message(fd, &out);
        if (r < 0)
            return r;
    }
    wire_begin(&out, memory, WIRE_MESSAGE, WIRE_POLICIES, c->guards);
    (void)wire_add_policies(&out, &end);
    return write_message(fd, &out);
}
