#include "runtime/elf.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "runtime/elfint.h"

enum {
    PHDRS_MAX = 512,
    PIECE = 65536,
    NOTES_MAX = 65536,
    AROUND = 64,
    AHEAD = 256,
};

/* Whole or not at all. */
int elf_read_at(const struct elf *e, uint64_t at, void *out, size_t n) {
    size_t done = 0;

    if (at > e->size || n > e->size - at)
        return -EBADMSG;
    while (done < n) {
        ssize_t got = pread(e->fd, (char *)out + done, n - done, (off_t)(at + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            return -EBADMSG; /* it became shorter */
        done += (size_t)got;
    }
    return 0;
}

int elf_program_header(const struct elf *e, unsigned i, Elf64_Phdr *out) {
    return elf_read_at(e, e->phoff + i * sizeof(*out), out, sizeof(*out));
}

static int section_header(const struct elf *e, unsigned i, Elf64_Shdr *out) {
    return elf_read_at(e, e->shoff + i * sizeof(*out), out, sizeof(*out));
}

static int read_interp(struct elf *e, const Elf64_Phdr *p) {
    size_t n = p->p_filesz;
    int r;

    if (n == 0 || n >= sizeof(e->interp))
        return -EBADMSG;
    r = elf_read_at(e, p->p_offset, e->interp, n);
    if (r < 0)
        return r;
    e->interp[n] = '\0';
    e->is_dynamic = true;
    return 0;
}

static int look_at_segments(struct elf *e) {
    e->low = UINT64_MAX;
    for (unsigned i = 0; i < e->phnum; i++) {
        Elf64_Phdr p;
        int r = elf_program_header(e, i, &p);

        if (r == 0 && p.p_type == PT_INTERP && !e->is_dynamic)
            r = read_interp(e, &p);
        if (r < 0)
            return r;
        if (p.p_type == PT_LOAD && p.p_vaddr < e->low)
            e->low = p.p_vaddr;
    }
    if (e->low == UINT64_MAX)
        e->low = 0;
    return 0;
}

int elf_open(int fd, struct elf *out) {
    struct elf e = {.fd = fd};
    Elf64_Ehdr h;
    struct stat st;
    int r;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(h))
        return -ENOEXEC;
    e.size = (uint64_t)st.st_size;
    r = elf_read_at(&e, 0, &h, sizeof(h));
    if (r < 0)
        return r;
    if (memcmp(h.e_ident, ELFMAG, SELFMAG) != 0 || h.e_ident[EI_CLASS] != ELFCLASS64 ||
        h.e_ident[EI_DATA] != ELFDATA2LSB || (h.e_type != ET_EXEC && h.e_type != ET_DYN))
        return -ENOEXEC;
    if (h.e_phentsize != sizeof(Elf64_Phdr) || h.e_phnum == 0 || h.e_phnum > PHDRS_MAX ||
        h.e_phoff > e.size)
        return -EBADMSG;
    e.type = h.e_type;
    e.machine = h.e_machine;
    e.phnum = h.e_phnum;
    e.phoff = h.e_phoff;
    if (h.e_shentsize == sizeof(Elf64_Shdr) && h.e_shnum <= ELF_SECTIONS_MAX &&
        h.e_shoff <= e.size && h.e_shstrndx < h.e_shnum) {
        e.shnum = h.e_shnum;
        e.shoff = h.e_shoff;
        e.shstrndx = h.e_shstrndx;
    }
    r = look_at_segments(&e);
    if (r < 0)
        return r;
    *out = e;
    return 0;
}

/* Whether a NUL-terminated text in the file is exactly this one. */
int elf_text_is(const struct elf *e, uint64_t at, const char *text, bool *out) {
    char have[ELF_SYMBOL_NAME];
    size_t n = strlen(text) + 1;
    int r;

    *out = false;
    if (n > sizeof(have))
        return -ENAMETOOLONG;
    if (at > e->size || n > e->size - at)
        return 0;
    r = elf_read_at(e, at, have, n);
    if (r == 0)
        *out = memcmp(have, text, n) == 0;
    return r;
}

static int fill_section(const Elf64_Shdr *h, const char *name, struct elf_section *out) {
    struct elf_section s = {
        .type = h->sh_type,
        .link = h->sh_link,
        .addr = h->sh_addr,
        .offset = h->sh_offset,
        .size = h->sh_size,
        .entsize = h->sh_entsize,
    };
    int r = str_copy(str_of(name), s.name, sizeof(s.name));

    if (r == 0)
        *out = s;
    return r;
}

int elf_section(const struct elf *e, const char *name, struct elf_section *out) {
    Elf64_Shdr names, h;
    int r;

    if (e->shnum == 0)
        return -ENOENT;
    r = section_header(e, e->shstrndx, &names);
    for (unsigned i = 0; r == 0 && i < e->shnum; i++) {
        bool same = false;

        r = section_header(e, i, &h);
        if (r == 0 && h.sh_name < names.sh_size && names.sh_offset <= e->size)
            r = elf_text_is(e, names.sh_offset + h.sh_name, name, &same);
        if (r == 0 && same)
            return fill_section(&h, name, out);
    }
    return r < 0 ? r : -ENOENT;
}

/* --- addresses, notes ------------------------------------------------------------------------- */

int elf_read(const struct elf *e, uint64_t address, void *out, size_t n) {
    for (unsigned i = 0; i < e->phnum; i++) {
        Elf64_Phdr p;
        int r = elf_program_header(e, i, &p);

        if (r < 0)
            return r;
        if (p.p_type == PT_LOAD && address >= p.p_vaddr && address - p.p_vaddr <= p.p_filesz &&
            n <= p.p_filesz - (address - p.p_vaddr) && p.p_offset <= e->size)
            return elf_read_at(e, p.p_offset + (address - p.p_vaddr), out, n);
    }
    return -EFAULT;
}

static size_t padded(size_t n) {
    return (n + 3) & ~(size_t)3;
}

static int search_notes(struct str notes, const char *owner, uint32_t type, void *out,
                        size_t size) {
    size_t owner_n = strlen(owner) + 1;

    while (notes.n >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr h;
        size_t name, content;

        memcpy(&h, notes.p, sizeof(h));
        notes = str_from(notes, sizeof(h));
        name = padded(h.n_namesz);
        if (h.n_namesz > notes.n || name > notes.n || h.n_descsz > notes.n - name)
            return -EBADMSG;
        if (h.n_type == type && h.n_namesz == owner_n && memcmp(notes.p, owner, owner_n) == 0) {
            if (h.n_descsz > size)
                return -EFBIG;
            memcpy(out, notes.p + name, h.n_descsz);
            return (int)h.n_descsz;
        }
        content = padded(h.n_descsz);
        if (content > notes.n - name)
            break;
        notes = str_from(notes, name + content);
    }
    return -ENOENT;
}

int elf_note(const struct elf *e, const char *owner, uint32_t type, void *out, size_t size) {
    for (unsigned i = 0; i < e->phnum; i++) {
        auto_free char *notes = NULL;
        Elf64_Phdr p;
        int r = elf_program_header(e, i, &p);

        if (r < 0)
            return r;
        if (p.p_type != PT_NOTE || p.p_filesz == 0 || p.p_filesz > NOTES_MAX)
            continue;
        notes = malloc(p.p_filesz);
        if (!notes)
            return -ENOMEM;
        r = elf_read_at(e, p.p_offset, notes, p.p_filesz);
        if (r == 0)
            r = search_notes((struct str){notes, p.p_filesz}, owner, type, out, size);
        if (r != -ENOENT)
            return r;
    }
    return -ENOENT;
}

/* --- searching -------------------------------------------------------------------------------- */

/* `piece` has `n` bytes, of which those before `from` were searched already. */
static int search_piece(const char *piece, size_t n, size_t from, size_t until, struct str what,
                        elf_found_fn *found, void *ctx) {
    while (from < until) {
        const char *hit = memmem(piece + from, n - from, what.p, what.n);
        size_t at, before;
        int r;

        if (!hit || (at = (size_t)(hit - piece)) >= until)
            return 0;
        before = at < AROUND ? at : AROUND;
        r = found(ctx, (struct str){hit - before, before},
                  (struct str){hit, n - at < AHEAD ? n - at : AHEAD});
        if (r != 0)
            return r;
        from = at + 1;
    }
    return 0;
}

int elf_search(const struct elf *e, const struct elf_section *s, struct str what, uint64_t max,
               elf_found_fn *found, void *ctx) {
    auto_free char *piece = malloc(AROUND + PIECE + AHEAD);
    uint64_t end = s->size < max ? s->size : max;

    if (!piece)
        return -ENOMEM;
    if (what.n < 2 || what.n > AROUND || s->type == SHT_NOBITS)
        return -EINVAL;
    if (s->offset > e->size || end > e->size - s->offset)
        return -EBADMSG;
    for (uint64_t at = 0; at < end; at += PIECE) {
        size_t before = at == 0 ? 0 : AROUND;
        uint64_t left = end - at;
        size_t take = left < PIECE + AHEAD ? (size_t)left : PIECE + AHEAD;
        int r = elf_read_at(e, s->offset + at - before, piece, before + take);

        if (r == 0)
            r = search_piece(piece, before + take, before,
                             before + (take < PIECE ? take : (size_t)PIECE), what, found, ctx);
        if (r != 0)
            return r;
    }
    return 0;
}
