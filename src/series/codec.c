#include "series/codec.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "series/symbols.h"
#include "series/varint.h"

/* A column is empty when all its values are known and 0. Else it has a front, a head byte and the
 * first value, and a rest: the runs of known and unknown values, the unit, the centre, and what the
 * kind says of the steps. Steps are the differences from value to value, in units, and turned
 * around if the first that is not 0 was negative: so columns that move alike or opposite to each
 * other have the same rest. */
enum {
    KIND_LINE = 0,   /* each step is the centre */
    KIND_SPARSE = 1, /* pairs: how many steps are 0, and the next */
    KIND_STEPS = 2,  /* symbols: each step less the centre */
    KIND_BENDS = 3,  /* symbols: each step less the one before, the first of all less the centre */
    KIND_MASK = 3,
    HEAD_GAPS = 1 << 2,   /* runs: known, unknown, known ... until all values are told */
    HEAD_BASE = 1 << 3,   /* the first value is told in units too */
    HEAD_UNIT_SHIFT = 4,  /* two bits: UNIT_ONE ... */
    HEAD_TURNED = 1 << 6, /* the steps are */
    HEAD_CENTRE = 1 << 7, /* else it is 0 */
    HEAD_OF_FRONT = HEAD_BASE | HEAD_TURNED,
    PAGE = 4096,
    SOME = 255, /* steps that are looked at for the centre */
};

enum unit_code { UNIT_ONE, UNIT_PAGE, UNIT_SECOND, UNIT_OTHER };

static const uint64_t unit_of[] = {1, PAGE, 1000, 0};

/* --- encoding --------------------------------------------------------------------------------- */

static uint64_t magnitude(uint64_t difference) {
    return difference >> 63 ? 0 - difference : difference;
}

static bool divides(uint64_t unit, uint64_t value) {
    return (unit & (unit - 1)) == 0 ? (value & (unit - 1)) == 0 : value % unit == 0;
}

/* The greatest common divisor of all differences; 0 when all are 0. */
static uint64_t common_unit(const uint64_t *value, size_t n) {
    uint64_t unit = 0;

    for (size_t i = 1; i < n && unit != 1; i++) {
        uint64_t rest = magnitude(value[i] - value[i - 1]);

        if (rest == 0 || (unit > 0 && divides(unit, rest)))
            continue;
        while (rest > 0) {
            uint64_t next = unit % rest;

            unit = rest;
            rest = next;
        }
    }
    return unit;
}

static uint64_t in_units(uint64_t difference, uint64_t unit) {
    uint64_t parts = magnitude(difference) / unit;

    return difference >> 63 ? 0 - parts : parts;
}

static void add_gaps(struct buf *out, const bool *known, size_t n) {
    bool now = true;

    for (size_t i = 0; i < n; now = !now) {
        size_t from = i;

        while (i < n && known[i] == now)
            i++;
        varint_add(out, i - from);
    }
}

static void add_sparse(struct buf *out, const uint64_t *step, size_t n) {
    size_t still = 0;

    for (size_t i = 0; i < n; i++) {
        if (step[i] == 0) {
            still++;
            continue;
        }
        varint_add(out, still);
        varint_add(out, zigzag(step[i]));
        still = 0;
    }
}

static bool all_same(const uint64_t *value, size_t n) {
    for (size_t i = 1; i < n; i++)
        if (value[i] != value[0])
            return false;
    return true;
}

/* Bytes that add_sparse would write. */
static uint64_t sparse_bytes(const uint64_t *step, size_t n) {
    uint64_t bytes = 0;
    size_t still = 0;

    for (size_t i = 0; i < n; i++) {
        if (step[i] == 0) {
            still++;
            continue;
        }
        bytes += varint_bytes(still) + varint_bytes(zigzag(step[i]));
        still = 0;
    }
    return bytes;
}

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* Near the median: that of some of them. */
static uint64_t typical(const uint64_t *step, size_t n) {
    uint64_t some[SOME];
    size_t stride = (n + SOME - 1) / SOME, have = 0;

    for (size_t i = 0; i < n; i += stride)
        some[have++] = step[i];
    qsort(some, have, sizeof(*some), ascending);
    return some[have / 2];
}

static void fold(const uint64_t *step, size_t n, unsigned kind, uint64_t centre,
                 uint64_t *number_out) {
    for (size_t i = 0; i < n; i++) {
        number_out[i] = zigzag(step[i] - centre);
        if (kind == KIND_BENDS)
            centre = step[i];
    }
}

struct way {
    unsigned kind;
    uint64_t centre, bits;
};

/* Which kind serves these steps best; `number` is scratch. */
static struct way choose(const uint64_t *step, size_t n, uint64_t *number) {
    struct way best = {.kind = KIND_SPARSE}, ways[3];
    uint64_t middle;

