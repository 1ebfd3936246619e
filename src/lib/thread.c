#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lib/plim.h"

enum { STACK = 128 * 1024, LOOK_MS = 10000 };

/* The writing end of the token's pipe wakes it. Where the descriptors were closed under it, it ends
 * at the next look. */
static void *run(void *ctx) {
    struct plim *p = ctx;

    prctl(PR_SET_NAME, "plimsoll");
    while (__atomic_load_n(&p->live->has_thread, __ATOMIC_ACQUIRE) == 1) {
        int fd = plim_fd(p);
        struct pollfd wait = {.fd = fd, .events = POLLIN};

        if (fd < 0)
            break;
        if (poll(&wait, 1, LOOK_MS) < 0 && errno != EINTR)
            break;
        if (plim_dispatch(p) < 0)
            break;
    }
    return NULL;
}

static int start(struct plim *p) {
    pthread_attr_t attr;
    sigset_t all, before;
    size_t least = (size_t)sysconf(_SC_THREAD_STACK_MIN);
    int r;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, least > STACK ? least : STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    __atomic_store_n(&p->live->has_thread, 1, __ATOMIC_RELEASE);
    r = pthread_create(&p->thread, &attr, run, p);
    if (r != 0)
        __atomic_store_n(&p->live->has_thread, 0, __ATOMIC_RELEASE);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return -r;
}

void thread_end(struct plim *p) {
    if (!p->live->has_thread)
        return;
    __atomic_store_n(&p->live->has_thread, 2, __ATOMIC_RELEASE);
    if (holds_check(&p->holds) == 0)
        (void)!write(p->holds.kick, "", 1);
    pthread_join(p->thread, NULL);
    __atomic_store_n(&p->live->has_thread, 0, __ATOMIC_RELEASE);
}

int plim_thread(struct plim *p, int on) {
    int r = plim_check(p, false);

    if (r < 0)
        return r;
    if (p->live->has_thread && pthread_equal(p->thread, pthread_self()))
        return -EBUSY;
    r = holds_check(&p->holds);
    if (!on)
        thread_end(p);
    else if (r == 0 && !p->live->has_thread)
        r = start(p);
    return on ? r : 0;
}
