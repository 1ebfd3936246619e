#include "act/victim.h"

#include <stdio.h>
#include <string.h>

#include "base/num.h"

/* Who holds less than this part of what the largest holds is not ended in its place: work would be
 * lost, and no memory won. */
enum { LEAST_PART = 16 };

static uint64_t sum(uint64_t a, uint64_t b) {
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t size_of(const struct candidate *c) {
    return sum(sum(c->anon, c->swap), c->shmem);
}

/* --- globs ------------------------------------------------------------------------------------ */

/* `p` is behind a '['. Whether the byte is of the set, and where the pattern goes on; NULL: there
 * is no ']', so the bracket is an ordinary byte. A ']' that comes first is of the set. */
static const char *match_set(const char *p, char byte, bool *in_out) {
    bool negated = *p == '!' || *p == '^', in = false;
    const char *first = negated ? ++p : p;

    for (; *p && (*p != ']' || p == first); p++) {
        unsigned char low = (unsigned char)*p, high = low, b = (unsigned char)byte;

        if (p[1] == '-' && p[2] && p[2] != ']') {
            high = (unsigned char)p[2];
            p += 2;
        }
        in = in || (b >= low && b <= high);
    }
    *in_out = in != negated;
    return *p ? p + 1 : NULL;
}

/* What follows the part of the pattern that matches this byte; NULL: it does not. */
static const char *match_byte(const char *p, char byte) {
    const char *after;
    bool in;

    if (*p == '?')
        return p + 1;
    if (*p == '[') {
        after = match_set(p + 1, byte, &in);
        if (after)
            return in ? after : NULL;
    }
    return *p && *p == byte ? p + 1 : NULL;
}

/* The last star alone is gone back to: linear in pattern times text, whatever the pattern. */
bool victim_glob(const char *pattern, struct str text) {
    const char *p = pattern, *star = NULL, *next;
    size_t i = 0, at_star = 0;

    while (i < text.n) {
        next = *p == '*' ? NULL : match_byte(p, text.p[i]);
        if (next) {
            p = next;
            i++;
        } else if (*p == '*') {
            star = ++p;
            at_star = i;
        } else if (star) {
            p = star;
            i = ++at_star;
        } else {
            return false;
        }
    }
    while (*p == '*')
        p++;
    return *p == '\0';
}

static bool is_named(const struct candidate *c, const char list[POLICY_TEXT]) {
    const char *pattern = NULL;

    while (policy_next_text(list, &pattern))
        if (victim_glob(pattern, str_of(c->comm)) ||
            (c->program[0] && victim_glob(pattern, str_of(c->program))))
            return true;
    return false;
}

/* --- the choice ------------------------------------------------------------------------------- */

static bool is_untouchable(const struct candidate *c) {
    return c->pid <= 1 || c->machine_init || c->ours || c->kernel || c->oom_score_adj <= -1000;
}

bool victim_is_protected(const struct candidate *c, const struct policy *p) {
    return is_untouchable(c) || is_named(c, p->protect);
}

/* A container ends with its pid 1: others must be far smaller, or the policy must say so. */
static bool is_to_blame(const struct candidate *c, size_t n, size_t at) {
    uint64_t own = size_of(&c[at]), total = 0, next = 0;

    for (size_t i = 0; i < n; i++) {
        total = sum(total, size_of(&c[i]));
        if (i != at && size_of(&c[i]) > next)
            next = size_of(&c[i]);
    }
    return own > total / 2 && own / 2 > next;
}

static bool may_be(const struct candidate *c, size_t n, size_t at, const struct policy *p) {
    if (victim_is_protected(&c[at], p))
        return false;
    return !c[at].init || p->kill_init || is_to_blame(c, n, at);
}

/* Of two of one size the younger has done less work. */
static bool is_larger(const struct candidate *a, const struct candidate *b) {
    uint64_t x = size_of(a), y = size_of(b);

    if (x != y)
        return x > y;
    return a->start_ticks != b->start_ticks ? a->start_ticks > b->start_ticks : a->pid > b->pid;
}

enum which { STUCK, PREFERRED, ANY };

static bool is_of(const struct candidate *c, enum which which, const struct policy *p) {
    return which == STUCK ? c->stuck_exec : which == PREFERRED ? is_named(c, p->prefer) : true;
}

/* The largest of those, or n. */
static size_t largest(const struct candidate *c, size_t n, const struct policy *p,
                      enum which which) {
    size_t best = n;

    for (size_t i = 0; i < n; i++)
        if (is_of(&c[i], which, p) && may_be(c, n, i, p) &&
            (best == n || is_larger(&c[i], &c[best])))
            best = i;
    return best;
}

/* The largest of all, spared or not; n > 0. */
static size_t largest_at_all(const struct candidate *c, size_t n) {
    size_t best = 0;

    for (size_t i = 1; i < n; i++)
        if (is_larger(&c[i], &c[best]))
            best = i;
    return best;
}

struct size_text {
    char text[16];
};

static struct size_text size_text(uint64_t bytes) {
    struct size_text out;
    struct buf b;

    buf_fixed(&b, out.text, sizeof(out.text) - 1);
    num_add_iec(&b, bytes);
    out.text[b.n] = '\0';
    return out;
}

const char *victim_why_protected(const struct candidate *c, const struct policy *p) {
    if (c->ours)
        return "one of ours";
    if (c->machine_init || c->pid <= 1)
        return "the machine's pid 1";
    if (c->kernel)
        return "a kernel thread";
    if (c->oom_score_adj <= -1000)
        return "exempt by oom_score_adj -1000";
    if (is_named(c, p->protect))
        return "protected by a rule";
    return "pid 1 of its container and not the only one to blame";
}

static void nobody(const struct candidate *c, size_t n, const struct policy *p,
                   struct verdict_victim *out) {
    size_t at;

    if (n == 0) {
        (void)snprintf(out->why, sizeof(out->why), "no process can be seen in it");
        return;
    }
    at = largest_at_all(c, n);
    (void)snprintf(out->why, sizeof(out->why), "the largest, %d (%.32s, %s), is %s", c[at].pid,
                   c[at].comm, size_text(size_of(&c[at])).text, victim_why_protected(&c[at], p));
}

static void choose(const struct candidate *c, size_t n, const struct policy *p,
                   struct verdict_victim *out) {
    size_t at = largest(c, n, p, STUCK), most;

    if (at < n) {
        (void)snprintf(out->why, sizeof(out->why),
                       "a container engine's exec that is stuck: its end costs no work");
        out->at = at;
        return;
    }
    at = largest(c, n, p, PREFERRED);
    if (at < n) {
        (void)snprintf(out->why, sizeof(out->why), "preferred by a rule: %s",
                       size_text(size_of(&c[at])).text);
        out->at = at;
        return;
    }
    at = largest(c, n, p, ANY);
    most = n > 0 ? largest_at_all(c, n) : 0;
    if (at == n || size_of(&c[at]) < size_of(&c[most]) / LEAST_PART) {
        out->any = false;
        nobody(c, n, p, out);
        return;
    }
    (void)snprintf(out->why, sizeof(out->why), "%s: %s of %zu process%s",
                   at == most ? "largest" : "largest that may be ended",
                   size_text(size_of(&c[at])).text, n, n == 1 ? "" : "es");
    out->at = at;
}

void victim_choose(const struct candidate *c, size_t n, const struct policy *p,
                   struct verdict_victim *out) {
    *out = (struct verdict_victim){.any = true};
    choose(c, n, p, out);
}
