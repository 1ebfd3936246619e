/* A file that claims to be a program. */
#include <assert.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/elf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int see(void *ctx, struct str before, struct str from) {
    unsigned *n = ctx;

    assert(before.n <= 64 && from.n <= 256 && str_starts(from, STR("go")));
    return ++*n == 1000;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static int fd = -1;
    struct elf_symbol symbol[] = {{"main", 0, 0}, {"mallctl", 0, 0}, {"Py_Version", 0, 0}};
    char out[64] = "";
    struct elf_section s;
    struct elf e;
    unsigned n = 0;
    ssize_t written;

    if (fd < 0)
        fd = memfd_create("elf", MFD_CLOEXEC);
    assert(fd >= 0 && ftruncate(fd, 0) == 0);
    written = pwrite(fd, data, size, 0);
    assert(written == (ssize_t)size);
    if (elf_open(fd, &e) < 0)
        return 0;
    (void)elf_exports(&e, symbol, 3);
    (void)elf_symbols(&e, symbol, 3);
    (void)elf_note(&e, "Go", 4, out, sizeof(out));
    if (elf_go_version(&e, out, sizeof(out)) == 0)
        for (const char *p = out; *p; p++)
            assert(*p > ' ' && *p < 127);
    if (elf_section(&e, ".rodata", &s) == 0)
        (void)elf_search(&e, &s, STR("go"), 1 << 20, see, &n);
    return 0;
}
