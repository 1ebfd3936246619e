/* A configuration file: whatever it says, each error has a place and what was taken is in range. */
#include "front/config.h"

#include <assert.h>
#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_lines(struct str lines) {
    struct str line, number;
    uint64_t at;

    while (str_cut(&lines, '\n', &line)) {
        assert(str_skip(&line, STR("dir/a.yaml:")));
        assert(str_cut(&line, ':', &number) && str_to_u64(number, &at) == 0 && at > 0);
        assert(str_cut(&line, ':', &number) && str_to_u64(number, &at) == 0 && at > 0);
        for (size_t i = 0; i < line.n; i++)
            assert((unsigned char)line.p[i] >= 0x20);
    }
    assert(lines.n == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct config_listen listen;
    struct buf errors;
    struct config c;
    struct err err;
    int r;

    config_defaults(&c);
    buf_init(&errors, 64 << 20);
    r = config_parse(&c, STR("dir/a.yaml"), (struct str){(const char *)data, size}, &errors);
    assert(r == 0 || r == -EINVAL);
    assert(r == 0 || errors.n > 0);
    check_lines(buf_str(&errors));
    assert(c.interval_ms >= 100 && c.interval_ms <= 60000 && c.processes <= 200);
    assert(c.n_hosts <= WEB_HOSTS && c.remotes <= CONFIG_REMOTES);
    assert(config_listen_parse(c.listen, &listen, &err) == 0);
    for (unsigned i = 0; r == 0 && i < c.remotes; i++)
        assert(c.remote[i].url && c.remote[i].interval_ms >= 1000);
    buf_done(&errors);
    config_done(&c);
    return 0;
}
