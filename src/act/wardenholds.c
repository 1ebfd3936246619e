#include "act/wardenholds.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "act/wardenundo.h"
#include "base/mem.h"

enum {
    RETRY_US = 50000, /* between two tries of a file that is busy */
    TURN_US = 5000,   /* of one that must wait for another hold's */
    PATIENCE_US = 30000000,
    SLOW_RETRY_US = 5000000,
    WATCH_US = 250000,
};
#define GIVEN_UP_US (3600 * INT64_C(1000000))

/* --- slots --- */

static int id_of(const struct wardenholds *h, const struct wardenslot *s) {
    return (int)(s->serial << 10 | (uint32_t)(s - h->slot));
}

static struct wardenslot *find(struct wardenholds *h, int owner, int id) {
    struct wardenslot *s = id < 0 ? NULL : &h->slot[id & (WARDEN_HOLDS - 1)];

    return s && s->state != SLOT_FREE && s->owner == owner && id_of(h, s) == id ? s : NULL;
}

static void close_place(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void let_go(struct wardenslot *s) {
    for (unsigned i = 0; i < s->steps; i++) {
        close_place(&s->step[i].fd);
        if (s->step[i].guarded)
            close_place(&s->step[i].usage);
        if (s->step[i].reclaims)
            close_place(&s->step[i].reclaim);
    }
    close_place(&s->event);
    s->state = SLOT_FREE;
    s->serial = (s->serial + 1) & 0x1fffff;
}

static bool is_worked_on(const struct wardenholds *h, const struct wardenslot *s) {
    return h->work.slot == (int)(s - h->slot);
}

static struct wardenslot *find_free(struct wardenholds *h) {
    for (unsigned i = 0; i < WARDEN_HOLDS; i++)
        if (h->slot[i].state == SLOT_FREE)
            return &h->slot[i];
    for (unsigned i = 0; i < WARDEN_HOLDS; i++)
        if (h->slot[i].state == SLOT_WATCHED && !is_worked_on(h, &h->slot[i])) {
            let_go(&h->slot[i]);
            return &h->slot[i];
        }
    return NULL;
}

/* --- holding --- */

static bool is_text(const char *value) {
    return memchr(value, '\0', WARDEN_VALUE) != NULL;
}

static unsigned fds_of_step(const struct warden_ask *ask, unsigned i) {
    return !ask->step[i].guarded ? 1 : ask->step[i].reclaims ? 3 : 2;
}

/* How many descriptors must come with it; 0: nonsense. */
static unsigned fds_of(const struct warden_ask *ask) {
    unsigned n = ask->has_event != 0;

    if (ask->steps == 0 || ask->steps > WARDEN_STEPS)
        return 0;
    for (unsigned i = 0; i < ask->steps; i++) {
        if (!is_text(ask->step[i].value) || !is_text(ask->step[i].only_if))
            return 0;
        n += fds_of_step(ask, i);
    }
    return n;
}

static void take_step(struct warden_step *step, struct wardenfile *file,
                      const struct warden_ask *ask, unsigned i, int *fd) {
    struct stat st;

    *step = (struct warden_step){.fd = take_fd(&fd[0]),
                                 .kind = (enum warden_kind)ask->step[i].kind,
                                 .guarded = ask->step[i].guarded != 0,
                                 .reclaims = fds_of_step(ask, i) == 3,
                                 .slow = ask->step[i].slow != 0,
                                 .usage = -1,
                                 .reclaim = -1};
    memcpy(step->value, ask->step[i].value, WARDEN_VALUE);
    memcpy(step->only_if, ask->step[i].only_if, WARDEN_VALUE);
    if (step->guarded)
        step->usage = take_fd(&fd[1]);
    if (step->reclaims)
        step->reclaim = take_fd(&fd[2]);
    *file = (struct wardenfile){.inode = 0};
    if (fstat(step->fd, &st) == 0)
        *file = (struct wardenfile){st.st_dev, st.st_ino};
}

int wardenholds_add(struct wardenholds *h, int owner, const struct warden_ask *ask, int *fd,
                    unsigned n) {
    struct wardenslot *s = find_free(h);

    if (n == 0 || fds_of(ask) != n)
        return -EINVAL;
    if (!s)
        return -ENOSPC;
    for (unsigned i = 0; i < ask->steps; i++) {
        take_step(&s->step[i], &s->file[i], ask, i, fd);
        fd += fds_of_step(ask, i);
    }
    s->steps = ask->steps;
    s->order = ++h->order;
    s->owner = owner;
    s->deadline_us = ask->deadline_us;
    s->after_us = ask->after_us;
    s->event = ask->has_event ? take_fd(fd) : -1;
    s->met = s->dropping = false;
    s->state = SLOT_HELD;
    if (h->top <= (unsigned)(s - h->slot))
        h->top = (unsigned)(s - h->slot) + 1;
    return id_of(h, s);
}

bool wardenholds_drop(struct wardenholds *h, int owner, const struct warden_ask *ask, int *result) {
    struct wardenslot *s = find(h, owner, ask->id);

    *result = wardenholds_state(h, owner, ask->id);
    if (!s)
        return true;
    if (is_worked_on(h, s)) {
        s->dropping = true;
        s->drop_seq = ask->seq;
        return false;
    }
    let_go(s);
    return true;
}

int wardenholds_state(struct wardenholds *h, int owner, int id) {
    const struct wardenslot *s = find(h, owner, id);

    if (!s || s->state == SLOT_WATCHED)
        return -ENOENT;
    return s->state == SLOT_HELD ? 0 : -EALREADY;
}

int wardenholds_extend(struct wardenholds *h, int owner, int id, int64_t deadline_us) {
    struct wardenslot *s = find(h, owner, id);
    int r = wardenholds_state(h, owner, id);

    if (r == 0 && !(s->met && (deadline_us == 0 || deadline_us > s->deadline_us)))
        s->deadline_us = deadline_us;
    return r;
}

/* --- undoing --- */

static void undo(struct wardenslot *s, int64_t now_us) {
    if (s->state != SLOT_HELD)
        return;
    s->state = SLOT_UNDOING;
    s->since_us = s->next_us = now_us;
    s->at = 0;
    s->lost = s->idle = false;
}

void wardenholds_undo(struct wardenholds *h, int owner, int64_t now_us) {
    for (unsigned i = 0; i < h->top; i++)
        if (h->slot[i].owner == owner) {
            undo(&h->slot[i], now_us);
            if (h->slot[i].state == SLOT_WATCHED) /* once more: nobody can write after this */
                h->slot[i].next_us = now_us;
        }
}

void wardenholds_orphan(struct wardenholds *h, int owner) {
    for (unsigned i = 0; i < h->top; i++)
        if (h->slot[i].state != SLOT_FREE && h->slot[i].owner == owner)
            h->slot[i].owner = WARDENHOLDS_NOBODY;
}

bool wardenholds_busy(const struct wardenholds *h, int owner) {
    for (unsigned i = 0; i < h->top; i++)
        if (h->slot[i].state == SLOT_UNDOING && h->slot[i].owner == owner)
            return true;
    return false;
}

bool wardenholds_empty(const struct wardenholds *h) {
    for (unsigned i = 0; i < h->top; i++)
        if (h->slot[i].state != SLOT_FREE)
            return false;
    return true;
}

void wardenholds_event(struct wardenslot *s, int64_t now_us) {
    int64_t then_us = now_us + s->after_us;

    close_place(&s->event);
    s->met = true;
    if (s->deadline_us == 0 || then_us < s->deadline_us)
        s->deadline_us = then_us;
}

static void round_done(struct wardenslot *s, int64_t now_us) {
    bool watched = !s->lost && s->idle && s->owner != WARDENHOLDS_NOBODY;

    if (!watched && (!s->lost || now_us - s->since_us > GIVEN_UP_US)) {
        let_go(s);
        return;
    }
    s->state = s->lost ? SLOT_LOST : SLOT_WATCHED;
    s->next_us = now_us + (s->lost ? SLOW_RETRY_US : WATCH_US);
    s->at = 0;
    s->lost = s->idle = false;
}

/* A memory.high that is below what is used all but stops who should get to use less: between two
 * tries it is as it was. */
static void put_back(struct wardenslot *s) {
    struct warden_step back = s->step[s->at - 1];

    memcpy(back.value, s->step[s->at - 1].only_if, WARDEN_VALUE);
    memcpy(back.only_if, s->step[s->at - 1].value, WARDEN_VALUE);
    if (back.kind == WARDEN_WRITE && back.value[0] != '\0')
        (void)wardenundo_step(&back);
    s->at--;
}

static void step_ended(struct wardenslot *s, int result, int64_t now_us) {
    if (result == -EAGAIN && (now_us - s->since_us < PATIENCE_US || s->state == SLOT_WATCHED)) {
        if (s->step[s->at].guarded && s->at > 0)
            put_back(s);
        s->next_us = now_us + RETRY_US;
        return;
    }
    s->lost |= result < 0;
    s->idle |= result > 0;
    s->at++;
    if (s->at == s->steps)
        round_done(s, now_us);
}

bool wardenholds_worked(struct wardenholds *h, int64_t now_us, int *owner_out, uint32_t *seq_out) {
    struct wardenslot *s = &h->slot[h->work.slot];
    uint64_t times;

    (void)!read(h->work.done, &times, sizeof(times));
    h->work.slot = -1;
    if (!s->dropping) {
        step_ended(s, h->work.result, now_us);
        return false;
    }
    s->dropping = false;
    *owner_out = s->owner;
    *seq_out = s->drop_seq;
    let_go(s);
    return *owner_out != WARDENHOLDS_NOBODY;
}

static bool same_file(const struct wardenfile *a, const struct wardenfile *b) {
    return a->inode != 0 && a->inode == b->inode && a->device == b->device;
}

static bool shares_file(const struct wardenslot *a, const struct wardenslot *b) {
    for (unsigned i = 0; i < a->steps; i++)
        for (unsigned k = 0; k < b->steps; k++)
            if (same_file(&a->file[i], &b->file[k]))
                return true;
    return false;
}

/* A later hold on the same file comes first: what that puts back is what this one has written. One
 * that is waiting for another try is not waited for: v1 refuses memory+swap below memory, which
 * may be what this one lowers. */
static bool must_wait(const struct wardenholds *h, const struct wardenslot *s, int64_t now_us) {
    for (unsigned i = 0; i < h->top; i++) {
        const struct wardenslot *t = &h->slot[i];

        if (t->state == SLOT_UNDOING && (t->next_us <= now_us || is_worked_on(h, t)) &&
            t->order > s->order && shares_file(s, t))
            return true;
    }
    return false;
}

/* True: the step is over, and the next may be done. */
static bool do_step(struct wardenholds *h, struct wardenslot *s, int64_t now_us) {
    const struct warden_step *step = &s->step[s->at];
    uint64_t one = 1;

    if (!step->slow) {
        step_ended(s, wardenundo_step(step), now_us);
        return true;
    }
    h->work.slot = (int)(s - h->slot);
    h->work.step = *step;
    h->work.is_before = s->at + 1 < s->steps && step[1].guarded;
    if (h->work.is_before)
        h->work.next = step[1];
    (void)!write(h->work.start, &one, sizeof(one));
    return false;
}

static bool is_ready(const struct wardenholds *h, const struct wardenslot *s, bool slow,
                     int64_t now_us) {
    return s->state >= SLOT_UNDOING && s->next_us <= now_us && s->step[s->at].slow == slow &&
           (!slow || h->work.slot < 0);
}

/* What may wait for reclaim comes after what cannot wait: an OOM killer, a group that stands still.
 */
void wardenholds_go_on(struct wardenholds *h, int64_t now_us) {
    for (unsigned i = 0; i < h->top; i++)
        if (h->slot[i].deadline_us != 0 && h->slot[i].deadline_us <= now_us)
            undo(&h->slot[i], now_us);
    while (h->top > 0 && h->slot[h->top - 1].state == SLOT_FREE)
        h->top--;
    for (int slow = 0; slow < 2; slow++)
        for (unsigned i = 0; i < h->top; i++) {
            struct wardenslot *s = &h->slot[i];

            if (is_ready(h, s, slow, now_us) && must_wait(h, s, now_us))
                s->next_us = now_us + TURN_US;
            while (is_ready(h, s, slow, now_us) && do_step(h, s, now_us))
                ;
        }
}

int64_t wardenholds_due(const struct wardenholds *h) {
    int64_t next = 0;

    for (unsigned i = 0; i < h->top; i++) {
        const struct wardenslot *s = &h->slot[i];
        int64_t at = s->state == SLOT_HELD ? s->deadline_us : s->next_us;

        /* Who waits for the thread is woken by its end. */
        if (s->state == SLOT_FREE ||
            (s->state >= SLOT_UNDOING && s->step[s->at].slow && h->work.slot >= 0))
            continue;
        if (at != 0 && (next == 0 || at < next))
            next = at;
    }
    return next;
}

/* --- the second thread --- */

static void *worker(void *context) {
    struct wardenwork *w = context;
    uint64_t times, one = 1;

    for (;;) {
        if (read(w->start, &times, sizeof(times)) != sizeof(times))
            continue;
        w->result = w->is_before ? wardenundo_before(&w->next) : 0;
        if (w->result == 0)
            w->result = wardenundo_step(&w->step);
        (void)!write(w->done, &one, sizeof(one));
    }
    return NULL;
}

int wardenholds_init(struct wardenholds *h) {
    pthread_attr_t attr;
    pthread_t thread;
    int r;

    for (unsigned i = 0; i < WARDEN_HOLDS; i++)
        h->slot[i].event = -1;
    h->work.slot = -1;
    h->work.start = eventfd(0, EFD_CLOEXEC);
    h->work.done = eventfd(0, EFD_CLOEXEC);
    if (h->work.start < 0 || h->work.done < 0)
        return -errno;
    r = pthread_attr_init(&attr);
    if (r == 0)
        r = pthread_attr_setstack(&attr, h->stack, sizeof(h->stack));
    if (r == 0)
        r = pthread_create(&thread, &attr, worker, &h->work);
    return -r;
}
