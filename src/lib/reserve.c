#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/plim.h"

enum { BACK_PCT = 5 }; /* taken again so many points below the mark at which it was given back */

static void give_back(struct plim *p) {
    (void)munlock(p->reserve, p->reserve_bytes); /* locked pages cannot be dropped */
    (void)madvise(p->reserve, p->reserve_bytes, MADV_DONTNEED);
    p->reserve_held = false;
}

static void take(struct plim *p) {
    volatile char *page = p->reserve;
    size_t size = (size_t)sysconf(_SC_PAGESIZE);

    for (size_t i = 0; i < p->reserve_bytes; i += size)
        page[i] = 1;
    (void)mlock(p->reserve,
                p->reserve_bytes); /* refused to most: without swap it changes nothing */
    p->reserve_held = true;
}

/* Whether the reserve fits below `pct` percent. */
static bool fits(const struct plim *p, const struct look *now, uint32_t pct) {
    uint64_t bound = marks_bytes(now->limit, pct);

    return now->used <= bound && p->reserve_bytes < bound - now->used;
}

void reserve_step(struct plim *p, const struct look *now) {
    uint32_t back = p->critical_pct > BACK_PCT ? p->critical_pct - BACK_PCT : 0;

    if (!p->reserve)
        return;
    if (p->reserve_held && now->used >= marks_bytes(now->limit, p->critical_pct))
        give_back(p);
    else if (!p->reserve_held && fits(p, now, back))
        take(p);
}

/* A child has a hole where its parent has the reserve, and may have put something there. */
void reserve_close(struct plim *p) {
    if (p->reserve && plim_is_ours(p))
        munmap(p->reserve, p->reserve_bytes);
    p->reserve = NULL;
    p->reserve_held = false;
}

static int hold(struct plim *p, uint64_t bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct look now;
    void *made;
    int r = look_now(p, &now);

    if (r < 0)
        return r;
    if (bytes > SIZE_MAX / 2)
        return -EAGAIN;
    p->reserve_bytes = ((size_t)bytes + page - 1) / page * page;
    if (!fits(p, &now, p->critical_pct))
        return -EAGAIN;
    made = mmap(NULL, p->reserve_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (made == MAP_FAILED)
        return -errno;
    (void)madvise(made, p->reserve_bytes, MADV_DONTFORK); /* a copy would double it */
    p->reserve = made;
    take(p);
    return 0;
}

int plim_reserve(struct plim *p, uint64_t bytes) {
    int r = plim_check(p, false);

    if (r == 0)
        r = holds_check(&p->holds);
    if (r < 0)
        return r;
    plim_lock(p);
    reserve_close(p);
    if (bytes > 0)
        r = hold(p, bytes);
    watch_marks_moved(p);
    plim_unlock(p);
    return r;
}
