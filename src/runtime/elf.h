/* elf.h - the little of ELF that is needed to know a program: its class, interpreter, notes,
 * sections and symbols. 64-bit little-endian. Reads with pread, bounded, never maps; the file may
 * be hostile and may change under us.
 */
#pragma once
#include "base/buf.h"

enum { ELF_SECTIONS_MAX = 1024, ELF_SYMBOL_NAME = 256, ELF_SYMBOLS_MAX = 64 };

struct elf {
    int fd; /* borrowed */
    uint16_t type, machine, phnum, shnum, shstrndx;
    uint64_t phoff, shoff, size;
    uint64_t low;    /* lowest p_vaddr of PT_LOAD: slide = first mapping's start - low (ET_DYN) */
    bool is_dynamic; /* has a PT_INTERP */
    char interp[128];
};

/* 0; -ENOEXEC when it is none we read; -EBADMSG for one that contradicts itself; -errno. */
int elf_open(int fd, struct elf *out);

struct elf_section {
    char name[64];
    uint32_t type, link;
    uint64_t addr, offset, size, entsize;
};
/* By name. 0; -ENOENT; -EBADMSG; -errno. */
int elf_section(const struct elf *e, const char *name, struct elf_section *out);

/* The value (unslid address) and size of a symbol, from .symtab, else .dynsym. Several names in one
 * pass: found ones get value != 0. At most ELF_SYMBOLS_MAX names. 0, -EFBIG for tables of more than
 * 128 MiB, or -errno. */
struct elf_symbol {
    const char *name;
    uint64_t value, size;
};
int elf_symbols(const struct elf *e, struct elf_symbol *symbol, size_t n);

/* The same; tables of more than `max` bytes are not searched: -EFBIG. */
int elf_symbols_within(const struct elf *e, uint64_t max, struct elf_symbol *symbol, size_t n);

/* The same of what it exports (.dynsym) alone: much smaller than .symtab, and never stripped. By
 * the dynamic linker's hash; without one -EFBIG for tables of more than 2 MiB. */
int elf_exports(const struct elf *e, struct elf_symbol *symbol, size_t n);

/* Bytes at an unslid address, as the file has them. */
int elf_read(const struct elf *e, uint64_t address, void *out, size_t n);

/* A note's content, e.g. "GNU" 3 (build ID), "Go" 4. Length, -ENOENT, -errno. */
int elf_note(const struct elf *e, const char *owner, uint32_t type, void *out, size_t size);

/* Go's version from .go.buildinfo ("1.19.8"), both formats (pointers before 1.18, inline since);
 * also where the section's name was stripped. 0; -ENOENT: no Go program; -EBADMSG. */
int elf_go_version(const struct elf *e, char *out, size_t size);

/* Searches a section piece by piece: `found` is called with each place where `what` (2 to 64 bytes)
 * stands, with at most `around` (64) bytes before it and up to 256 from it on, until it returns
 * something other than 0, which is returned. At most `max` bytes are read. 0 at the end; -errno. */
typedef int elf_found_fn(void *ctx, struct str before, struct str from);
int elf_search(const struct elf *e, const struct elf_section *s, struct str what, uint64_t max,
               elf_found_fn *found, void *ctx);
