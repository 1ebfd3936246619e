/* elfgo.c - what Go's linker writes about the program (.go.buildinfo). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/elfint.h"

/* 32 bytes, aligned to 16: the magic, the size of a pointer, flags; then, before Go 1.18, two
 * pointers to strings; since then (flag 2) two strings behind it, each with its length as a varint
 * (Go's debug/buildinfo). */
static const char go_magic[14] = "\xff Go buildinf:";
enum { RELA_MAX = 16 << 20, GO_HEADER = 32, GO_BIG_ENDIAN = 1, GO_INLINE = 2, GO_WINDOW = 65536 };

/* A position-independent executable may have the pointer in its relocations alone. */
static int relocated(const struct elf *e, uint64_t address, uint64_t *out) {
    struct elf_section s;
    Elf64_Rela rela[680];
    int r = elf_section(e, ".rela.dyn", &s);

    if (r < 0)
        return r;
    for (uint64_t at = 0; at + sizeof(rela[0]) <= s.size && at < RELA_MAX; at += sizeof(rela)) {
        size_t take = s.size - at < sizeof(rela) ? (size_t)(s.size - at) : sizeof(rela);

        r = elf_read_at(e, s.offset + at, rela, take);
        if (r < 0)
            return r;
        for (size_t i = 0; i < take / sizeof(rela[0]); i++)
            if (rela[i].r_offset == address) {
                *out = (uint64_t)rela[i].r_addend;
                return 0;
            }
    }
    return -ENOENT;
}

static int read_pointer(const struct elf *e, uint64_t address, uint64_t *out) {
    int r = elf_read(e, address, out, sizeof(*out));

    return r == 0 && *out == 0 ? relocated(e, address, out) : r;
}

/* "go1.19.8", "go1.22.1 X:nocoverageredesign", "devel go1.20-abc ..." -> "1.19.8". */
static int take_go_version(struct str text, char *out, size_t size) {
    struct str word;

    str_skip(&text, STR("devel "));
    if (!str_skip(&text, STR("go")) || text.n == 0)
        return -EBADMSG;
    if (!str_word(&text, &word))
        return -EBADMSG;
    for (size_t i = 0; i < word.n; i++)
        if (word.p[i] < '!' || word.p[i] > '~')
            return -EBADMSG;
    return str_copy(str_head(word, size - 1), out, size);
}

static int go_inline(const struct elf *e, uint64_t offset, char *out, size_t size) {
    char text[128];
    unsigned char length; /* a version has less than 128 bytes: one byte of varint */
    int r = elf_read_at(e, offset + GO_HEADER, &length, 1);

    if (r < 0)
        return r;
    if (length == 0 || length >= sizeof(text))
        return -EBADMSG;
    r = elf_read_at(e, offset + GO_HEADER + 1, text, length);
    return r < 0 ? r : take_go_version((struct str){text, length}, out, size);
}

static int go_pointers(const struct elf *e, uint64_t address, char *out, size_t size) {
    uint64_t header, text_at, length = 0;
    char text[128];
    int r = read_pointer(e, address + 16, &header);

    if (r == 0)
        r = read_pointer(e, header, &text_at);
    if (r == 0)
        r = elf_read(e, header + 8, &length, sizeof(length));
    if (r < 0)
        return r == -EFAULT || r == -ENOENT ? -EBADMSG : r;
    if (length == 0 || length > sizeof(text))
        return -EBADMSG;
    r = elf_read(e, text_at, text, length);
    return r < 0 ? r : take_go_version((struct str){text, length}, out, size);
}

/* Looks in one window of the file, which is loaded at `address`. */
static int go_in(const struct elf *e, uint64_t offset, uint64_t address, uint64_t length, char *out,
                 size_t size) {
    size_t n = length < GO_WINDOW ? (size_t)length : GO_WINDOW;
    auto_free char *window = NULL;

    if (n < GO_HEADER)
        return -ENOENT;
    window = malloc(n);
    if (!window)
        return -ENOMEM;
    if (elf_read_at(e, offset, window, n) < 0)
        return -ENOENT;
    for (size_t at = 0; at + GO_HEADER <= n; at += 16) {
        unsigned char flags = (unsigned char)window[at + 15];

        if (memcmp(window + at, go_magic, sizeof(go_magic)) != 0)
            continue;
        if (flags & GO_INLINE)
            return go_inline(e, offset + at, out, size);
        if (flags & GO_BIG_ENDIAN || window[at + 14] != 8)
            return -EBADMSG;
        return go_pointers(e, address + at, out, size);
    }
    return -ENOENT;
}

int elf_go_version(const struct elf *e, char *out, size_t size) {
    struct elf_section s;
    int r = elf_section(e, ".go.buildinfo", &s);

    if (r == 0)
        return go_in(e, s.offset, s.addr, s.size, out, size);
    for (unsigned i = 0; i < e->phnum; i++) {
        Elf64_Phdr p;

        r = elf_program_header(e, i, &p);
        if (r < 0)
            return r;
        if (p.p_type != PT_LOAD || (p.p_flags & (PF_W | PF_X)) != PF_W)
            continue;
        return go_in(e, p.p_offset, p.p_vaddr, p.p_filesz, out, size);
    }
    return -ENOENT;
}
