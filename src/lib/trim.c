#include <dlfcn.h>
#include <malloc.h>

#include "lib/plim.h"

/* jemalloc's "all arenas", since its version 4.3. */
#define EVERY_ARENA "arena.4096.purge"

typedef int mallctl_fn(const char *name, void *old, size_t *old_n, void *fresh, size_t fresh_n);
typedef void release_fn(void);

/* ISO C has no way from an object's address to a function's. */
#define FUNCTION(type, name)                                                                       \
    ({                                                                                             \
        union {                                                                                    \
            void *object;                                                                          \
            type *function; /* NOLINT(bugprone-macro-parentheses) */                               \
        } found_ = {dlsym(RTLD_DEFAULT, name)};                                                    \
        found_.function;                                                                           \
    })

static struct {
    mallctl_fn *mallctl;
    release_fn *release;
} allocator;

/* Looking names up allocates where one is missing: once, beforehand. */
void trim_find(void) {
    allocator.mallctl = FUNCTION(mallctl_fn, "mallctl");
    if (!allocator.mallctl)
        allocator.mallctl = FUNCTION(mallctl_fn, "je_mallctl");
    allocator.release = FUNCTION(release_fn, "MallocExtension_ReleaseFreeMemory");
}

static bool usage_now(struct plim *p, uint64_t *out) {
    int r;

    if (plim_check(p, true) < 0)
        return false;
    plim_lock(p);
    r = look_usage(p, out);
    plim_unlock(p);
    return r == 0;
}

int plim_trim(struct plim *p, uint64_t *freed_out) {
    uint64_t before = 0, after = 0;
    bool known = freed_out && usage_now(p, &before);

    if (!p)
        trim_find();
    if (allocator.mallctl) {
        (void)allocator.mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
        (void)allocator.mallctl(EVERY_ARENA, NULL, NULL, NULL, 0);
    }
    if (allocator.release)
        allocator.release();
    malloc_trim(0);
    if (known && usage_now(p, &after) && before > after)
        *freed_out = before - after;
    else if (freed_out)
        *freed_out = 0;
    return 0;
}
