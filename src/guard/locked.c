#include "guard/locked.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/sanitized.h"
#include "base/str.h"

enum { STACK = 256 << 10, TEXT = 64 << 10, RESERVE = 1 << 20 };

static bool locked;
static void *reserve; /* NULL: spent */
static char text[TEXT];

/* Grown now, and locked as it grows. */
static __attribute__((noinline)) void touch_stack(void) {
    volatile char room[STACK];

    for (size_t i = 0; i < sizeof(room); i += 4096)
        room[i] = 0;
}

int locked_all(struct err *err) {
    if (SANITIZED)
        return 0;
    (void)malloc_trim(0); /* what our start has needed and freed */
    if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
        return err_set(err, -errno, "cannot lock our memory:");
    touch_stack();
    locked = true;
    locked_save();
    return 0;
}

/* "7f00-7f80 rw-p 00000000 ..." */
static void own(struct str line) {
    long page = sysconf(_SC_PAGESIZE);
    struct str range, from, rights;
    uint64_t start, end;

    if (!str_word(&line, &range) || !str_word(&line, &rights) || !str_cut(&range, '-', &from) ||
        str_to_hex(from, &start) < 0 || str_to_hex(range, &end) < 0 || !str_eq(rights, STR("rw-p")))
        return;
    for (; start < end; start += (uint64_t)page) {
        volatile char *at = (volatile char *)(uintptr_t)start;
        char what = *at;

        *at = what;
    }
}

void locked_again(void) {
    auto_close int fd = locked ? open("/proc/self/maps", O_RDONLY | O_CLOEXEC) : -1;
    struct str all = {text, 0}, line;

    while (fd >= 0 && all.n < sizeof(text)) {
        ssize_t n = read(fd, text + all.n, sizeof(text) - all.n);

        if (n <= 0)
            break;
        all.n += (size_t)n;
    }
    while (str_cut(&all, '\n', &line))
        own(line);
}

bool locked_spend(void) {
    if (!reserve)
        return false;
    (void)munmap(reserve, RESERVE);
    reserve = NULL;
    return true;
}

/* In a full group the kernel fills less than is asked for, and says nothing: such a piece is never
 * touched. NULL: it could not be had whole. */
static void *whole(size_t bytes) {
    static unsigned char there[RESERVE / 4096];
    long page = sysconf(_SC_PAGESIZE);
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
                   -1, 0);

    if (p == MAP_FAILED)
        return NULL;
    memset(there, 0, sizeof(there));
    if (mincore(p, bytes, there) < 0)
        return p; /* it cannot be told */
    for (size_t i = 0; i < bytes / (size_t)page; i++)
        if (!(there[i] & 1)) {
            (void)munmap(p, bytes);
            return NULL;
        }
    return p;
}

void locked_save(void) {
    if (!locked || reserve)
        return;
    reserve = whole(RESERVE);
    if (reserve)
        (void)madvise(reserve, RESERVE, MADV_DONTFORK);
}
