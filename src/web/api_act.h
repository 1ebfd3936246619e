/* api_act.h - POST /api/v1/act: somebody asks for an action on a target, now.
 *
 * Nothing is done here: it is asked of the guard, through the collector, and the request waits for
 * the answer. Whoever asks was checked by guard.h.
 */
#pragma once
#include "web/site.h"
#include "wire/wireact.h"

#define ACT_PATH "/api/v1/act"

enum { ACT_BODY_MAX = 64 << 10, ACT_WAIT_US = 5 * 1000000 };

/* One that waits. */
struct act {
    uint64_t request; /* of the answer that is waited for */
    int64_t deadline_us;
    enum action action;
    char name[256], guard[64]; /* of the target; of its policy, "" where that is not known */
    bool answered;
    struct wire_acted said;
};

/* False: the answer is an error already. */
bool act_begin(struct site *site, struct str body, struct act *act, struct answer *a);

/* What came of it; when nothing did (it is not `answered`), that. */
void act_answer(const struct act *act, struct answer *a);
