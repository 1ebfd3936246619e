/* libplimsoll-preload.so: malloc and its family with a question before them. See selfguard.h.
 *
 * Interposed with LD_PRELOAD: runs before everything else of the program, so it must not need what
 * it replaces. Threads' own variables are of the kind that needs no allocation (initial-exec).
 */
#undef _FILE_OFFSET_BITS /* both mmaps are defined here, each under its own name */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/selfguard.h"

#define EXPORT __attribute__((visibility("default")))

enum {
    EARLY = 64 << 10,      /* what dlsym may want before it has found malloc */
    LARGE = 64 << 10,      /* of these, realloc is asked what they grow by */
    MAPPED_MOST = 1 << 20, /* of a mapping, so much is taken for used soon */
};

static struct {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void *(*memalign)(size_t, size_t);
    int (*posix_memalign)(void **, size_t, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    size_t (*malloc_usable_size)(void *);
    void (*free)(void *);
    void *(*mmap)(void *, size_t, int, int, int, off64_t);
    pid_t (*fork)(void);
    bool found;
} next;

static __thread struct {
    unsigned inside; /* in the allocator, or in ourselves: pass through */
    bool finding;
    size_t since; /* handed out since this thread asked last */
} here;

static size_t quantum = SIZE_MAX;

/* --- before there is a malloc --- */

static _Alignas(16) char early[EARLY];
static size_t early_used;

/* Each has its size before it. */
static void *early_alloc(size_t size, size_t align) {
    size_t room = (size + 31) / 16 * 16 + align;
    size_t at = __atomic_fetch_add(&early_used, room, __ATOMIC_RELAXED);
    char *p;

    if (size > EARLY || align > 4096 || at + room > EARLY)
        return NULL;
    p = early + at + 16;
    p += align > 16 ? (align - (uintptr_t)p % align) % align : 0;
    memcpy(p - 16, &size, sizeof(size));
    return p;
}

static bool is_early(const void *p) {
    return (const char *)p >= early && (const char *)p < early + EARLY;
}

static size_t early_size(const void *p) {
    size_t size;

    memcpy(&size, (const char *)p - 16, sizeof(size));
    return size;
}

static void find_all(void) {
    here.finding = true;
    *(void **)&next.malloc = dlsym(RTLD_NEXT, "malloc");
    *(void **)&next.calloc = dlsym(RTLD_NEXT, "calloc");
    *(void **)&next.realloc = dlsym(RTLD_NEXT, "realloc");
    *(void **)&next.memalign = dlsym(RTLD_NEXT, "memalign");
    *(void **)&next.posix_memalign = dlsym(RTLD_NEXT, "posix_memalign");
    *(void **)&next.aligned_alloc = dlsym(RTLD_NEXT, "aligned_alloc");
    *(void **)&next.malloc_usable_size = dlsym(RTLD_NEXT, "malloc_usable_size");
    *(void **)&next.free = dlsym(RTLD_NEXT, "free");
    *(void **)&next.mmap = dlsym(RTLD_NEXT, "mmap64");
    *(void **)&next.fork = dlsym(RTLD_NEXT, "fork");
    __atomic_store_n(&next.found, true, __ATOMIC_RELEASE);
    here.finding = false;
}

/* false: whoever is asked now, it must be `early`. */
static bool ready(void) {
    if (__builtin_expect(!__atomic_load_n(&next.found, __ATOMIC_ACQUIRE), 0)) {
        if (here.finding)
            return false;
        find_all();
    }
    return true;
}

/* --- the question --- */

static bool ask(size_t bytes, bool may_trim) {
    bool fits;

    here.inside++;
    fits = selfguard_ask(bytes, may_trim);
    quantum = selfguard_quantum();
    here.inside--;
    if (!fits)
        errno = ENOMEM;
    return fits;
}

static inline bool may_have(size_t size) {
    if (here.inside > 0)
        return true;
    if (__builtin_add_overflow(here.since, size, &here.since))
        here.since = SIZE_MAX;
    if (__builtin_expect(here.since < quantum, 1) || quantum == SIZE_MAX)
        return true;
    size = here.since;
    here.since = 0;
    return ask(size, true);
}

__attribute__((constructor)) static void begin(void) {
    (void)ready();
    here.inside++;
    selfguard_begin();
    quantum = selfguard_quantum();
    here.inside--;
}

/* --- the family --- */

EXPORT void *malloc(size_t size) {
    void *p;

    if (!ready())
        return early_alloc(size, 16);
    if (!may_have(size))
        return NULL;
    here.inside++;
    p = next.malloc(size);
    here.inside--;
    return p;
}

EXPORT void *calloc(size_t n, size_t size) {
    size_t bytes;
    void *p;

    if (__builtin_mul_overflow(n, size, &bytes))
        bytes = SIZE_MAX;
    if (!ready())
        return early_alloc(bytes, 16); /* never used before: zero */
    if (bytes < SIZE_MAX && !may_have(bytes))
        return NULL;
    here.inside++;
    p = next.calloc(n, size);
    here.inside--;
    return p;
}

static void *move_early(void *old, size_t size) {
    void *p = malloc(size);

    if (p)
        memcpy(p, old, early_size(old) < size ? early_size(old) : size);
    return p;
}

EXPORT void *realloc(void *old, size_t size) {
    size_t grows = size;
    void *p;

    if (is_early(old) || !ready())
        return old ? move_early(old, size) : malloc(size);
    if (old && size >= LARGE) {
        size_t has = next.malloc_usable_size(old);

        grows = size > has ? size - has : 0;
    }
    if (!may_have(grows))
        return NULL;
    here.inside++;
    p = next.realloc(old, size);
    here.inside--;
    return p;
}

/* By a pointer into `next`: it is filled in only when the first asks. */
static inline void *give_aligned(void *(*const *from)(size_t, size_t), size_t align, size_t size) {
    void *p;

    if (!ready())
        return early_alloc(size, align);
    if (!may_have(size))
        return NULL;
    here.inside++;
    p = (*from)(align, size);
    here.inside--;
    return p;
}

EXPORT void *memalign(size_t align, size_t size) {
    return give_aligned(&next.memalign, align, size);
}

EXPORT void *aligned_alloc(size_t align, size_t size) {
    return give_aligned(&next.aligned_alloc, align, size);
}

EXPORT int posix_memalign(void **out, size_t align, size_t size) {
    int saved = errno, r;

    if (!ready()) {
        void *p = early_alloc(size, align);

        if (p)
            *out = p;
        return p ? 0 : ENOMEM;
    }
    if (!may_have(size)) {
        errno = saved; /* it tells by its result */
        return ENOMEM;
    }
    here.inside++;
    r = next.posix_memalign(out, align, size);
    here.inside--;
    return r;
}

EXPORT size_t malloc_usable_size(void *p) {
    if (is_early(p))
        return early_size(p);
    return ready() ? next.malloc_usable_size(p) : 0;
}

EXPORT void free(void *p) {
    if (!p || is_early(p) || !ready())
        return;
    here.inside++;
    next.free(p);
    here.inside--;
}

/* All locks of malloc are held meanwhile, and signal handlers run. */
EXPORT pid_t fork(void) {
    pid_t child;

    (void)ready();
    here.inside++;
    child = next.fork();
    here.inside--;
    return child;
}

/* Of mappings those are asked about that programs allocate memory with by themselves (Python's
 * arenas, allocators linked in): by a thread that may hold the allocator's locks. */
static bool may_map(size_t size, int prot, int flags) {
    if (here.inside > 0 || quantum == SIZE_MAX || !(flags & MAP_ANONYMOUS) ||
        !(prot & PROT_WRITE) || flags & (MAP_STACK | MAP_NORESERVE | MAP_GROWSDOWN))
        return true;
    here.since += size < MAPPED_MOST ? size : MAPPED_MOST;
    if (here.since < quantum)
        return true;
    size = here.since;
    here.since = 0;
    return ask(size, false);
}

EXPORT void *mmap64(void *at, size_t size, int prot, int flags, int fd, off64_t offset) {
    if (!may_map(size, prot, flags))
        return MAP_FAILED;
    if (next.mmap)
        return next.mmap(at, size, prot, flags, fd, offset);
    return (void *)syscall(SYS_mmap, at, size, prot, flags, fd, offset);
}

EXPORT void *mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset) {
    return mmap64(at, size, prot, flags, fd, offset);
}