    if (all_same(step, n))
        return (struct way){.kind = KIND_LINE, .centre = step[0]};
    best.bits = 8 * sparse_bytes(step, n);
    middle = typical(step, n);
    ways[0] = (struct way){.kind = KIND_STEPS};
    ways[1] = (struct way){.kind = KIND_STEPS, .centre = middle};
    ways[2] = (struct way){.kind = KIND_BENDS, .centre = step[0]};
    for (size_t i = 0; i < ARRAY_N(ways); i++) {
        struct symbols plan;

        if (i > 0 && middle == 0)
            break;
        fold(step, n, ways[i].kind, ways[i].centre, number);
        symbols_plan(&plan, number, n);
        if (plan.bits < best.bits) {
            best = ways[i];
            best.bits = plan.bits;
        }
    }
    return best;
}

static int add_steps(struct buf *out, const struct way *way, const uint64_t *step, size_t n,
                     uint64_t *number) {
    struct symbols plan;

    if (way->centre)
        varint_add(out, zigzag(way->centre));
    if (way->kind == KIND_LINE)
        return 0;
    if (way->kind == KIND_SPARSE) {
        add_sparse(out, step, n);
        return 0;
    }
    fold(step, n, way->kind, way->centre, number);
    symbols_plan(&plan, number, n);
    return symbols_encode(out, &plan, number, n);
}

/* Makes steps of n > 0 values, turned around if need be: whether they were. */
static bool make_steps(const uint64_t *value, size_t n, uint64_t unit, uint64_t *step) {
    uint64_t first = 0;

    for (size_t i = 1; i < n; i++) {
        step[i - 1] = in_units(value[i] - value[i - 1], unit);
        first = first ? first : step[i - 1];
    }
    for (size_t i = 0; first >> 63 && i + 1 < n; i++)
        step[i] = 0 - step[i];
    return first >> 63;
}

static unsigned code_of_unit(uint64_t unit) {
    unsigned code = UNIT_ONE;

    while (code < UNIT_OTHER && unit_of[code] != unit)
        code++;
    return code;
}

/* The known values, n > 0 of them, of `all`; `scratch` has room for 2 * n. */
static int add_values(struct buf *out, const uint64_t *value, size_t n, uint64_t *scratch,
                      const bool *known, size_t all) {
    uint64_t unit = common_unit(value, n), *step = scratch, *number = scratch + n;
    struct way way = {.kind = KIND_LINE};
    unsigned head = 0;

    if (unit == 0) { /* it stands still */
        unit = value[0] % PAGE == 0 ? PAGE : 1;
    } else {
        head = make_steps(value, n, unit, step) ? HEAD_TURNED : 0;
        way = choose(step, n - 1, number);
    }
    head |= way.kind | code_of_unit(unit) << HEAD_UNIT_SHIFT | (n < all ? HEAD_GAPS : 0) |
            (way.centre ? HEAD_CENTRE : 0);
    if (value[0] % unit == 0 && value[0] >> 63 == 0)
        head |= HEAD_BASE;
    if (head == (KIND_LINE | UNIT_PAGE << HEAD_UNIT_SHIFT | HEAD_BASE) && value[0] == 0)
        return 0;
    buf_add_char(out, (char)head);
    varint_add(out, head & HEAD_BASE ? value[0] / unit : zigzag(value[0]));
    if (n < all)
        add_gaps(out, known, all);
    if (code_of_unit(unit) == UNIT_OTHER)
        varint_add(out, unit);
    return add_steps(out, &way, step, n - 1, number);
}

int codec_encode(struct buf *out, const uint64_t *value, const bool *known, size_t n) {
    auto_free uint64_t *scratch = NULL;
    size_t have = 0;
    int r;

    if (n == 0 || n > CODEC_MAX)
        return -EINVAL;
    scratch = malloc(3 * n * sizeof(*scratch));
    if (!scratch)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        if (!known || known[i])
            scratch[have++] = value[i];
    if (have == 0) {
        buf_add_char(out, HEAD_GAPS);
        varint_add(out, 0);
        varint_add(out, 0);
        varint_add(out, n);
        return buf_error(out);
    }
    r = add_values(out, scratch, have, scratch + n, known, n);
    return r < 0 ? r : buf_error(out);
}

/* --- decoding --------------------------------------------------------------------------------- */

/* Fills known[] from its runs; how many are known in *have_out. */
static int cut_gaps(struct str *in, size_t n, bool *known, size_t *have_out) {
    size_t have = 0;
    bool now = true;

    for (size_t i = 0; i < n; now = !now) {
        uint64_t run;

        if (!varint_cut(in, &run) || run > n - i || (run == 0 && i > 0))
            return -EBADMSG;
        memset(known + i, now, (size_t)run * sizeof(*known));
        have += now ? (size_t)run : 0;
        i += (size_t)run;
    }
    *have_out = have;
    return 0;
}

/* Steps, folded. */
static int cut_sparse(struct str *in, uint64_t *step, size_t n) {
    size_t i = 0;

    memset(step, 0, n * sizeof(*step));
    while (in->n > 0) {
        uint64_t still, folded;

        if (!varint_cut(in, &still) || still >= n - i || !varint_cut(in, &folded))
            return -EBADMSG;
        i += (size_t)still;
        step[i++] = folded;
    }
    return 0;
}

