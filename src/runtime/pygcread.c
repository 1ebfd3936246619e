#include "runtime/pygcread.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

enum { SLOTS = 4096 };
static const size_t room = SLOTS * (PYGCREAD_PAGE + sizeof(uint64_t));

int pygcread_init(struct pygcread *r, pygcread_fn *fn, void *ctx) {
    char *memory = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return -ENOMEM;
    *r = (struct pygcread){
        .fn = fn, .ctx = ctx, .data = memory, .page = (void *)(memory + SLOTS * PYGCREAD_PAGE)};
    return 0;
}

void pygcread_done(struct pygcread *r) {
    if (r->data)
        (void)munmap(r->data, room);
    r->data = NULL;
}

/* Neighbours do not share a slot, and regions that are a power of two apart rarely do. */
static size_t slot_of(uint64_t page) {
    uint64_t n = page / PYGCREAD_PAGE;

    return (n ^ n >> 12 ^ n >> 24) % SLOTS;
}

static int page_of(struct pygcread *r, uint64_t page, const char **out) {
    size_t slot = slot_of(page);
    char *data = r->data + slot * PYGCREAD_PAGE;

    if (r->page[slot] != page) {
        int err;

        r->page[slot] = 0;
        r->reads++;
        err = r->fn(r->ctx, page, data, PYGCREAD_PAGE);
        if (err < 0)
            return err;
        r->page[slot] = page;
    }
    *out = data;
    return 0;
}

static int in_range(uint64_t address, size_t n) {
    return address >= PYGCREAD_PAGE && address < UINT64_C(1) << 47 && n <= 1 << 20;
}

int pygcread_get(struct pygcread *r, uint64_t address, void *out, size_t n) {
    size_t done = 0;

    if (!in_range(address, n))
        return -EFAULT;
    while (done < n) {
        size_t at = (address + done) % PYGCREAD_PAGE;
        size_t part = PYGCREAD_PAGE - at < n - done ? PYGCREAD_PAGE - at : n - done;
        const char *data;
        int err = page_of(r, address + done - at, &data);

        if (err < 0)
            return err;
        memcpy((char *)out + done, data + at, part);
        done += part;
    }
    return 0;
}

int pygcread_fresh(struct pygcread *r, uint64_t address, void *out, size_t n) {
    if (!in_range(address, n))
        return -EFAULT;
    for (uint64_t page = address - address % PYGCREAD_PAGE; page < address + n;
         page += PYGCREAD_PAGE)
        if (r->page[slot_of(page)] == page)
            r->page[slot_of(page)] = 0;
    return pygcread_get(r, address, out, n);
}

void pygcread_forget(struct pygcread *r) {
    memset(r->page, 0, SLOTS * sizeof(*r->page));
}

int pygcread_u64(struct pygcread *r, uint64_t address, uint64_t *out) {
    return pygcread_get(r, address, out, sizeof(*out));
}
