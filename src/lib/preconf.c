#include "lib/preconf.h"

#include <errno.h>

#include "base/num.h"

enum { WAIT_MOST = 10000 };

static int percent(struct str value, uint32_t *out) {
    uint64_t number;

    (void)str_drop(&value, STR("%"));
    if (str_to_u64(value, &number) < 0 || number < 1 || number > 100)
        return -EINVAL;
    *out = (uint32_t)number;
    return 0;
}

static int duration(struct str value, uint32_t *out) {
    uint64_t ms;

    if (num_parse_ms(value, &ms) < 0 || ms > WAIT_MOST)
        return -EINVAL;
    *out = (uint32_t)ms;
    return 0;
}

static int mode(struct str value, bool *refuse_out) {
    bool refuse = str_eq(value, STR("refuse"));

    if (!refuse && !str_eq(value, STR("delay")))
        return -EINVAL;
    *refuse_out = refuse;
    return 0;
}

static int take(struct str word, struct preconf *c) {
    struct str key;

    if (str_eq(word, STR("off")) || str_eq(word, STR("strict"))) {
        c->off |= str_eq(word, STR("off"));
        c->refuse |= str_eq(word, STR("strict"));
        return 0;
    }
    if (!str_cut(&word, '=', &key))
        return -EINVAL;
    if (str_eq(key, STR("at")))
        return percent(word, &c->at);
    if (str_eq(key, STR("gate")))
        return percent(word, &c->gate);
    if (str_eq(key, STR("wait")))
        return duration(word, &c->wait);
    if (str_eq(key, STR("mode")))
        return mode(word, &c->refuse);
    if (str_eq(key, STR("limit")))
        return num_parse_size(word, &c->limit) < 0 || c->limit == 0 ? -EINVAL : 0;
    return -EINVAL;
}

int preconf_parse(const char *text, struct preconf *out, struct str *bad_out) {
    /* Page tables and what the kernel takes for it, which is not asked for here, fit below 90. */
    struct preconf c = {.at = 80, .gate = 87, .wait = 100};
    struct str rest = str_of(text), word;

    while (rest.n > 0) {
        if (!str_cut(&rest, ',', &word)) {
            word = rest;
            rest.n = 0;
        }
        if (word.n == 0)
            continue;
        if (take(word, &c) < 0) {
            *bad_out = word;
            return -EINVAL;
        }
    }
    if (c.at > c.gate) {
        *bad_out = str_of(text);
        return -EINVAL;
    }
    *out = c;
    return 0;
}