/* Reads n steps to step[]: folded, and less what the kind says. */
static int cut_steps(struct str *in, unsigned kind, uint64_t *step, size_t n) {
    int r;

    if (kind == KIND_SPARSE)
        return cut_sparse(in, step, n);
    if (n == 0)
        return -EBADMSG;
    r = symbols_decode(*in, n, step);
    *in = str_from(*in, in->n);
    return r;
}

/* All values behind the first, which is there. */
static int cut_values(struct str *in, unsigned head, uint64_t unit, uint64_t *value, size_t n) {
    uint64_t centre = 0;

    if (head & HEAD_CENTRE && !varint_cut(in, &centre))
        return -EBADMSG;
    unit = head & HEAD_TURNED ? 0 - unit : unit;
    centre = unzigzag(centre) * unit;
    if ((head & KIND_MASK) == KIND_LINE) {
        for (size_t i = 1; i < n; i++)
            value[i] = value[i - 1] + centre;
        return 0;
    }
    if (cut_steps(in, head & KIND_MASK, value + 1, n - 1) < 0)
        return -EBADMSG;
    if ((head & KIND_MASK) == KIND_BENDS)
        for (size_t i = 1; i < n; i++) {
            centre += unzigzag(value[i]) * unit;
            value[i] = value[i - 1] + centre;
        }
    else
        for (size_t i = 1; i < n; i++)
            value[i] = value[i - 1] + unzigzag(value[i]) * unit + centre;
    return 0;
}

/* Moves `have` values to where they are known, and fills the gaps. */
static void spread(uint64_t *value, const bool *known, size_t n, size_t have) {
    for (size_t i = n; i-- > 0;)
        if (known[i])
            value[i] = value[--have];
    for (size_t i = 0; i < n; i++)
        if (!known[i])
            value[i] = i > 0 ? value[i - 1] : 0;
}

static bool cut_front(struct str *in, unsigned *head_out, uint64_t *base_out) {
    if (in->n == 0)
        return false;
    *head_out = (uint8_t)in->p[0];
    *in = str_from(*in, 1);
    return varint_cut(in, base_out);
}

size_t codec_front(struct str text) {
    struct str rest = text;
    uint64_t base;
    unsigned head;

    return cut_front(&rest, &head, &base) ? text.n - rest.n : 0;
}

bool codec_alike(struct str a, struct str b) {
    size_t front_a = codec_front(a), front_b = codec_front(b);

    if (front_a == 0 || front_b == 0 || ((a.p[0] ^ b.p[0]) & ~HEAD_OF_FRONT))
        return false;
    return str_eq(str_from(a, front_a), str_from(b, front_b));
}

static int decode(unsigned head, uint64_t base, struct str rest, size_t n, uint64_t *value_out,
                  bool *known_out) {
    uint64_t unit = unit_of[head >> HEAD_UNIT_SHIFT & 3];
    size_t have = n;

    if (head & HEAD_GAPS) {
        if (!known_out || cut_gaps(&rest, n, known_out, &have) < 0)
            return -EBADMSG;
    } else if (known_out) {
        memset(known_out, 1, n * sizeof(*known_out));
    }
    if (unit == 0 && !varint_cut(&rest, &unit))
        return -EBADMSG;
    value_out[0] = head & HEAD_BASE ? base * unit : unzigzag(base);
    if (have > 0 && cut_values(&rest, head, unit, value_out, have) < 0)
        return -EBADMSG;
    if (rest.n > 0)
        return -EBADMSG;
    if (have < n)
        spread(value_out, known_out, n, have);
    return 0;
}

int codec_decode_parts(struct str front, struct str rest, size_t n, uint64_t *value_out,
                       bool *known_out) {
    uint64_t base;
    unsigned head;

    if (n == 0 || n > CODEC_MAX || !cut_front(&front, &head, &base) || front.n > 0)
        return -EBADMSG;
    return decode(head, base, rest, n, value_out, known_out);
}

int codec_decode(struct str text, size_t n, uint64_t *value_out, bool *known_out) {
    uint64_t base = 0;
    unsigned head = KIND_LINE;

    if (n == 0 || n > CODEC_MAX || (text.n > 0 && !cut_front(&text, &head, &base)))
        return -EBADMSG;
    return decode(head, base, text, n, value_out, known_out);
}

/* --- times ------------------------------------------------------------------------------------ */

int codec_encode_times(struct buf *out, const int64_t *at_ms, size_t n) {
    for (size_t i = 1; i < n && n <= CODEC_MAX; i++)
        if (at_ms[i] < at_ms[i - 1])
            return -EINVAL;
    return codec_encode(out, (const uint64_t *)at_ms, NULL, n);
}

int codec_decode_times(struct str text, size_t n, int64_t *at_ms_out) {
    int r = codec_decode(text, n, (uint64_t *)at_ms_out, NULL);

    for (size_t i = 1; r == 0 && i < n; i++)
        if (at_ms_out[i] < at_ms_out[i - 1])
            r = -EBADMSG;
    return r;
}
