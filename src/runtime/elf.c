#include "runtime/elf.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

enum {
    PHDRS_MAX = 512,
    PIECE = 65536,
    NAMES_MAX = 128 << 20,  /* bytes of a string table */
    SYMBOLS_READ = 4 << 20, /* symbols of a table */
    PLACES = 24,            /* where one name may stand in a string table */
    NOTES_MAX = 65536,
    AROUND = 64,
    AHEAD = 256,
    CHAIN_MAX = 4096,
};

/* Whole or not at all. */
static int read_at(const struct elf *e, uint64_t at, void *out, size_t n) {
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

static int program_header(const struct elf *e, unsigned i, Elf64_Phdr *out) {
    return read_at(e, e->phoff + i * sizeof(*out), out, sizeof(*out));
}

static int section_header(const struct elf *e, unsigned i, Elf64_Shdr *out) {
    return read_at(e, e->shoff + i * sizeof(*out), out, sizeof(*out));
}

static int read_interp(struct elf *e, const Elf64_Phdr *p) {
    size_t n = p->p_filesz;
    int r;

    if (n == 0 || n >= sizeof(e->interp))
        return -EBADMSG;
    r = read_at(e, p->p_offset, e->interp, n);
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
        int r = program_header(e, i, &p);

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
    r = read_at(&e, 0, &h, sizeof(h));
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
static int text_is(const struct elf *e, uint64_t at, const char *text, bool *out) {
    char have[ELF_SYMBOL_NAME];
    size_t n = strlen(text) + 1;
    int r;

    *out = false;
    if (n > sizeof(have))
        return -ENAMETOOLONG;
    if (at > e->size || n > e->size - at)
        return 0;
    r = read_at(e, at, have, n);
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
            r = text_is(e, names.sh_offset + h.sh_name, name, &same);
        if (r == 0 && same)
            return fill_section(&h, name, out);
    }
    return r < 0 ? r : -ENOENT;
}

/* --- symbols ---------------------------------------------------------------------------------- */

/* Where each name stands in the string table. Linkers let a name be the tail of a longer one, so
 * it is looked for with the NUL behind it and nothing before it. */
struct places {
    uint32_t at[ELF_SYMBOLS_MAX][PLACES];
    unsigned n[ELF_SYMBOLS_MAX];
};

static void find_in_piece(const char *piece, size_t n, uint64_t base, struct elf_symbol *symbol,
                          size_t symbols, struct places *out) {
    for (size_t i = 0; i < symbols; i++) {
        size_t length = strlen(symbol[i].name) + 1;
        const char *from = piece;

        while (out->n[i] < PLACES) {
            const char *hit = memmem(from, n - (size_t)(from - piece), symbol[i].name, length);

            if (!hit)
                break;
            out->at[i][out->n[i]++] = (uint32_t)(base + (uint64_t)(hit - piece));
            from = hit + 1;
        }
    }
}

static int find_names(const struct elf *e, const struct elf_section *names,
                      struct elf_symbol *symbol, size_t n, struct places *out) {
    auto_free char *piece = malloc(PIECE + ELF_SYMBOL_NAME);
    uint64_t end = names->size < NAMES_MAX ? names->size : NAMES_MAX;

    if (!piece)
        return -ENOMEM;
    for (uint64_t at = 0; at < end; at += PIECE) {
        uint64_t left = end - at;
        size_t take = left < PIECE + ELF_SYMBOL_NAME ? (size_t)left : PIECE + ELF_SYMBOL_NAME;
        int r = read_at(e, names->offset + at, piece, take);

        if (r < 0)
            return r;
        /* A name that begins in the next piece is found there. */
        find_in_piece(piece, take, at, symbol, n, out);
    }
    return 0;
}

static bool is_place(const struct places *p, size_t i, uint32_t at) {
    for (unsigned k = 0; k < p->n[i]; k++)
        if (p->at[i][k] == at)
            return true;
    return false;
}

static void take_symbol(const Elf64_Sym *s, const struct places *places, struct elf_symbol *symbol,
                        size_t n) {
    if (s->st_shndx == SHN_UNDEF || s->st_value == 0)
        return;
    for (size_t i = 0; i < n; i++)
        if (symbol[i].value == 0 && is_place(places, i, s->st_name)) {
            symbol[i].value = s->st_value;
            symbol[i].size = s->st_size;
        }
}

static int search_table(const struct elf *e, const char *table, const char *strings,
                        struct elf_symbol *symbol, size_t n) {
    auto_free struct places *places = calloc(1, sizeof(*places));
    auto_free Elf64_Sym *piece = malloc(PIECE);
    struct elf_section symbols = {.size = 0}, names = {.size = 0};
    uint64_t count, per_piece = PIECE / sizeof(Elf64_Sym);
    int r = elf_section(e, table, &symbols);

    if (r == 0)
        r = elf_section(e, strings, &names);
    if (r < 0)
        return r;
    if (!places || !piece)
        return -ENOMEM;
    if (symbols.type == SHT_NOBITS || symbols.entsize != sizeof(Elf64_Sym))
        return -ENOENT;
    r = find_names(e, &names, symbol, n, places);
    count = symbols.size / sizeof(Elf64_Sym);
    if (count > SYMBOLS_READ)
        count = SYMBOLS_READ;
    for (uint64_t at = 0; r == 0 && at < count; at += per_piece) {
        size_t take = (size_t)(count - at < per_piece ? count - at : per_piece);

        r = read_at(e, symbols.offset + at * sizeof(Elf64_Sym), piece, take * sizeof(Elf64_Sym));
        for (size_t i = 0; r == 0 && i < take; i++)
            take_symbol(&piece[i], places, symbol, n);
    }
    return r;
}

static int prepare(struct elf_symbol *symbol, size_t n) {
    if (n > ELF_SYMBOLS_MAX)
        return -E2BIG;
    for (size_t i = 0; i < n; i++) {
        size_t length = strlen(symbol[i].name);

        if (length == 0 || length >= ELF_SYMBOL_NAME)
            return -ENAMETOOLONG;
        symbol[i].value = symbol[i].size = 0;
    }
    return 0;
}

static bool all_found(const struct elf_symbol *symbol, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (symbol[i].value == 0)
            return false;
    return true;
}

/* The dynamic linker's own way to a symbol: its hash leads to a chain of few (.gnu.hash). */
struct gnu_hash {
    struct elf_section table, symbols, names;
    uint32_t buckets, first, words; /* words: of the Bloom filter, which is skipped */
};

static uint32_t gnu_hash_of(const char *name) {
    uint32_t hash = 5381;

    for (; *name; name++)
        hash = hash * 33 + (unsigned char)*name;
    return hash;
}

static int gnu_hash_open(const struct elf *e, struct gnu_hash *out) {
    uint32_t head[4] = {0};
    int r = elf_section(e, ".gnu.hash", &out->table);

    if (r == 0)
        r = elf_section(e, ".dynsym", &out->symbols);
    if (r == 0)
        r = elf_section(e, ".dynstr", &out->names);
    if (r == 0)
        r = read_at(e, out->table.offset, head, sizeof(head));
    if (r < 0)
        return r;
    if (head[0] == 0 || head[2] > 1 << 24 || out->symbols.entsize != sizeof(Elf64_Sym))
        return -EBADMSG;
    out->buckets = head[0];
    out->first = head[1];
    out->words = head[2];
    return 0;
}

static int gnu_hash_symbol(const struct elf *e, const struct gnu_hash *h, uint32_t index,
                           struct elf_symbol *symbol) {
    Elf64_Sym s;
    bool same = false;
    int r = read_at(e, h->symbols.offset + (uint64_t)index * sizeof(s), &s, sizeof(s));

    if (r == 0)
        r = text_is(e, h->names.offset + s.st_name, symbol->name, &same);
    if (r == 0 && same && s.st_shndx != SHN_UNDEF) {
        symbol->value = s.st_value;
        symbol->size = s.st_size;
    }
    return r;
}

static int gnu_hash_find(const struct elf *e, const struct gnu_hash *h, struct elf_symbol *symbol) {
    uint32_t hash = gnu_hash_of(symbol->name), index, there;
    uint64_t buckets = h->table.offset + 16 + (uint64_t)h->words * 8;
    uint64_t chains = buckets + (uint64_t)h->buckets * 4;
    int r = read_at(e, buckets + (uint64_t)(hash % h->buckets) * 4, &index, sizeof(index));

    for (unsigned steps = 0; r == 0 && index >= h->first && steps < CHAIN_MAX; steps++, index++) {
        r = read_at(e, chains + (uint64_t)(index - h->first) * 4, &there, sizeof(there));
        if (r == 0 && (there | 1) == (hash | 1))
            r = gnu_hash_symbol(e, h, index, symbol);
        if (r < 0 || symbol->value != 0 || there & 1)
            break;
    }
    return r;
}

int elf_exports(const struct elf *e, struct elf_symbol *symbol, size_t n) {
    struct gnu_hash h;
    int r = prepare(symbol, n);

    if (r < 0)
        return r;
    r = gnu_hash_open(e, &h);
    if (r == -ENOENT)
        r = search_table(e, ".dynsym", ".dynstr", symbol, n);
    else
        for (size_t i = 0; r == 0 && i < n; i++)
            r = gnu_hash_find(e, &h, &symbol[i]);
    return r == -ENOENT ? 0 : r;
}

int elf_symbols(const struct elf *e, struct elf_symbol *symbol, size_t n) {
    int r = prepare(symbol, n);

    if (r == 0)
        r = search_table(e, ".symtab", ".strtab", symbol, n);
    if ((r == 0 || r == -ENOENT) && !all_found(symbol, n))
        r = search_table(e, ".dynsym", ".dynstr", symbol, n);
    return r == -ENOENT ? 0 : r;
}

/* --- addresses, notes ------------------------------------------------------------------------- */

int elf_read(const struct elf *e, uint64_t address, void *out, size_t n) {
    for (unsigned i = 0; i < e->phnum; i++) {
        Elf64_Phdr p;
        int r = program_header(e, i, &p);

        if (r < 0)
            return r;
        if (p.p_type == PT_LOAD && address >= p.p_vaddr && address - p.p_vaddr <= p.p_filesz &&
            n <= p.p_filesz - (address - p.p_vaddr) && p.p_offset <= e->size)
            return read_at(e, p.p_offset + (address - p.p_vaddr), out, n);
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
        int r = program_header(e, i, &p);

        if (r < 0)
            return r;
        if (p.p_type != PT_NOTE || p.p_filesz == 0 || p.p_filesz > NOTES_MAX)
            continue;
        notes = malloc(p.p_filesz);
        if (!notes)
            return -ENOMEM;
        r = read_at(e, p.p_offset, notes, p.p_filesz);
        if (r == 0)
            r = search_notes((struct str){notes, p.p_filesz}, owner, type, out, size);
        if (r != -ENOENT)
            return r;
    }
    return -ENOENT;
}

/* --- Go --------------------------------------------------------------------------------------- */

/* 32 bytes, aligned to 16: the magic, the size of a pointer, flags; then, before Go 1.18, two
 * pointers to strings; since then (flag 2) two strings behind it, each with its length as a varint
 * (Go's debug/buildinfo). */
static const char go_magic[14] = "\xff Go buildinf:";
enum { GO_HEADER = 32, GO_BIG_ENDIAN = 1, GO_INLINE = 2, GO_WINDOW = 65536 };

/* A position-independent executable may have the pointer in its relocations alone. */
static int relocated(const struct elf *e, uint64_t address, uint64_t *out) {
    struct elf_section s;
    Elf64_Rela rela[PIECE / sizeof(Elf64_Rela) / 4];
    int r = elf_section(e, ".rela.dyn", &s);

    if (r < 0)
        return r;
    for (uint64_t at = 0; at + sizeof(rela[0]) <= s.size && at < NAMES_MAX; at += sizeof(rela)) {
        size_t take = s.size - at < sizeof(rela) ? (size_t)(s.size - at) : sizeof(rela);

        r = read_at(e, s.offset + at, rela, take);
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
    int r = read_at(e, offset + GO_HEADER, &length, 1);

    if (r < 0)
        return r;
    if (length == 0 || length >= sizeof(text))
        return -EBADMSG;
    r = read_at(e, offset + GO_HEADER + 1, text, length);
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
    if (read_at(e, offset, window, n) < 0)
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

        r = program_header(e, i, &p);
        if (r < 0)
            return r;
        if (p.p_type != PT_LOAD || (p.p_flags & (PF_W | PF_X)) != PF_W)
            continue;
        return go_in(e, p.p_offset, p.p_vaddr, p.p_filesz, out, size);
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
        int r = read_at(e, s->offset + at - before, piece, before + take);

        if (r == 0)
            r = search_piece(piece, before + take, before,
                             before + (take < PIECE ? take : (size_t)PIECE), what, found, ctx);
        if (r != 0)
            return r;
    }
    return 0;
}
