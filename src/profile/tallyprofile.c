#include "profile/tallyprofile.h"

#include <errno.h>

static int64_t signed_of(uint64_t value) {
    return value > INT64_MAX ? INT64_MAX : (int64_t)value;
}

static bool any_bytes(const struct tally *t) {
    for (size_t i = 0; i < tally_n(t); i++)
        if (tally_row(t, i)->have_bytes)
            return true;
    return false;
}

static int fill(struct profile *p, const struct tally *t, size_t *left_out) {
    int r = profile_add_type(p, STR("objects"), STR("count"));

    if (r >= 0 && any_bytes(t))
        r = profile_add_type(p, STR("space"), STR("bytes"));
    if (r < 0)
        return r;
    profile_set_default(p, (unsigned)r);
    *left_out = 0;
    for (size_t i = 0; i < tally_n(t); i++) {
        const struct tally_row *row = tally_row(t, i);
        const struct profile_frame frame = {.function = row->name};
        const int64_t value[PROFILE_TYPES] = {signed_of(row->count),
                                              row->have_bytes ? signed_of(row->bytes) : 0};

        r = profile_add(p, &frame, 1, value);
        if (r == -E2BIG)
            ++*left_out;
        else if (r < 0)
            return r;
    }
    return 0;
}

int tallyprofile_make(const struct tally *t, struct profile **out, size_t *left_out) {
    struct profile *p;
    int r = profile_new(&p);

    if (r < 0)
        return r;
    r = fill(p, t, left_out);
    if (r < 0) {
        profile_free(p);
        return r;
    }
    *out = p;
    return 0;
}

bool tallyprofile_is(const struct profile *p) {
    if (profile_types(p) == 0 || profile_type_of(p, STR("objects")) != 0 || profile_types(p) > 2)
        return false;
    if (profile_types(p) == 2 && profile_type_of(p, STR("space")) != 1)
        return false;
    for (size_t i = 0; i < profile_samples(p); i++)
        if (profile_sample(p, i).frames != 1)
            return false;
    return true;
}
