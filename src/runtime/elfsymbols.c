/* elfsymbols.c - symbols by name: by the dynamic linker's hash, or by looking through the tables.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/elfint.h"

enum {
    PIECE = 65536,
    TABLE_MAX = 128 << 20, /* bytes of a table of symbols or of their names */
    EXPORTS_MAX = 2 << 20, /* the same of what a program exports, where it has no hash */
    PLACES = 24,           /* where one name may stand in a string table */
    CHAIN_MAX = 256,       /* symbols of one hash */
};

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
    uint64_t end = names->size;

    if (!piece)
        return -ENOMEM;
    for (uint64_t at = 0; at < end; at += PIECE) {
        uint64_t left = end - at;
        size_t take = left < PIECE + ELF_SYMBOL_NAME ? (size_t)left : PIECE + ELF_SYMBOL_NAME;
        int r = elf_read_at(e, names->offset + at, piece, take);

        if (r < 0)
            return r;
        /* A name that begins in the next piece is found there. */
        find_in_piece(piece, take, at, symbol, n, out);
    }
    return 0;
}

static bool any_place(const struct places *p, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (p->n[i] > 0)
            return true;
    return false;
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

/* Tables of more than `max` bytes are not looked into: -EFBIG. */
static int search_table(const struct elf *e, const char *table, const char *strings, uint64_t max,
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
    if (symbols.size > max || names.size > max)
        return -EFBIG;
    r = find_names(e, &names, symbol, n, places);
    count = any_place(places, n) ? symbols.size / sizeof(Elf64_Sym) : 0;
    for (uint64_t at = 0; r == 0 && at < count; at += per_piece) {
        size_t take = (size_t)(count - at < per_piece ? count - at : per_piece);

        r = elf_read_at(e, symbols.offset + at * sizeof(Elf64_Sym), piece,
                        take * sizeof(Elf64_Sym));
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
        r = elf_read_at(e, out->table.offset, head, sizeof(head));
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
    int r = elf_read_at(e, h->symbols.offset + (uint64_t)index * sizeof(s), &s, sizeof(s));

    if (r == 0)
        r = elf_text_is(e, h->names.offset + s.st_name, symbol->name, &same);
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
    int r = elf_read_at(e, buckets + (uint64_t)(hash % h->buckets) * 4, &index, sizeof(index));

    for (unsigned steps = 0; r == 0 && index >= h->first && steps < CHAIN_MAX; steps++, index++) {
        r = elf_read_at(e, chains + (uint64_t)(index - h->first) * 4, &there, sizeof(there));
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
        r = search_table(e, ".dynsym", ".dynstr", EXPORTS_MAX, symbol, n);
    else
        for (size_t i = 0; r == 0 && i < n; i++)
            r = gnu_hash_find(e, &h, &symbol[i]);
    return r == -ENOENT ? 0 : r;
}

int elf_symbols_within(const struct elf *e, uint64_t max, struct elf_symbol *symbol, size_t n) {
    int r = prepare(symbol, n);

    if (r == 0)
        r = search_table(e, ".symtab", ".strtab", max, symbol, n);
    if ((r == 0 || r == -ENOENT) && !all_found(symbol, n))
        r = search_table(e, ".dynsym", ".dynstr", max, symbol, n);
    return r == -ENOENT ? 0 : r;
}

int elf_symbols(const struct elf *e, struct elf_symbol *symbol, size_t n) {
    return elf_symbols_within(e, TABLE_MAX, symbol, n);
}
